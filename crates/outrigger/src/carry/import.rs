//! `outrigger import`: resources of a file are brought into the store, if all of
//! them hold.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use outrigger_config::portable::{self, Carried, Plan};
use outrigger_config::store::{Inventory, Key, Seal};
use outrigger_config::{Document, Format, Report, Settings, Source, apisix_yaml};
use outrigger_model::PropertyPath;
use serde_json::Value;

use super::{IN_MEMORY, Kept, counted};
use crate::Failure;
use crate::cli::ImportArguments;
use crate::offline;
use crate::run::control_runtime;
use crate::source::{Live, env};

/// From how many changes on it is said what takes its time.
const MANY: usize = 1000;

pub(crate) fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let settings = Settings::load(&arguments.config, &env)?;
    if settings.source == Source::Memory {
        return Err(IN_MEMORY.into());
    }
    if let Source::File { path, .. } = &settings.source {
        return Err(format!(
            "resources come from {}: write them there; \
             only a gateway with a store takes them in (deployment.role: traditional)",
            path.display()
        )
        .into());
    }
    let (live, _) = offline::live(&settings)?;
    let (document, wanted) = wanted(arguments, live.seal())?;
    control_runtime()?.block_on(async {
        // A store that is not there is as good as an empty one until all is right.
        let kept = Kept::open(&settings, live.seal()).await?;
        let before = kept.as_ref().map(|kept| Arc::clone(&kept.inventory));
        let before = before.unwrap_or_default();
        let plan = portable::plan(&before, wanted, arguments.replace, now());
        if plan.changes.len() >= MANY {
            tell_progress(&format!("checking {} changes", plan.changes.len()));
        }
        check(&live, &document, &plan, &before)?;
        let revision = match (arguments.dry_run || plan.is_empty(), kept) {
            (true, _) => None,
            (false, Some(kept)) => Some(bring_in(&kept, &plan).await?),
            (false, None) => {
                Some(bring_in(&Kept::make(&settings, live.seal()).await?, &plan).await?)
            }
        };
        tell(arguments, &plan, revision);
        Ok(())
    })
}

async fn bring_in(kept: &Kept, plan: &Plan) -> Result<u64, Failure> {
    let total = plan.changes.len();
    let progress = |made: usize| {
        if total >= MANY || made < total {
            tell_progress(&format!("{made} of {total} changes made"));
        }
    };
    kept.write(plan.changes.clone(), progress).await
}

/// The file's document, and its resources by their keys. Secrets may stand in it as the
/// Admin API shows them.
fn wanted(
    arguments: &ImportArguments,
    seal: &Seal,
) -> Result<(Document, Vec<(Key, Value)>), Failure> {
    let file = &arguments.file;
    let text =
        read(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
    let given = arguments.format.map(Format::from);
    let format = given
        .or_else(|| Format::of_file(file))
        .unwrap_or(Format::Yaml);
    let (document, _) = apisix_yaml::parse_part(&text, format, file, &env)?;
    let keyed = keyed(&document)?.into_iter();
    let wanted = keyed.map(|(key, value)| {
        let plain = seal.submitted(&key, &value).into_owned();
        (key, plain)
    });
    let wanted = wanted.collect();
    Ok((document, wanted))
}

/// The text of a file, or of standard input by the name `-`.
fn read(file: &Path) -> io::Result<String> {
    match file.to_str() {
        Some("-") => outrigger_config::read_all(io::stdin()),
        _ => outrigger_config::read_file(file),
    }
}

/// The resources by their keys, of which each is there once.
fn keyed(document: &Document) -> Result<Vec<(Key, Value)>, Report> {
    let mut wanted = Vec::new();
    let mut problems = Vec::new();
    let mut seen: HashMap<Key, usize> = HashMap::new();
    for carried in portable::resources(document) {
        let Carried {
            collection,
            index,
            key,
            value,
        } = carried;
        let path = PropertyPath::root().key(collection).index(index);
        match key {
            Err(_) => problems.push((
                path,
                "an id is required: a store knows resources by their ids".to_owned(),
            )),
            Ok(key) => match seen.insert(key.clone(), index) {
                Some(first) => {
                    let message = format!("{collection}[{first}] is {key} too");
                    problems.push((path, message));
                }
                None => wanted.push((key, value)),
            },
        }
    }
    match document.report_at(problems) {
        Some(report) => Err(report),
        None => Ok(wanted),
    }
}

/// Whether the gateway could run on what the plan would make.
fn check(live: &Live, document: &Document, plan: &Plan, before: &Inventory) -> Result<(), Failure> {
    let broken_before = offline::broken(live, before)?;
    let touched = |key: &Key| plan.added.contains(key) || plan.changed.contains(key);
    let known = broken_before.into_iter().filter(|key| !touched(key));
    let found = offline::faults(live, &plan.after(before), known.collect());
    match document.report(found) {
        Some(report) => Err(report.into()),
        None => Ok(()),
    }
}

#[allow(
    clippy::print_stdout,
    reason = "what the command does goes to standard output"
)]
fn tell(arguments: &ImportArguments, plan: &Plan, revision: Option<u64>) {
    let sorts = [
        ("add", "added", &plan.added),
        ("change", "changed", &plan.changed),
        ("delete", "deleted", &plan.deleted),
        ("keep", "unchanged", &plan.unchanged),
    ];
    if arguments.dry_run {
        for (verb, _, keys) in &sorts[..3] {
            for key in *keys {
                println!("would {verb} {key}");
            }
        }
    }
    for (_, what, keys) in &sorts {
        if !keys.is_empty() {
            println!("{what}: {}", counted(keys.iter().map(Key::kind)));
        }
    }
    let name = name(&arguments.file);
    match revision {
        Some(revision) => println!("{name}: imported (revision {revision})"),
        None if arguments.dry_run => println!("{name}: nothing was written (--dry-run)"),
        None => println!("{name}: nothing to do"),
    }
}

fn name(file: &Path) -> String {
    match file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => file.display().to_string(),
    }
}

#[allow(
    clippy::print_stderr,
    reason = "progress is for whoever watches, not for what reads the output"
)]
fn tell_progress(message: &str) {
    eprintln!("{message}");
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
