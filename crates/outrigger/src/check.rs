//! `outrigger check`: reads what `run` would read and says whether it would
//! serve, and all that it would serve. Starts nothing, makes nothing, listens nowhere.

use std::path::Path;
use std::process::ExitCode;

use outrigger_config::store::Key;
use outrigger_config::{Format, Settings, Source as SourceSettings, apisix_yaml, portable};

use crate::access_log;
use crate::carry::{Kept, NotOpened, counted};
use crate::offline;
use crate::run::control_runtime;
use crate::source::{self, Live, env};
use crate::{Failure, complain};

/// What was found wrong is told, and there is nothing else to be told.
const WRONG: ExitCode = ExitCode::FAILURE;

/// What there is to check cannot be had.
const UNSEEN: u8 = 2;

pub(crate) fn check(config: &Path) -> Result<ExitCode, Failure> {
    let settings = match Settings::load(config, &env) {
        Ok(settings) => settings,
        Err(report) => {
            complain(&report.to_string());
            complain_of_resources_beside(config);
            return Ok(WRONG);
        }
    };
    for note in &settings.notes {
        tell(&format!("note: {note}"));
    }
    for note in settings.access_log.iter().flat_map(access_log::check) {
        tell(&format!("note: {note}"));
    }
    tell(&format!("{}: ok", config.display()));
    let (live, note) = offline::live(&settings)?;
    if let Some(note) = note {
        tell(&format!("note: {note}"));
    }
    match &settings.source {
        SourceSettings::File { path, format } => check_file(path, *format, &live),
        // What is not told yet cannot be wrong.
        SourceSettings::Memory => Ok(ExitCode::SUCCESS),
        SourceSettings::Store => {
            check_store(&settings.data_dir.display().to_string(), &settings, &live)
        }
        SourceSettings::Etcd(etcd) => {
            check_store(&format!("etcd at {}", etcd.prefix), &settings, &live)
        }
    }
}

/// Tells what is wrong with the resources of a file that is wrong itself, so that both can be
/// mended at once; what plugins would say of them depends on that file.
fn complain_of_resources_beside(config: &Path) {
    let named = outrigger_config::read_file(config).ok();
    let named = named.and_then(|text| Settings::resources_named_by(&text, config));
    let Some((path, format)) = named else { return };
    let Ok(text) = outrigger_config::read_file(&path) else {
        return;
    };
    if let Err(report) = apisix_yaml::parse(&text, format, &path, &env) {
        complain(&report.to_string());
    }
}

fn check_file(path: &Path, format: Format, live: &Live) -> Result<ExitCode, Failure> {
    let text = outrigger_config::read_file(path)
        .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    let (document, resources) = apisix_yaml::parse(&text, format, path, &env)?;
    if let Err(invalid) = live.compile(resources, None)
        && let Some(report) = document.report(invalid)
    {
        return Err(report.into());
    }
    let carried = portable::resources(&document);
    let kinds = carried.iter().map(portable::Carried::kind);
    tell(&format!("{}: ok, {}", path.display(), counted(kinds)));
    Ok(ExitCode::SUCCESS)
}

/// `name` is what the store is called in what is said.
fn check_store(name: &str, settings: &Settings, live: &Live) -> Result<ExitCode, Failure> {
    let kept = match control_runtime()?.block_on(Kept::open(settings, live.seal())) {
        Ok(Some(kept)) => kept,
        Ok(None) => {
            tell(&format!("{name}: ok, no resources (there is no store yet)"));
            return Ok(ExitCode::SUCCESS);
        }
        Err(error @ (NotOpened::Silent { .. } | NotOpened::Etcd(_))) => {
            complain(&error.to_string());
            return Ok(ExitCode::from(UNSEEN));
        }
        Err(error) => return Err(error.into()),
    };
    let left_out = source::left_out(live, &kept.inventory)?;
    for (key, why) in &left_out {
        complain(&format!("{name}: {key} would be left out: {why}"));
    }
    let without = left_out.iter().map(|(key, _)| key.clone()).collect();
    let dangling = source::faults(live, &kept.inventory, &without);
    for invalid in &dangling {
        complain(&format!("{name}: {invalid}"));
    }
    let is_good = left_out.is_empty() && dangling.is_empty();
    let keys = kept.inventory.iter().map(|(key, _)| key);
    let good = keys.filter(|key| !is_among(&left_out, key));
    let state = match kept.is_running() {
        true => " (a gateway runs on them)",
        false => "",
    };
    let verdict = match is_good {
        true => "ok, ",
        false => "",
    };
    let count = counted(good.map(Key::kind));
    tell(&format!("{name}: {verdict}{count}{state}"));
    Ok(match is_good {
        true => ExitCode::SUCCESS,
        false => WRONG,
    })
}

fn is_among(left_out: &[(Key, String)], key: &Key) -> bool {
    left_out.iter().any(|(other, _)| other == key)
}

#[allow(
    clippy::print_stdout,
    reason = "what the command finds goes to standard output"
)]
fn tell(message: &str) {
    println!("{message}");
}
