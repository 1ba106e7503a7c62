//! Certificates: whether they can be used, and which upstreams are shown them.

use std::borrow::Cow;
use std::sync::Arc;

use outrigger_model::{
    Identity, Invalid, Kind, Place, PropertyPath, Resources, Ssl, SslType, Upstream,
};

use super::compiler::Compiler;
use crate::plugin::Owner;

impl Compiler<'_> {
    /// Finds out which certificates can be used.
    pub(super) fn ssls(&mut self, resources: &Resources) {
        for ssl in &resources.ssls {
            // What did not change keeps its identities' places.
            let before = self.previous.ssls.get(&ssl.id);
            let same = before.filter(|before| *before == ssl).map(Arc::clone);
            let usable = same.or_else(|| self.check_ssl(ssl).then(|| Arc::clone(ssl)));
            if let Some(ssl) = usable {
                self.kept.ssls.insert(ssl.id.clone(), ssl);
            }
        }
    }

    /// Whether each key belongs to its certificate. What does not is reported.
    fn check_ssl(&mut self, ssl: &Ssl) -> bool {
        let mut holds = true;
        for (place, identity) in ssl.identities.iter().enumerate() {
            if let Err(message) = self.registry.check_identity(identity) {
                holds = false;
                let path = PropertyPath::root();
                let path = match place.checked_sub(1) {
                    None => path.key("key"),
                    Some(place) => path.key("keys").index(place),
                };
                let (kind, id) = (Kind::Ssl, ssl.id.clone());
                self.invalid.push(Invalid {
                    at: Place { kind, id, path },
                    message: message.to_owned(),
                });
            }
        }
        holds
    }

    /// The upstream with the certificate that it names; one that cannot be had is
    /// reported.
    pub(super) fn with_identity<'u>(
        &mut self,
        owner: &Owner,
        upstream: &'u Upstream,
    ) -> Cow<'u, Upstream> {
        let Some(id) = &upstream.tls.client_cert_id else {
            return Cow::Borrowed(upstream);
        };
        let ssl = self.kept.ssls.get(id);
        let ssl = ssl.filter(|ssl| ssl.purpose == SslType::Client);
        let Some(identity) = ssl.and_then(|ssl| ssl.identities.first()) else {
            self.invalid.push(Invalid {
                at: Place {
                    kind: owner.kind,
                    id: owner.id.clone(),
                    path: tls_of(owner).key("client_cert_id"),
                },
                message: format!("there is no ssl {id} of the type \"client\" that can be used"),
            });
            return Cow::Borrowed(upstream);
        };
        let mut upstream = upstream.clone();
        upstream.tls.identity = Some(Identity::clone(identity));
        Cow::Owned(upstream)
    }
}

/// Where the `tls` of an upstream stands in its owner.
pub(super) fn tls_of(owner: &Owner) -> PropertyPath {
    let path = PropertyPath::root();
    let path = match owner.kind {
        Kind::Upstream => path,
        _ => path.key("upstream"),
    };
    path.key("tls")
}
