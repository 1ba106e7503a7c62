//! The gateway as a whole: what is started in which order, and stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use outrigger_config::Settings;
use outrigger_engine::plugin::Registry;
use outrigger_engine::router::Mode;
use outrigger_proxy as proxy;
use outrigger_telemetry::metrics::Metrics;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::Failure;
use crate::access_log::AccessLogs;
use crate::apis::{self, Apis, Subject};
use crate::plugins::Plugins;
use crate::proxy_settings::{self, mode};
use crate::remote::{Remote, Wish};
use crate::runners::Fleet;
use crate::runtime_dir;
use crate::source::{Live, Rebuild, Source};
use crate::traces::Traces;

/// Wishes that wait for the control thread; who wishes more waits.
const WISHES: usize = 16;

/// What is wished through the control API.
struct Wishes {
    inbox: mpsc::Receiver<Wish>,
    /// Keeps the inbox open where there is no control API.
    _outbox: mpsc::Sender<Wish>,
}

impl Wishes {
    fn new() -> (mpsc::Sender<Wish>, Self) {
        let (outbox, inbox) = mpsc::channel(WISHES);
        let wishes = Wishes {
            inbox,
            _outbox: outbox.clone(),
        };
        (outbox, wishes)
    }
}

/// A gateway that serves.
pub(crate) struct Gateway {
    proxy: proxy::Running,
    fleet: Fleet,
    plugins: Plugins,
    follower: JoinHandle<()>,
    /// To the follower.
    rebuilds: mpsc::Sender<Rebuild>,
    apis: Apis,
    /// What the APIs are about.
    subject: Subject,
    traces: Traces,
    access_logs: AccessLogs,
    wishes: Wishes,
    /// What it goes by.
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
        let mut apis = Apis::default();
        let mut access_logs = AccessLogs::default();
        let mut traces = Traces::default();
        let reserved = apis.reserve(&settings)?;
        let workers = proxy_settings::workers(&settings);
        let metrics = Metrics::new(workers);
        let access_log = access_logs.plan(settings.access_log.as_ref())?;
        let tracing = traces.plan(&settings, &metrics)?;
        let bound = proxy::Bound::bind(
            proxy::Fixed {
                workers,
                metrics: metrics.clone(),
            },
            proxy_settings::of(&settings, &access_log, &tracing),
        )?;
        let fleet = Fleet::start(&settings, sockets.path(), output, &metrics)?;
        let runners = fleet.runners();
        let plugins = Plugins::new(&settings, &runners, &metrics);
        if let Some(note) = missing_plugins(&plugins, &settings) {
            tracing::warn!("{note}");
        }
        let registry = plugins.registry(&settings, &runners);
        drop(runners);
        let seal = settings.data_encryption.seal(plugins.secret_fields());
        let live = Live::new(registry, seal, mode(settings.router), &metrics)?;
        let source = Source::open(&settings, Arc::clone(&live)).await?;
        let proxy = start_proxy(bound, &live)?;
        traces.carry_out(tracing, &settings);
        access_logs.carry_out(access_log, settings.access_log.as_ref());
        let (outbox, wishes) = Wishes::new();
        let subject = Subject {
            gateway: Arc::new(Remote::new(outbox, Arc::clone(&live), source.etcd())),
            store: source.store(),
            whole: apis::whole(&settings),
            live,
            metrics,
        };
        let contents = reserved.filled(&settings, None, &subject)?;
        apis.carry_out(contents, &settings);
        apis.answer_locally(&settings, &subject);
        let (rebuilds, wished) = mpsc::channel(1);
        let follower = tokio::spawn(source.follow(wished));
        for listen in proxy.listens() {
            tracing::info!("listening on {listen}");
        }
        Ok(Gateway {
            proxy,
            fleet,
            plugins,
            follower,
            rebuilds,
            apis,
            subject,
            traces,
            access_logs,
            wishes,
            settings,
            sockets,
        })
    }

    /// The addresses that are listened on.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.proxy.addresses()
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

    /// Goes by other settings: as a whole, or not at all. Every process of a runner is
    /// replaced by a new one. Says what waits for a restart.
    ///
    /// Requests, and connections in what holds for as long as they are there, end by
    /// the settings that they began with.
    ///
    /// # Errors
    /// What stands against it: an address that cannot be listened on, a route that
    /// would not hold. Nothing has changed.
    pub(crate) async fn reload(&mut self, settings: Settings) -> Result<(), Failure> {
        let (settings, waiting) = settings.as_successor_of(&self.settings);
        let reserved = self.apis.reserve(&settings)?;
        let contents = reserved.filled(&settings, Some(&self.settings), &self.subject)?;
        let access_log = self.access_logs.plan(settings.access_log.as_ref())?;
        let tracing = self.traces.plan(&settings, &self.subject.metrics)?;
        let change = proxy_settings::of(&settings, &access_log, &tracing);
        let change = self.proxy.prepare(change)?;
        let plan = self.fleet.plan(&settings);
        let registry = self.plugins.registry(&settings, plan.runners());
        self.rebuild(registry, mode(settings.router)).await?;
        tracing::info!("reloading: runners are restarted");
        for note in &settings.notes {
            tracing::warn!("{note}");
        }
        for key in &waiting {
            tracing::warn!("config.yaml: {key}: takes effect at the next start");
        }
        self.plugins.reconfigure(&settings);
        self.put_into_effect(change).await;
        self.apis.carry_out(contents, &settings);
        self.traces.carry_out(tracing, &settings);
        self.access_logs
            .carry_out(access_log, settings.access_log.as_ref());
        self.reopen_logs();
        self.fleet.carry_out(plan, &settings, self.sockets.path())?;
        self.settings = settings;
        Ok(())
    }

    /// Has the workers go by other settings, and says where they listen now.
    async fn put_into_effect(&self, change: proxy::Change) {
        let urls = |listens: Vec<proxy::Listen>| {
            let urls = listens.iter().map(ToString::to_string);
            urls.collect::<Vec<_>>()
        };
        let (before, after) = (urls(self.proxy.listens()), urls(change.listens()));
        if !self.proxy.apply(change).await {
            tracing::warn!("a worker has not heard of the settings yet: it is busy");
        }
        for url in before.iter().filter(|it| !after.contains(it)) {
            tracing::info!("no longer listening on {url}");
        }
        for url in after.iter().filter(|it| !before.contains(it)) {
            tracing::info!("listening on {url}");
        }
    }

    /// Has the routes run on these plugins from now on.
    async fn rebuild(&self, registry: Registry, mode: Mode) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        let wish = Rebuild {
            registry,
            mode,
            reply,
        };
        let gone = "whoever follows the source of resources has ended";
        self.rebuilds.send(wish).await.map_err(|_| gone)?;
        let rebuilt = answer.await.map_err(|_| gone)?;
        Ok(rebuilt?)
    }

    /// Opens the files of logs anew, which somebody may have moved away.
    pub(crate) fn reopen_logs(&self) {
        self.fleet.reopen_logs();
        self.access_logs.reopen();
    }

    /// Lets requests in flight end, then stops the runners.
    pub(crate) async fn stop(self) {
        tracing::info!("stopping: requests in flight may end, new ones are not taken");
        self.follower.abort();
        self.apis.stop().await;
        self.proxy.stop(self.settings.shutdown_timeout).await;
        self.fleet.stop().await;
        self.traces.stop().await;
        self.access_logs.close();
        tracing::info!("stopped");
    }
}

/// Starts the workers, and whoever looks after the health of upstreams' nodes, which
/// ends with them.
fn start_proxy(bound: proxy::Bound, live: &Live) -> Result<proxy::Running, Failure> {
    let proxy = bound.start(live.snapshot())?;
    tokio::spawn(proxy.look_after_health(live.snapshot()));
    Ok(proxy)
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
