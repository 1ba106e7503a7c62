//! What a runner gets of the gateway's environment: what is declared, a few
//! names without which hardly a program works, and nothing else.

use std::ffi::OsString;

use outrigger_config::EnvRule;

/// Passed undeclared, where the gateway has them.
const ALWAYS_PASSED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/// A runner's environment; `own` reads the gateway's. Of several rules for one
/// name the last counts.
pub(crate) fn of_runner(
    rules: &[EnvRule],
    own: impl Fn(&str) -> Option<OsString>,
) -> Vec<(OsString, OsString)> {
    let always = ALWAYS_PASSED.iter().map(|name| (*name, own(name)));
    let declared = rules.iter().map(|rule| match rule {
        EnvRule::Pass(name) => (name.as_str(), own(name)),
        EnvRule::Set(name, value) => (name.as_str(), Some(value.into())),
    });
    let mut environment: Vec<(OsString, OsString)> = Vec::new();
    for (name, value) in always.chain(declared) {
        environment.retain(|(known, _)| known != name);
        environment.extend(value.map(|value| (name.into(), value)));
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_declared_passes() {
        let own = |name: &str| match name {
            "PATH" => Some("/bin".into()),
            "MINE" => Some("mine".into()),
            "SECRET" => Some("secret".into()),
            _ => None,
        };
        let set = |name: &str, value: &str| EnvRule::Set(name.into(), value.into());
        let rules = [
            EnvRule::Pass("MINE".into()),
            EnvRule::Pass("ABSENT".into()),
            set("NEW", "a=b"),
            set("HOME", "/elsewhere"),
            set("NEW", "later"),
        ];
        let environment = of_runner(&rules, own);
        let shown: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            shown,
            ["PATH=/bin", "MINE=mine", "HOME=/elsewhere", "NEW=later"]
        );
    }
}
