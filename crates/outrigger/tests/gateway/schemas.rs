//! What the gateway shows of its plugins' schemas, and that every source of
//! configuration goes by them.

use outrigger_harness::Gateway;
use serde_json::{Value, json};

use crate::support::gateway;

fn shown(gateway: &Gateway, path: &str) -> (u16, Value) {
    let answer = gateway.admin("GET", path).send();
    (answer.status, answer.json())
}

#[test]
fn a_plugin_shows_the_schemas_of_all_its_configurations() {
    let gateway = gateway().traditional().start();
    let (status, requests) = shown(&gateway, "schema/plugins/key-auth");
    assert_eq!(status, 200);
    assert_eq!(requests["properties"]["header"]["default"], "apikey");
    assert_eq!(
        requests["properties"]["_meta"]["properties"]["disable"],
        json!({"type": "boolean"})
    );
    assert_eq!(shown(&gateway, "plugins/key-auth"), (200, requests));

    for path in ["plugins/key-auth", "schema/plugins/key-auth"] {
        let (status, consumer) = shown(&gateway, &format!("{path}?schema_type=consumer"));
        assert_eq!((status, &consumer["required"]), (200, &json!(["key"])));
        assert_eq!(consumer["encrypt_fields"], json!(["key"]));
    }
    let (status, metadata) = shown(&gateway, "schema/plugins/cors?schema_type=metadata");
    assert_eq!((status, &metadata["type"]), (200, &json!("object")));

    for (path, status, why) in [
        (
            "plugins/key-auth?schema_type=metadata",
            400,
            "not found schema",
        ),
        ("plugins/cors?schema_type=consumer", 400, "not found schema"),
        ("plugins/none", 404, "plugin not found"),
        ("plugins/cors?subsystem=stream", 404, "plugin not found"),
        ("plugins/cors?subsystem=x", 400, "unsupported subsystem: x"),
        ("schema/plugins/none", 400, "not found schema: none"),
    ] {
        assert_eq!(
            shown(&gateway, path),
            (status, json!({"error_msg": why})),
            "{path}"
        );
    }
}

#[test]
fn all_plugins_are_shown_at_once() {
    let gateway = gateway().traditional().start();
    let (status, all) = shown(&gateway, "plugins?all=true");
    assert_eq!(status, 200);
    let all = all.as_object().unwrap();
    let names: Vec<String> = serde_json::from_value(shown(&gateway, "plugins/list").1).unwrap();
    assert_eq!(all.len(), names.len());
    for name in &names {
        let plugin = &all[name];
        assert_eq!(plugin["schema"]["type"], "object", "{name}");
        let properties = plugin["schema"]["properties"].as_object().unwrap();
        assert!(properties.len() > 1, "{name} says nothing but _meta");
        let is_auth = name.ends_with("-auth");
        assert_eq!(plugin["type"] == "auth", is_auth, "{name}");
        assert_eq!(plugin["consumer_schema"].is_object(), is_auth, "{name}");
    }
    assert_eq!(
        shown(&gateway, "plugins?all=true&subsystem=stream"),
        (200, json!({}))
    );
}

/// Configurations that are wrong, with what is said of them.
fn wrong_ones() -> [(&'static str, Value, &'static str, &'static str); 6] {
    [
        (
            "cors",
            json!({"max_age": "5"}),
            "property \"max_age\" validation failed: wrong type: expected integer, got string",
            "max_age: wrong type: expected integer, got string",
        ),
        (
            "ip-restriction",
            json!({"blacklist": ["::1", "x"]}),
            "property \"blacklist\" validation failed: failed to validate item 2: \
             object matches none of the required",
            "blacklist[1]: object matches none of the required",
        ),
        (
            "redirect",
            json!({"uri": "/a", "http_to_https": true}),
            "value should match only one schema, but matches both schemas 1 and 3",
            "value should match only one schema, but matches both schemas 1 and 3",
        ),
        (
            "proxy-rewrite",
            json!({"headers": {"set": {"A": {}}}}),
            "property \"headers\" validation failed: \
             value should match only one schema, but matches none",
            "headers: value should match only one schema, but matches none",
        ),
        (
            "prometheus",
            json!({"prefer_name": null}),
            "property \"prefer_name\" validation failed: \
             wrong type: expected boolean, got userdata",
            "prefer_name: wrong type: expected boolean, got userdata",
        ),
        (
            "key-auth",
            json!({"_meta": {"priority": 1.5}}),
            "property \"_meta\" validation failed: property \"priority\" validation failed: \
             wrong type: expected integer, got number",
            "_meta.priority: wrong type: expected integer, got number",
        ),
    ]
}

#[test]
fn the_admin_api_says_what_is_wrong_in_apisixs_words() {
    let gateway = gateway().traditional().start();
    for (plugin, conf, words, _) in wrong_ones() {
        let route = json!({"uri": "/a", "plugins": {plugin: conf}});
        let refused = gateway.admin("PUT", "routes/1").json(&route).send();
        let said = format!("failed to check the configuration of plugin {plugin} err: {words}");
        let refusal = (refused.status, refused.json());
        assert_eq!(refusal, (400, json!({"error_msg": said})), "{plugin}");
    }
}

#[test]
fn a_file_is_told_the_same_with_the_place() {
    let wrong = wrong_ones();
    let routes = wrong
        .iter()
        .map(|(plugin, conf, ..)| json!({"uri": "/a", "plugins": {*plugin: conf}}));
    let routes: Vec<_> = routes.collect();
    let exit = gateway().routes(json!({ "routes": routes })).run();
    for (number, (plugin, _, _, said)) in wrong.iter().enumerate() {
        let sign = if said.starts_with("value") { ": " } else { "." };
        let expected = format!("routes[{number}].plugins.{plugin}{sign}{said}");
        assert!(
            exit.stderr.contains(&expected),
            "{expected}\n{}",
            exit.stderr
        );
    }
}
