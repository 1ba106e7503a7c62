//! The runners under test: how each is built and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// A runner ready to be started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its name on the command line and in the exclusions.
    pub(crate) name: &'static str,
    /// The gateway it is tested with.
    pub(crate) gateway: PathBuf,
    /// What starts it.
    pub(crate) command: Vec<String>,
    /// Which plugins it has.
    pub(crate) plugins: Plugins,
    /// What it writes to its output when it serves.
    pub(crate) hello: &'static str,
    /// What it writes to its output when it gets SIGTERM, if anything.
    pub(crate) goodbye: Option<&'static str>,
}

/// The plugins a runner has, hence the scenarios it can play in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plugins {
    /// The plugins of `go/` and `java/`.
    Conformance,
    /// The plugins of `outrigger demo-runner`.
    Demo,
}

impl Program {
    /// A plugin's configuration that answers every request with `text`.
    pub(crate) fn says(&self, text: &str) -> (&'static str, Value) {
        match self.plugins {
            Plugins::Conformance => ("conf-stop", json!({"body": text})),
            Plugins::Demo => ("say", json!({"body": text})),
        }
    }

    /// What starts it so that it ignores SIGTERM, if it can be told to.
    pub(crate) fn lingering(&self) -> Vec<String> {
        let mut command = self.command.clone();
        command.push("linger".to_owned());
        command
    }
}

/// A runner that may or may not be there to test.
pub(crate) enum Found {
    /// It is built.
    Ready(Program),
    /// A tool is missing, which the text says.
    Missing(String),
}

/// The names that `--only` knows.
pub(crate) const NAMES: [&str; 3] = ["go", "java", "demo"];

/// Builds the runner `name`. A missing tool is a finding, a failed build an
/// error.
pub(crate) fn build(name: &str, gateway: &Path) -> Result<Found, String> {
    match name {
        "go" => go(gateway),
        "java" => java(gateway),
        "demo" => demo(gateway),
        _ => Err(format!("no runner {name:?}; there are {NAMES:?}")),
    }
}

fn go(gateway: &Path) -> Result<Found, String> {
    if !runs("go", "version") {
        return Ok(missing("go"));
    }
    let program = out_folder().join("go-runner");
    let mut build = Command::new("go");
    build
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg(".");
    build.current_dir(folder().join("go"));
    run(&mut build)?;
    Ok(Found::Ready(Program {
        name: "go",
        gateway: gateway.to_owned(),
        command: vec![text(&program)],
        plugins: Plugins::Conformance,
        hello: "listening to ",
        goodbye: Some("server receive terminated and exit"),
    }))
}

fn java(gateway: &Path) -> Result<Found, String> {
    for (tool, argument) in [("java", "-version"), ("mvn", "-version")] {
        if !runs(tool, argument) {
            return Ok(missing(tool));
        }
    }
    let source = folder().join("java");
    let maven = |arguments: &[&str]| {
        let mut build = Command::new("mvn");
        build.args(["-q", "-B"]).args(arguments).arg("package");
        build.current_dir(&source);
        run(&mut build)
    };
    // Offline first: it saves the questions to the repository when everything
    // has been downloaded before.
    maven(&["-o"]).or_else(|_| maven(&[]))?;
    let jar = source.join("target/java-runner.jar");
    Ok(Found::Ready(Program {
        name: "java",
        gateway: gateway.to_owned(),
        command: vec!["java".to_owned(), "-jar".to_owned(), text(&jar)],
        plugins: Plugins::Conformance,
        hello: "java runner is listening on the socket file",
        goodbye: None,
    }))
}

fn demo(gateway: &Path) -> Result<Found, String> {
    Ok(Found::Ready(Program {
        name: "demo",
        gateway: gateway.to_owned(),
        command: vec![text(gateway), "demo-runner".to_owned()],
        plugins: Plugins::Demo,
        hello: "listening",
        goodbye: None,
    }))
}

fn missing(tool: &str) -> Found {
    Found::Missing(format!("`{tool}` is not on PATH, or does not run"))
}

fn runs(tool: &str, argument: &str) -> bool {
    let output = Command::new(tool).arg(argument).output();
    output.is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?} failed, {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// This package's folder.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where built runners go.
fn out_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || folder().join("../target"),
        |target| folder().join("..").join(target),
    );
    target.join("conformance")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
