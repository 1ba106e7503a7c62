//! Metrics and traces: where they come from and go to, as `config.yaml` says.

use std::sync::Arc;
use std::time::Duration;

use outrigger_admin as admin;
use outrigger_config::{MetricsExport, Settings, Tracing};
use outrigger_model::Trust;
use outrigger_telemetry::metrics::Metrics;
use outrigger_telemetry::trace::{self, Endpoint, Exporting, Tracer};

use crate::Failure;

/// How long the last spans may take to be sent when the gateway stops.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// What is counted and traced, before anybody can see it.
pub(crate) struct Observability {
    metrics: Metrics,
    export: Option<(admin::server::Bound, String)>,
    tracer: Option<Tracer>,
    exporting: Option<Exporting>,
}

/// What is seen from outside.
pub(crate) struct Seen {
    server: Option<admin::server::Serving>,
    exporting: Option<Exporting>,
}

impl Observability {
    /// For a gateway of so many workers. Must be called on the control thread's
    /// runtime, where spans are sent from.
    ///
    /// # Errors
    /// The address for metrics cannot be had, and somebody asked for it.
    pub(crate) fn new(settings: &Settings, workers: usize) -> Result<Self, Failure> {
        let metrics = Metrics::new(workers);
        let export = settings.metrics.as_ref().map(bind).transpose()?.flatten();
        let trust = &settings.upstream_trust;
        let mut tracer = None;
        let mut exporting = None;
        if let Some(settings) = &settings.tracing {
            let traces = trace_settings(settings, trust)?;
            tracing::info!("traces: sent to {}", traces.endpoint);
            let (made, exporter) = Tracer::new(traces, &metrics);
            tracer = Some(made);
            exporting = Some(exporter.start());
        }
        Ok(Observability {
            metrics,
            export,
            tracer,
            exporting,
        })
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn tracer(&self) -> Option<&Tracer> {
        self.tracer.as_ref()
    }

    /// Hands metrics out, with what the runners of `gateway` do.
    pub(crate) fn serve(self, gateway: Arc<dyn admin::control::Control>) -> Seen {
        let server = self.export.map(|(bound, path)| {
            tracing::info!("metrics: http://{}{path}", bound.address());
            bound.serve(admin::metrics::router(&path, self.metrics, gateway))
        });
        Seen {
            server,
            exporting: self.exporting,
        }
    }
}

impl Seen {
    /// Sends what is left to send. To be called when nothing comes any more.
    pub(crate) async fn stop(self) {
        if let Some(exporting) = self.exporting
            && !exporting.stop(LAST_SPANS).await
        {
            tracing::warn!("the last spans could not be sent within {LAST_SPANS:?}");
        }
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

/// None where nobody asked for this address and it cannot be had: a second
/// gateway on one machine is no error.
fn bind(export: &MetricsExport) -> Result<Option<(admin::server::Bound, String)>, Failure> {
    let MetricsExport {
        address,
        explicit,
        path,
    } = export;
    match admin::server::Bound::bind(*address) {
        Ok(bound) => Ok(Some((bound, path.clone()))),
        Err(error) if *explicit => Err(format!(
            "cannot listen on {address} for metrics: {error}; set \
             plugin_attr.prometheus.export_addr, or enable_export_server to false"
        )
        .into()),
        Err(error) => {
            tracing::warn!(
                "metrics are not handed out: cannot listen on {address}: {error}; set \
                 plugin_attr.prometheus.export_addr.port to have them, or \
                 enable_export_server to false"
            );
            Ok(None)
        }
    }
}

fn trace_settings(tracing: &Tracing, trust: &Trust) -> Result<trace::Settings, Failure> {
    let trust = trace::Trust {
        certificates: trust.certificates.clone(),
        system: trust.system,
    };
    let endpoint = Endpoint::new(&tracing.otlp_endpoint, tracing.headers.clone(), &trust);
    let endpoint = endpoint.map_err(|error| format!("outrigger.tracing.otlp_endpoint: {error}"))?;
    Ok(trace::Settings {
        endpoint,
        sample_ratio: tracing.sample_ratio,
        service_name: tracing.service_name.clone(),
        resource: tracing.resource.clone(),
        timeout: tracing.timeout,
        interval: tracing.interval,
        tell_upstreams: tracing.upstream_context,
        queue: tracing.queue,
    })
}
