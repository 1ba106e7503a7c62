//! `outrigger export`: all resources as one document, with their secrets.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use outrigger_config::portable::{self, Carried};
use outrigger_config::store::Key;
use outrigger_config::{Format, Settings, Source, apisix_yaml};
use serde_json::{Map, Value};

use super::{IN_MEMORY, Kept, counted};
use crate::Failure;
use crate::cli::ExportArguments;
use crate::offline;
use crate::run::control_runtime;
use crate::source::env;

/// Said of every export.
const SECRETS: &str = "it holds secrets: keep it as you keep them";

pub(crate) fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let settings = Settings::load(&arguments.config, &env)?;
    let output = arguments.output.as_deref();
    if output.is_none() && !arguments.secrets && io::stdout().is_terminal() {
        return Err(
            "resources hold secrets, and standard output is a terminal: \
             write them to a file with -o FILE, or show them with --secrets"
                .into(),
        );
    }
    let named = output.and_then(Format::of_file);
    let format = arguments.format.map(Format::from).or(named);
    let (document, count) = document(&settings)?;
    let text = portable::text(&document, format.unwrap_or(Format::Yaml));
    match output {
        Some(file) => {
            write_privately(file, &text)
                .map_err(|error| format!("{}: cannot be written: {error}", file.display()))?;
            tell(&format!("{}: {count}; {SECRETS}", file.display()));
        }
        None => {
            io::stdout().write_all(text.as_bytes())?;
            tell(&format!("{count}; {SECRETS}"));
        }
    }
    Ok(())
}

#[allow(
    clippy::print_stderr,
    reason = "standard output is for the document alone"
)]
fn tell(message: &str) {
    eprintln!("{message}");
}

/// All resources, and what they are.
fn document(settings: &Settings) -> Result<(Map<String, Value>, String), Failure> {
    if let Source::File { path, format } = &settings.source {
        let text = outrigger_config::read_file(path);
        let text = text.map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        let (document, _) = apisix_yaml::parse(&text, *format, path, &env)?;
        let carried = portable::resources(&document);
        let count = counted(carried.iter().map(Carried::kind));
        return Ok((document.written().clone(), count));
    }
    if settings.source == Source::Memory {
        return Err(IN_MEMORY.into());
    }
    let (live, _) = offline::live(settings)?;
    let kept = control_runtime()?.block_on(Kept::open(settings, live.seal()))?;
    let Some(kept) = kept else {
        return Err(format!(
            "{}: there is no store yet; the gateway makes one when it is run",
            settings.data_dir.display()
        )
        .into());
    };
    let (document, left_out) = portable::document(&kept.inventory);
    for (key, why) in &left_out {
        tell(&format!("{key} is left out: {why}"));
    }
    let is_left_out = |key: &Key| left_out.iter().any(|(other, _)| other == key);
    let keys = kept.inventory.iter().map(|(key, _)| key);
    let count = counted(keys.filter(|key| !is_left_out(key)).map(Key::kind));
    Ok((document, count))
}

/// Writes a file that nobody else may read, whole or not at all.
fn write_privately(file: &Path, text: &str) -> io::Result<()> {
    // A pipe or a device is written to as it is.
    if file.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return std::fs::write(file, text);
    }
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Temporary files are made with mode 600.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_for_its_owner_alone_even_if_it_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.yaml");
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        write_privately(&file, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        assert!(write_privately(&folder.path().join("none/out"), "x").is_err());
    }
}
