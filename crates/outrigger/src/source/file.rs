//! `apisix.yaml` or `apisix.json` as the source: a file that does not hold as a whole is not applied.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrigger_config::{Document, Format, Report, Watch};
use outrigger_engine::plugin::Registry;
use outrigger_engine::router::Mode;
use outrigger_engine::snapshot::Snapshot;
use outrigger_model::Resources;
use tokio::sync::mpsc;

use super::live::Adoptable;
use super::{Live, Rebuild, env};

/// A file that is watched.
pub(crate) struct FileSource {
    file: PathBuf,
    watch: Watch,
    live: Arc<Live>,
    /// What was read last and makes sense by itself.
    latest: Option<Arc<Read>>,
    /// What the snapshot was compiled from.
    applied: Option<Arc<Read>>,
}

/// What a file said.
type Read = (Document, Resources);

impl FileSource {
    /// Reads `file` for the first time. Environment variables in it are the
    /// gateway's.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) async fn open(file: &Path, format: Format, live: Arc<Live>) -> Result<Self, Report> {
        let mut source = FileSource {
            file: file.to_owned(),
            watch: Watch::new(file, format, env),
            live,
            latest: None,
            applied: None,
        };
        let change = source.watch.next().await;
        source.apply(change)?;
        Ok(source)
    }

    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// Puts every further change into effect; reports what is wrong with one
    /// and leaves in effect what was. Grants what is wished meanwhile.
    pub(super) async fn follow(mut self, mut wishes: mpsc::Receiver<Rebuild>) {
        loop {
            tokio::select! {
                change = self.watch.next() => self.change(change),
                Some(Rebuild { registry, mode, reply }) = wishes.recv() => {
                    // Whoever has gone meanwhile gets no answer.
                    drop(reply.send(self.rebuild(registry, mode)));
                }
            }
        }
    }

    fn change(&mut self, change: Result<Read, Report>) {
        if let Err(report) = self.apply(change) {
            self.refused(&report);
        }
    }

    fn refused(&self, report: &Report) {
        self.live.refused();
        tracing::error!("{report}");
        tracing::warn!(
            "{}: not applied; the configuration before it stays in effect",
            report.file().display()
        );
    }

    fn apply(&mut self, change: Result<Read, Report>) -> Result<(), Report> {
        let read = self.taking_over(change?);
        match self.compile(&read, None) {
            Ok(compiled) => {
                self.put_into_effect(read, compiled);
                self.latest = self.applied.clone();
                Ok(())
            }
            Err(report) => {
                // With other runners it may hold.
                self.latest = Some(read);
                Err(report)
            }
        }
    }

    /// What did not change in the file is what it was.
    fn taking_over(&self, (document, mut resources): Read) -> Arc<Read> {
        if let Some(before) = self.applied.as_ref().or(self.latest.as_ref()) {
            resources.take_over(&before.1);
        }
        Arc::new((document, resources))
    }

    /// Goes over to other plugins: with what the file says now, or if that does
    /// not hold with what was in effect before.
    fn rebuild(&mut self, registry: Registry, mode: Mode) -> Result<(), String> {
        let plugins = Live::prepare(registry, mode).map_err(|error| error.to_string())?;
        // Somebody may have changed the file together with the plugins.
        let mut is_new = false;
        match self.watch.look_now() {
            Some(Ok(read)) => {
                self.latest = Some(self.taking_over(read));
                is_new = true;
            }
            Some(unreadable) => self.change(unreadable),
            None => {}
        }
        let outcome = self.go_over(plugins);
        // Nobody else will look at this change again.
        if is_new && let Some(latest) = self.latest.clone() {
            let is_applied = self.applied.as_ref();
            if !is_applied.is_some_and(|applied| Arc::ptr_eq(applied, &latest)) {
                match self.compile(&latest, None) {
                    Ok(compiled) => self.put_into_effect(latest, compiled),
                    Err(report) => self.refused(&report),
                }
            }
        }
        outcome.map_err(|report| report.to_string())
    }

    fn go_over(&mut self, plugins: Adoptable) -> Result<(), Report> {
        let mut outcome = Ok(());
        for read in [self.latest.clone(), self.applied.clone()] {
            let Some(read) = read else { continue };
            match self.compile(&read, Some(&plugins)) {
                Ok(compiled) => {
                    self.live.adopt(plugins);
                    self.put_into_effect(read, compiled);
                    return Ok(());
                }
                Err(report) => outcome = Err(report),
            }
        }
        outcome
    }

    fn compile(&self, read: &Read, plugins: Option<&Adoptable>) -> Result<Snapshot, Report> {
        let (document, resources) = read;
        self.live
            .compile(resources.clone(), plugins)
            .map_err(|invalid| {
                document
                    .report(invalid)
                    .expect("a failed compilation says what does not hold")
            })
    }

    fn put_into_effect(&mut self, read: Arc<Read>, compiled: Snapshot) {
        let applied = self.applied.as_ref();
        if applied.is_some_and(|applied| Arc::ptr_eq(applied, &read)) {
            self.live.put(compiled, None);
            return;
        }
        let before = self.live.resources();
        let revision = before.revision() + 1;
        let (read, mut written) = match Arc::try_unwrap(read) {
            Ok((document, resources)) => {
                let (document, written) = document.into_inventory(revision);
                (Arc::new((document, resources)), written)
            }
            Err(shared) => {
                let written = shared.0.inventory(revision);
                (shared, written)
            }
        };
        written.take_over(&before);
        let routes = self.live.put(compiled, Some(Arc::new(written)));
        self.applied = Some(read);
        let name = self.file.file_name().unwrap_or_default().display();
        tracing::info!("{name}: {routes} routes applied");
    }
}
