//! A worker's view of the shared configuration.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use outrigger_engine::snapshot::{LocalSnapshot, Snapshot};

/// The newest snapshot, counted locally: a request costs one atomic read.
pub(crate) struct Current {
    shared: Arc<ArcSwap<Snapshot>>,
    local: RefCell<LocalSnapshot>,
}

impl Current {
    pub(crate) fn new(shared: Arc<ArcSwap<Snapshot>>) -> Self {
        let local = RefCell::new(Rc::new(shared.load_full()));
        Current { shared, local }
    }

    pub(crate) fn get(&self) -> LocalSnapshot {
        let newest = self.shared.load();
        let mut local = self.local.borrow_mut();
        if !Arc::ptr_eq(&newest, &local) {
            *local = Rc::new(Arc::clone(&newest));
        }
        Rc::clone(&local)
    }
}
