//! A request on its way to the upstream, as plugins see and change it.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use outrigger_a6::http_req_call::{self, Action, Rewrite, Stop};
use outrigger_a6::{ConfToken, Decode, DecodeError, EncodeError, Encoder, Entries, Method};

use crate::AskError;
use crate::context::Context;
use crate::extra_info::{self, Asker, ExtraInfo};
use crate::limits::STATUS;
use crate::multimap::{Args, Headers, InvalidHeader, is_one_line};
use crate::shown::shown;

/// A request on its way to the upstream.
///
/// Plugins read it, change it, or [answer](Self::stop) it. What they change is
/// collected, seen by the plugins after them, and sent to the host at the end
/// of the call: nothing where nothing is different from before.
///
/// # What hosts do with changes
/// - Names and values that would break an HTTP message fail the call, as do, under
///   Outrigger, changes to headers that frame the message (`content-length`,
///   `transfer-encoding`, `connection` and the like).
/// - Real APISIX keeps only the last value of a header of the request that is
///   sent with several: there, [`add`](Headers::add) to a header that exists
///   replaces it. Join the values of a list by yourself to be independent of it.
pub struct Request {
    id: u32,
    method: Method,
    source_ip: Option<IpAddr>,
    path: Bytes,
    new_path: Option<Bytes>,
    headers: Headers,
    args: Args,
    response_headers: Headers,
    new_body: Option<Bytes>,
    answer: Option<Answer>,
    context: Context,
    extra_info: ExtraInfo,
}

impl Request {
    /// Reads a call, and which configuration it is for. The request's parts
    /// borrow from `message`.
    ///
    /// # Errors
    /// [`NotARequest`] for what the protocol does not allow.
    pub(crate) fn read(message: &Bytes, asker: Asker) -> Result<(Self, ConfToken), NotARequest> {
        let call = http_req_call::Request::decode(message)?;
        let request = Self {
            id: call.id,
            method: call.method,
            source_ip: source_ip(call.src_ip)?,
            path: message.slice_ref(call.path),
            new_path: None,
            headers: Headers::read(call.headers, message),
            args: Args::read(call.args, message),
            response_headers: Headers::new(),
            new_body: None,
            answer: None,
            context: Context::default(),
            extra_info: ExtraInfo::new(asker),
        };
        Ok((request, call.conf_token))
    }

    /// The host's number for this call, for logs. Hosts reuse them.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The client's address; `None` where it has none, such as a client on a
    /// unix socket.
    pub fn source_ip(&self) -> Option<IpAddr> {
        self.source_ip
    }

    /// The path: decoded, normalised, without the query.
    pub fn path(&self) -> &[u8] {
        self.new_path.as_ref().unwrap_or(&self.path)
    }

    /// The path, where it is UTF-8.
    pub fn path_str(&self) -> Option<&str> {
        std::str::from_utf8(self.path()).ok()
    }

    /// Changes the path. It is given decoded and without a query; the host
    /// encodes it (a `?` becomes `%3F`) and keeps the arguments.
    pub fn set_path(&mut self, path: impl AsRef<[u8]>) {
        self.new_path = Some(Bytes::copy_from_slice(path.as_ref()));
    }

    /// The headers; `host` is the one that the upstream will be sent.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The headers, to change what the upstream will be sent.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The arguments of the query, decoded.
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// The arguments, to change what the upstream will be sent.
    pub fn args_mut(&mut self) -> &mut Args {
        &mut self.args
    }

    /// Headers that plugins want on the upstream's response.
    pub fn response_headers(&self) -> &Headers {
        &self.response_headers
    }

    /// Headers for the upstream's response. They come in place of the upstream's
    /// of the same name; whether the upstream sends it is not known yet.
    ///
    /// Hosts leave alone what describes the body and the connection:
    /// `content-*`, `transfer-encoding`, `connection`, `location`, `server`,
    /// `www-authenticate`.
    pub fn response_headers_mut(&mut self) -> &mut Headers {
        &mut self.response_headers
    }

    /// A variable of the host, such as `remote_addr` or `consumer_name`; `None`
    /// where it is unknown or unset.
    ///
    /// The host is asked once in a call. It tells what it has: changes of
    /// plugins do not show in variables.
    ///
    /// # Errors
    /// [`AskError`] where the host is gone.
    pub async fn var(&mut self, name: impl AsRef<[u8]> + Send) -> Result<Option<Bytes>, AskError> {
        self.extra_info.var(name.as_ref()).await
    }

    /// Like [`var`](Self::var), and `None` also where the value is not UTF-8.
    ///
    /// # Errors
    /// [`AskError`] where the host is gone.
    pub async fn var_str(
        &mut self,
        name: impl AsRef<[u8]> + Send,
    ) -> Result<Option<String>, AskError> {
        self.var(name).await.map(extra_info::text)
    }

    /// A value that plugins keep for this request: as those before this one in
    /// the call left it, or as a call before this one did, in this phase or an earlier
    /// one. `None` where nobody has set it.
    ///
    /// # Errors
    /// [`AskError`] where the host is gone.
    pub async fn context(
        &mut self,
        name: impl AsRef<[u8]> + Send,
    ) -> Result<Option<Bytes>, AskError> {
        let name = name.as_ref();
        self.context.get(name, &mut self.extra_info).await
    }

    /// Keeps a value for the later calls of this request, as the variable
    /// `ctx_NAME` too. Neither client nor upstream get to see it.
    ///
    /// The name is that of a header, the value free of line breaks and NULs; all values of
    /// a request take 16 KiB at most. It travels as the header `x-outrigger-ctx-NAME`: a
    /// host that is not Outrigger sends that on like any other.
    pub fn set_context(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.context.change(name.as_ref(), Some(value.as_ref()));
    }

    /// Forgets a value that was kept.
    pub fn remove_context(&mut self, name: impl AsRef<[u8]>) {
        self.context.change(name.as_ref(), None);
    }

    /// The whole body; empty where there is none.
    ///
    /// The host is asked once in a call, and still forwards the body. After
    /// [`set_body`](Self::set_body) this is the new one.
    ///
    /// # Errors
    /// [`AskError`] where the host is gone.
    pub async fn body(&mut self) -> Result<Bytes, AskError> {
        match &self.new_body {
            Some(new) => Ok(new.clone()),
            None => self.extra_info.request_body().await,
        }
    }

    /// Replaces the body.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.new_body = Some(body.into());
    }

    /// Answers the client, in place of the upstream. Plugins behind this one do
    /// not run, and changes to the request do not matter any more.
    ///
    /// The status is one of a final response, from 200 on; any other fails the
    /// call. Headers and body are given to what is returned:
    /// ```
    /// # fn plugin(request: &mut outrigger_runner::Request) {
    /// request.stop(403).header("x-reason", "blocked").body("not for you\n");
    /// # }
    /// ```
    pub fn stop(&mut self, status: u16) -> &mut Answer {
        self.answer.insert(Answer {
            status,
            headers: Headers::new(),
            body: Bytes::new(),
        })
    }

    /// Whether a plugin has answered.
    pub(crate) fn is_stopped(&self) -> bool {
        self.answer.is_some()
    }

    /// Whether what plugins made of it can be sent.
    ///
    /// # Errors
    /// The first thing that cannot.
    pub(crate) fn check(&self) -> Result<(), InvalidChange> {
        if let Some(answer) = &self.answer {
            if !STATUS.contains(&answer.status) {
                return Err(InvalidChange::Status(answer.status));
            }
            answer.headers.check()?;
        }
        if let Some(path) = self.new_path.as_ref().filter(|path| !is_one_line(path)) {
            return Err(InvalidChange::Path(shown(path)));
        }
        self.context.check()?;
        self.headers.check()?;
        Ok(self.response_headers.check()?)
    }

    /// Writes the answer to the call.
    pub(crate) fn encode<'e>(&self, encoder: &'e mut Encoder) -> Result<&'e [u8], EncodeError> {
        if let Some(answer) = &self.answer {
            let mut headers = answer.headers.patch();
            headers.extend(self.context.headers());
            let stop = Stop {
                status: answer.status,
                headers: Entries::from(&headers),
                body: &answer.body,
            };
            let action = Some(Action::Stop(stop));
            return encoder.encode(&http_req_call::Response {
                id: self.id,
                action,
            });
        }
        let (mut headers, args) = (self.headers.patch(), self.args.patch());
        headers.extend(self.context.headers());
        let resp_headers = self.response_headers.patch();
        let rewrite = Rewrite {
            path: self.new_path.as_deref().filter(|path| *path != self.path),
            headers: Entries::from(&headers),
            args: Entries::from(&args),
            resp_headers: Entries::from(&resp_headers),
            body: self.changed_body(),
        };
        let action = (rewrite != Rewrite::default()).then_some(Action::Rewrite(rewrite));
        encoder.encode(&http_req_call::Response {
            id: self.id,
            action,
        })
    }

    fn changed_body(&self) -> Option<&[u8]> {
        let original = self.extra_info.known_request_body();
        self.new_body
            .as_ref()
            .filter(|new| original != Some(new))
            .map(|new| &new[..])
    }
}

/// An answer to the client, in place of the upstream's. Made by
/// [`Request::stop`].
#[derive(Debug)]
pub struct Answer {
    status: u16,
    headers: Headers,
    body: Bytes,
}

impl Answer {
    /// Adds a header; several of one name are all sent.
    pub fn header(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.headers.add(name, value);
        self
    }

    /// Sets the body, which is empty otherwise. The host computes its length.
    pub fn body(&mut self, body: impl Into<Bytes>) -> &mut Self {
        self.body = body.into();
        self
    }
}

/// Why a call is not one. The host's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotARequest {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("HTTPReqCall.Req: src_ip of {0} bytes, which no address has")]
    SourceIp(usize),
}

fn source_ip(bytes: &[u8]) -> Result<Option<IpAddr>, NotARequest> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let ip = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    ip.map(Some).map_err(|_| NotARequest::SourceIp(bytes.len()))
}

/// What a plugin made and HTTP has no place for. The plugin's fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidChange {
    #[error("{0} is not the status of a final response")]
    Status(u16),
    #[error("the path {0:?} has a line break or a NUL in it")]
    Path(String),
    #[error(transparent)]
    Header(#[from] InvalidHeader),
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("method", &self.method)
            .field("source_ip", &self.source_ip)
            .field("path", &shown(self.path()))
            .field("headers", &self.headers)
            .field("args", &self.args)
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}
