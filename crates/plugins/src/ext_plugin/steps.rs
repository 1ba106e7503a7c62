//! Which calls a route's external plugins make: entries that follow each other
//! with the same runner are one call, which the runner runs in one go.
//!
//! An entry with a `when` of its own is a call of its own, so that skipping it
//! skips nothing else.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use outrigger_engine::plugin::Owner;
use outrigger_host::{Conf as HostConf, Runner};
use outrigger_model::expr::Expr;
use outrigger_model::{Fault, PropertyPath};
use outrigger_telemetry::metrics::{CallLabels, Calls};

use super::conf::{Conf, Entry};
use super::{External, Phase, Runners};
use crate::conf;

/// One call, which a request or response makes on its way.
pub(super) struct Step {
    pub(super) runner: Arc<Runner>,
    pub(super) conf: Arc<HostConf>,
    /// For which requests it is made.
    pub(super) when: Option<Expr>,
    /// Where it is counted.
    pub(super) calls: Calls,
}

/// The calls of a configuration, in their order. One without entries has a
/// call all the same, as in APISIX.
///
/// # Errors
/// A runner that does not exist.
pub(super) fn steps(
    conf: &mut Conf,
    external: &External,
    owner: &Owner,
    phase: Phase,
) -> Result<Vec<Step>, Fault> {
    let runners = &external.runners;
    let root = PropertyPath::root;
    let common = find(runners, conf.runner.as_deref(), || root().key("runner"))?;
    let mut groups: Vec<Group> = Vec::new();
    for (index, entry) in std::mem::take(&mut conf.entries).into_iter().enumerate() {
        let runner = match &entry.runner {
            Some(name) => find(runners, Some(name), || {
                root().key("conf").index(index).key("runner")
            })?,
            None => Arc::clone(&common),
        };
        match groups.last_mut() {
            Some(group) if group.takes(&runner, &entry) => group.push(entry),
            _ => groups.push(Group::of(runner, entry)),
        }
    }
    if groups.is_empty() {
        groups.push(Group {
            runner: common,
            entries: Vec::new(),
            when: None,
        });
    }
    let steps = groups.into_iter().enumerate();
    Ok(steps
        .map(|(index, group)| {
            let calls = external.metrics.calls(CallLabels {
                runner: group.runner.name(),
                phase: phase.word(),
                owner_kind: owner.kind.singular(),
                owner_id: owner.id.as_str(),
            });
            group.into_step(index, owner, phase, calls)
        })
        .collect())
}

/// Whether all runners that a configuration names are there.
///
/// # Errors
/// As those of [`steps`].
pub(super) fn check(conf: &Conf, runners: &Runners) -> Result<(), Fault> {
    let root = PropertyPath::root;
    find(runners, conf.runner.as_deref(), || root().key("runner"))?;
    for (index, entry) in conf.entries.iter().enumerate() {
        find(runners, entry.runner.as_deref(), || {
            root().key("conf").index(index).key("runner")
        })?;
    }
    Ok(())
}

fn find(
    runners: &Runners,
    name: Option<&str>,
    place: impl FnOnce() -> PropertyPath,
) -> Result<Arc<Runner>, Fault> {
    let found = runners.find(name).map(Arc::clone);
    found.ok_or_else(|| {
        let known = runners.names();
        let message = format!(
            "there is no runner of this name in config.yaml (ext-plugin.runners); there are: {known}"
        );
        conf::fault(place(), message)
    })
}

struct Group {
    runner: Arc<Runner>,
    entries: Vec<(String, String)>,
    when: Option<Expr>,
}

impl Group {
    fn of(runner: Arc<Runner>, entry: Entry) -> Self {
        Group {
            runner,
            when: entry.when,
            entries: vec![(entry.name, entry.value)],
        }
    }

    fn takes(&self, runner: &Arc<Runner>, entry: &Entry) -> bool {
        self.when.is_none() && entry.when.is_none() && Arc::ptr_eq(&self.runner, runner)
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push((entry.name, entry.value));
    }

    /// The key is what the runner knows the configuration by. Some runners
    /// answer an old token to a key they know, so other contents, and another
    /// call of the same route, need another key.
    fn into_step(self, index: usize, owner: &Owner, phase: Phase, calls: Calls) -> Step {
        let mut hasher = DefaultHasher::new();
        (index, &self.entries).hash(&mut hasher);
        let (kind, id, plugin) = (owner.kind, &owner.id, phase.plugin_name());
        let key = format!("{kind}#{id}#{plugin}#{:016x}", hasher.finish());
        let conf = HostConf::new(key, self.entries);
        conf.prepare_ahead(&self.runner);
        Step {
            runner: self.runner,
            conf,
            when: self.when,
            calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_host::Settings;
    use outrigger_model::Kind;
    use outrigger_telemetry::metrics::Metrics;
    use serde_json::{Value, json};

    fn external() -> External {
        let runner = |name: &str| Runner::new(name, Settings::default(), Arc::new(()));
        let runners = Runners::new(runner("default"), [runner("go"), runner("java")]);
        External::new(runners, &Metrics::new(1))
    }

    fn built(json: Value) -> Result<Vec<Step>, Fault> {
        built_for(Kind::Route, Phase::PreReq, json)
    }

    fn built_for(kind: Kind, phase: Phase, json: Value) -> Result<Vec<Step>, Fault> {
        let owner = Owner {
            kind,
            id: "1".parse().unwrap(),
        };
        steps(&mut Conf::read(&json).unwrap(), &external(), &owner, phase)
    }

    /// Each step's runner and the names of its plugins.
    fn shown(json: Value) -> Vec<String> {
        let steps = built(json).unwrap();
        let names = |step: &Step| {
            let names: Vec<_> = step
                .conf
                .entries()
                .iter()
                .map(|(name, _)| &**name)
                .collect();
            format!("{}: {}", step.runner.name(), names.join(" "))
        };
        steps.iter().map(names).collect()
    }

    fn entry(name: &str, runner: Value) -> Value {
        json!({"name": name, "value": "", "runner": runner})
    }

    fn plain(name: &str) -> Value {
        json!({"name": name, "value": ""})
    }

    #[test]
    fn entries_of_one_runner_in_a_row_are_one_call() {
        let conf = json!({"conf": [plain("a"), entry("b", json!("default")), entry("c", json!("go")),
                                   entry("d", json!("go")), plain("e")]});
        assert_eq!(shown(conf), ["default: a b", "go: c d", "default: e"]);
    }

    #[test]
    fn an_entrys_runner_goes_before_the_plugins() {
        let conf =
            json!({"runner": "java", "conf": [plain("a"), entry("b", json!("go")), plain("c")]});
        assert_eq!(shown(conf), ["java: a", "go: b", "java: c"]);
        assert_eq!(shown(json!({"runner": "go"})), ["go: "]);
    }

    #[test]
    fn an_entry_with_a_condition_is_a_call_of_its_own() {
        let when = json!({"name": "b", "value": "", "when": [["arg_x", "==", "1"]]});
        let conf = json!({"conf": [plain("a"), when, when, plain("c"), plain("d")]});
        assert_eq!(
            shown(conf),
            ["default: a", "default: b", "default: b", "default: c d"]
        );
    }

    #[test]
    fn a_runner_that_does_not_exist_is_named_with_those_that_do() {
        let known = "there is no runner of this name in config.yaml (ext-plugin.runners); \
                     there are: default, go, java";
        for (conf, place) in [
            (json!({"runner": "rust"}), "runner"),
            (
                json!({"conf": [plain("a"), entry("b", json!("rust"))]}),
                "conf[1].runner",
            ),
        ] {
            let fault = built(conf).map(|_| ()).unwrap_err();
            assert_eq!(fault.to_string(), format!("{place}: {known}"));
        }
    }

    #[test]
    fn each_call_and_each_content_has_a_key_of_its_own() {
        let keys = |json: Value| -> Vec<String> {
            let steps = built(json).unwrap();
            steps
                .iter()
                .map(|step| step.conf.key().to_owned())
                .collect()
        };
        let twice = json!({"conf": [plain("a"), entry("b", json!("go")), plain("a")]});
        let keys_twice = keys(twice.clone());
        assert!(
            keys_twice
                .iter()
                .all(|key| key.starts_with("route#1#ext-plugin-pre-req#"))
        );
        assert_ne!(keys_twice[0], keys_twice[2]);
        assert_eq!(keys_twice, keys(twice));
        assert_ne!(
            keys(json!({"conf": [plain("a")]})),
            keys(json!({"conf": [plain("b")]}))
        );
    }

    #[test]
    fn a_key_names_resource_and_phase() {
        for (kind, phase, begin) in [
            (Kind::Route, Phase::PostReq, "route#1#ext-plugin-post-req#"),
            (
                Kind::Service,
                Phase::PostResp,
                "service#1#ext-plugin-post-resp#",
            ),
            (
                Kind::GlobalRule,
                Phase::Log,
                "global_rule#1#ext-plugin-log#",
            ),
        ] {
            let steps = built_for(kind, phase, json!({"conf": [plain("a")]})).unwrap();
            let key = steps[0].conf.key();
            assert!(key.starts_with(begin), "{key}");
        }
    }
}
