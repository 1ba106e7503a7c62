//! What a worker serves requests by: the settings, with what it made of them for
//! itself.
//!
//! Terms never change; a worker that is told other settings makes other terms. A
//! connection keeps the terms it began with for what lasts as long as it does, and
//! takes the newest for each request. A request keeps its own to its end.

use std::rc::Rc;
use std::sync::Arc;

use outrigger_engine::body::BodyMemory;
use outrigger_telemetry::trace::{Tracer, WorkerTracer};

use crate::access_log::Lines;
use crate::limits::REPEATED_BODIES;
use crate::server::Orders;
use crate::settings::Settings;
use crate::tls::TlsServers;
use crate::upstream::{Names, Pool, TlsClients};

pub(crate) struct Terms {
    pub(crate) settings: Arc<Settings>,
    /// Differs from that of other terms if connections are held to something else.
    pub(crate) edition: u64,
    pub(crate) upstreams: Rc<Upstreams>,
    pub(crate) tls: Arc<TlsServers>,
    pub(crate) tracer: Option<Rc<WorkerTracer>>,
    pub(crate) access_log: Option<Rc<Lines>>,
}

/// Connections to upstreams and how they are secured: one that was made by one
/// trust is not used by another.
pub(crate) struct Upstreams {
    pub(crate) pool: Rc<Pool>,
    pub(crate) tls: TlsClients,
    pub(crate) names: Names,
    /// Whether what requests meet counts for the nodes' health.
    pub(crate) health_checks: bool,
    /// What bodies may take that are kept to be sent again.
    pub(crate) bodies: BodyMemory,
}

impl Terms {
    /// Terms for `orders`, with everything of `before` that stays as it is. Must be
    /// called on the worker's runtime.
    pub(crate) fn new(orders: &Orders, before: Option<&Terms>) -> Rc<Self> {
        let settings = Arc::clone(&orders.settings);
        let old = before.map(|terms| &*terms.settings);
        let same_connections = old.is_some_and(|old| old.connections == settings.connections);
        let same_upstreams = |old: &Settings| {
            let of = |it: &Settings| (it.upstream_sni, it.health_checks);
            old.upstream_trust == settings.upstream_trust && of(old) == of(&settings)
        };
        let upstreams = before.filter(|terms| same_upstreams(&terms.settings));
        let upstreams = upstreams.map(|terms| Rc::clone(&terms.upstreams));
        let tracer = settings.tracer.as_ref().map(|tracer| {
            let known = before.filter(|terms| {
                let tracer_before = terms.settings.tracer.as_ref();
                tracer_before.is_some_and(|before| before.is_same(tracer))
            });
            let known = known.and_then(|terms| terms.tracer.clone());
            known.unwrap_or_else(|| Tracer::for_worker(tracer))
        });
        let access_log = settings.access_log.as_ref().map(|log| {
            let known = before.and_then(|terms| terms.access_log.as_ref());
            match known.filter(|lines| lines.are_of(log)) {
                Some(lines) => Rc::clone(lines),
                None => Lines::start(log.clone()),
            }
        });
        Rc::new(Terms {
            edition: match before {
                Some(terms) if same_connections => terms.edition,
                Some(terms) => terms.edition + 1,
                None => 0,
            },
            upstreams: upstreams.unwrap_or_else(|| {
                Rc::new(Upstreams {
                    pool: Rc::new(Pool::new()),
                    tls: TlsClients::new(Arc::clone(&orders.roots), settings.upstream_sni),
                    names: Names::new(),
                    bodies: BodyMemory::new(REPEATED_BODIES),
                    health_checks: settings.health_checks,
                })
            }),
            tls: Arc::clone(&orders.tls),
            tracer,
            access_log,
            settings,
        })
    }
}
