//! The gateway as a whole: what is started in which order, and stopped.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use outrigger_admin as admin;
use outrigger_config::{ControlApi, Router, Settings, Source as SourceSettings};
use outrigger_engine::router::Mode;
use outrigger_proxy as proxy;
use outrigger_telemetry::access_log::AccessLog;
use outrigger_telemetry::metrics::Metrics;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Failure;
use crate::access_log;
use crate::observability::{Observability, Seen};
use crate::remote::{Remote, Wish};
use crate::runners::Fleet;
use crate::runtime_dir;
use crate::source::Source;

/// Wishes that wait for the control thread; who wishes more waits.
const WISHES: usize = 16;

/// How long the access log may take to write its last lines.
const ACCESS_LOG_CLOSE: Duration = Duration::from_secs(1);

/// What is wished through the control API.
struct Wishes {
    inbox: mpsc::Receiver<Wish>,
    /// Keeps the inbox open where there is no control API.
    _outbox: mpsc::Sender<Wish>,
}

/// A gateway that serves.
pub(crate) struct Gateway {
    addresses: Vec<SocketAddr>,
    proxy: proxy::Running,
    fleet: Fleet,
    follower: JoinHandle<()>,
    control: Option<admin::server::Serving>,
    seen: Seen,
    wishes: Wishes,
    access_log: Option<AccessLog>,
    settings: Settings,
    /// Kept until the runners are gone.
    sockets: TempDir,
}

impl Gateway {
    /// Starts runners, reads the routes, and serves. Lines of the runners'
    /// output go to `output` too, as far as it takes them. Must be called on a
    /// thread that lives as long as the gateway (see [`Fleet::start`]).
    ///
    /// # Errors
    /// What keeps it from serving. A runner that does not start does not.
    pub(crate) async fn start(
        settings: Settings,
        output: Option<mpsc::Sender<String>>,
    ) -> Result<Self, Failure> {
        for note in &settings.notes {
            tracing::warn!("{note}");
        }
        let sockets = runtime_dir::make(settings.runtime_dir.as_deref(), |name| {
            std::env::var_os(name)
        })?;
        let control = settings.control.map(bind_control).transpose()?.flatten();
        let access_log = settings.access_log.as_ref();
        let access_log = access_log.map(access_log::open).transpose()?;
        let workers = workers(&settings);
        let observed = Observability::new(&settings, workers)?;
        let mut proxy_settings = proxy_settings(&settings, workers, &observed);
        let access_log = access_log.map(|opened| {
            proxy_settings.access_log = Some(opened.for_workers);
            opened.file
        });
        let bound = proxy::Bound::bind(proxy_settings)?;
        let addresses = bound.addresses().to_vec();
        let fleet = Fleet::start(
            &settings,
            sockets.path(),
            output.as_ref(),
            observed.metrics(),
        )?;
        let source = open_source(&settings, &fleet, observed.metrics()).await?;
        let proxy = bound.start(source.snapshot())?;
        let (outbox, inbox) = mpsc::channel(WISHES);
        let remote = Remote::new(outbox.clone(), Arc::clone(source.resources()));
        let remote: Arc<dyn admin::control::Control> = Arc::new(remote);
        let seen = observed.serve(Arc::clone(&remote));
        let control = control.map(|bound| {
            let address = bound.address();
            tracing::info!("control API: http://{address}");
            bound.serve(admin::control::router(remote, address.ip()))
        });
        let wishes = Wishes {
            inbox,
            _outbox: outbox,
        };
        let follower = tokio::spawn(source.follow());
        for address in &addresses {
            tracing::info!("listening on http://{address}");
        }
        Ok(Gateway {
            addresses,
            proxy,
            fleet,
            follower,
            control,
            seen,
            wishes,
            access_log,
            settings,
            sockets,
        })
    }

    /// The addresses that are listened on.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The next wish from the control API.
    pub(crate) async fn wish(&mut self) -> Wish {
        match self.wishes.inbox.recv().await {
            Some(wish) => wish,
            None => unreachable!("the gateway itself keeps a sender"),
        }
    }

    /// The runners, to look at and to command.
    pub(crate) fn fleet(&mut self) -> &mut Fleet {
        &mut self.fleet
    }

    /// Replaces the runners' processes by new ones, on the terms that
    /// `settings` has for them now. Says what else has changed and waits for a
    /// restart.
    pub(crate) fn reload(&mut self, settings: Settings) {
        tracing::info!("reloading: runners are restarted");
        self.reopen_logs();
        self.fleet.restart(&settings, self.sockets.path());
        let others = Settings {
            ext_plugin: settings.ext_plugin.clone(),
            ..self.settings.clone()
        };
        if others != settings {
            tracing::warn!(
                "config.yaml has changed outside of ext-plugin; \
                 that takes effect when the gateway is restarted"
            );
        }
        self.settings.ext_plugin = settings.ext_plugin;
    }

    /// Opens the files of logs anew, which somebody may have moved away.
    pub(crate) fn reopen_logs(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// Lets requests in flight end, then stops the runners.
    pub(crate) async fn stop(self) {
        tracing::info!("stopping: requests in flight may end, new ones are not taken");
        self.follower.abort();
        if let Some(control) = self.control {
            control.stop().await;
        }
        self.proxy.stop(self.settings.shutdown_timeout).await;
        self.fleet.stop().await;
        self.seen.stop().await;
        if let Some(log) = self.access_log {
            log.close(ACCESS_LOG_CLOSE);
        }
        tracing::info!("stopped");
    }
}

/// None where nobody asked for this address and it cannot be had: a second
/// gateway on one machine is no error.
fn bind_control(control: ControlApi) -> Result<Option<admin::server::Bound>, Failure> {
    let ControlApi { address, explicit } = control;
    match admin::server::Bound::bind(address) {
        Ok(bound) => Ok(Some(bound)),
        Err(error) if explicit => Err(format!(
            "cannot listen on {address} for the control API: {error}; \
             set apisix.control, or apisix.enable_control to false"
        )
        .into()),
        Err(error) => {
            tracing::warn!(
                "the control API is off: cannot listen on {address}: {error}; \
                 set apisix.control.port to have it, or apisix.enable_control to false"
            );
            Ok(None)
        }
    }
}

async fn open_source(
    settings: &Settings,
    fleet: &Fleet,
    metrics: &Metrics,
) -> Result<Source, Failure> {
    let mut external = outrigger_plugins::External::new(fleet.runners(), metrics);
    if let Some(bytes) = settings.body_memory {
        external = external.body_memory(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    let registry = outrigger_plugins::registry(&external);
    let SourceSettings::Yaml { path } = &settings.source;
    Ok(Source::open(path, registry, mode(settings.router), metrics).await?)
}

/// The engine's name for the configured router.
pub(crate) fn mode(router: Router) -> Mode {
    match router {
        Router::HostUri => Mode::HostThenUri,
        Router::Uri => Mode::UriThenHost,
        Router::UriWithParameters => Mode::UriWithParameters,
    }
}

fn workers(settings: &Settings) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    settings.workers.map_or_else(cores, NonZeroUsize::get)
}

fn proxy_settings(
    settings: &Settings,
    workers: usize,
    observed: &Observability,
) -> proxy::Settings {
    proxy::Settings {
        listen: settings.listens.clone(),
        workers,
        metrics: observed.metrics().clone(),
        tracer: observed.tracer().cloned(),
        trusted: settings.trusted_addresses.clone(),
        max_body: settings.client.max_body_size,
        max_head: settings.client.max_header_size,
        max_line: settings.client.max_header_line,
        head_timeout: settings.client.header_timeout,
        idle_timeout: settings.client.keepalive_timeout,
        body_timeout: settings.client.body_timeout,
        send_timeout: settings.client.send_timeout,
        show_upstream_status: settings.show_upstream_status,
        show_version: settings.server_tokens,
        access_log: None,
        upstream_trust: settings.upstream_trust.clone(),
        upstream_sni: settings.upstream_sni,
    }
}
