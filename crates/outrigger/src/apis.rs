//! The control API and the Admin API: where they listen, and what they serve.

use std::sync::Arc;

use outrigger_admin::control::{self, Control};
use outrigger_admin::server::{Bound, Serving};
use outrigger_config::store::Store;
use outrigger_config::{ControlApi, Settings, Source};

use crate::Failure;
use crate::admin;
use crate::local;
use crate::source::Live;

/// APIs that are listened for; nobody is answered yet.
pub(crate) struct Apis {
    control: Option<Bound>,
    admin: Option<Bound>,
}

impl Apis {
    /// Listens where `settings` say.
    ///
    /// # Errors
    /// An address that was asked for cannot be had.
    pub(crate) fn bind(settings: &Settings) -> Result<Self, Failure> {
        Ok(Apis {
            control: settings.control.map(bind_control).transpose()?.flatten(),
            admin: settings.admin.as_ref().map(admin::bind).transpose()?,
        })
    }

    /// Answers, until what is returned is stopped. Without a `store` there is
    /// nothing for the Admin API to change.
    ///
    /// # Errors
    /// See [`admin::api`].
    pub(crate) fn serve(
        self,
        settings: &Settings,
        gateway: &Arc<dyn Control>,
        live: &Arc<Live>,
        store: Option<Arc<dyn Store>>,
    ) -> Result<Vec<Serving>, Failure> {
        let mut serving = Vec::new();
        if let Some(bound) = self.control {
            let address = bound.address();
            let router = control::router(
                Arc::clone(gateway),
                Arc::clone(live.catalogue()),
                Arc::clone(live.seal()),
                address.ip(),
            );
            tracing::info!("control API: http://{address}");
            serving.push(bound.serve(router));
        }
        if let (Source::Store, Some(store)) = (&settings.source, &store) {
            let gateway = admin::running(live, Arc::clone(gateway));
            serving.extend(local::answer(
                &settings.data_dir,
                Arc::clone(store),
                gateway,
            ));
        }
        if let (Some(bound), Some(admin), Some(store)) = (self.admin, &settings.admin, store) {
            let data_dir = &settings.data_dir;
            let gateway = Arc::clone(gateway);
            let api = admin::api(admin, data_dir, store, live, gateway)?;
            tracing::info!("Admin API: http://{}", bound.address());
            serving.push(bound.serve(api.router()));
        }
        Ok(serving)
    }
}

/// None where nobody asked for this address and it cannot be had: a second
/// gateway on one machine is no error.
fn bind_control(control: ControlApi) -> Result<Option<Bound>, Failure> {
    let ControlApi { address, explicit } = control;
    match Bound::bind(address) {
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
