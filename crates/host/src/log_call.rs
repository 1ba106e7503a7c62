//! Response calls that nobody waits for: what the log phase tells a runner.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use outrigger_a6::{ConfToken, Entries, Entry, http_resp_call};

use crate::limits::{LOG_CALL_TIMEOUT, LOG_CALLS};
use crate::{Answers, CallError, CallOptions, CallStats, Conf, Connections, Event, Runner};

/// A response call to be made when its request is over. It owns what it tells.
#[derive(Debug)]
pub struct LogCall<A> {
    /// Who is told.
    pub runner: Arc<Runner>,
    /// Of which configuration.
    pub conf: Arc<Conf>,
    /// Its times. Without a `time_limit` it has 5 s; `retry` counts for
    /// nothing: it is never sent again where the runner may have seen it.
    pub options: CallOptions,
    /// The response's status.
    pub status: u16,
    /// The response's headers: names in lower case, one entry for each value.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Answers the runner's questions.
    pub answers: A,
}

/// How many a worker has under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Cell<usize>);

/// One of them.
struct Counted(Rc<Connections>);

impl Drop for Counted {
    fn drop(&mut self) {
        let count = &self.0.log_calls().0;
        count.set(count.get() - 1);
    }
}

impl Connections {
    /// Makes a call in the background and ignores the runner's answer; `ended`
    /// is told how it went. False if there are too many of them on this worker:
    /// then it is dropped, and nothing is told to `ended`.
    ///
    /// # Panics
    /// Outside of a tokio `LocalSet`.
    pub fn log_call<A: Answers + 'static>(
        self: &Rc<Self>,
        call: LogCall<A>,
        ended: impl FnOnce(CallStats, Result<(), CallError>) + 'static,
    ) -> bool {
        let count = &self.log_calls().0;
        if count.get() >= LOG_CALLS {
            let limit = LOG_CALLS;
            call.runner.shared().event(Event::LogCallDropped { limit });
            return false;
        }
        count.set(count.get() + 1);
        let counted = Counted(Rc::clone(self));
        // Its task ends in time, or with the worker.
        drop(tokio::task::spawn_local(async move {
            let (stats, result) = counted.0.make(call).await;
            ended(stats, result);
        }));
        true
    }

    async fn make<A: Answers>(&self, call: LogCall<A>) -> (CallStats, Result<(), CallError>) {
        let LogCall {
            runner,
            conf,
            options,
            status,
            headers,
            mut answers,
        } = call;
        let options = CallOptions {
            time_limit: options.time_limit.or(Some(LOG_CALL_TIMEOUT)),
            retry: false,
            ..options
        };
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Entry {
                name,
                value: Some(value),
            })
            .collect();
        let response = http_resp_call::Request {
            id: 0,
            status,
            headers: Entries::from(&headers),
            conf_token: ConfToken(0),
        };
        self.response_call(&runner, &conf, &options, response, &mut answers, |_| ())
            .await
    }
}
