//! A worker's part of the access log: lines are gathered, and handed over when
//! there are enough of them or when they have waited long enough.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use outrigger_engine::access_log::Format;
use outrigger_engine::vars::Scope;
use outrigger_telemetry::access_log::Queue;
use tokio::sync::Notify;

use crate::limits::ACCESS_LOG_FLUSH;

/// What the access log is to be.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// What a line looks like.
    pub format: Arc<Format>,
    /// Where lines go.
    pub queue: Queue,
    /// How many bytes of lines each worker gathers before it hands them over.
    pub buffer: usize,
}

impl AccessLog {
    /// Whether both are the same log: clones of one are.
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.format, &other.format) && self.buffer == other.buffer
    }
}

/// The lines of one worker. Dropped, it hands over what there is.
pub(crate) struct Lines {
    log: AccessLog,
    wants_response_headers: bool,
    text: RefCell<Vec<u8>>,
    count: Cell<u64>,
    /// Told of the first line of a batch.
    begun: Rc<Notify>,
}

impl Lines {
    /// Also starts the task that looks after the lines' waiting.
    pub(crate) fn start(log: AccessLog) -> Rc<Self> {
        let lines = Rc::new(Lines {
            wants_response_headers: log.format.wants_response_headers(),
            text: RefCell::default(),
            count: Cell::new(0),
            begun: Rc::default(),
            log,
        });
        tokio::task::spawn_local(flush(Rc::downgrade(&lines), Rc::clone(&lines.begun)));
        lines
    }

    /// Whether they are for this log.
    pub(crate) fn are_of(&self, log: &AccessLog) -> bool {
        self.log.is_same(log)
    }

    pub(crate) fn wants_response_headers(&self) -> bool {
        self.wants_response_headers
    }

    /// Writes the line of a request that is over.
    pub(crate) fn line(&self, scope: Scope<'_>) {
        let mut text = self.text.borrow_mut();
        if text.capacity() == 0 {
            text.reserve(self.log.buffer);
        }
        self.log.format.write(scope, &mut text);
        let full = text.len() >= self.log.buffer;
        drop(text);
        let count = self.count.get() + 1;
        self.count.set(count);
        if full {
            self.hand_over();
        } else if count == 1 {
            self.begun.notify_one();
        }
    }

    /// Hands over what there is.
    pub(crate) fn hand_over(&self) {
        let count = self.count.take();
        if count > 0 {
            self.log.queue.push(self.text.take(), count);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.hand_over();
        // Whoever looks after their waiting sees that there is nothing left to.
        self.begun.notify_one();
    }
}

async fn flush(lines: Weak<Lines>, begun: Rc<Notify>) {
    loop {
        begun.notified().await;
        if lines.strong_count() == 0 {
            return;
        }
        tokio::time::sleep(ACCESS_LOG_FLUSH).await;
        let Some(lines) = lines.upgrade() else { return };
        lines.hand_over();
    }
}
