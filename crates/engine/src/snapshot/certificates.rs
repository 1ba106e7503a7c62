//! Certificates: whether they can be used, and which upstreams are shown them.

use std::borrow::Cow;
use std::sync::Arc;

use outrigger_model::{
    Identity, Invalid, Kind, Place, PropertyPath, Resources, Ssl, SslType, Upstream,
};

use super::compiler::Compiler;
use super::parts::{Change, Part, Parts, Update};
use crate::plugin::Owner;

/// A certificate that can be used.
#[derive(Debug, Clone)]
pub(super) struct SslPart {
    resource: Arc<Ssl>,
    /// One that is the same keeps its identities' places.
    pub(super) ssl: Arc<Ssl>,
}

impl Part for SslPart {
    type Resource = Ssl;

    fn resource(&self) -> &Arc<Ssl> {
        &self.resource
    }
}

impl Compiler<'_> {
    /// Finds out which certificates can be used.
    pub(super) fn ssls(
        &self,
        resources: &mut Resources,
        before: &Parts<SslPart>,
        invalid: &mut Vec<Invalid>,
    ) -> (Parts<SslPart>, Vec<Change<SslPart>>) {
        let update = Update {
            kind: Kind::Ssl,
            before,
            resources: std::mem::take(&mut resources.ssls),
            touched: None,
        };
        update.carry_out(invalid, |resource, before, invalid| {
            let same = before.filter(|before| before.ssl == *resource);
            let ssl = match same {
                Some(before) => Arc::clone(&before.ssl),
                None => {
                    let wrong = self.check_ssl(resource);
                    invalid.extend(wrong);
                    Arc::clone(resource)
                }
            };
            let resource = Arc::clone(resource);
            Some(SslPart { resource, ssl })
        })
    }

    /// Whether each key belongs to its certificate, and clients can be verified.
    fn check_ssl(&self, ssl: &Ssl) -> Vec<Invalid> {
        let identities = ssl.identities.iter().enumerate();
        let wrong = identities.filter_map(|(place, identity)| {
            let message = self.registry.check_identity(identity).err()?;
            let path = PropertyPath::root();
            let path = match place.checked_sub(1) {
                None => path.key("key"),
                Some(place) => path.key("keys").index(place),
            };
            Some(invalid(ssl, path, message))
        });
        let authorities = ssl.client.as_ref().and_then(|client| {
            let message = self.registry.check_authorities(&client.ca).err()?;
            let path = PropertyPath::root().key("client").key("ca");
            Some(invalid(ssl, path, message))
        });
        wrong.chain(authorities).collect()
    }
}

fn invalid(ssl: &Ssl, path: PropertyPath, message: &str) -> Invalid {
    let (kind, id) = (Kind::Ssl, ssl.id.clone());
    Invalid {
        at: Place { kind, id, path },
        message: message.to_owned(),
    }
}

/// The upstream with the certificate that it names; one that cannot be had is
/// reported.
pub(super) fn with_identity<'u>(
    ssls: &Parts<SslPart>,
    owner: &Owner,
    upstream: &'u Upstream,
    invalid: &mut Vec<Invalid>,
) -> Cow<'u, Upstream> {
    let Some(id) = &upstream.tls.client_cert_id else {
        return Cow::Borrowed(upstream);
    };
    let ssl = ssls.get(id).map(|part| &part.ssl);
    let ssl = ssl.filter(|ssl| ssl.purpose == SslType::Client);
    let Some(identity) = ssl.and_then(|ssl| ssl.identities.first()) else {
        invalid.push(Invalid {
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

/// Where the `tls` of an upstream stands in its owner.
pub(super) fn tls_of(owner: &Owner) -> PropertyPath {
    let path = PropertyPath::root();
    let path = match owner.kind {
        Kind::Upstream => path,
        _ => path.key("upstream"),
    };
    path.key("tls")
}
