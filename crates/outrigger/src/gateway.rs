//! The gateway as a whole: what is started in which order, and stopped.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use outrigger_admin::control::Control;
use outrigger_admin::server::Serving;
use outrigger_config::{Router, Settings};
use outrigger_engine::plugin::Registry;
use outrigger_engine::real_ip::RealIp;
use outrigger_engine::router::Mode;
use outrigger_proxy as proxy;
use outrigger_telemetry::access_log::AccessLog;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::Failure;
use crate::access_log;
use crate::apis::Apis;
use crate::observability::{Observability, Seen};
use crate::plugins::Plugins;
use crate::remote::{Remote, Wish};
use crate::runners::Fleet;
use crate::runtime_dir;
use crate::source::{Live, Rebuild, Source};

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
    plugins: Plugins,
    follower: JoinHandle<()>,
    /// To the follower.
    rebuilds: mpsc::Sender<Rebuild>,
    apis: Vec<Serving>,
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
        let apis = Apis::bind(&settings)?;
        let access_log = settings.access_log.as_ref();
        let access_log = access_log.map(access_log::open).transpose()?;
        let workers = workers(&settings);
        let observed = Observability::new(&settings, workers)?;
        let mut proxy_settings = proxy_settings(&settings, &observed);
        let access_log = access_log.map(|opened| {
            proxy_settings.access_log = Some(opened.for_workers);
            opened.file
        });
        let metrics = observed.metrics().clone();
        let bound = proxy::Bound::bind(proxy::Fixed { workers, metrics }, proxy_settings)?;
        let fleet = Fleet::start(&settings, sockets.path(), output, observed.metrics())?;
        let runners = fleet.runners();
        let plugins = Plugins::new(&settings, &runners, observed.metrics());
        if let Some(note) = missing_plugins(&plugins, &settings) {
            tracing::warn!("{note}");
        }
        let registry = plugins.registry(&settings, &runners);
        drop(runners);
        let seal = settings.data_encryption.seal(plugins.secret_fields());
        let live = Live::new(registry, seal, mode(settings.router), observed.metrics())?;
        let source = Source::open(&settings, Arc::clone(&live)).await?;
        let proxy = bound.start(live.snapshot())?;
        let addresses = proxy.addresses();
        let (outbox, inbox) = mpsc::channel(WISHES);
        let remote: Arc<dyn Control> = Arc::new(Remote::new(outbox.clone(), Arc::clone(&live)));
        let seen = observed.serve(Arc::clone(&remote));
        let apis = apis.serve(&settings, &remote, &live, source.store())?;
        let wishes = Wishes {
            inbox,
            _outbox: outbox,
        };
        let (rebuilds, wished) = mpsc::channel(1);
        let follower = tokio::spawn(source.follow(wished));
        for address in &addresses {
            tracing::info!("listening on http://{address}");
        }
        Ok(Gateway {
            addresses,
            proxy,
            fleet,
            plugins,
            follower,
            rebuilds,
            apis,
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

    /// Puts the runners and the list of plugins of `settings` into effect: every
    /// process is replaced by a new one. Says what else has changed and waits
    /// for a restart.
    ///
    /// # Errors
    /// What is wrong with the routes then, such as one that names a runner which
    /// is gone. Nothing has changed.
    pub(crate) async fn reload(&mut self, settings: Settings) -> Result<(), Failure> {
        let plan = self.fleet.plan(&settings);
        let registry = self.plugins.registry(&settings, plan.runners());
        self.rebuild(registry).await?;
        tracing::info!("reloading: runners are restarted");
        self.reopen_logs();
        self.fleet.carry_out(plan, &settings, self.sockets.path())?;
        let others = Settings {
            ext_plugin: settings.ext_plugin.clone(),
            plugins: settings.plugins.clone(),
            notes: settings.notes.clone(),
            ..self.settings.clone()
        };
        if others != settings {
            tracing::warn!(
                "config.yaml has changed outside of ext-plugin and plugins; \
                 that takes effect when the gateway is restarted"
            );
        }
        self.settings.ext_plugin = settings.ext_plugin;
        self.settings.plugins = settings.plugins;
        Ok(())
    }

    /// Has the routes run on these plugins from now on.
    async fn rebuild(&self, registry: Registry) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        let wish = Rebuild { registry, reply };
        let gone = "whoever follows the source of resources has ended";
        self.rebuilds.send(wish).await.map_err(|_| gone)?;
        let rebuilt = answer.await.map_err(|_| gone)?;
        Ok(rebuilt?)
    }

    /// Opens the files of logs anew, which somebody may have moved away.
    pub(crate) fn reopen_logs(&self) {
        self.fleet.reopen_logs();
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// Lets requests in flight end, then stops the runners.
    pub(crate) async fn stop(self) {
        tracing::info!("stopping: requests in flight may end, new ones are not taken");
        self.follower.abort();
        for api in self.apis {
            api.stop().await;
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

/// What to say of names in the list `plugins` that no plugin has: APISIX has
/// more of them, and a route that uses one is refused anyhow.
pub(crate) fn missing_plugins(plugins: &Plugins, settings: &Settings) -> Option<String> {
    let missing = plugins.missing(settings);
    (!missing.is_empty()).then(|| {
        let names = missing.join(", ");
        format!("config.yaml: plugins: there are no plugins of these names here: {names}")
    })
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

fn real_ip(settings: outrigger_config::RealIp) -> Arc<RealIp> {
    Arc::new(RealIp {
        header: settings.header,
        from: settings.from,
        recursive: settings.recursive,
    })
}

fn proxy_settings(settings: &Settings, observed: &Observability) -> proxy::Settings {
    proxy::Settings {
        listen: settings.listens.clone(),
        connections: proxy::ConnectionSettings {
            trusted: settings.trusted_addresses.clone(),
            real_ip: settings.real_ip.clone().map(real_ip),
            max_head: settings.client.max_header_size,
            head_timeout: settings.client.header_timeout,
            idle_timeout: settings.client.keepalive_timeout,
            send_timeout: settings.client.send_timeout,
        },
        max_body: settings.client.max_body_size,
        max_line: settings.client.max_header_line,
        body_timeout: settings.client.body_timeout,
        show_upstream_status: settings.show_upstream_status,
        show_version: settings.server_tokens,
        tracer: observed.tracer().cloned(),
        access_log: None,
        upstream_trust: settings.upstream_trust.clone(),
        upstream_sni: settings.upstream_sni,
    }
}
