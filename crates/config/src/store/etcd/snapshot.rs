//! What etcd held, on disk: from it a gateway starts while etcd is away.
//!
//! One file: a line that says what it belongs to, a line for each resource, a line with
//! a checksum. It is written beside its place and moved there whole. Secrets are sealed,
//! and the file is its user's alone.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Entry, Inventory, Key, Seal};
use crate::limits;

/// The file in the data folder.
const FILE: &str = "etcd.snapshot";

/// The layout of the file, to be told from later ones.
const LAYOUT: u32 = 1;

/// What a snapshot belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The members of the cluster, as they are configured.
    pub(super) hosts: Vec<String>,
    /// What all keys begin with.
    pub(super) prefix: String,
}

impl Origin {
    /// Whether what was of `other` is of this too: of the same prefix, in a cluster that
    /// has a member in common. Which cluster it is only etcd could say.
    fn is_that_of(&self, other: &Origin) -> bool {
        let common = self.hosts.iter().any(|host| other.hosts.contains(host));
        common && self.prefix == other.prefix
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    layout: u32,
    #[serde(flatten)]
    origin: Origin,
    revision: u64,
    /// Seconds since 1970.
    taken: u64,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    key: std::borrow::Cow<'a, str>,
    created: u64,
    modified: u64,
    value: std::borrow::Cow<'a, Value>,
}

#[derive(Serialize, Deserialize)]
struct Foot {
    crc32: u32,
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    path: PathBuf,
    origin: Origin,
}

/// What was read.
pub(super) struct Taken {
    pub(super) inventory: Inventory,
    /// When it was written.
    pub(super) at: SystemTime,
}

impl Snapshot {
    pub(super) fn new(folder: &Path, origin: Origin) -> Self {
        Self {
            path: folder.join(FILE),
            origin,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes it, away from where others wait.
    pub(super) fn write(&self, inventory: &Inventory, seal: &Seal) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut private = fs::DirBuilder::new();
        private.mode(0o700).recursive(true).create(folder)?;
        let new = self.path.with_extension("snapshot.new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut out = Summed {
            to: BufWriter::new(options.open(&new)?),
            sum: crc32fast::Hasher::new(),
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        out.line(&Head {
            layout: LAYOUT,
            origin: self.origin.clone(),
            revision: inventory.revision(),
            taken: since.unwrap_or_default().as_secs(),
        })?;
        for (key, entry) in inventory.iter() {
            // What goes by itself may be gone when this is read, and nobody would notice.
            if entry.expires.is_some() {
                continue;
            }
            out.line(&Line {
                key: key.as_str().into(),
                created: entry.created,
                modified: entry.modified,
                value: seal.seal_all(key, &entry.value),
            })?;
        }
        let crc32 = out.sum.clone().finalize();
        out.line(&Foot { crc32 })?;
        let file = out
            .to
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(folder)?.sync_all()
    }

    /// Reads it; none if there is none.
    ///
    /// # Errors
    /// Why it is of no use.
    pub(super) fn read(&self, seal: &Seal) -> Result<Option<Taken>, String> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let mut lines = Summing {
            from: BufReader::new(file.take(limits::SNAPSHOT_LEN)),
            sum: crc32fast::Hasher::new(),
            line: Vec::new(),
        };
        let head: Head = parse(lines.next()?)?;
        if head.layout != LAYOUT {
            return Err("it was written by another version".to_owned());
        }
        if !head.origin.is_that_of(&self.origin) {
            return Err(format!(
                "it is of another etcd: of {} at {}",
                head.origin.prefix,
                head.origin.hosts.join(", ")
            ));
        }
        let mut entries = BTreeMap::new();
        loop {
            let before = lines.sum.clone().finalize();
            let line = lines.next()?;
            if let Ok(Foot { crc32 }) = serde_json::from_slice(line) {
                if crc32 != before {
                    return Err("its checksum is wrong".to_owned());
                }
                break;
            }
            let (key, entry) = entry(parse(line)?, seal)?;
            entries.insert(key, entry);
        }
        let since = Duration::from_secs(head.taken);
        Ok(Some(Taken {
            inventory: Inventory::of_entries(head.revision, entries),
            at: UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH),
        }))
    }
}

fn entry(line: Line<'_>, seal: &Seal) -> Result<(Key, Entry), String> {
    let key: Key = line.key.parse().map_err(|_| "it has no key".to_owned())?;
    let value = seal.open(&key, &line.value).into_owned();
    let entry = Entry {
        value: Arc::new(value),
        created: line.created,
        modified: line.modified,
        expires: None,
    };
    Ok((key, entry))
}

fn parse<'l, T: Deserialize<'l>>(line: &'l [u8]) -> Result<T, String> {
    // serde's words might show a part of a value.
    serde_json::from_slice(line).map_err(|_| "it is damaged".to_owned())
}

/// Lines out, summed.
struct Summed {
    to: BufWriter<File>,
    sum: crc32fast::Hasher,
}

impl Summed {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.sum.update(&text);
        self.to.write_all(&text)
    }
}

/// Lines in, summed.
struct Summing {
    from: BufReader<io::Take<File>>,
    sum: crc32fast::Hasher,
    line: Vec<u8>,
}

impl Summing {
    fn next(&mut self) -> Result<&[u8], String> {
        self.line.clear();
        let read = self.from.read_until(b'\n', &mut self.line);
        read.map_err(|error| error.to_string())?;
        if !self.line.ends_with(b"\n") {
            return Err("it is not whole".to_owned());
        }
        self.sum.update(&self.line);
        Ok(&self.line)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    fn origin(host: &str, prefix: &str) -> Origin {
        Origin {
            hosts: vec![host.to_owned()],
            prefix: prefix.to_owned(),
        }
    }

    fn inventory() -> Inventory {
        let entry = |value: Value, expires| Entry {
            value: Arc::new(value),
            created: 3,
            modified: 5,
            expires,
        };
        let key = |text: &str| text.parse::<Key>().unwrap();
        Inventory::of_entries(
            7,
            [
                (
                    key("routes/1"),
                    entry(json!({"id": "1", "uri": "/é"}), None),
                ),
                (
                    key("consumers/jack/credentials/c"),
                    entry(json!({"id": "c"}), None),
                ),
                (
                    key("routes/brief"),
                    entry(json!({"id": "brief"}), Some(SystemTime::now())),
                ),
            ],
        )
    }

    #[test]
    fn what_is_written_is_read_by_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let snapshot = Snapshot::new(&data, origin("http://a:1", "/apisix"));
        let seal = Seal::default();
        assert!(snapshot.read(&seal).unwrap().is_none());
        snapshot.write(&inventory(), &seal).unwrap();
        let mode = fs::metadata(snapshot.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let taken = snapshot.read(&seal).unwrap().unwrap();
        assert_eq!(taken.inventory.revision(), 7);
        let expected: Vec<_> = inventory()
            .iter()
            .filter(|(_, entry)| entry.expires.is_none())
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .collect();
        let found: Vec<_> = taken
            .inventory
            .iter()
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .collect();
        assert_eq!(found, expected);
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
    }

    #[test]
    fn a_snapshot_of_another_etcd_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |host: &str, prefix: &str| Snapshot::new(folder.path(), origin(host, prefix));
        let seal = Seal::default();
        at("http://a:1", "/apisix")
            .write(&inventory(), &seal)
            .unwrap();
        for other in [at("http://b:1", "/apisix"), at("http://a:1", "/other")] {
            let why = other.read(&seal).err().unwrap();
            assert_eq!(why, "it is of another etcd: of /apisix at http://a:1");
        }
        let more = Origin {
            hosts: vec!["http://b:1".to_owned(), "http://a:1".to_owned()],
            prefix: "/apisix".to_owned(),
        };
        let more = Snapshot::new(folder.path(), more);
        assert!(more.read(&seal).unwrap().is_some());
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = Snapshot::new(folder.path(), origin("http://a:1", "/apisix"));
        let seal = Seal::default();
        snapshot.write(&inventory(), &seal).unwrap();
        let whole = fs::read(snapshot.path()).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(snapshot.path(), &damaged).unwrap();
            assert!(snapshot.read(&seal).is_err(), "byte {at}");
            fs::write(snapshot.path(), &whole[..at]).unwrap();
            assert!(snapshot.read(&seal).is_err(), "length {at}");
        }
    }
}
