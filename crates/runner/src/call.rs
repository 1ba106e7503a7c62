//! What a runner answers to each message. How messages come and go is not known
//! here: questions inside a call leave through an [`Asker`].

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use outrigger_a6::error::{self, Code};
use outrigger_a6::{ConfToken, Decode, EncodeError, Encoder, RpcType, prepare_conf};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::conf::{ConfCache, ConfLimits, Prepared};
use crate::extra_info::Asker;
use crate::registry::{Chain, Configured, RawConf, Registry};
use crate::response::NamedHeaders;
use crate::shown::{chain, panic_text, shown};
use crate::{Request, Response, Result};

/// The plugins and the configurations prepared for them: all that calls share.
pub(crate) struct Plugins {
    registry: Registry,
    confs: Mutex<ConfCache<RawConf, Chain>>,
    named_headers: NamedHeaders,
}

/// What is to be sent as the answer to one frame.
pub(crate) enum Reply {
    Prepared(ConfToken),
    Request(Box<Request>),
    Response(Box<Response>, NamedHeaders),
    Error(Code),
}

impl Plugins {
    pub(crate) fn new(
        registry: Registry,
        limits: ConfLimits,
        first_token: u32,
        named_headers: NamedHeaders,
    ) -> Self {
        Self {
            registry,
            confs: Mutex::new(ConfCache::new(limits, first_token)),
            named_headers,
        }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Answers one frame.
    pub(crate) async fn call(&self, ty: RpcType, message: Bytes, asker: Asker) -> Reply {
        let outcome = match ty {
            RpcType::PrepareConf => self.prepare_conf(&message),
            RpcType::HttpReqCall => self.request_call(&message, asker).await,
            RpcType::HttpRespCall => self.response_call(&message, asker).await,
            RpcType::Error | RpcType::ExtraInfo => {
                warn!(frame = %ty, "the host sent a frame that has no place here");
                Err(Code::BadRequest)
            }
        };
        outcome.unwrap_or_else(Reply::Error)
    }

    fn prepare_conf(&self, message: &Bytes) -> Result<Reply, Code> {
        let call = prepare_conf::Request::decode(message).map_err(malformed)?;
        let prepared = Prepared {
            key: message.slice_ref(call.key),
            content: RawConf::read(call.conf, message),
            size: message.len(),
        };
        let known = self.confs().renew(&prepared, Instant::now());
        if let Some(token) = known {
            return Ok(Reply::Prepared(token));
        }
        let chain = self.registry.prepare(&prepared.content).map_err(|error| {
            error!(key = shown(&prepared.key), "configuration refused: {error}");
            error.code()
        })?;
        debug!(
            key = shown(&prepared.key),
            plugins = chain.len(),
            "configuration prepared"
        );
        // Not in one statement with the lock: what is evicted is dropped after it.
        let inserted = self
            .confs()
            .insert(prepared, Arc::new(chain), Instant::now());
        Ok(Reply::Prepared(inserted.0))
    }

    async fn request_call(&self, message: &Bytes, asker: Asker) -> Result<Reply, Code> {
        let (request, token) = Request::read(message, asker).map_err(malformed)?;
        let mut request = Box::new(request);
        for plugin in self.chain(token)?.iter() {
            let run = plugin.request(&mut request);
            run_plugin(plugin.as_ref(), "request", run).await?;
            request
                .check()
                .map_err(|error| failed(plugin.as_ref(), "request", &error))?;
            if request.is_stopped() {
                break;
            }
        }
        Ok(Reply::Request(request))
    }

    async fn response_call(&self, message: &Bytes, asker: Asker) -> Result<Reply, Code> {
        let (response, token) = Response::read(message, asker).map_err(malformed)?;
        let mut response = Box::new(response);
        for plugin in self.chain(token)?.iter() {
            let run = plugin.response(&mut response);
            run_plugin(plugin.as_ref(), "response", run).await?;
            response
                .check()
                .map_err(|error| failed(plugin.as_ref(), "response", &error))?;
        }
        Ok(Reply::Response(response, self.named_headers))
    }

    fn chain(&self, token: ConfToken) -> Result<Arc<Chain>, Code> {
        let found = self.confs().get(token, Instant::now());
        found.ok_or_else(|| {
            debug!(%token, "the host uses a conf token that is unknown or has expired");
            Code::ConfTokenNotFound
        })
    }

    fn confs(&self) -> std::sync::MutexGuard<'_, ConfCache<RawConf, Chain>> {
        // Nothing of a plugin runs under the lock, so there is no panic either.
        self.confs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a plugin work, and catches what it throws.
async fn run_plugin(
    plugin: &dyn Configured,
    phase: &str,
    run: BoxFuture<'_, Result>,
) -> Result<(), Code> {
    // The request or response it was working on is never looked at again.
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(plugin, phase, error.as_ref())),
        Err(panic) => {
            let panic = panic_text(&*panic);
            error!(plugin = plugin.name(), phase, "plugin panicked: {panic}");
            Err(Code::ServiceUnavailable)
        }
    }
}

fn failed(plugin: &dyn Configured, phase: &str, error: &(dyn std::error::Error + 'static)) -> Code {
    error!(
        plugin = plugin.name(),
        phase,
        "plugin failed: {}",
        chain(error)
    );
    Code::ServiceUnavailable
}

fn malformed(error: impl std::fmt::Display) -> Code {
    warn!(
        "the host sent a malformed message: {}",
        shown(error.to_string())
    );
    Code::BadRequest
}

impl Reply {
    /// Writes the answer as a frame.
    ///
    /// # Errors
    /// [`EncodeError`] where plugins made more than a frame can carry.
    pub(crate) fn encode<'e>(&self, encoder: &'e mut Encoder) -> Result<&'e [u8], EncodeError> {
        match self {
            Self::Prepared(conf_token) => encoder.encode(&prepare_conf::Response {
                conf_token: *conf_token,
            }),
            Self::Request(request) => request.encode(encoder),
            Self::Response(response, named) => response.encode(*named, encoder),
            Self::Error(code) => encoder.encode(&error::Response { code: *code }),
        }
    }
}
