//! What belongs to one worker thread: values that its plugins keep there, and
//! a source of request ids. Nothing here is shared, so nothing here locks.

pub(crate) mod local_time;

use std::any::{Any, TypeId};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

/// One worker thread's own things.
pub struct Worker {
    number: usize,
    locals: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
    random: RandomState,
    serial: Cell<u64>,
    hostname: OnceCell<Box<str>>,
}

impl Worker {
    /// A worker that nothing has been kept in: the only one, or the first.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Self::numbered(0)
    }

    /// The worker of this number among several, counting from 0.
    #[must_use]
    pub fn numbered(number: usize) -> Rc<Self> {
        Rc::new(Worker {
            number,
            locals: RefCell::default(),
            random: RandomState::new(),
            serial: Cell::new(0),
            hostname: OnceCell::new(),
        })
    }

    /// Which of the workers this is, counting from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The name of the host, in lower case, as it was when this was first asked.
    pub(crate) fn hostname(&self) -> &str {
        self.hostname.get_or_init(|| {
            let system = rustix::system::uname();
            let name = system.nodename().to_string_lossy();
            name.to_ascii_lowercase().into()
        })
    }

    /// The worker's value of type `T`, made by its default on first use.
    ///
    /// # Panics
    /// When `T::default()` asks for a worker's value itself.
    #[must_use]
    pub fn local<T: Default + 'static>(&self) -> Rc<T> {
        let mut locals = self.locals.borrow_mut();
        let value = locals
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Rc::new(T::default()));
        Rc::clone(value)
            .downcast()
            .expect("the map's key is the value's type")
    }

    /// The next number of this worker, counting from 1.
    pub fn next_serial(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    /// 16 random bytes in hexadecimal, as nginx's `request_id`. Unique, not
    /// secret.
    #[must_use]
    pub fn request_id(&self) -> String {
        let serial = self.next_serial();
        let half = |salt: u8| self.random.hash_one((serial, salt));
        format!("{:016x}{:016x}", half(0), half(1))
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_is_made_once() {
        let worker = Worker::new();
        worker.local::<Cell<u8>>().set(7);
        assert_eq!(worker.local::<Cell<u8>>().get(), 7);
    }

    #[test]
    fn request_ids_differ() {
        let (worker, other) = (Worker::new(), Worker::new());
        let ids = [worker.request_id(), worker.request_id(), other.request_id()];
        assert!(ids.iter().all(|id| id.len() == 32));
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    }
}
