//! Certificates and keys of an ssl, told of in APISIX's words.
//!
//! Whether a key belongs to its certificate is found out by trying it.

use outrigger_model::{BadIdentity, Identity};
use serde_json::Value;

/// Checks an ssl that agrees with its schema.
///
/// # Errors
/// What is wrong with it, without showing any of it.
pub(super) fn check(ssl: &Value) -> Result<(), String> {
    let text = |name: &str| ssl.get(name).and_then(Value::as_str).unwrap_or_default();
    check_pair(text("cert"), text("key"))?;
    if ssl.get("type").and_then(Value::as_str) == Some("client") {
        return Ok(());
    }
    let texts = |name: &str| -> Vec<&str> {
        let items = ssl.get(name).and_then(Value::as_array);
        let items = items.into_iter().flatten();
        items
            .map(|item| item.as_str().unwrap_or_default())
            .collect()
    };
    let (certs, keys) = (texts("certs"), texts("keys"));
    if certs.len() != keys.len() {
        return Err("mismatched number of certs and keys".to_owned());
    }
    for (place, (cert, key)) in certs.iter().zip(keys).enumerate() {
        check_pair(cert, key)
            .map_err(|why| format!("failed to handle cert-key pair[{}]: {why}", place + 1))?;
    }
    let ca = ssl.pointer("/client/ca").and_then(Value::as_str);
    match ca.map(outrigger_model::certificates) {
        Some(None) => Err(format!("failed to validate client_cert: {BAD_CERT}")),
        _ => Ok(()),
    }
}

const BAD_CERT: &str = "failed to parse cert: it is not in PEM format";
const BAD_KEY: &str = "failed to parse key: it is not in PEM format";

fn check_pair(cert: &str, key: &str) -> Result<(), &'static str> {
    match Identity::from_pem(cert, key) {
        Ok(_) => Ok(()),
        Err(BadIdentity::Certificate) => Err(BAD_CERT),
        Err(BadIdentity::Key) => Err(BAD_KEY),
    }
}
