//! Compiled resources, and what they were compiled from.
//!
//! A part is made from a resource and from the parts that it names. As long as all of
//! these are the same objects, the part is the same object too: that is all that has to
//! be looked at to know what a change touches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use outrigger_model::{
    self as model, Credential, GlobalRule, Id, Invalid, Kind, Place, PluginSet, PropertyPath, Ssl,
};

use crate::byte_tree::ByteTree;

/// A resource as the model has it.
pub(super) trait Resource {
    /// What it is called among those of its kind. Only an upstream may lack one, and
    /// then nobody can name it.
    fn id(&self) -> Option<&Id>;
}

macro_rules! resources {
    ($($type:ty: $id:ident),* $(,)?) => {
        $(impl Resource for $type {
            fn id(&self) -> Option<&Id> {
                Some(&self.$id)
            }
        })*
    };
}

resources! {
    model::Route: id,
    model::Service: id,
    PluginSet: id,
    GlobalRule: id,
    model::Consumer: username,
    Credential: key,
    Ssl: id,
}

impl Resource for model::Upstream {
    fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }
}

/// A compiled resource.
pub(super) trait Part: Clone {
    type Resource: Resource;

    /// What it was compiled from.
    fn resource(&self) -> &Arc<Self::Resource>;
}

/// The parts of one kind.
#[derive(Debug, Clone)]
pub(super) struct Parts<P: Part> {
    by_id: ByteTree<P>,
    /// What they were compiled from, in its order.
    resources: Vec<Arc<P::Resource>>,
}

impl<P: Part> Default for Parts<P> {
    fn default() -> Self {
        Parts {
            by_id: ByteTree::default(),
            resources: Vec::new(),
        }
    }
}

/// What has become of a resource.
pub(super) struct Change<P> {
    pub(super) id: Id,
    /// None: there was none.
    pub(super) before: Option<P>,
    /// None: it is gone.
    pub(super) after: Option<P>,
}

/// The ids of resources whose parts are others than before.
#[derive(Debug, Default)]
pub(super) struct Changed(HashSet<Id>);

impl Changed {
    pub(super) fn of<P>(changes: &[Change<P>]) -> Self {
        Changed(changes.iter().map(|change| change.id.clone()).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, id: Option<&Id>) -> bool {
        id.is_some_and(|id| self.0.contains(id))
    }
}

/// Says of a resource whether what it names is another than before.
type IsTouched<'a, P> = dyn Fn(&<P as Part>::Resource) -> bool + 'a;

/// What is to be done for the parts of one kind.
pub(super) struct Update<'a, P: Part> {
    pub(super) kind: Kind,
    pub(super) before: &'a Parts<P>,
    pub(super) resources: Vec<Arc<P::Resource>>,
    /// Whether something that the resource names is another than before; none: nothing
    /// is.
    pub(super) touched: Option<&'a IsTouched<'a, P>>,
}

impl<P: Part> Update<'_, P> {
    /// Compiles what has changed by `compile`, which gets what the part was before and
    /// has nothing to return if it has reported why.
    pub(super) fn carry_out(
        self,
        invalid: &mut Vec<Invalid>,
        mut compile: impl FnMut(&Arc<P::Resource>, Option<&P>, &mut Vec<Invalid>) -> Option<P>,
    ) -> (Parts<P>, Vec<Change<P>>) {
        let old = &self.before.resources;
        let new = &self.resources;
        let (first, last) = common(old, new);
        let old_middle = &old[first..old.len() - last];
        let new_middle = first..new.len() - last;
        let ids = |list: &[Arc<P::Resource>]| -> HashSet<Id> {
            let ids = list.iter().filter_map(|resource| resource.id());
            ids.cloned().collect()
        };
        let old_ids = ids(old_middle);
        let new_ids = ids(&new[new_middle.clone()]);
        let mut seen = HashSet::new();
        let mut changes = Vec::new();
        for id in old_ids.difference(&new_ids) {
            changes.push(Change {
                id: id.clone(),
                before: self.before.get(id).cloned(),
                after: None,
            });
        }
        let all = 0..new.len();
        let to_look_at = if self.touched.is_some() {
            all
        } else {
            new_middle.clone()
        };
        for at in to_look_at {
            let resource = &new[at];
            let Some(id) = resource.id() else { continue };
            let before = self.before.get(id);
            if new_middle.contains(&at) {
                let is_elsewhere = before.is_some() && !old_ids.contains(id);
                if is_elsewhere || !seen.insert(id) {
                    invalid.push(twice(self.kind, id));
                    continue;
                }
            }
            let is_same = before.is_some_and(|part| Arc::ptr_eq(part.resource(), resource));
            let is_touched = self.touched.is_some_and(|touched| touched(resource));
            if is_same && !is_touched {
                continue;
            }
            let Some(part) = compile(resource, before, invalid) else {
                continue;
            };
            changes.push(Change {
                id: id.clone(),
                before: before.cloned(),
                after: Some(part),
            });
        }
        let mut by_id = self.before.by_id.clone();
        for change in &changes {
            let after = change.after.clone();
            by_id.change(change.id.as_str().as_bytes(), |part| *part = after);
        }
        let resources = self.resources;
        (Parts { by_id, resources }, changes)
    }
}

impl<P: Part> Parts<P> {
    pub(super) fn get(&self, id: &Id) -> Option<&P> {
        self.by_id.get(id.as_str().as_bytes())
    }

    /// In the order of the resources.
    pub(super) fn iter(&self) -> impl Iterator<Item = &P> {
        let ids = self.resources.iter().filter_map(|resource| resource.id());
        ids.filter_map(|id| self.get(id))
    }

    pub(super) fn resources(&self) -> &[Arc<P::Resource>] {
        &self.resources
    }

    /// Puts another part in the place of one.
    pub(super) fn put(&mut self, part: P) {
        let resource = Arc::clone(part.resource());
        if let Some(id) = resource.id() {
            let id = id.as_str().as_bytes();
            self.by_id.change(id, |it| *it = Some(part));
        }
    }

    /// Whether resources that are in both stand in another order now.
    pub(super) fn is_reordered_since(&self, before: &Self) -> bool {
        let (first, last) = common(&before.resources, &self.resources);
        let old_middle = before.resources[first..before.resources.len() - last].iter();
        let ids = old_middle.filter_map(|resource| resource.id());
        let places: HashMap<_, _> = ids.zip(0_usize..).collect();
        let new_middle = self.resources[first..self.resources.len() - last].iter();
        let staying = new_middle.filter_map(|it| places.get(it.id()?));
        !staying.is_sorted()
    }
}

/// How many resources are the same at the beginning and at the end.
pub(super) fn common<T>(old: &[Arc<T>], new: &[Arc<T>]) -> (usize, usize) {
    let same = |(old, new): &(&Arc<T>, &Arc<T>)| Arc::ptr_eq(old, new);
    let first = old.iter().zip(new).take_while(same).count();
    let rest = old[first..].iter().rev().zip(new[first..].iter().rev());
    (first, rest.take_while(same).count())
}

fn twice(kind: Kind, id: &Id) -> Invalid {
    Invalid {
        at: Place {
            kind,
            id: id.clone(),
            path: PropertyPath::root().key("id"),
        },
        message: format!("another {kind} has the id {id} too"),
    }
}
