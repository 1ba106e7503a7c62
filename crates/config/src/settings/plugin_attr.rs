//! `plugin_attr`: what plugins are told once for all.

use outrigger_model::read::{Object, nearest};

use super::MetricsExport;
use super::foreign::Notes;
use super::prometheus;

/// What the section says.
pub(super) struct Attributes {
    pub(super) metrics: Option<MetricsExport>,
    pub(super) redirect_https_port: Option<u16>,
}

/// The plugins that have attributes here.
const HERE: [&str; 2] = ["prometheus", "redirect"];

/// The plugins that have attributes in APISIX and none here.
const ELSEWHERE: [&str; 9] = [
    "dubbo-proxy",
    "example-plugin",
    "inspect",
    "log-rotate",
    "opentelemetry",
    "proxy-mirror",
    "server-info",
    "skywalking",
    "zipkin",
];

pub(super) fn read(root: &Object<'_>, notes: &Notes) -> Attributes {
    let attributes = |plugins: &Object<'_>| Attributes {
        metrics: plugins.section("prometheus", |section| prometheus::read(section, notes)),
        redirect_https_port: plugins.section("redirect", |section| {
            section.read("https_port", |at| {
                u16::try_from(at.integer(1..=65535)?).ok()
            })
        }),
    };
    if let Some(at) = root.get("plugin_attr")
        && let Some(plugins) = at.object()
    {
        // It is not finished: plugins of the user's own may have attributes.
        note_others(&plugins, notes);
        return attributes(&plugins);
    }
    root.section("plugin_attr", attributes)
}

fn note_others(plugins: &Object<'_>, notes: &Notes) {
    for (name, at) in plugins.entries() {
        if HERE.contains(&name) {
            continue;
        }
        let meant = nearest(name, HERE.into_iter().chain(ELSEWHERE));
        match meant {
            Some(meant) if meant != name => {
                at.fault(format!("unknown property, did you mean {meant:?}?"));
            }
            _ if at
                .value()
                .as_object()
                .is_some_and(serde_json::Map::is_empty) => {}
            _ => notes.add(&at, "has no effect: this plugin has no attributes here"),
        }
    }
}
