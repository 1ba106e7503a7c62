//! Who may use the Admin API: from which addresses, with which keys, for what.

use std::fmt;
use std::net::IpAddr;

use http::Method;
use outrigger_model::Cidr;
use subtle::ConstantTimeEq;

/// Who may use the Admin API.
#[derive(Debug)]
pub struct Access {
    /// The keys; none for everybody who comes from an allowed address.
    pub keys: Option<Vec<Key>>,
    /// The addresses that may connect.
    pub addresses: Vec<Cidr>,
}

/// A key.
#[derive(Clone)]
pub struct Key {
    /// What is shown to be let in.
    pub secret: String,
    /// What it lets do.
    pub role: Role,
}

/// Does not show the secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What a key lets do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Looking.
    Viewer,
}

impl Access {
    /// Whether this address may connect.
    pub(super) fn admit_address(&self, address: IpAddr) -> Result<(), String> {
        let address = address.to_canonical();
        if self.addresses.iter().any(|range| range.contains(address)) {
            return Ok(());
        }
        Err(format!(
            "the Admin API is not for {address}: see deployment.admin.allow_admin"
        ))
    }

    /// Whether whoever shows this may use this method.
    pub(super) fn admit(&self, shown: Option<&[u8]>, method: &Method) -> Result<(), &'static str> {
        let Some(keys) = &self.keys else {
            return Ok(());
        };
        let shown = shown.ok_or("missing apikey")?;
        // All keys are compared, and each whole: how long it takes tells nothing
        // of how much was right.
        let mut role = None;
        for key in keys {
            if bool::from(key.secret.as_bytes().ct_eq(shown)) {
                role = Some(key.role);
            }
        }
        match role {
            None => Err("wrong apikey"),
            Some(Role::Viewer) if !matches!(*method, Method::GET | Method::HEAD) => {
                Err("invalid method for role viewer")
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        let key = |secret: &str, role| Key {
            secret: secret.to_owned(),
            role,
        };
        Access {
            keys: Some(vec![key("all", Role::Admin), key("look", Role::Viewer)]),
            addresses: vec!["127.0.0.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()],
        }
    }

    #[test]
    fn a_key_lets_do_what_its_role_may() {
        let access = access();
        let admit = |shown: &'static str, method| access.admit(Some(shown.as_bytes()), &method);
        assert_eq!(admit("all", Method::PUT), Ok(()));
        assert_eq!(admit("look", Method::GET), Ok(()));
        assert_eq!(
            admit("look", Method::PUT),
            Err("invalid method for role viewer")
        );
        for wrong in ["", "al", "alll", "ALL", "x"] {
            assert_eq!(admit(wrong, Method::GET), Err("wrong apikey"), "{wrong}");
        }
        assert_eq!(access.admit(None, &Method::GET), Err("missing apikey"));
    }

    #[test]
    fn only_allowed_addresses_may_connect() {
        let access = access();
        for (address, allowed) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.1.1", false),
            ("fd00::1", true),
            ("::1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(access.admit_address(address).is_ok(), allowed, "{address}");
        }
    }

    #[test]
    fn no_secret_is_shown_by_accident() {
        assert!(!format!("{:?}", access()).contains("look"));
    }
}
