//! The plugins of a route or a global rule, sorted into phases.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::Exchange;
use crate::finished::Finished;
use crate::plugin::{Flow, Phases, Plugin};
use crate::response::{Refusal, Response};

/// A plugin with its place among others.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) name: &'static str,
    pub(crate) priority: i32,
    /// None for one that is switched off. It still goes before others of its name.
    pub(crate) plugin: Option<Arc<dyn Plugin>>,
    /// Without what `_meta` adds to it.
    pub(crate) plain: Arc<dyn Plugin>,
}

/// Shows the plugin as it runs.
impl fmt::Debug for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Built { name, priority, .. } = self;
        write!(f, "{name} ({priority}): {:?}", self.plugin)
    }
}

/// Plugins, sorted into phases.
#[derive(Debug, Default)]
pub struct Chain {
    all: Vec<Built>,
    rewrite: Vec<Arc<dyn Plugin>>,
    access: Vec<Arc<dyn Plugin>>,
    response: Vec<Arc<dyn Plugin>>,
    log: Vec<Arc<dyn Plugin>>,
    /// Those of a consumer that have a part in the rewrite phase.
    of_consumer: Vec<Arc<dyn Plugin>>,
}

impl Chain {
    /// Builds the chain from plugins in any order; plugins of one priority
    /// keep theirs.
    pub(crate) fn new(mut all: Vec<Built>) -> Self {
        all.sort_by_key(|built| std::cmp::Reverse(built.priority));
        let of = |phase: fn(&Phases) -> bool| {
            let enabled = all.iter().filter_map(|built| built.plugin.as_ref());
            let here = enabled.filter(|plugin| phase(&plugin.phases()));
            here.cloned().collect()
        };
        Chain {
            rewrite: of(|phases| phases.rewrite),
            access: of(|phases| phases.access),
            response: of(|phases| phases.response),
            log: of(|phases| phases.log),
            of_consumer: Vec::new(),
            all,
        }
    }

    /// The chain with a consumer's plugins before its own of the same names.
    pub(crate) fn with(&self, plugins: &[Built]) -> Self {
        let mut own: Vec<_> = plugins.iter().collect();
        own.sort_by_key(|built| std::cmp::Reverse(built.priority));
        let own = own.into_iter().filter_map(|built| built.plugin.clone());
        Chain {
            of_consumer: own.filter(|plugin| plugin.phases().rewrite).collect(),
            ..Chain::new(merged(plugins.to_vec(), &self.all))
        }
    }

    /// Whether any plugin has a part in the request phases.
    #[must_use]
    pub fn acts_on_requests(&self) -> bool {
        !(self.rewrite.is_empty() && self.access.is_empty())
    }

    /// Whether any plugin has a part in the response phase.
    #[must_use]
    pub fn acts_on_responses(&self) -> bool {
        !self.response.is_empty()
    }

    /// Whether any plugin has a part in the log phase.
    #[must_use]
    pub fn logs(&self) -> bool {
        !self.log.is_empty()
    }

    /// Runs the rewrite phase.
    ///
    /// # Errors
    /// The first plugin's [`Refusal`] ends it.
    pub async fn rewrite(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        for plugin in &self.rewrite {
            if let Flow::Respond(response) = plugin.rewrite(exchange).await? {
                return Ok(Flow::Respond(response));
            }
        }
        Ok(Flow::Continue)
    }

    /// Runs the rewrite phase of the consumer's plugins, which were not there yet
    /// when that of the route ran.
    ///
    /// # Errors
    /// The first plugin's [`Refusal`] ends it.
    pub async fn rewrite_of_consumer(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        for plugin in &self.of_consumer {
            if let Flow::Respond(response) = plugin.rewrite(exchange).await? {
                return Ok(Flow::Respond(response));
            }
        }
        Ok(Flow::Continue)
    }

    /// Runs the access phase.
    ///
    /// # Errors
    /// The first plugin's [`Refusal`] ends it.
    pub async fn access(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        for plugin in &self.access {
            if let Flow::Respond(response) = plugin.access(exchange).await? {
                return Ok(Flow::Respond(response));
            }
        }
        Ok(Flow::Continue)
    }

    /// Runs both request phases.
    ///
    /// # Errors
    /// The first plugin's [`Refusal`] ends them.
    pub async fn request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        match self.rewrite(exchange).await? {
            Flow::Continue => self.access(exchange).await,
            respond => Ok(respond),
        }
    }

    /// Runs the response phase.
    ///
    /// # Errors
    /// The first plugin's [`Refusal`] ends it; the response is dropped.
    pub async fn response(
        &self,
        exchange: &mut Exchange,
        response: &mut Response,
    ) -> Result<(), Refusal> {
        for plugin in &self.response {
            plugin.response(exchange, response).await?;
        }
        Ok(())
    }

    /// Runs the log phase.
    pub fn log(&self, finished: &Rc<Finished>) {
        for plugin in &self.log {
            plugin.log(finished);
        }
    }
}

/// Plugins with those that are inherited and have other names: whole plugin by
/// whole plugin.
pub(crate) fn merged(mut own: Vec<Built>, inherited: &[Built]) -> Vec<Built> {
    for built in inherited {
        if !own.iter().any(|other| other.name == built.name) {
            own.push(built.clone());
        }
    }
    own
}
