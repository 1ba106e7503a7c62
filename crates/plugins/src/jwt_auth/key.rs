//! What tokens of one consumer are checked with.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode};
use outrigger_model::Fault;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::crypto;
use crate::conf;

/// A claim that a token can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Claim {
    Exp,
    Nbf,
}

impl Claim {
    fn name(&self) -> &'static str {
        match self {
            Self::Exp => "exp",
            Self::Nbf => "nbf",
        }
    }
}

/// What a consumer's configuration says. `exp` is how long tokens live that APISIX used
/// to sign; whoever signs them says it.
#[derive(Deserialize)]
pub(super) struct OfConsumer {
    pub(super) key: String,
    algorithm: String,
    secret: Option<String>,
    public_key: Option<String>,
    base64_secret: bool,
    /// In seconds.
    lifetime_grace_period: u64,
}

/// A key, and the one algorithm that it is for.
pub(super) struct Key {
    key: DecodingKey,
    validation: Validation,
}

impl Key {
    /// # Errors
    /// The property that does not hold.
    pub(super) fn new(conf: &OfConsumer) -> Result<Self, Fault> {
        let algorithm = conf.algorithm.parse::<Algorithm>().map_err(|_| {
            let message = format!(
                "{} is not supported: use ES256, ES384 or EdDSA",
                conf.algorithm
            );
            conf::wrong_at("algorithm", message)
        })?;
        let key = match algorithm.family() {
            AlgorithmFamily::Hmac => secret(conf)?,
            _ => public_key(conf, algorithm)?,
        };
        let mut validation = Validation::new(algorithm);
        validation.leeway = conf.lifetime_grace_period;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.required_spec_claims = HashSet::new();
        Ok(Self { key, validation })
    }

    /// Whether the token is signed with this key, and holds now. Which other
    /// claims there must be besides is `required`.
    pub(super) fn verify(&self, token: &[u8], required: &[Claim]) -> Result<(), Error> {
        crypto::install();
        let verified = match required {
            [] => decode::<IgnoredAny>(token, &self.key, &self.validation),
            required => {
                let mut validation = self.validation.clone();
                validation.set_required_spec_claims(
                    &required.iter().map(Claim::name).collect::<Vec<_>>(),
                );
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

fn secret(conf: &OfConsumer) -> Result<DecodingKey, Fault> {
    let Some(secret) = &conf.secret else {
        let message = "property \"secret\" is required when using HS based algorithms";
        return Err(conf::wrong(message));
    };
    if !conf.base64_secret {
        return Ok(DecodingKey::from_secret(secret.as_bytes()));
    }
    match BASE64_STANDARD.decode(secret) {
        Ok(secret) if !secret.is_empty() => Ok(DecodingKey::from_secret(&secret)),
        _ => Err(conf::wrong(
            "base64_secret required but the secret is not in base64 format",
        )),
    }
}

fn public_key(conf: &OfConsumer, algorithm: Algorithm) -> Result<DecodingKey, Fault> {
    let pem = conf.public_key.as_deref().unwrap_or_default();
    let key = match algorithm.family() {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem.as_bytes()),
        _ => DecodingKey::from_ed_pem(pem.as_bytes()),
    };
    let fits = key.ok().filter(|key| crypto::fits(algorithm, key));
    fits.ok_or_else(|| {
        let message = format!(
            "expected a public key for {algorithm:?} in PEM format (RSA: of 2048 to 8192 bits)"
        );
        conf::wrong_at("public_key", message)
    })
}
