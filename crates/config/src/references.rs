//! References to secrets that are kept elsewhere: `$env://NAME`.

/// What a reference to the environment begins with, in lower case.
const ENV: &str = "$env://";
/// What a reference to a secret manager begins with.
const SECRET: &str = "$secret://";

/// Whether a text names a secret and is none itself.
pub fn is_reference(text: &str) -> bool {
    is_env(text) || text.starts_with(SECRET)
}

/// As in APISIX, `$ENV://` is the same.
fn is_env(text: &str) -> bool {
    let start = text.as_bytes().get(..ENV.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(ENV.as_bytes()))
}
