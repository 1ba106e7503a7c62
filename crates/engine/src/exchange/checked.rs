//! What has to hold of a request's head before anybody acts on it.

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Version, header, request};

use super::Client;
use crate::host_name::HostName;
use crate::response::Refusal;
use crate::target::{PathRules, Target};

/// What is sure of a request whose head means something.
#[derive(Debug)]
pub struct Checked {
    pub(super) host: HostName,
    pub(super) target: Target,
}

impl Checked {
    /// Makes sure of what the HTTP library leaves open of a request's head.
    ///
    /// # Errors
    /// [`Refusal`] for a request that the gateway must not act on: no or
    /// several hosts (RFC 9112, section 3.2), a path that means nothing, both
    /// `Content-Length` and `Transfer-Encoding` (section 6.3), an unknown
    /// transfer coding (section 6.1), or the methods CONNECT and TRACE.
    pub fn new(
        client: &Client,
        rules: PathRules,
        head: &mut request::Parts,
    ) -> Result<Self, Refusal> {
        if head.method == Method::CONNECT || head.method == Method::TRACE {
            return Err(Refusal::MethodNotAllowed);
        }
        let framing = Framing::of(&head.headers);
        framing.check()?;
        let host = match head.uri.authority() {
            // The absolute form's authority replaces the Host field (RFC 9112, section 3.2.2).
            Some(authority) => {
                framing.agrees(head.version, authority)?;
                let value = HeaderValue::from_str(authority.as_str()).map_err(|_| bad_host())?;
                let host = client.last_host.parse(&value);
                head.headers.insert(header::HOST, value);
                host
            }
            None => {
                let value = framing.host(head.version)?;
                client.last_host.parse(value.unwrap_or(&NO_HOST))
            }
        };
        let host = host.ok_or_else(bad_host)?;
        let path = head.uri.path_and_query().cloned();
        let path =
            path.ok_or_else(|| Refusal::BadRequest("the request target has no path".into()))?;
        let target =
            Target::by(rules, path).map_err(|error| Refusal::BadRequest(error.to_string()))?;
        Ok(Checked { host, target })
    }
}

/// What stands for the host of an HTTP/1.0 request without one.
pub(super) static NO_HOST: HeaderValue = HeaderValue::from_static("-");

fn bad_host() -> Refusal {
    Refusal::BadRequest("the Host field is not a host".into())
}

/// The fields that say whom a request is for and where it ends.
#[derive(Default)]
struct Framing<'a> {
    host: Field<'a>,
    length: Field<'a>,
    coding: Field<'a>,
}

/// A field that should stand once at most.
#[derive(Default)]
struct Field<'a> {
    value: Option<&'a HeaderValue>,
    repeated: bool,
}

impl<'a> Field<'a> {
    fn meet(&mut self, value: &'a HeaderValue) {
        self.repeated = self.value.is_some();
        self.value = self.value.or(Some(value));
    }
}

impl<'a> Framing<'a> {
    /// One look at each field that is there.
    fn of(headers: &'a HeaderMap) -> Self {
        let mut framing = Framing::default();
        for (name, value) in headers {
            match *name {
                header::HOST => framing.host.meet(value),
                header::CONTENT_LENGTH => framing.length.meet(value),
                header::TRANSFER_ENCODING => framing.coding.meet(value),
                _ => {}
            }
        }
        framing
    }

    /// `None`: an HTTP/1.0 request without a host, which matches only routes
    /// without hosts.
    fn host(&self, version: Version) -> Result<Option<&'a HeaderValue>, Refusal> {
        match self.host.value {
            Some(_) if self.host.repeated => {
                Err(Refusal::BadRequest("there are several Host fields".into()))
            }
            None if version >= Version::HTTP_11 => {
                Err(Refusal::BadRequest("there is no Host field".into()))
            }
            host => Ok(host),
        }
    }

    /// HTTP/2 has an authority of its own, which a `Host` field beside it must repeat
    /// (RFC 9113, section 8.3.1).
    fn agrees(&self, version: Version, authority: &Authority) -> Result<(), Refusal> {
        let differs = |host: &HeaderValue| {
            let authority = authority.as_str().as_bytes();
            !host.as_bytes().eq_ignore_ascii_case(authority)
        };
        if version == Version::HTTP_2
            && (self.host.repeated || self.host.value.is_some_and(differs))
        {
            let two = "the Host field is not what :authority says";
            return Err(Refusal::BadRequest(two.into()));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Refusal> {
        let bad = |what: &str| Err(Refusal::BadRequest(what.into()));
        if self.length.repeated {
            return bad("there are several Content-Length fields");
        }
        let digits = |value: &HeaderValue| {
            !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
        };
        if !self.length.value.is_none_or(digits) {
            return bad("the Content-Length field is not a number");
        }
        let Some(coding) = self.coding.value else {
            return Ok(());
        };
        if self.coding.repeated || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            let known = "only the transfer coding \"chunked\" is known";
            return Err(Refusal::UnknownCoding(known.into()));
        }
        if self.length.value.is_some() {
            return bad("there are both Content-Length and Transfer-Encoding");
        }
        Ok(())
    }
}
