//! Requests to a cluster of etcd, over its JSON gateway.
//!
//! Whichever member answers is asked; one that does not rests (`endpoints`). Where
//! etcd has users, the gateway shows a token, and gets a new one when it is
//! no longer good. What a request means is the business of others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Collected, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use outrigger_model::Trust;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::api::{AuthenticateAnswer, AuthenticateRequest, Header, message_of};
use super::api::{WatchAnswer, WatchLine, WatchRequest};
use super::endpoints::Endpoints;
use super::lines::Lines;
use super::tls;
use super::trouble::{Trouble, What};
use crate::limits;
use crate::{EtcdHost, EtcdSettings, EtcdUser};

/// What may be done about a request that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It may be asked of another member: doing it twice is doing it once.
    Always,
    /// Only where it was certainly not done.
    IfUndone,
}

/// A request.
struct Question {
    path: &'static str,
    body: Bytes,
    /// How long the answer may take, or the first word of a watch.
    limit: Duration,
    is_watch: bool,
}

/// What is answered.
enum Answer {
    Whole(Bytes),
    Watch(Watching),
}

/// A cluster.
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    hosts: Vec<EtcdHost>,
    endpoints: Mutex<Endpoints>,
    user: Option<EtcdUser>,
    /// None until etcd wants one.
    token: Mutex<Option<HeaderValue>>,
    timeout: Duration,
}

impl Client {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// The certificate that the gateway is to show cannot be used.
    pub(super) fn new(settings: &EtcdSettings, trust: &Trust) -> Result<Self, rustls::Error> {
        let connector = tls::connector(&settings.tls, trust, settings.timeout)?;
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            http,
            endpoints: Mutex::new(Endpoints::new(settings.hosts.len(), settings.rest)),
            hosts: settings.hosts.clone(),
            user: settings.user.clone(),
            token: Mutex::default(),
            timeout: settings.timeout,
        })
    }

    /// The member of this number.
    pub(super) fn host(&self, member: usize) -> &EtcdHost {
        &self.hosts[member]
    }

    /// Asks one member after the other until one answers; tells which one did.
    pub(super) async fn call<A: DeserializeOwned>(
        &self,
        path: &'static str,
        request: &impl Serialize,
        again: Again,
    ) -> Result<(A, usize), Trouble> {
        let question = self.question(path, request);
        let (answer, member) = self.ask_members(&question, again).await?;
        Ok((self.read(member, &answer)?, member))
    }

    /// As [`call`](Self::call), for what somebody waits for: no longer than etcd itself
    /// tries.
    pub(super) async fn write<A: DeserializeOwned>(
        &self,
        path: &'static str,
        request: &impl Serialize,
        again: Again,
    ) -> Result<(A, usize), Trouble> {
        let mut question = self.question(path, request);
        question.limit = self.timeout.min(limits::ETCD_WRITE);
        let (answer, member) = self.ask_members(&question, again).await?;
        Ok((self.read(member, &answer)?, member))
    }

    /// Asks this member alone, within `limit`.
    pub(super) async fn call_member<A: DeserializeOwned>(
        &self,
        member: usize,
        path: &'static str,
        request: &impl Serialize,
        limit: Duration,
    ) -> Result<A, Trouble> {
        let mut question = self.question(path, request);
        question.limit = limit.min(self.timeout);
        match self.ask_with_token(member, &question).await {
            Ok(answer) => self.read(member, &answer),
            Err(trouble) => {
                self.failed(member);
                Err(trouble)
            }
        }
    }

    /// Begins a watch at whichever member takes it.
    pub(super) async fn watch(&self, request: &WatchRequest) -> Result<Watching, Trouble> {
        let mut question = self.question("/v3/watch", request);
        question.is_watch = true;
        // It is taken at once, or not at all.
        question.limit = self.timeout.min(limits::ETCD_PROBE_ANSWER);
        match self.ask_members(&question, Again::Always).await? {
            (Answer::Watch(watching), _) => Ok(watching),
            (Answer::Whole(_), _) => unreachable!("a watch was asked for"),
        }
    }

    /// What was heard of a watch says that its member does not work.
    pub(super) fn failed(&self, member: usize) {
        self.endpoints().failed(member, Instant::now());
    }

    fn question(&self, path: &'static str, request: &impl Serialize) -> Question {
        Question {
            path,
            body: body_of(request),
            limit: self.timeout,
            is_watch: false,
        }
    }

    fn read<A: DeserializeOwned>(&self, member: usize, answer: &Answer) -> Result<A, Trouble> {
        let Answer::Whole(body) = answer else {
            unreachable!("only a watch has no end");
        };
        serde_json::from_slice(body)
            .map_err(|error| self.trouble(member, What::Malformed(error.to_string())))
    }

    async fn ask_members(
        &self,
        question: &Question,
        again: Again,
    ) -> Result<(Answer, usize), Trouble> {
        let order = self.endpoints().order(Instant::now());
        let mut first = None;
        for member in order {
            let trouble = match self.ask_with_token(member, question).await {
                Ok(answer) => {
                    self.endpoints().worked(member);
                    return Ok((answer, member));
                }
                Err(trouble) => trouble,
            };
            if !trouble.is_of_the_member() {
                return Err(trouble);
            }
            self.failed(member);
            if again == Again::IfUndone && !trouble.is_undone() {
                return Err(trouble);
            }
            first.get_or_insert(trouble);
        }
        Err(first.expect("a cluster has members"))
    }

    /// Asks, and once more with a new token where that may help.
    async fn ask_with_token(&self, member: usize, question: &Question) -> Result<Answer, Trouble> {
        let trouble = match self.ask(member, question).await {
            Err(trouble) if trouble.is_for_want_of_a_token() => trouble,
            other => return other,
        };
        let Some(user) = &self.user else {
            return Err(trouble);
        };
        self.log_in(member, user).await?;
        self.ask(member, question).await
    }

    /// Gets a token.
    async fn log_in(&self, member: usize, user: &EtcdUser) -> Result<(), Trouble> {
        let request = AuthenticateRequest {
            name: &user.name,
            password: &user.password,
        };
        self.lock_token().take();
        let question = self.question("/v3/auth/authenticate", &request);
        let answer = match self.ask(member, &question).await {
            Ok(answer) => answer,
            // It had users a moment ago.
            Err(trouble) if trouble.is_for_want_of_users() => return Ok(()),
            Err(trouble) => return Err(trouble),
        };
        let answer: AuthenticateAnswer = self.read(member, &answer)?;
        let mut token = HeaderValue::try_from(answer.token)
            .map_err(|_| self.trouble(member, What::Malformed("a token".to_owned())))?;
        token.set_sensitive(true);
        *self.lock_token() = Some(token);
        Ok(())
    }

    async fn ask(&self, member: usize, question: &Question) -> Result<Answer, Trouble> {
        let exchange = async {
            let answer = self.send(member, question).await?;
            let status = answer.status();
            let body = answer.into_body();
            if !status.is_success() {
                let body = self.collect(member, body).await?;
                return Err(Trouble::refused(self.host(member), status, &body));
            }
            Ok(match question.is_watch {
                true => Answer::Watch(Watching::open(self.host(member), member, body).await?),
                false => Answer::Whole(self.collect(member, body).await?),
            })
        };
        let limit = question.limit;
        let answer = timeout(limit, exchange).await;
        answer.unwrap_or_else(|_| Err(self.trouble(member, What::Silent(limit))))
    }

    async fn send(
        &self,
        member: usize,
        question: &Question,
    ) -> Result<Response<Incoming>, Trouble> {
        let url = format!("{}{}", self.hosts[member].url(), question.path);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &*self.lock_token() {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request
            .body(Full::new(question.body.clone()))
            .map_err(|error| self.trouble(member, What::Connect(error.to_string())))?;
        let answer = self.http.request(request).await;
        answer.map_err(|error| {
            let what = match error.is_connect() {
                true => What::Connect(causes(&error)),
                false => What::Lost(causes(&error)),
            };
            self.trouble(member, what)
        })
    }

    async fn collect(&self, member: usize, body: Incoming) -> Result<Bytes, Trouble> {
        let body = Limited::new(body, limits::ETCD_ANSWER).collect().await;
        body.map(Collected::to_bytes).map_err(|error| {
            let what = match error.downcast_ref::<LengthLimitError>() {
                Some(_) => What::TooLong,
                None => What::Lost(causes(&*error)),
            };
            self.trouble(member, what)
        })
    }

    fn trouble(&self, member: usize, what: What) -> Trouble {
        Trouble::new(self.host(member), what)
    }

    fn endpoints(&self) -> MutexGuard<'_, Endpoints> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_token(&self) -> MutexGuard<'_, Option<HeaderValue>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch that was begun.
pub(super) struct Watching {
    host: EtcdHost,
    member: usize,
    body: Incoming,
    lines: Lines,
    /// What etcd said when it took the watch.
    opened: Header,
}

impl Watching {
    /// Waits until etcd says that it has begun.
    async fn open(host: &EtcdHost, member: usize, body: Incoming) -> Result<Self, Trouble> {
        let mut watching = Watching {
            host: host.clone(),
            member,
            body,
            lines: Lines::new(limits::ETCD_LINE),
            opened: Header::default(),
        };
        let first = watching.next().await?;
        if !first.created || first.canceled {
            return Err(watching.refused(match first.cancel_reason.as_str() {
                "" => "no watch was made",
                why => why,
            }));
        }
        watching.opened = first.header;
        Ok(watching)
    }

    /// The member that is watched.
    pub(super) fn member(&self) -> usize {
        self.member
    }

    /// What etcd said when it took the watch.
    pub(super) fn opened(&self) -> Header {
        self.opened
    }

    /// An error of the member's, in its words.
    pub(super) fn refused(&self, why: &str) -> Trouble {
        Trouble::of_watch(&self.host, why)
    }

    /// The next answer. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The watch has ended; there are no more.
    pub(super) async fn next(&mut self) -> Result<WatchAnswer, Trouble> {
        loop {
            if let Some(answer) = self.next_buffered()? {
                return Ok(answer);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(piece) = frame.data_ref() {
                        self.lines.push(piece);
                    }
                }
                Some(Err(error)) => return Err(self.trouble(What::Lost(causes(&error)))),
                None => return Err(self.trouble(What::Lost("it was closed".to_owned()))),
            }
        }
    }

    /// The next answer, if it has come already.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) fn next_buffered(&mut self) -> Result<Option<WatchAnswer>, Trouble> {
        match self.lines.next() {
            Ok(Some(line)) => self.answer(&line).map(Some),
            Ok(None) => Ok(None),
            Err(_) => Err(self.trouble(What::TooLong)),
        }
    }

    fn answer(&self, line: &[u8]) -> Result<WatchAnswer, Trouble> {
        let line: WatchLine = serde_json::from_slice(line)
            .map_err(|error| self.trouble(What::Malformed(error.to_string())))?;
        match (line.result, line.error) {
            (Some(answer), None) => Ok(answer),
            (_, error) => {
                let message = error.and_then(message_of);
                let message = message.unwrap_or_else(|| "it ended the watch".to_owned());
                Err(Trouble::of_watch(&self.host, &message))
            }
        }
    }

    fn trouble(&self, what: What) -> Trouble {
        Trouble::new(&self.host, what)
    }
}

fn body_of(request: &impl Serialize) -> Bytes {
    serde_json::to_vec(request)
        .expect("a message has texts for keys")
        .into()
}

/// An error with what it came of: its own words are few.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

/// For those that are shared by tasks.
pub(super) type Shared = Arc<Client>;
