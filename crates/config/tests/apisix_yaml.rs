//! What becomes of texts of `apisix.yaml`, and in which words bad ones are refused.

use std::path::Path;
use std::sync::Arc;

use outrigger_config::apisix_yaml::parse;
use outrigger_config::{Document, Format, Report};
use outrigger_model::{Id, Invalid, Kind, Place, PropertyPath, Resources};

fn env(name: &str) -> Option<String> {
    (name == "NODE").then(|| "127.0.0.1:1980".to_owned())
}

fn read(text: &str) -> Result<(Document, Resources), Report> {
    parse(text, Format::Yaml, Path::new("conf/apisix.yaml"), &env)
}

fn accepted(text: &str) -> (Document, Resources) {
    read(text).unwrap_or_else(|report| panic!("{report}"))
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let report = read(text).expect_err("a report").to_string();
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(lines, expected);
}

#[test]
fn resources_are_read_until_the_end() {
    let (_, resources) = accepted(
        "routes:\n\
         - uri: /hello\n  \
           upstream_id: 1\n\
         - id: second\n  \
           uri: /*\n  \
           plugins: {}\n\
         services: []\n\
         upstreams:\n\
         - id: 1\n  \
           nodes:\n    \
             \"${{NODE}}\": 1\n\
         #END\n\
         this: [is not looked at\n",
    );
    let ids: Vec<_> = resources
        .ids(Kind::Route)
        .into_iter()
        .map(Id::as_str)
        .collect();
    assert_eq!(ids, ["routes#1", "second"]);
    assert_eq!(resources.upstreams[0].nodes[0].port, 1980);
}

#[test]
fn a_file_may_hold_nothing() {
    for text in [
        "#END",
        "#END\r\n",
        "# none\n#END\n",
        "routes:\nservices:\n#END\n",
    ] {
        let (_, resources) = accepted(text);
        assert_eq!(resources, Resources::default(), "{text:?}");
    }
}

#[test]
fn a_file_without_its_end_is_not_complete() {
    let message = "conf/apisix.yaml: there is no line #END: the file is not complete";
    for text in [
        "",
        "routes: []\n",
        "routes: []\n#EN",
        "routes: [] #END\n",
        "  #END\n",
    ] {
        refused(text, &[message]);
    }
}

#[test]
fn all_problems_are_reported_with_line_and_property() {
    refused(
        "routes:\n\
         - uri: /a\n  \
           upstream:\n    \
             nodes:\n      \
               \"127.0.0.1:80\": -1\n    \
             timeout: {connect: 1}\n\
         - uri: 5\n  \
           plugins: {}\n  \
           methdos: [GET]\n\
         servises: []\n\
         #END\n",
        &[
            "conf/apisix.yaml:5:7: routes[0].upstream.nodes[\"127.0.0.1:80\"]: \
             expected -1 to be at least 0",
            "conf/apisix.yaml:6:5: routes[0].upstream.timeout: property \"send\" is required",
            "conf/apisix.yaml:6:5: routes[0].upstream.timeout: property \"read\" is required",
            "conf/apisix.yaml:7:3: routes[1].uri: wrong type: expected string, got number",
            "conf/apisix.yaml:9:3: routes[1].methdos: unknown property, did you mean \"methods\"?",
            "conf/apisix.yaml:10:1: servises: unknown property, did you mean \"services\"?",
        ],
    );
}

#[test]
fn what_is_no_yaml_is_reported_with_its_line() {
    refused(
        "routes:\n- uri: \"/a\n#END\n",
        &["conf/apisix.yaml:2:8: not valid YAML: unclosed quote"],
    );
    refused(
        "- routes\n#END\n",
        &["conf/apisix.yaml:1:1: wrong type: expected object, got array"],
    );
    refused(
        "routes:\n- uri: /a\n  uri: /b\n#END\n",
        &["conf/apisix.yaml:3:3: not valid YAML: duplicate mapping key `uri` is not allowed here"],
    );
}

#[test]
fn resources_that_are_not_supported_are_refused_by_name_unless_there_are_none() {
    refused(
        "global_rules: []\nssls: []\nstream_routes: x\n#END\n",
        &["conf/apisix.yaml:3:1: stream_routes: \"stream_routes\" is not supported yet: remove it"],
    );
}

#[test]
fn only_plugins_in_the_list_may_be_used_where_there_is_one() {
    let text = |list: &str| {
        format!(
            "plugins:{list}\n\
             routes:\n- {{uri: /a, plugins: {{cors: {{}}, key-auth: {{}}}}}}\n\
             consumers:\n- {{username: a, plugins: {{basic-auth: {{}}}}}}\n#END\n"
        )
    };
    accepted(&text(""));
    let (document, _) = accepted(&text(
        " [{name: cors}, {name: key-auth}, {name: basic-auth}]",
    ));
    assert_eq!(document.written().len(), 2, "the list is no resource");
    let off = |name: &str| {
        format!("the plugin [{name}] is switched off: it is not in the list `plugins` of this file")
    };
    let expected = [
        format!(
            "conf/apisix.yaml:3:33: routes[0].plugins.key-auth: {}",
            off("key-auth")
        ),
        format!(
            "conf/apisix.yaml:5:27: consumers[0].plugins.basic-auth: {}",
            off("basic-auth")
        ),
    ];
    refused(
        &text(" [{name: cors}, {name: key-auth, stream: true}]"),
        &expected.each_ref().map(String::as_str),
    );
    refused(
        "plugins: [cors, {nam: cors}]\n#END\n",
        &[
            "conf/apisix.yaml:1:11: plugins[0]: wrong type: expected object, got string",
            "conf/apisix.yaml:1:17: plugins[1]: property \"name\" is required",
            "conf/apisix.yaml:1:18: plugins[1].nam: unknown property, did you mean \"name\"?",
        ],
    );
}

#[test]
fn references_are_checked_and_located() {
    refused(
        "routes:\n\
         - {id: 1, uri: /a, service_id: none}\n\
         - id: 2\n  \
           uri: /b\n  \
           upstream_id: gone\n\
         #END\n",
        &[
            "conf/apisix.yaml:2:20: routes[0].service_id: there is no service with the id none",
            "conf/apisix.yaml:5:3: routes[1].upstream_id: there is no upstream with the id gone",
        ],
    );
    refused(
        "routes:\n- {id: 1, uri: /a, plugins: {}}\n- {id: '1', uri: /b, plugins: {}}\n#END\n",
        &["conf/apisix.yaml:3:4: routes[1].id: another route has the id 1 too"],
    );
}

#[test]
fn a_missing_variable_is_reported_where_it_stands() {
    refused(
        "routes:\n- uri: /${{WHERE}}\n  plugins: {}\n#END\n",
        &["conf/apisix.yaml:2:3: routes[0].uri: the environment variable WHERE is not set"],
    );
}

#[test]
fn faults_that_are_found_later_get_their_line() {
    let (document, _) = accepted(
        "routes:\n\
         - uri: /a\n  \
           plugins: {}\n\
         - id: r\n  \
           uri: /b\n  \
           plugins:\n    \
             ext-plugin-pre-req:\n      \
               conf:\n      \
               - name: say\n        \
                 value: 5\n\
         #END\n",
    );
    let conf = PropertyPath::root()
        .key("plugins")
        .key("ext-plugin-pre-req")
        .key("conf");
    let of = |id, path| Place {
        kind: Kind::Route,
        id,
        path,
    };
    let at = |id: &str, path: PropertyPath| of(id.parse().expect("an id"), path);
    let found = |at, message: &str| Invalid {
        at,
        message: message.to_owned(),
    };
    let report = document
        .report([
            found(at("r", conf.clone().index(0).key("value")), "not a string"),
            found(of(Id::of_entry(Kind::Route, 0), conf), "not there"),
            found(at("other", PropertyPath::root()), "not here"),
        ])
        .expect("a report");
    assert_eq!(
        report.to_string(),
        "conf/apisix.yaml: route other: not here\n\
         conf/apisix.yaml:3:3: routes[0].plugins.ext-plugin-pre-req.conf: not there\n\
         conf/apisix.yaml:10:9: routes[1].plugins.ext-plugin-pre-req.conf[0].value: not a string",
    );
    assert_eq!(document.report([]), None);
}

#[test]
fn a_long_report_is_cut() {
    let routes = "- {uri: 5, plugins: {}}\n".repeat(70);
    let report = read(&format!("routes:\n{routes}#END\n")).expect_err("a report");
    assert_eq!(report.problems().len(), 70);
    let shown = report.to_string();
    assert_eq!(shown.lines().count(), 51);
    assert!(
        shown.ends_with("conf/apisix.yaml: 20 more problems"),
        "{shown}"
    );
}

#[test]
fn no_report_shows_a_secret() {
    let texts = [
        "routes:\n- uri: /a\n  plugins: {key-auth: s3cret}\n#END\n",
        "routes: s3cret\n#END\n",
        "routes:\n- uri: [s3cret]\n  plugins: [s3cret]\n  status: s3cret\n#END\n",
        "upstreams:\n- {nodes: s3cret, type: s3cret, timeout: s3cret, id: s3cret*}\n#END\n",
    ];
    for text in texts {
        let report = read(text).expect_err("a report");
        assert!(
            !format!("{report} {report:?}").contains("s3cret"),
            "{report}"
        );
    }
}

#[test]
fn the_same_in_json_needs_no_end_and_is_located_too() {
    let read = |text: &str| parse(text, Format::Json, Path::new("conf/apisix.json"), &env);
    let text = r#"{"upstreams": [{"id": 1, "nodes": {"${{NODE}}": 1}}], "routes": null}"#;
    let (_, resources) = read(text).unwrap();
    assert_eq!(resources.upstreams[0].nodes[0].port, 1980);
    let text = "{\n  \"routes\": [\n    {\"uri\": \"/a\", \"plugins\": {}, \"methdos\": []},\n    \
                {\"uri\": \"/b\", \"upstream_id\": \"gone\"}\n  ]\n}\n";
    let report = read(text).expect_err("a report").to_string();
    assert_eq!(
        report,
        "conf/apisix.json:3:34: routes[0].methdos: unknown property, did you mean \"methods\"?"
    );
    let report = read("{\"routes\": [}\n#END\n")
        .expect_err("a report")
        .to_string();
    assert_eq!(
        report,
        "conf/apisix.json:1:13: not valid JSON: expected value"
    );
}

#[test]
fn what_was_not_edited_is_the_same_resource() {
    let text = |uri: &str| {
        format!(
            "routes:\n- {{id: a, uri: /a, plugins: {{}}}}\n- {{id: b, uri: {uri}, plugins: {{}}}}\n\
             upstreams:\n- {{id: u, nodes: {{'127.0.0.1:1': 1}}}}\n#END\n"
        )
    };
    let (document, before) = accepted(&text("/b"));
    let (edited, mut after) = accepted(&text("/other"));
    after.take_over(&before);
    assert!(Arc::ptr_eq(&before.routes[0], &after.routes[0]));
    assert!(!Arc::ptr_eq(&before.routes[1], &after.routes[1]));
    assert!(Arc::ptr_eq(&before.upstreams[0], &after.upstreams[0]));

    let (before, mut after) = (document.inventory(1), edited.inventory(2));
    after.take_over(&before);
    let modified: Vec<_> = after
        .iter()
        .map(|(key, entry)| (key.as_str(), entry.modified))
        .collect();
    let expected = [("routes/a", 1), ("routes/b", 2), ("upstreams/u", 1)];
    assert_eq!(modified, expected);
}
