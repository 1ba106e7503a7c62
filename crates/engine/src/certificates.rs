//! Which certificate a client is shown that asks for a name.
//!
//! A name may be given with an asterisk in place of its first part, which stands for that
//! part alone, or be an asterisk alone, which stands for any name. Of several that fit, the
//! most exact one counts; of several ssls with one name, the first.

use std::collections::HashMap;
use std::sync::Arc;

use outrigger_model::{HostPattern, Ssl, SslType};

/// The certificates of all names.
#[derive(Debug, Default)]
pub struct Certificates {
    exact: HashMap<String, Arc<Ssl>>,
    /// By what follows the first part: `.a.test`.
    below: HashMap<String, Arc<Ssl>>,
    /// By the end of a name whose first part has an asterisk and more, longest first.
    endings: Vec<(String, Arc<Ssl>)>,
    any: Option<Arc<Ssl>>,
    verifies_clients: bool,
}

impl Certificates {
    /// Those of `ssls` that clients are shown.
    pub(crate) fn new<'s>(ssls: impl IntoIterator<Item = &'s Arc<Ssl>>) -> Self {
        let mut certificates = Certificates::default();
        let shown = |ssl: &&Arc<Ssl>| ssl.enabled && ssl.purpose == SslType::Server;
        for ssl in ssls.into_iter().filter(shown) {
            certificates.verifies_clients |= ssl.client.is_some();
            for name in &ssl.snis {
                certificates.add(name, ssl);
            }
        }
        let length = |(ending, _): &(String, _)| std::cmp::Reverse(ending.len());
        certificates.endings.sort_by_key(length);
        certificates
    }

    fn add(&mut self, name: &HostPattern, ssl: &Arc<Ssl>) {
        let ssl = Arc::clone(ssl);
        match name {
            HostPattern::Exact(name) => {
                self.exact.entry(without_root(name)).or_insert(ssl);
            }
            HostPattern::Wildcard(ending) if ending.starts_with('.') => {
                self.below.entry(without_root(ending)).or_insert(ssl);
            }
            HostPattern::Wildcard(ending) => self.endings.push((without_root(ending), ssl)),
            HostPattern::Any => {
                self.any.get_or_insert(ssl);
            }
        }
    }

    /// What a client is shown that asks for `name`, which is in lower case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Ssl>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let below = || self.below.get(&name[name.find('.')?..]);
        let ending = || {
            let mut endings = self.endings.iter();
            let found = endings.find(|(ending, _)| {
                let first = name.strip_suffix(&**ending);
                first.is_some_and(|first| !first.contains('.'))
            });
            found.map(|(_, ssl)| ssl)
        };
        let exact = self.exact.get(name);
        exact.or_else(below).or_else(ending).or(self.any.as_ref())
    }

    /// Whether there is any that asks clients for theirs.
    #[must_use]
    pub fn verify_clients(&self) -> bool {
        self.verifies_clients
    }
}

/// A name without the dot of the root.
fn without_root(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A resource of these properties, with a certificate.
    pub(crate) fn ssl(id: &str, mut properties: Value) -> Arc<Ssl> {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        properties["id"] = json!(id);
        properties["cert"] = json!(certificate.pem());
        properties["key"] = json!(key.serialize_pem());
        if properties["client"].is_object() {
            properties["client"]["ca"] = json!(certificate.pem());
        }
        Arc::new(Ssl::from_json(&properties).unwrap())
    }

    fn shown(ssls: &[Arc<Ssl>], name: &str) -> Option<String> {
        let found = Certificates::new(ssls).find(name).map(|ssl| ssl.id.clone());
        found.map(|id| id.to_string())
    }

    #[test]
    fn the_most_exact_name_counts() {
        let ssls = [
            ssl("any", json!({"sni": "*"})),
            ssl("below", json!({"snis": ["*.a.test", "*.b.test."]})),
            ssl("exact", json!({"snis": ["x.a.test", "Y.Test."]})),
            ssl("again", json!({"snis": ["x.a.test", "z.test"]})),
            ssl("ending", json!({"sni": "*-1.c.test"})),
        ];
        for (name, id) in [
            ("x.a.test", "exact"),
            ("y.test", "exact"),
            ("y.test.", "exact"),
            ("z.test", "again"),
            ("w.a.test", "below"),
            ("w.b.test", "below"),
            ("w-1.c.test", "ending"),
            // The asterisk stands for one part.
            ("v.w.a.test", "any"),
            ("v.w-1.c.test", "any"),
            ("a.test", "any"),
            ("", "any"),
        ] {
            assert_eq!(shown(&ssls, name).as_deref(), Some(id), "{name}");
        }
        assert_eq!(shown(&ssls[1..], "a.test"), None);
    }

    #[test]
    fn what_is_switched_off_or_for_upstreams_is_not_shown() {
        let ssls = [
            ssl("off", json!({"sni": "a.test", "status": 0})),
            ssl("client", json!({"sni": "a.test", "type": "client"})),
        ];
        assert_eq!(shown(&ssls, "a.test"), None);
    }
}
