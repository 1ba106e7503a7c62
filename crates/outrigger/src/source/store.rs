//! A store as the source: each resource stands for itself.
//!
//! The Admin API lets in only what holds. What does not hold all the same, such
//! as a plugin that is no longer there, must not keep the rest from serving: it
//! is left out, and said to be.

use std::collections::HashSet;
use std::sync::Arc;

use outrigger_config::references::Masks;
use outrigger_config::store::{Inventory, Key, Store};
use outrigger_engine::plugin::Registry;
use outrigger_engine::router::Mode;
use outrigger_engine::snapshot::Snapshot;
use outrigger_model::Invalid;
use tokio::sync::mpsc;

use super::live::Adoptable;
use super::{Live, Rebuild, env};
use crate::Failure;

/// A store that is followed.
pub(crate) struct StoreSource {
    store: Arc<dyn Store>,
    live: Arc<Live>,
}

impl StoreSource {
    /// Puts what the store has into effect.
    ///
    /// # Errors
    /// Nothing of it can be.
    pub(super) fn open(store: Arc<dyn Store>, live: Arc<Live>) -> Result<Self, Failure> {
        let source = StoreSource { store, live };
        let inventory = source.store.inventory();
        source.apply(inventory)?;
        Ok(source)
    }

    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Puts every further change into effect. Grants what is wished meanwhile.
    pub(super) async fn follow(self, mut wishes: mpsc::Receiver<Rebuild>) {
        let store = self.store();
        let mut seen = self.live.resources().revision();
        loop {
            tokio::select! {
                inventory = store.changed(seen) => {
                    seen = inventory.revision();
                    self.change(inventory);
                }
                Some(Rebuild { registry, mode, reply }) = wishes.recv() => {
                    // Whoever has gone meanwhile gets no answer.
                    drop(reply.send(self.rebuild(registry, mode)));
                }
            }
        }
    }

    fn change(&self, inventory: Arc<Inventory>) {
        let revision = inventory.revision();
        if let Err(why) = self.apply(inventory) {
            self.live.refused();
            tracing::error!("revision {revision} of the store is not applied: {why}");
        }
    }

    fn apply(&self, inventory: Arc<Inventory>) -> Result<(), Failure> {
        let compiled = match self.live.take_trial(&inventory) {
            Some(compiled) => compiled,
            None => compile(&self.live, &inventory, None)?,
        };
        for (key, why) in &compiled.left_out {
            tracing::error!("{key} is left out: {why}");
        }
        let keys = compiled.left_out.into_iter().map(|(key, _)| key);
        self.live.leave_out(keys.collect());
        let revision = inventory.revision();
        let routes = self.live.put(compiled.snapshot, Some(inventory));
        tracing::info!("store: {routes} routes applied (revision {revision})");
        Ok(())
    }

    /// Goes over to other plugins, unless a resource that holds now would not.
    fn rebuild(&self, registry: Registry, mode: Mode) -> Result<(), String> {
        let plugins = Live::prepare(registry, mode).map_err(|error| error.to_string())?;
        let inventory = self.live.resources();
        let compiled = compile(&self.live, &inventory, Some(&plugins));
        let compiled = compiled.map_err(|error| error.to_string())?;
        let broken: Vec<_> = compiled
            .broken(&self.live, |_| false)
            .map(|(key, why)| format!("{key}: {why}"))
            .collect();
        if !broken.is_empty() {
            return Err(broken.join("\n"));
        }
        let keys = compiled.left_out.into_iter().map(|(key, _)| key);
        self.live.leave_out(keys.collect());
        self.live.adopt(plugins);
        self.live.put(compiled.snapshot, None);
        Ok(())
    }
}

/// What holds of an inventory, compiled.
pub(super) struct Compiled {
    snapshot: Snapshot,
    /// What does not hold, and why.
    left_out: Vec<(Key, String)>,
}

impl Compiled {
    /// What does not hold: what is `written`, and everything that held until now.
    fn broken(
        &self,
        live: &Live,
        written: impl Fn(&Key) -> bool,
    ) -> impl Iterator<Item = &(Key, String)> {
        let known = live.left_out();
        let left_out = self.left_out.iter();
        left_out.filter(move |(key, _)| written(key) || !known.contains(key))
    }
}

/// Whether requests could run on `next`, which differs from what they run on in the
/// resource `key`. If they could, and `next` comes to be, it takes effect at once.
///
/// # Errors
/// What would not hold that holds now.
pub(crate) fn try_out(live: &Live, next: &Inventory, key: &Key) -> Result<(), String> {
    let compiled = compile(live, next, None).map_err(|error| error.to_string())?;
    // The resource itself may stand while another falls: of two consumers
    // with one key it is the later.
    if let Some((culprit, why)) = compiled.broken(live, |other| other == key).next() {
        return Err(if culprit == key {
            why.clone()
        } else {
            format!("{culprit}: {why}")
        });
    }
    live.keep_trial(next, compiled);
    Ok(())
}

/// As [`try_out`], where the resources `written` differ.
///
/// # Errors
/// All that would not hold, of these and of what holds now.
pub(crate) fn try_out_all(
    live: &Live,
    next: &Inventory,
    written: &HashSet<Key>,
) -> Result<(), Vec<(Key, String)>> {
    let compiled = match compile(live, next, None) {
        Ok(compiled) => compiled,
        Err(error) => {
            // Nobody is to blame, so everybody is.
            let all = written.iter().map(|key| (key.clone(), error.to_string()));
            return Err(all.collect());
        }
    };
    let broken: Vec<_> = compiled
        .broken(live, |key| written.contains(key))
        .cloned()
        .collect();
    if !broken.is_empty() {
        return Err(broken);
    }
    live.keep_trial(next, compiled);
    Ok(())
}

/// The resources that requests would not run on, and why.
///
/// # Errors
/// As [`compile`].
pub(crate) fn left_out(live: &Live, inventory: &Inventory) -> Result<Vec<(Key, String)>, Failure> {
    compile(live, inventory, None).map(|compiled| compiled.left_out)
}

/// All that is wrong with these resources, but for those `without`: what requests would
/// not run on, and what names something that is not there, which waits for it.
pub(crate) fn faults(live: &Live, inventory: &Inventory, without: &HashSet<Key>) -> Vec<Invalid> {
    let reading = live.reader().read(inventory, without);
    let references = reading.resources.check_references();
    let compiled = live.compile(reading.resources, None);
    let mut found = references.err().unwrap_or_default();
    found.extend(compiled.err().unwrap_or_default());
    for Invalid { at, message } in &mut found {
        if let Ok(key) = Key::new(at.kind.plural(), at.id.as_str()) {
            *message = hidden(inventory, &key, std::mem::take(message));
        }
    }
    found
}

/// What is said of a resource, without the secrets that it refers to.
fn hidden(inventory: &Inventory, key: &Key, message: String) -> String {
    match inventory.get(key) {
        Some(entry) => Masks::of(&entry.value, &env).hide(message),
        None => message,
    }
}

/// Compiles what holds of an inventory, for `plugins` or else the present ones.
///
/// # Errors
/// Its resources do not hold together, and none of them is to blame.
fn compile(
    live: &Live,
    inventory: &Inventory,
    plugins: Option<&Adoptable>,
) -> Result<Compiled, Failure> {
    let mut without = HashSet::new();
    let mut left_out = Vec::new();
    loop {
        let reading = live.reader().read(inventory, &without);
        if without.is_empty() {
            let refused = reading.refused.into_iter();
            left_out.extend(refused.map(|(key, faults)| (key, faults.to_string())));
        }
        let invalid = match live.compile(reading.resources, plugins) {
            Ok(snapshot) => return Ok(Compiled { snapshot, left_out }),
            Err(invalid) => invalid,
        };
        let before = without.len();
        for Invalid { at, message } in invalid {
            let key = Key::new(at.kind.plural(), at.id.as_str())?;
            let why = if at.path.is_root() {
                message
            } else {
                format!("{}: {message}", at.path)
            };
            let why = hidden(inventory, &key, why);
            if without.insert(key.clone()) {
                left_out.push((key, why));
            }
        }
        if without.len() == before {
            return Err("its resources do not agree with each other".into());
        }
    }
}
