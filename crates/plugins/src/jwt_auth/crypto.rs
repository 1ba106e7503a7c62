//! Signatures of tokens, checked by `ring`, which TLS uses, too.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use ring::hmac;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

/// Smallest RSA key, in bits (`ring` accepts no smaller one; RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2048;

/// Largest RSA key, in bits (`ring` accepts no larger one).
const MAX_RSA_BITS: usize = 8192;

/// Bytes around the modulus of an RSA key in its DER form: at least two heads of
/// four bytes each, and at most those and an exponent of five bytes and its head.
const RSA_FRAME: (usize, usize) = (8, 20);

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has the crate `jsonwebtoken` use `ring`. It keeps its cryptography for the whole
/// process; the first to say which decides.
pub(super) fn install() {
    // It is there already, but for the first time.
    let _ = PROVIDER.install_default();
}

/// Whether a key is of the size that the algorithm needs.
pub(super) fn fits(algorithm: Algorithm, key: &DecodingKey) -> bool {
    let Ok(bytes) = key.try_get_as_bytes() else {
        return false;
    };
    match algorithm {
        Algorithm::ES256 => bytes.len() == 65,
        Algorithm::ES384 => bytes.len() == 97,
        Algorithm::EdDSA => bytes.len() == 32,
        _ if algorithm.family() == AlgorithmFamily::Rsa => {
            let least = MIN_RSA_BITS / 8 + RSA_FRAME.0;
            (least..=MAX_RSA_BITS / 8 + RSA_FRAME.1).contains(&bytes.len())
        }
        _ => true,
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    let bytes = key.try_get_as_bytes()?;
    let secret = |hash| Checked::Secret(hmac::Key::new(hash, bytes));
    let public = |how: &'static dyn VerificationAlgorithm| {
        Checked::Public(UnparsedPublicKey::new(how, bytes.to_vec()))
    };
    let by = match algorithm {
        Algorithm::HS256 => secret(hmac::HMAC_SHA256),
        Algorithm::HS384 => secret(hmac::HMAC_SHA384),
        Algorithm::HS512 => secret(hmac::HMAC_SHA512),
        Algorithm::RS256 => public(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => public(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => public(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => public(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => public(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => public(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => public(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => public(&signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => public(&signature::ED25519),
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    let algorithm = *algorithm;
    Ok(Box::new(ByRing { algorithm, by }))
}

struct ByRing {
    algorithm: Algorithm,
    by: Checked,
}

enum Checked {
    /// Compared in constant time.
    Secret(hmac::Key),
    Public(UnparsedPublicKey<Vec<u8>>),
}

impl Verifier<Vec<u8>> for ByRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        match &self.by {
            Checked::Secret(key) => hmac::verify(key, message, signature),
            Checked::Public(key) => key.verify(message, signature),
        }
        .map_err(|_| Error::new())
    }
}

impl JwtVerifier for ByRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
