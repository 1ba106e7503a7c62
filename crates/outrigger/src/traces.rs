//! Traces: where they come from and go to, as `config.yaml` says.

use std::time::Duration;

use outrigger_config::{Settings, Tracing};
use outrigger_model::Trust;
use outrigger_telemetry::metrics::Metrics;
use outrigger_telemetry::trace::{self, Endpoint, Exporter, Exporting, Tracer};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Failure;

/// How long the last spans may take to be sent when the gateway stops.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// How often it is looked whether a tracer that is left is still in use.
const LEAVING_LOOK: Duration = Duration::from_secs(1);

/// The tracer that requests have, and those that some may still have.
#[derive(Default)]
pub(crate) struct Traces {
    present: Option<Present>,
    leaving: JoinSet<()>,
    /// Dropped when nobody is waited for any more.
    serving: watch::Sender<()>,
}

struct Present {
    settings: Tracing,
    trust: Trust,
    tracer: Tracer,
    exporting: Exporting,
}

/// What the tracer is to be. Dropped, nothing has changed.
pub(crate) enum Plan {
    Off,
    Same(Tracer),
    New(Tracer, Box<Exporter>),
}

impl Plan {
    /// What traces requests.
    pub(crate) fn tracer(&self) -> Option<&Tracer> {
        match self {
            Plan::Off => None,
            Plan::Same(tracer) | Plan::New(tracer, _) => Some(tracer),
        }
    }
}

impl Traces {
    /// What `settings` want; spans are counted in `metrics`.
    ///
    /// # Errors
    /// The collector cannot be spoken to like that.
    pub(crate) fn plan(&self, settings: &Settings, metrics: &Metrics) -> Result<Plan, Failure> {
        let Some(wanted) = &settings.tracing else {
            return Ok(Plan::Off);
        };
        let trust = &settings.upstream_trust;
        let same = |it: &&Present| it.settings == *wanted && it.trust == *trust;
        if let Some(present) = self.present.as_ref().filter(same) {
            return Ok(Plan::Same(present.tracer.clone()));
        }
        let (tracer, exporter) = Tracer::new(trace_settings(wanted, trust)?, metrics);
        Ok(Plan::New(tracer, Box::new(exporter)))
    }

    /// Sends what requests have by `plan` now. Must be called on the control thread's
    /// runtime, from where spans are sent.
    pub(crate) fn carry_out(&mut self, plan: Plan, settings: &Settings) {
        let next = match (plan, &settings.tracing) {
            (Plan::Same(_), _) => return,
            (Plan::New(tracer, exporter), Some(wanted)) => {
                tracing::info!("traces: sent to {}", wanted.otlp_endpoint);
                Some(Present {
                    settings: wanted.clone(),
                    trust: settings.upstream_trust.clone(),
                    tracer,
                    exporting: exporter.start(),
                })
            }
            _ => None,
        };
        if let Some(present) = std::mem::replace(&mut self.present, next) {
            self.leaving.spawn(leave(present, self.serving.subscribe()));
        }
        while self.leaving.try_join_next().is_some() {}
    }

    /// Sends what is left to send. To be called when nothing comes any more.
    pub(crate) async fn stop(mut self) {
        drop(self.serving);
        if let Some(present) = self.present {
            self.leaving.spawn(send_last(present));
        }
        while self.leaving.join_next().await.is_some() {}
    }
}

/// Sends spans until no request has the tracer any more, and then what is left.
async fn leave(present: Present, mut serving: watch::Receiver<()>) {
    let unused = async {
        while !present.tracer.is_last() {
            tokio::time::sleep(LEAVING_LOOK).await;
        }
    };
    tokio::select! {
        () = unused => {}
        _ = serving.changed() => {}
    }
    send_last(present).await;
}

async fn send_last(present: Present) {
    if !present.exporting.stop(LAST_SPANS).await {
        tracing::warn!("the last spans could not be sent within {LAST_SPANS:?}");
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
