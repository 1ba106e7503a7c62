//! The APIs of the gateway's own (control, Admin, metrics, status): where they listen, and
//! what they serve. All of that may change while they do.

use std::net::SocketAddr;
use std::sync::Arc;

use outrigger_admin::api::Whole;
use outrigger_admin::control::{self, Control};
use outrigger_admin::server::{Bound, Router, Serving, Work};
use outrigger_admin::{Tls, metrics, status};
use outrigger_config::store::Store;
use outrigger_config::{Settings, Source};
use outrigger_telemetry::metrics::Metrics;
use tokio::task::JoinSet;

use crate::Failure;
use crate::admin;
use crate::local;
use crate::source::Live;

/// What the APIs tell of and change.
pub(crate) struct Subject {
    pub(crate) gateway: Arc<dyn Control>,
    pub(crate) live: Arc<Live>,
    /// Without it there is nothing for the Admin API to change.
    pub(crate) store: Option<Arc<dyn Store>>,
    /// What was told of all resources at once, where they are told so.
    pub(crate) whole: Option<Arc<Whole>>,
    pub(crate) metrics: Metrics,
}

/// What is told of all resources at once, if they are told so.
pub(crate) fn whole(settings: &Settings) -> Option<Arc<Whole>> {
    (settings.source == Source::Memory).then(Arc::default)
}

/// The APIs that serve.
#[derive(Default)]
pub(crate) struct Apis {
    servers: Vec<Server>,
    /// Whoever is on the same machine and may read the store is answered too.
    local: Option<Work>,
    /// Those that are no longer wanted and still have requests.
    leaving: JoinSet<()>,
}

struct Server {
    name: Name,
    /// Where it was asked to listen; its port may be 0.
    wanted: SocketAddr,
    serving: Serving,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Control,
    Admin,
    Metrics,
    Status,
}

/// Where an API is to listen.
struct Wanted {
    name: Name,
    address: SocketAddr,
    /// Whether somebody asked for this address. Otherwise the gateway does without
    /// where it cannot be had: a second gateway on one machine is no error.
    explicit: bool,
}

/// Addresses that are had for the APIs of some settings. Dropped, nothing has changed.
pub(crate) struct Reserved(Vec<(Wanted, Place)>);

enum Place {
    /// The server that is there already listens.
    Present,
    New(Bound),
}

/// What the APIs of some settings serve.
pub(crate) struct Contents(Vec<(Wanted, Place, Option<Content>)>);

/// What one of them serves, and over TLS or not.
#[derive(Default)]
struct Content {
    router: Router,
    tls: Option<Tls>,
}

impl Apis {
    /// Listens where `settings` say and nothing listens yet; nobody is answered there.
    ///
    /// # Errors
    /// An address that was asked for cannot be had.
    pub(crate) fn reserve(&self, settings: &Settings) -> Result<Reserved, Failure> {
        let mut places = Vec::new();
        for wanted in wanted(settings) {
            let place = match self.server(&wanted) {
                Some(_) => Place::Present,
                None => match Bound::bind(wanted.address) {
                    Ok(bound) => Place::New(bound),
                    Err(error) if wanted.explicit => {
                        return Err(wanted.cannot_listen(&error).into());
                    }
                    Err(error) => {
                        tracing::warn!("{}", wanted.does_without(&error));
                        continue;
                    }
                },
            };
            places.push((wanted, place));
        }
        Ok(Reserved(places))
    }

    fn server(&self, wanted: &Wanted) -> Option<&Server> {
        let same = |it: &&Server| it.name == wanted.name && it.wanted == wanted.address;
        self.servers.iter().find(same)
    }

    /// Serves these contents, and nothing else any more.
    pub(crate) fn carry_out(&mut self, contents: Contents, settings: &Settings) {
        let mut before = std::mem::take(&mut self.servers);
        for (wanted, place, content) in contents.0 {
            let serving = match place {
                Place::New(bound) => {
                    let Content { router, tls } = content.unwrap_or_default();
                    let address = bound.address();
                    let serving = bound.serve(router, tls);
                    wanted.name.announce(address, &serving, settings);
                    serving
                }
                Place::Present => {
                    let same = |it: &Server| it.name == wanted.name;
                    let Some(place) = before.iter().position(same) else {
                        continue;
                    };
                    let server = before.swap_remove(place);
                    if let Some(Content { router, tls }) = content {
                        let serving = &server.serving;
                        let was_secure = serving.is_secure();
                        serving.replace(router, tls);
                        if serving.is_secure() != was_secure {
                            wanted.name.announce(serving.address(), serving, settings);
                        }
                    }
                    server.serving
                }
            };
            self.servers.push(Server {
                name: wanted.name,
                wanted: wanted.address,
                serving,
            });
        }
        for server in before {
            // Whoever asked for this may be one of those that it still answers.
            tracing::info!("{}: off at {}", server.name, server.serving.address());
            self.leaving.spawn(server.serving.stop());
        }
        // Those that have left by now.
        while self.leaving.try_join_next().is_some() {}
    }

    /// Answers the gateway's own commands, where there is a store of its own.
    pub(crate) fn answer_locally(&mut self, settings: &Settings, subject: &Subject) {
        if let (Source::Store, Some(store)) = (&settings.source, &subject.store) {
            let gateway = admin::running(&subject.live, Arc::clone(&subject.gateway));
            self.local = local::answer(&settings.data_dir, Arc::clone(store), gateway);
        }
    }

    /// Lets requests under way end.
    pub(crate) async fn stop(mut self) {
        if let Some(local) = self.local {
            self.leaving.spawn(local.stop());
        }
        for server in self.servers {
            self.leaving.spawn(server.serving.stop());
        }
        while self.leaving.join_next().await.is_some() {}
    }
}

impl Reserved {
    /// What the APIs serve by `settings`; `before` are the settings that those go by
    /// which serve already.
    ///
    /// # Errors
    /// See [`admin::api`].
    pub(crate) fn filled(
        self,
        settings: &Settings,
        before: Option<&Settings>,
        subject: &Subject,
    ) -> Result<Contents, Failure> {
        let mut contents = Vec::new();
        for (wanted, place) in self.0 {
            let same = match (wanted.name, before, &place) {
                (Name::Admin, Some(before), Place::Present) => before.admin == settings.admin,
                (Name::Metrics, Some(before), Place::Present) => before.metrics == settings.metrics,
                (_, _, Place::Present) => true,
                (_, _, Place::New(_)) => false,
            };
            let content = match same {
                true => None,
                false => match subject.router(&wanted, settings)? {
                    Some(router) => {
                        let tls = tls(&wanted, settings)?;
                        Some(Content { router, tls })
                    }
                    None => continue,
                },
            };
            contents.push((wanted, place, content));
        }
        Ok(Contents(contents))
    }
}

/// How an API speaks TLS, if it does.
fn tls(wanted: &Wanted, settings: &Settings) -> Result<Option<Tls>, Failure> {
    let admin = settings
        .admin
        .as_ref()
        .filter(|_| wanted.name == Name::Admin);
    let Some(tls) = admin.and_then(|admin| admin.tls.as_ref()) else {
        return Ok(None);
    };
    let made = Tls::new(&tls.identity, tls.authorities.as_deref());
    Ok(Some(made.map_err(|error| {
        format!("deployment.admin.admin_api_mtls: {error}: check that the key is the certificate's")
    })?))
}

impl Subject {
    /// None where there is nothing to serve.
    fn router(&self, wanted: &Wanted, settings: &Settings) -> Result<Option<Router>, Failure> {
        let gateway = Arc::clone(&self.gateway);
        Ok(match wanted.name {
            Name::Control => {
                let catalogue = Arc::clone(self.live.catalogue());
                let seal = Arc::clone(self.live.seal());
                let local = wanted.address.ip();
                Some(control::router(gateway, catalogue, seal, local))
            }
            Name::Admin => match (&settings.admin, &self.store) {
                (Some(admin), Some(store)) => {
                    let (data_dir, store) = (&settings.data_dir, Arc::clone(store));
                    let prefix = match &settings.source {
                        Source::Etcd(etcd) => etcd.prefix.as_str(),
                        Source::Store | Source::Memory | Source::File { .. } => admin::PREFIX,
                    };
                    let mut api = admin::api(admin, data_dir, prefix, store, &self.live, gateway)?;
                    api.whole = self.whole.clone();
                    Some(api.router())
                }
                _ => None,
            },
            Name::Metrics => settings
                .metrics
                .as_ref()
                .map(|export| metrics::router(&export.path, self.metrics.clone(), gateway)),
            Name::Status => Some(status::router()),
        })
    }
}

fn wanted(settings: &Settings) -> impl Iterator<Item = Wanted> {
    let wanted = |name, address, explicit| Wanted {
        name,
        address,
        explicit,
    };
    let control = settings.control.as_ref();
    let admin = settings.admin.as_ref();
    let metrics = settings.metrics.as_ref();
    [
        control.map(|it| wanted(Name::Control, it.address, it.explicit)),
        admin.map(|it| wanted(Name::Admin, it.listen, true)),
        metrics.map(|it| wanted(Name::Metrics, it.address, it.explicit)),
        settings.status.map(|it| wanted(Name::Status, it, true)),
    ]
    .into_iter()
    .flatten()
}

impl Wanted {
    fn cannot_listen(&self, error: &std::io::Error) -> String {
        let Wanted { name, address, .. } = self;
        let (what, instead) = match name {
            Name::Control => (
                "the control API",
                "apisix.control, or apisix.enable_control to false",
            ),
            Name::Admin => (
                "the Admin API",
                "deployment.admin.admin_listen, or apisix.enable_admin to false",
            ),
            Name::Metrics => (
                "metrics",
                "plugin_attr.prometheus.export_addr, or enable_export_server to false",
            ),
            Name::Status => ("the status", "apisix.status"),
        };
        format!("cannot listen on {address} for {what}: {error}; set {instead}")
    }

    fn does_without(&self, error: &std::io::Error) -> String {
        let address = self.address;
        match self.name {
            Name::Metrics => format!(
                "metrics are not handed out: cannot listen on {address}: {error}; set \
                 plugin_attr.prometheus.export_addr.port to have them, or \
                 enable_export_server to false"
            ),
            Name::Control | Name::Admin | Name::Status => format!(
                "the control API is off: cannot listen on {address}: {error}; \
                 set apisix.control.port to have it, or apisix.enable_control to false"
            ),
        }
    }
}

impl Name {
    fn announce(self, address: SocketAddr, serving: &Serving, settings: &Settings) {
        let path = match (self, &settings.metrics) {
            (Name::Metrics, Some(export)) => &export.path,
            (Name::Status, _) => status::PATH,
            _ => "",
        };
        let scheme = if serving.is_secure() { "https" } else { "http" };
        tracing::info!("{self}: {scheme}://{address}{path}");
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Name::Control => "control API",
            Name::Admin => "Admin API",
            Name::Metrics => "metrics",
            Name::Status => "status",
        })
    }
}
