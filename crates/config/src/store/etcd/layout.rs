//! How resources lie in etcd: APISIX's keys below a prefix, and its values.
//!
//! APISIX keeps more there than resources: marks of directories, what its
//! instances tell of themselves, counters. All that is passed over.

use serde_json::Value;

use super::super::Key;

/// The collections that resources are in.
pub(super) const COLLECTIONS: [&str; 11] = [
    "consumer_groups",
    "consumers",
    "global_rules",
    "plugin_configs",
    "plugin_metadata",
    "protos",
    "routes",
    "secrets",
    "services",
    "ssls",
    "upstreams",
];

/// What APISIX keeps beside resources: where a gateway without it misses nothing.
const BESIDE: [&str; 4] = ["data_plane", "gen_id", "plugins", "init_dir"];

/// The part of etcd's keys that is this gateway's.
pub(super) struct Layout {
    /// The prefix with the slash after it.
    base: String,
}

/// What a key of etcd is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'k> {
    /// A resource.
    Resource(Key),
    /// Nothing that anybody here would miss.
    Beside,
    /// Something of a collection that is not known here, such as `stream_routes`.
    Unknown(&'k str),
}

impl Layout {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            base: format!("{prefix}/"),
        }
    }

    /// The first key of the part, and the first one after it.
    pub(super) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        let base = self.base.clone().into_bytes();
        let end = end_of(&base);
        (base, end)
    }

    /// etcd's name for a resource.
    pub(super) fn path(&self, key: &Key) -> Vec<u8> {
        format!("{}{key}", self.base).into_bytes()
    }

    /// etcd's names for all resources whose keys begin so.
    pub(super) fn below(&self, prefix: &str) -> (Vec<u8>, Vec<u8>) {
        let from = format!("{}{prefix}", self.base).into_bytes();
        let end = end_of(&from);
        (from, end)
    }

    /// What a key of etcd is.
    pub(super) fn place<'k>(&self, path: &'k [u8]) -> Place<'k> {
        let Some(rest) = std::str::from_utf8(path)
            .ok()
            .and_then(|path| path.strip_prefix(&self.base))
        else {
            return Place::Beside;
        };
        let collection = rest.split('/').next().unwrap_or_default();
        // The mark of a directory ends in a slash.
        if BESIDE.contains(&collection) || rest.ends_with('/') {
            return Place::Beside;
        }
        match rest.parse::<Key>() {
            Ok(key) if is_known(&key) => Place::Resource(key),
            _ if COLLECTIONS.contains(&collection) => Place::Beside,
            _ => Place::Unknown(collection),
        }
    }
}

fn is_known(key: &Key) -> bool {
    let collection = key.collection();
    let is_credential = || {
        let mut parts = collection.split('/');
        parts.next() == Some("consumers") && parts.nth(1) == Some("credentials")
    };
    COLLECTIONS.contains(&collection) || (is_credential() && collection.matches('/').count() == 2)
}

/// The first key after all that begin with `from`; `\0` stands for the end.
fn end_of(from: &[u8]) -> Vec<u8> {
    let mut end = from.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

/// The document in a value. What is none becomes a text, which no resource is:
/// whoever reads it says so, and it can be overwritten.
///
/// As with APISIX, it is the key that says who a resource is.
pub(super) fn document(key: &Key, bytes: &[u8]) -> Value {
    let parsed = serde_json::from_slice(bytes);
    let mut value = parsed.unwrap_or_else(|_| String::from_utf8_lossy(bytes).into());
    let name = match key.kind() {
        "consumers" => "username",
        // Not every one says it.
        "plugin_metadata" | "secrets" => return value,
        _ => "id",
    };
    if let Value::Object(properties) = &mut value {
        let says = match properties.get(name) {
            Some(Value::String(text)) => *text == key.id(),
            Some(Value::Number(number)) => number.to_string() == key.id(),
            _ => false,
        };
        if !says {
            properties.insert(name.to_owned(), key.id().into());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_those_of_apisix() {
        let layout = Layout::new("/apisix");
        for text in [
            "routes/1",
            "consumers/jack",
            "consumers/jack/credentials/c1",
            "plugin_metadata/http-logger",
            "secrets/vault/1",
            "ssls/1",
        ] {
            let path = layout.path(&key(text));
            assert_eq!(path, format!("/apisix/{text}").into_bytes());
            assert_eq!(layout.place(&path), Place::Resource(key(text)), "{text}");
        }
        assert_eq!(Layout::new("").path(&key("routes/1")), b"/routes/1");
    }

    #[test]
    fn what_apisix_keeps_beside_resources_is_passed_over() {
        let layout = Layout::new("/apisix");
        for path in [
            "/apisix/routes/",
            "/apisix/consumers/",
            "/apisix/data_plane/server_info/5ff9",
            "/apisix/plugins",
            "/apisix/plugins/",
            "/apisix/gen_id",
            "/apisix/routes/1/2",
            "/apisix/routes/1/2/3",
            "/apisix/consumers/jack/tokens/1",
            "/apisix2/routes/1",
            "/apisix",
        ] {
            assert_eq!(layout.place(path.as_bytes()), Place::Beside, "{path}");
        }
        assert_eq!(layout.place(b"/apisix/\xff"), Place::Beside);
        assert_eq!(
            layout.place(b"/apisix/stream_routes/1"),
            Place::Unknown("stream_routes")
        );
    }

    #[test]
    fn a_range_ends_before_what_begins_otherwise() {
        let layout = Layout::new("/apisix");
        assert_eq!(layout.range(), (b"/apisix/".to_vec(), b"/apisix0".to_vec()));
        assert_eq!(
            layout.below("routes/"),
            (b"/apisix/routes/".to_vec(), b"/apisix/routes0".to_vec())
        );
        assert_eq!(end_of(b"a\xff"), b"b");
        assert_eq!(end_of(b"\xff"), b"\0");
    }

    #[test]
    fn a_resource_is_who_its_key_says() {
        let document =
            |text: &str, value: Value| document(&key(text), value.to_string().as_bytes());
        for (text, value, expected) in [
            ("routes/1", json!({"id": "1"}), json!({"id": "1"})),
            ("routes/1", json!({"id": 1}), json!({"id": 1})),
            ("routes/1", json!({}), json!({"id": "1"})),
            ("routes/1", json!({"id": "2"}), json!({"id": "1"})),
            ("routes/1", json!([1]), json!([1])),
            (
                "consumers/jack",
                json!({"username": "jill"}),
                json!({"username": "jack"}),
            ),
            ("plugin_metadata/x", json!({}), json!({})),
        ] {
            assert_eq!(document(text, value.clone()), expected, "{text} {value}");
        }
        assert_eq!(
            super::document(&key("routes/1"), b"init_dir"),
            json!("init_dir")
        );
    }
}
