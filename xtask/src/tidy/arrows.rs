//! Rule `arrow`: a crate uses only what the table of crates allows.
//!
//! Development dependencies are free, because tests may look at anything, but
//! nothing builds on the binary, and the process-level test harness is for the
//! tests of the whole alone.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Finding;

const RULE: &str = "arrow";

/// Each crate of the workspace, without its `outrigger-` prefix, and those of
/// ours that its code may use. The table stands in ARCHITECTURE.md too.
const TABLE: &[(&str, &[&str])] = &[
    ("a6", &[]),
    ("runner", &["a6"]),
    ("host", &["a6"]),
    ("supervisor", &[]),
    ("conform", &["a6"]),
    ("testkit", &["a6", "runner"]),
    ("model", &[]),
    ("telemetry", &[]),
    ("engine", &["model", "telemetry"]),
    ("plugins", &["engine", "model", "host", "telemetry"]),
    ("config", &["model"]),
    ("admin", &["model", "config", "telemetry"]),
    ("proxy", &["engine", "model", "telemetry"]),
    (
        BINARY,
        &[
            "a6",
            "runner",
            "host",
            "supervisor",
            "conform",
            "model",
            "telemetry",
            "engine",
            "plugins",
            "config",
            "admin",
            "proxy",
        ],
    ),
    (HARNESS, &[]),
    ("bench", &[HARNESS]),
    ("conformance", &["a6", HARNESS]),
    ("xtask", &[]),
];

/// The binary's crate, which has no prefix.
const BINARY: &str = "outrigger";

/// Starts whole processes for tests.
const HARNESS: &str = "harness";

/// Whose tests use the harness. The conformance suite and the benchmarks look at whole
/// processes too and so use it as a library, which the table allows.
const HARNESS_USERS: &[&str] = &[BINARY, "bench", "conformance"];

/// The HTTP and TLS libraries, which may be changed for others one day.
const HTTP: &[&str] = &["hyper", "hyper-util", "rustls", "tokio-rustls"];

/// Who may use them: on the way of a request the proxy alone; beside it
/// telemetry asks a collector, config an etcd, admin speaks TLS, and the binary's demo and the
/// harness have upstreams and clients.
const HTTP_USERS: &[&str] = &["admin", "config", "proxy", "telemetry", BINARY, HARNESS];

/// Checks every member that `cargo metadata` tells.
pub(super) fn check(root: &Path, metadata: &Value) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for package in members(metadata)? {
        let manifest = Path::new(package.manifest);
        let text =
            fs::read_to_string(manifest).map_err(|e| format!("{}: {e}", package.manifest))?;
        let file = manifest.strip_prefix(root).unwrap_or(manifest);
        findings.extend(
            package
                .complaints()
                .into_iter()
                .map(|(culprit, message)| Finding {
                    file: file.to_owned(),
                    line: line_of(&text, culprit),
                    rule: RULE,
                    message,
                }),
        );
    }
    Ok(findings)
}

/// A member of the workspace.
struct Package<'a> {
    name: &'a str,
    manifest: &'a str,
    dependencies: Vec<Dependency<'a>>,
}

struct Dependency<'a> {
    name: &'a str,
    for_tests: bool,
}

fn members(metadata: &Value) -> Result<Vec<Package<'_>>, String> {
    let packages = metadata["packages"]
        .as_array()
        .ok_or("cargo metadata: no packages")?;
    packages
        .iter()
        .map(member)
        .collect::<Option<_>>()
        .ok_or_else(|| {
            "cargo metadata: a package without name, manifest_path or dependencies".to_owned()
        })
}

fn member(package: &Value) -> Option<Package<'_>> {
    let dependencies = package["dependencies"].as_array()?.iter();
    let dependencies = dependencies.map(|it| {
        Some(Dependency {
            name: it["name"].as_str()?,
            for_tests: it["kind"] == "dev",
        })
    });
    Some(Package {
        name: package["name"].as_str()?,
        manifest: package["manifest_path"].as_str()?,
        dependencies: dependencies.collect::<Option<_>>()?,
    })
}

impl Package<'_> {
    /// Each culprit, a dependency or the package itself, and what to say of it.
    fn complaints(&self) -> Vec<(&str, String)> {
        let name = short(self.name);
        let Some(allowed) = allowed(name) else {
            let message = format!(
                "`{name}` is not in the table of crates: add it, with what it may use, to \
                 xtask/src/tidy/arrows.rs and ARCHITECTURE.md"
            );
            return vec![(self.name, message)];
        };
        let complaint = |it: &Dependency<'_>| complaint(name, allowed, it);
        let found = self.dependencies.iter();
        found
            .filter_map(|it| Some((it.name, complaint(it)?)))
            .collect()
    }
}

fn complaint(name: &str, allowed: &[&str], dependency: &Dependency<'_>) -> Option<String> {
    let used = short(dependency.name);
    if HTTP.contains(&used) {
        return (!dependency.for_tests && !HTTP_USERS.contains(&name)).then(|| {
            format!("`{name}` may not use {used}, only {HTTP_USERS:?} may: go through `proxy`")
        });
    }
    // Not ours.
    self::allowed(used)?;
    if used == BINARY {
        return Some(format!(
            "`{name}` may not use the binary: move what it needs to a library"
        ));
    }
    if used == HARNESS && dependency.for_tests {
        return (!HARNESS_USERS.contains(&name)).then(|| {
            format!(
                "tests of `{name}` may not use `{used}`, only those of {HARNESS_USERS:?} may: \
                     test it without other processes, or from there"
            )
        });
    }
    (!dependency.for_tests && !allowed.contains(&used)).then(|| {
        format!(
            "`{name}` may not use `{used}`, only {allowed:?}: move what it needs to a crate \
                 that both may use, or report through a trait that the binary connects"
        )
    })
}

fn short(package: &str) -> &str {
    package.strip_prefix("outrigger-").unwrap_or(package)
}

fn allowed(name: &str) -> Option<&'static [&'static str]> {
    TABLE
        .iter()
        .find(|(it, _)| *it == name)
        .map(|(_, allowed)| *allowed)
}

/// The line of a manifest that begins with this name, or the first.
fn line_of(manifest: &str, name: &str) -> usize {
    let names = |line: &str| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    manifest.lines().position(names).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is said of a package with these dependencies, each with its kind.
    fn complaints(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(name, kind)| json!({"name": name, "kind": kind}))
            .collect();
        let package = json!({
            "name": name, "manifest_path": "/Cargo.toml", "dependencies": dependencies,
        });
        let metadata = json!({"packages": [package]});
        let packages = members(&metadata).unwrap();
        packages[0]
            .complaints()
            .into_iter()
            .map(|(_, message)| message)
            .collect()
    }

    #[test]
    fn the_table_has_no_cycle_and_names_only_what_is_in_it() {
        // Each row may use only rows before it.
        for (index, (name, allowed)) in TABLE.iter().enumerate() {
            for used in *allowed {
                let before = TABLE[..index].iter().any(|(it, _)| it == used);
                assert!(before, "{name} uses {used}, which does not stand before it");
            }
        }
    }

    #[test]
    fn an_arrow_of_the_table_and_foreign_crates_pass() {
        assert_eq!(
            complaints("outrigger-host", &[("outrigger-a6", None), ("tokio", None)]),
            [""; 0]
        );
    }

    #[test]
    fn an_arrow_upward_is_found_also_in_a_build_script() {
        for kind in [None, Some("build")] {
            let found = complaints("outrigger-host", &[("outrigger-engine", kind)]);
            assert!(
                found[0].starts_with("`host` may not use `engine`, only [\"a6\"]"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn tests_may_use_anything_but_the_binary_and_the_harness() {
        let dev = Some("dev");
        assert_eq!(
            complaints("outrigger-host", &[("outrigger-testkit", dev)]),
            [""; 0]
        );
        assert_eq!(complaints("outrigger-host", &[("outrigger", dev)]).len(), 1);
        assert_eq!(
            complaints("outrigger-host", &[("outrigger-harness", dev)]).len(),
            1
        );
        assert_eq!(
            complaints("outrigger", &[("outrigger-harness", dev)]),
            [""; 0]
        );
        assert_eq!(
            complaints("outrigger", &[("outrigger-harness", None)]).len(),
            1
        );
    }

    #[test]
    fn http_is_the_proxys() {
        assert_eq!(complaints("outrigger-proxy", &[("hyper", None)]), [""; 0]);
        assert_eq!(
            complaints("outrigger-engine", &[("hyper", Some("dev"))]),
            [""; 0]
        );
        let found = complaints("outrigger-engine", &[("rustls", None)]);
        assert!(
            found[0].starts_with("`engine` may not use rustls"),
            "{found:?}"
        );
    }

    #[test]
    fn a_crate_that_is_not_in_the_table_is_found() {
        let found = complaints("outrigger-extra", &[]);
        assert!(
            found[0].starts_with("`extra` is not in the table"),
            "{found:?}"
        );
    }

    #[test]
    fn the_line_is_that_of_the_dependency() {
        let manifest = "[dependencies]\nhyper-util = \"1\"\nhyper.workspace = true\n";
        assert_eq!(line_of(manifest, "hyper"), 3);
        assert_eq!(line_of(manifest, "absent"), 1);
    }
}
