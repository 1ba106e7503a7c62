//! What goes wrong with etcd, and what that means for whoever asked.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::api::Failure;
use crate::EtcdHost;
use crate::limits;

/// A request that was not answered as it should be.
#[derive(Debug)]
pub(super) struct Trouble {
    host: EtcdHost,
    what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// No connection: nothing was sent.
    Connect(String),
    /// The connection was lost.
    Lost(String),
    /// No answer, or not all of it.
    Silent(Duration),
    /// The answer is longer than one may be.
    TooLong,
    /// The answer is not etcd's.
    Malformed(String),
    /// An answer of etcd that says no.
    Refused { status: StatusCode, message: String },
}

/// Words of etcd that mean that its token is no longer good, or was never given.
const NO_TOKEN: [&str; 3] = [
    "invalid auth token",
    "user name is empty",
    "revision of auth store is old",
];

impl Trouble {
    pub(super) fn new(host: &EtcdHost, what: What) -> Self {
        Self {
            host: host.clone(),
            what,
        }
    }

    /// From an answer that is no success.
    pub(super) fn refused(host: &EtcdHost, status: StatusCode, body: &[u8]) -> Self {
        let failure: Option<Failure> = serde_json::from_slice(body).ok();
        let message = failure.and_then(Failure::message);
        let message = message.unwrap_or_else(|| match status {
            StatusCode::NOT_FOUND => {
                "it has no JSON gateway (start it with --enable-grpc-gateway)".to_owned()
            }
            _ => format!("it answered {status}"),
        });
        Self::new(
            host,
            What::Refused {
                status,
                message: printable(&message),
            },
        )
    }

    /// From the line of a watch that tells an error.
    pub(super) fn of_watch(host: &EtcdHost, message: &str) -> Self {
        Self::new(
            host,
            What::Refused {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                message: printable(message),
            },
        )
    }

    /// Whether another member may do better.
    pub(super) fn is_of_the_member(&self) -> bool {
        match &self.what {
            What::Connect(_) | What::Lost(_) | What::Silent(_) | What::Malformed(_) => true,
            What::TooLong => false,
            What::Refused { status, message } => {
                status.is_server_error() && !message.contains("compacted")
                    || *status == StatusCode::NOT_FOUND
                    || message.contains("no leader")
                    || message.contains("request timed out")
            }
        }
    }

    /// Whether the member has certainly not done what it was asked for.
    pub(super) fn is_undone(&self) -> bool {
        match &self.what {
            What::Connect(_) => true,
            What::Lost(_) | What::Silent(_) | What::TooLong | What::Malformed(_) => false,
            What::Refused { status, .. } => status.is_client_error(),
        }
    }

    /// Whether a new token may help.
    pub(super) fn is_for_want_of_a_token(&self) -> bool {
        match &self.what {
            What::Refused { status, message } => {
                *status == StatusCode::UNAUTHORIZED
                    || NO_TOKEN.iter().any(|words| message.contains(words))
            }
            _ => false,
        }
    }

    /// Whether etcd has forgotten the revision that it was asked for.
    pub(super) fn is_compaction(&self) -> bool {
        matches!(&self.what, What::Refused { message, .. } if message.contains("compacted"))
    }

    /// Whether etcd has said no.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.what, What::Refused { .. })
    }

    pub(super) fn is_too_long(&self) -> bool {
        matches!(self.what, What::TooLong)
    }

    /// Whether etcd has no users.
    pub(super) fn is_for_want_of_users(&self) -> bool {
        matches!(&self.what, What::Refused { message, .. }
            if message.contains("authentication is not enabled"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.host)?;
        match &self.what {
            What::Connect(why) => write!(f, "cannot connect: {why}"),
            What::Lost(why) => write!(f, "the connection was lost: {why}"),
            What::Silent(time) => write!(f, "no answer within {time:?}"),
            What::TooLong => write!(
                f,
                "an answer of more than {} bytes was not read",
                limits::ETCD_ANSWER
            ),
            What::Malformed(why) => write!(f, "the answer is not one of etcd: {why}"),
            What::Refused { message, .. } => {
                f.write_str(message)?;
                f.write_str(hint(message))
            }
        }
    }
}

/// What somebody can do about it.
fn hint(message: &str) -> &'static str {
    if message.contains("authentication failed") {
        " (see deployment.etcd.user and password)"
    } else if message.contains("user name is empty") {
        " (set deployment.etcd.user and password)"
    } else if message.contains("permission denied") {
        " (the user needs to read and write all keys below deployment.etcd.prefix)"
    } else if message.contains("CommonName of client sending a request against gateway") {
        " (with client certificates, users of etcd need a password: set \
         deployment.etcd.user and password, and certificates without a common name)"
    } else if message.contains("too many operations") {
        " (see etcd's --max-txn-ops)"
    } else {
        ""
    }
}

/// Words of others, fit for a line of a log.
fn printable(text: &str) -> String {
    let shown = text.chars().take(limits::ETCD_WORDS);
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Trouble {
        let host = EtcdHost::for_tests("http://a:2379");
        Trouble::refused(
            &host,
            StatusCode::from_u16(status).unwrap(),
            body.as_bytes(),
        )
    }

    #[test]
    fn an_error_names_the_member_and_what_to_do() {
        let trouble = refused(400, r#"{"error":"etcdserver: user name is empty"}"#);
        assert_eq!(
            trouble.to_string(),
            "http://a:2379: etcdserver: user name is empty (set deployment.etcd.user and password)"
        );
        assert!(trouble.is_for_want_of_a_token());
        assert!(!trouble.is_of_the_member());
        assert!(trouble.is_undone());
        let none = refused(404, "404 page not found").to_string();
        assert!(none.contains("--enable-grpc-gateway"), "{none}");
        let long = refused(500, &format!(r#"{{"error":"{}\n"}}"#, "x".repeat(5000)));
        assert!(long.to_string().len() < 400);
    }

    #[test]
    fn what_another_member_may_do_better_is_told_apart() {
        assert!(refused(503, r#"{"error":"etcdserver: no leader"}"#).is_of_the_member());
        let compacted = r#"{"error":"etcdserver: mvcc: required revision has been compacted"}"#;
        let compacted = refused(400, compacted);
        assert!(compacted.is_compaction() && !compacted.is_of_the_member());
        let unsure = refused(504, r#"{"error":"context deadline exceeded"}"#);
        assert!(unsure.is_of_the_member() && !unsure.is_undone());
    }
}
