//! `cargo xtask fuzz`: builds and runs the fuzz targets of `fuzz/`.
//!
//! libFuzzer needs the compiler's coverage passes, which a stable compiler has,
//! and the address sanitizer, which it has as well but offers under a nightly
//! flag only; so this needs neither a nightly compiler nor `cargo fuzz`.
#![allow(clippy::print_stdout, reason = "a command that says what it does")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Every target, with the type of the frames whose payloads it starts from;
/// without one it starts from whole frames.
const TARGETS: [(&str, Option<u8>); 6] = [
    ("frame_decoder", None),
    ("error", Some(0)),
    ("prepare_conf", Some(1)),
    ("http_req_call", Some(2)),
    ("extra_info", Some(3)),
    ("http_resp_call", Some(4)),
];

/// Captured frames, as seen from the workspace's root.
const GOLDEN: [&str; 2] = ["crates/a6/tests/golden", "crates/a6/tests/golden-java"];

/// Length of a frame's header in bytes.
const HEADER_LEN: usize = 4;

/// What the target `frame_decoder` wants before a stream: pieces of seven bytes,
/// payloads of any length.
const STREAM_OPTIONS: [u8; 2] = [6, 255];

/// The longest input the fuzzer makes, in bytes; the longest seed has a few KiB.
const MAX_INPUT: usize = 16 * 1024;

/// Seconds after which a single input counts as a hang.
const HANG: u64 = 10;

/// Lines of a crash that are shown: the panic, and where it came from.
const SHOWN_LINES: usize = 40;

/// What libFuzzer asks of the compiler.
const RUSTFLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Zsanitizer=address",
];

/// Runs each target, or only the named one, for so many seconds.
///
/// # Errors
/// A text saying what is wrong: which inputs crash which target, or why one
/// cannot be built or run.
pub(crate) fn run(seconds: u64, target: Option<&str>) -> Result<(), String> {
    let chosen: Vec<_> = TARGETS
        .into_iter()
        .filter(|(name, _)| target.is_none_or(|target| target == *name))
        .collect();
    if chosen.is_empty() {
        let names = TARGETS.map(|(name, _)| name).join(", ");
        return Err(format!(
            "no fuzz target {}; there are {names}",
            target.unwrap_or_default()
        ));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("xtask is in no workspace")?;
    let fuzz = root.join("fuzz");
    let binaries = build(&fuzz)?;
    let golden = golden(root)?;
    let mut crashed = Vec::new();
    for (name, ty) in chosen {
        let corpus = fuzz.join("corpus").join(name);
        plant(&corpus, &seeds(&golden, ty))?;
        let artifacts = fuzz.join("artifacts").join(name);
        create_folder(&artifacts)?;
        let binary = binaries.join(name);
        let output = fuzz_target(&binary, &corpus, &artifacts, seconds)?;
        if !report(name, &binary, &output) {
            crashed.push(name);
        }
    }
    if crashed.is_empty() {
        Ok(())
    } else {
        Err(format!("fuzz: crashed: {}", crashed.join(", ")))
    }
}

/// Builds all targets; the folder of their binaries.
fn build(fuzz: &Path) -> Result<PathBuf, String> {
    let host = host()?;
    println!("fuzz: building");
    let target_folder = fuzz.join("target");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(fuzz)
        .args(["build", "--quiet", "--release", "--locked", "--bins"])
        // With a target of its own, build scripts are left without the flags.
        .args(["--target", &host, "--target-dir"])
        .arg(&target_folder)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\x1f"))
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("the fuzz targets do not build ({status})"));
    }
    Ok(target_folder.join(host).join("release"))
}

/// The compiler's own target triple.
fn host() -> Result<String, String> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("-vV")
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| format!("rustc -vV names no host:\n{said}"))
}

/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

fn golden(root: &Path) -> Result<Files, String> {
    let mut files = Files::new();
    for folder in GOLDEN {
        files.append(&mut captured(&root.join(folder))?);
    }
    Ok(files)
}

fn captured(folder: &Path) -> Result<Files, String> {
    let failed = |error| format!("cannot read {}: {error}", folder.display());
    let mut files = Files::new();
    for file in fs::read_dir(folder).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if path.extension() == Some("bin".as_ref()) {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            files.insert(name, fs::read(&path).map_err(failed)?);
        }
    }
    Ok(files)
}

/// What a target starts from: payloads of its type, or frames and all of them
/// in a row.
fn seeds(golden: &Files, ty: Option<u8>) -> Files {
    let Some(ty) = ty else {
        let all = golden.values().flatten().copied().collect();
        let streams = golden.clone().into_iter().chain([("all".to_owned(), all)]);
        return streams
            .map(|(name, stream)| (name, [&STREAM_OPTIONS[..], &stream].concat()))
            .collect();
    };
    let of_type = golden
        .iter()
        .filter(|(_, frame)| frame.first() == Some(&ty));
    of_type
        .map(|(name, frame)| {
            (
                name.clone(),
                frame.get(HEADER_LEN..).unwrap_or_default().to_vec(),
            )
        })
        .collect()
}

/// Adds the seeds to what earlier runs found.
fn plant(corpus: &Path, seeds: &Files) -> Result<(), String> {
    create_folder(corpus)?;
    for (name, seed) in seeds {
        let path = corpus.join(name);
        fs::write(&path, seed)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

fn create_folder(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))
}

fn fuzz_target(
    binary: &Path,
    corpus: &Path,
    artifacts: &Path,
    seconds: u64,
) -> Result<Output, String> {
    Command::new(binary)
        // libFuzzer takes 0 for "without end".
        .arg(format!("-max_total_time={}", seconds.max(1)))
        .arg(format!("-max_len={MAX_INPUT}"))
        .arg(format!("-timeout={HANG}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        .arg(corpus)
        .output()
        .map_err(|error| format!("cannot run {}: {error}", binary.display()))
}

/// Prints how a run ended, and for a crash where its input is. Whether all is well.
fn report(name: &str, binary: &Path, output: &Output) -> bool {
    let log = String::from_utf8_lossy(&output.stderr);
    let after = |label: &str| {
        log.lines()
            .find_map(|line| Some(line.split_once(label)?.1.trim()))
    };
    let executions = after("stat::number_of_executed_units:").unwrap_or("an unknown number of");
    let good = output.status.success();
    println!(
        "fuzz: {name:<16}{executions:>12} executions, {} crashes",
        u8::from(!good)
    );
    if !good {
        let before = |line: &&str| !line.contains("panicked at") && !line.contains("ERROR: ");
        for line in log.lines().skip_while(before).take(SHOWN_LINES) {
            println!("    {line}");
        }
        match after("Test unit written to") {
            Some(input) => println!(
                "    the input: {input}\n    again: {} {input}",
                binary.display()
            ),
            None => println!("    no input was written ({})", output.status),
        }
    }
    good
}
