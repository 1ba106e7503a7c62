//! An upstream's response on its way to the client, as plugins see and change it.

use std::fmt;

use bytes::Bytes;
use outrigger_a6::{
    ConfToken, Decode, DecodeError, EncodeError, Encoder, Entries, Entry, http_resp_call,
};

use crate::AskError;
use crate::context::Context;
use crate::extra_info::{self, Asker, ExtraInfo};
use crate::limits::STATUS;
use crate::multimap::Headers;
use crate::request::InvalidChange;

/// A response on its way from the upstream to the client.
///
/// Plugins read and change it; all plugins of the route run. What they change
/// is collected, seen by the plugins after them, and sent to the host at the
/// end of the call.
///
/// # What hosts do with changed headers
/// Only the changed ones are sent. Outrigger takes them as a patch: what is not
/// named stays. Real APISIX drops every header of the upstream that is not named
/// as soon as one is, and `content-type` even when none is. For a plugin that is
/// to work there, too, see
/// [`Runner::send_all_response_headers`](crate::Runner::send_all_response_headers).
pub struct Response {
    id: u32,
    status: u16,
    new_status: Option<u16>,
    headers: Headers,
    new_body: Option<Bytes>,
    context: Context,
    extra_info: ExtraInfo,
}

/// Which headers the answer to a response call names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum NamedHeaders {
    /// Those that are different from before.
    #[default]
    Changed,
    /// All, changed or not.
    All,
}

impl Response {
    /// Reads a call, and which configuration it is for. The response's parts
    /// borrow from `message`.
    ///
    /// # Errors
    /// [`DecodeError`] for what the protocol does not allow.
    pub(crate) fn read(message: &Bytes, asker: Asker) -> Result<(Self, ConfToken), DecodeError> {
        let call = http_resp_call::Request::decode(message)?;
        let response = Self {
            id: call.id,
            status: call.status,
            new_status: None,
            headers: Headers::read(call.headers, message),
            new_body: None,
            context: Context::default(),
            extra_info: ExtraInfo::new(asker),
        };
        Ok((response, call.conf_token))
    }

    /// The host's number for this call, for logs. Hosts reuse them, and it is
    /// not the one that the request had.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.new_status.unwrap_or(self.status)
    }

    /// Changes the status. It is one of a final response, from 200 on; any other
    /// fails the call.
    pub fn set_status(&mut self, status: u16) {
        self.new_status = Some(status);
    }

    /// The headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The headers, to change what the client will be sent.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// A variable of the host, such as `request_id` or `upstream_addr`; `None`
    /// where it is unknown or unset. The host is asked once in a call.
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

    /// Keeps a value for later calls of this request (of the log phase), as the variable
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

    /// The request's body, as far as the host has kept it: empty where there was none, or where it
    /// is gone. Hosts keep it within limits; APISIX keeps it always.
    ///
    /// # Errors
    /// [`AskError`] where the host is gone.
    pub async fn request_body(&mut self) -> Result<Bytes, AskError> {
        self.extra_info.request_body().await
    }

    /// The whole body; empty where there is none. As the upstream sent it, so
    /// look at `content-encoding` first.
    ///
    /// The host is asked once in a call; it cannot stream the response then.
    /// After [`set_body`](Self::set_body) this is the new one.
    ///
    /// # Errors
    /// [`AskError`] where the host is gone.
    pub async fn body(&mut self) -> Result<Bytes, AskError> {
        match &self.new_body {
            Some(new) => Ok(new.clone()),
            None => self.extra_info.response_body().await,
        }
    }

    /// Replaces the body. The host computes its length and drops
    /// `content-encoding`, `etag` and digests of the old one, unless a plugin
    /// sets them.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.new_body = Some(body.into());
    }

    /// Whether what plugins made of it can be sent.
    ///
    /// # Errors
    /// The first thing that cannot.
    pub(crate) fn check(&self) -> Result<(), InvalidChange> {
        if let Some(status) = self.new_status.filter(|status| !STATUS.contains(status)) {
            return Err(InvalidChange::Status(status));
        }
        self.context.check()?;
        Ok(self.headers.check()?)
    }

    /// Writes the answer to the call.
    pub(crate) fn encode<'e>(
        &self,
        named: NamedHeaders,
        encoder: &'e mut Encoder,
    ) -> Result<&'e [u8], EncodeError> {
        let mut headers = match named {
            NamedHeaders::Changed => self.headers.patch(),
            NamedHeaders::All => self.all_headers(),
        };
        headers.extend(self.context.headers());
        encoder.encode(&http_resp_call::Response {
            id: self.id,
            status: self
                .new_status
                .filter(|new| *new != self.status)
                .unwrap_or(0),
            headers: Entries::from(&headers),
            body: self.changed_body(),
        })
    }

    fn changed_body(&self) -> Option<&[u8]> {
        let original = self.extra_info.known_response_body();
        self.new_body
            .as_ref()
            .filter(|new| original != Some(new))
            .map(|new| &new[..])
    }

    /// All headers but those that the host has to make itself, unless a plugin
    /// touched them.
    fn all_headers(&self) -> Vec<Entry<'_>> {
        let of_the_hosts = |name: &[u8]| {
            let is_one_of = |names: &[&str]| {
                names
                    .iter()
                    .any(|of_host| name.eq_ignore_ascii_case(of_host.as_bytes()))
            };
            is_one_of(FRAMING) || self.changed_body().is_some() && is_one_of(OF_THE_OLD_BODY)
        };
        let mut headers = self.headers.whole();
        headers.retain(|entry| self.headers.was_changed(entry.name) || !of_the_hosts(entry.name));
        headers
    }
}

/// Headers about the connection to the upstream and the message on it.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that are wrong once the body is another one.
const OF_THE_OLD_BODY: &[&str] = &[
    "content-digest",
    "content-encoding",
    "content-md5",
    "digest",
    "etag",
    "repr-digest",
];

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("id", &self.id)
            .field("status", &self.status())
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
