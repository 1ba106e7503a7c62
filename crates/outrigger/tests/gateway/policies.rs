//! Routes for every way to take a failed call, and what they must answer.

use outrigger_harness::{Gateway, Response, Upstream};
use serde_json::{Value, json};

use crate::support::{error_msg, external, nodes, plugin, route, routes, with};

/// Routes to `upstream`: `/pre` and `/post` call the runner before and after
/// the gateway's own plugins, `/lenient` does without it where it fails, and
/// `/plain` has no plugin.
pub(crate) fn every_policy(upstream: &Upstream) -> Value {
    every_policy_with(upstream, plugin("any", json!({})))
}

/// The same with this plugin.
pub(crate) fn every_policy_with(upstream: &Upstream, plugin: Value) -> Value {
    let to = |uri: &str, plugins: Value| {
        with(route(uri, nodes(&[upstream])), json!({"plugins": plugins}))
    };
    let call = external([plugin]);
    let lenient = with(call.clone(), json!({"allow_degradation": true}));
    routes([
        to("/pre", json!({"ext-plugin-pre-req": call})),
        to("/post", json!({"ext-plugin-post-req": call})),
        to("/lenient", json!({"ext-plugin-pre-req": lenient})),
        to("/plain", json!({})),
    ])
}

/// Makes sure that this answer tells of such a failure of this plugin.
#[track_caller]
pub(crate) fn assert_failed(response: &Response, plugin: &str, kind: &str) {
    let expected = format!("503 Service Unavailable: {plugin}: {kind}");
    assert_eq!((response.status, error_msg(response)), (503, expected));
}

/// Makes sure that calls fail with this kind, that the upstream is not asked
/// then, and that whoever does not insist on the call is served.
#[track_caller]
pub(crate) fn assert_calls_fail(gateway: &Gateway, upstream: &Upstream, kind: &str) {
    let hits = upstream.hits();
    assert_failed(&gateway.get("/pre").send(), "ext-plugin-pre-req", kind);
    assert_failed(
        &gateway.post("/post").body("x").send(),
        "ext-plugin-post-req",
        kind,
    );
    assert_eq!(upstream.hits(), hits, "the upstream was asked");
    assert_eq!(gateway.get("/plain").send().status, 200);
    assert_eq!(gateway.get("/lenient").send().status, 200);
}
