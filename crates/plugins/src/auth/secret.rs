//! Secrets that stand elsewhere.

use outrigger_model::Fault;

use crate::conf;

/// The text of the property `key`, which may be a secret: `$env://NAME` is the environment
/// variable's value.
///
/// # Errors
/// There is no such variable, or it names a manager of secrets.
pub(crate) fn secret(key: &str, text: &str) -> Result<String, Fault> {
    if let Some(name) = text.strip_prefix("$env://") {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        return value.ok_or_else(|| {
            conf::wrong_at(key, format!("the environment variable {name} is not set"))
        });
    }
    if text.starts_with("$secret://") {
        let message = "secret managers are not supported: use $env://NAME";
        return Err(conf::wrong_at(key, message));
    }
    Ok(text.to_owned())
}
