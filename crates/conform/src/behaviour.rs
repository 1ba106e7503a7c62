//! What a plugin may do that the suite has to see. A runner has only the plugins
//! that it has, so a profile says which of them does it.

use std::fmt;

use serde::Deserialize;

/// Something that a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Answers the request instead of the upstream.
    Stop,
    /// Gives the request another path.
    RewritePath,
    /// Sets or deletes headers of the request.
    RewriteHeaders,
    /// Sets or deletes arguments of the request.
    RewriteArgs,
    /// Gives the request another body.
    RewriteBody,
    /// Sets headers of the response to come.
    RewriteResponseHeaders,
    /// Asks for variables.
    AskVariable,
    /// Asks for the request's body.
    AskRequestBody,
    /// Asks for the response's body, in the response phase.
    AskResponseBody,
    /// Changes status, headers or body of the response.
    ChangeResponse,
    /// Lets the request go on after some time.
    Wait,
    /// Fails.
    Fail,
    /// Cannot read its configuration.
    RefuseConf,
    /// Several plugins of which a later one shows by headers that it ran later.
    Chain,
}

/// What a profile may expect of a behaviour, by the names of its properties.
const STOP: &[&str] = &["status", "headers", "body"];
const RESPONSE: &[&str] = STOP;
const HEADERS: &[&str] = &["headers"];

impl Behaviour {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Stop,
        Self::RewritePath,
        Self::RewriteHeaders,
        Self::RewriteArgs,
        Self::RewriteBody,
        Self::RewriteResponseHeaders,
        Self::AskVariable,
        Self::AskRequestBody,
        Self::AskResponseBody,
        Self::ChangeResponse,
        Self::Wait,
        Self::Fail,
        Self::RefuseConf,
        Self::Chain,
    ];

    /// Its name in a profile and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::RewritePath => "rewrite-path",
            Self::RewriteHeaders => "rewrite-headers",
            Self::RewriteArgs => "rewrite-args",
            Self::RewriteBody => "rewrite-body",
            Self::RewriteResponseHeaders => "rewrite-response-headers",
            Self::AskVariable => "ask-variable",
            Self::AskRequestBody => "ask-request-body",
            Self::AskResponseBody => "ask-response-body",
            Self::ChangeResponse => "change-response",
            Self::Wait => "wait",
            Self::Fail => "fail",
            Self::RefuseConf => "refuse-conf",
            Self::Chain => "chain",
        }
    }

    /// What a plugin must do for it, after "a plugin that …".
    pub fn does(self) -> &'static str {
        match self {
            Self::Stop => "answers the request",
            Self::RewritePath => "changes the request's path",
            Self::RewriteHeaders => "changes the request's headers",
            Self::RewriteArgs => "changes the request's arguments",
            Self::RewriteBody => "changes the request's body",
            Self::RewriteResponseHeaders => "sets headers of the response in the request phase",
            Self::AskVariable => "asks for a variable",
            Self::AskRequestBody => "asks for the request's body",
            Self::AskResponseBody => "asks for the response's body in the response phase",
            Self::ChangeResponse => "changes the response",
            Self::Wait => "waits before the request goes on",
            Self::Fail => "fails",
            Self::RefuseConf => "cannot read its configuration",
            Self::Chain => "overwrites a header that the plugin before it sets",
        }
    }

    /// The properties of `expect` that mean something for it.
    pub(crate) fn expectations(self) -> &'static [&'static str] {
        match self {
            Self::Stop => STOP,
            Self::RewritePath => &["path"],
            Self::RewriteHeaders | Self::RewriteResponseHeaders | Self::Chain => HEADERS,
            Self::RewriteArgs => &["args"],
            Self::RewriteBody => &["body"],
            Self::AskVariable => &["variables"],
            Self::AskRequestBody => &["length_in"],
            Self::ChangeResponse => RESPONSE,
            Self::AskResponseBody | Self::Wait | Self::Fail | Self::RefuseConf => &[],
        }
    }

    /// What a profile must say of it, because nothing can be seen without.
    pub(crate) fn required(self) -> &'static [&'static str] {
        match self {
            Self::Chain => HEADERS,
            _ => &[],
        }
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
