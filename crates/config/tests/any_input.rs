//! No text makes a reader panic.

use std::path::Path;

use outrigger_config::{Format, Settings, apisix_yaml};
use proptest::prelude::*;

/// Words that the readers know, so that random texts get past the first key.
const WORDS: [&str; 40] = [
    "apisix",
    "node_listen",
    "ip",
    "port",
    "router",
    "http",
    "ssl",
    "enable",
    "deployment",
    "role",
    "data_plane",
    "role_data_plane",
    "config_provider",
    "yaml",
    "nginx_config",
    "envs",
    "ext-plugin",
    "cmd",
    "runners",
    "timeout",
    "call",
    "path_for_test",
    "outrigger",
    "workers",
    "routes",
    "uri",
    "upstreams",
    "nodes",
    "plugins",
    "id",
    "1",
    "-1",
    "1.5",
    "~",
    "true",
    "'x'",
    "${{A}}",
    "${{B:=1}}",
    "\"\\0\"",
    "60s",
];

const MARKS: [&str; 14] = [
    ": ", "\n", "\n  ", "\n    ", "- ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<: ", "#END\n",
];

fn env(name: &str) -> Option<String> {
    (name == "A").then(|| "a: [".to_owned())
}

fn read_as_anything(text: &str) {
    let path = Path::new("config.yaml");
    // Whatever comes of it: it comes.
    let settings = Settings::parse(text, path, &env);
    let yaml = apisix_yaml::parse(&format!("{text}\n#END\n"), Format::Yaml, path, &env);
    let json = apisix_yaml::parse(text, Format::Json, path, &env);
    for report in [settings.err(), yaml.err(), json.err()]
        .into_iter()
        .flatten()
    {
        assert!(!report.to_string().is_empty());
    }
}

/// A document whose shape is valid YAML, nested at random.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(&WORDS).prop_map(str::to_owned);
    leaf.prop_recursive(4, 64, 6, |inner| {
        let key = prop::sample::select(&WORDS);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key, inner), 0..6).prop_map(|entries| {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        read_as_anything(&text);
    }

    #[test]
    fn any_bytes_that_are_text_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        read_as_anything(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_words_are_read_or_refused(
        words in prop::collection::vec(
            prop_oneof![prop::sample::select(&WORDS), prop::sample::select(&MARKS)],
            0..40,
        ),
    ) {
        read_as_anything(&words.concat());
    }

    #[test]
    fn any_document_is_read_or_refused(document in document()) {
        read_as_anything(&document);
        for key in ["apisix", "nginx_config", "ext-plugin", "deployment", "outrigger"] {
            read_as_anything(&format!("{key}: {document}"));
        }
        for key in ["routes", "services", "upstreams"] {
            read_as_anything(&format!("{key}: [{document}]"));
        }
    }
}
