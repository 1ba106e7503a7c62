//! What tokens of one consumer are checked with.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode};
use outrigger_model::read::{At, Object};
use serde::de::IgnoredAny;

use super::crypto;
use crate::auth;

/// The claims that can be asked for.
pub(super) const CLAIMS: [&str; 2] = ["exp", "nbf"];

/// APISIX's names of algorithms. `none` is none of them.
const ALGORITHMS: [&str; 13] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256",
    "PS384", "PS512", "EdDSA",
];

/// Longest `lifetime_grace_period`, in seconds: a year. Beyond it, a token's end
/// would mean nothing; ours.
const MAX_GRACE: i64 = 366 * 24 * 60 * 60;

/// A key, and the one algorithm that it is for.
pub(super) struct Key {
    key: DecodingKey,
    validation: Validation,
}

impl Key {
    /// Reads what a consumer's configuration says of it.
    pub(super) fn read(object: &Object<'_>) -> Option<Self> {
        let algorithm = object.read("algorithm", |at| {
            let name = at.one_of(&ALGORITHMS)?;
            if name == "ES512" {
                at.fault("ES512 is not supported: use ES256, ES384 or EdDSA");
            }
            name.parse().ok()
        });
        let is_default = object.get("algorithm").is_none();
        let algorithm = algorithm.or(is_default.then_some(Algorithm::HS256));
        // How long tokens live that APISIX used to sign; whoever signs them says it.
        object.read("exp", |at| at.integer(1..=i64::MAX));
        let grace = object.read("lifetime_grace_period", |at| at.integer(0..=MAX_GRACE));
        let base64 = object.read("base64_secret", At::boolean).unwrap_or(false);
        let algorithm = algorithm?;
        let key = match algorithm.family() {
            AlgorithmFamily::Hmac => read_secret(object, base64)?,
            _ => read_public_key(object, algorithm)?,
        };
        let mut validation = Validation::new(algorithm);
        validation.leeway = grace.and_then(|grace| grace.try_into().ok()).unwrap_or(0);
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.required_spec_claims = HashSet::new();
        Some(Self { key, validation })
    }

    /// Whether the token is signed with this key, and holds now. Which other
    /// claims there must be besides is `required`.
    pub(super) fn verify(&self, token: &[u8], required: &[&'static str]) -> Result<(), Error> {
        crypto::install();
        let verified = match required {
            [] => decode::<IgnoredAny>(token, &self.key, &self.validation),
            required => {
                let mut validation = self.validation.clone();
                validation.set_required_spec_claims(required);
                decode::<IgnoredAny>(token, &self.key, &validation)
            }
        };
        // What must be understood is not (RFC 7515, section 4.1.11).
        match verified?.header.crit {
            None => Ok(()),
            Some(_) => Err(ErrorKind::InvalidToken.into()),
        }
    }
}

/// Never shows the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key for {:?}", self.validation.algorithms)
    }
}

fn read_secret(object: &Object<'_>, base64: bool) -> Option<DecodingKey> {
    let Some(at) = object.get("secret") else {
        let message = "property \"secret\" is required when using HS based algorithms";
        object.at().fault(message);
        return None;
    };
    let secret = auth::secret(&at)?;
    if !base64 {
        return Some(DecodingKey::from_secret(secret.as_bytes()));
    }
    match BASE64_STANDARD.decode(secret) {
        Ok(secret) if !secret.is_empty() => Some(DecodingKey::from_secret(&secret)),
        _ => {
            let message = "base64_secret required but the secret is not in base64 format";
            object.at().fault(message);
            None
        }
    }
}

fn read_public_key(object: &Object<'_>, algorithm: Algorithm) -> Option<DecodingKey> {
    let at = object.require("public_key")?;
    let pem = auth::secret(&at)?;
    let key = match algorithm.family() {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem.as_bytes()),
        _ => DecodingKey::from_ed_pem(pem.as_bytes()),
    };
    let fits = key.ok().filter(|key| crypto::fits(algorithm, key));
    if fits.is_none() {
        at.fault(format!(
            "expected a public key for {algorithm:?} in PEM format (RSA: of 2048 to 8192 bits)"
        ));
    }
    fits
}
