//! What is carried from one store to another arrives as it was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use outrigger_config::store::{Inventory, Key};
use outrigger_config::{Format, apisix_yaml, portable};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Texts that a careless writer of YAML would change.
const TEXTS: [&str; 44] = [
    "",
    " ",
    "a",
    "a b",
    " a",
    "a ",
    "yes",
    "No",
    "~",
    "null",
    "true",
    "007",
    "1",
    "1.0",
    "1e3",
    "0x10",
    "1_000",
    ".inf",
    "-",
    "- a",
    "a: b",
    "a #b",
    "#END",
    "\n#END\n",
    "a\n#END\n",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "`a",
    "'a'",
    "\"a\\",
    "a\nb",
    "a\n\nb\n",
    "\na",
    "a\n\n",
    "a \nb",
    "\t",
    "\r\n",
    "\u{0}\u{7f}\u{85}",
    "\u{2028}\u{feff}",
    "日本 é 😀",
    "<<",
];

/// Texts with what looks like variables.
const VARIABLES: [&str; 7] = [
    "${{HOME}}",
    "${{ A := 1 }}",
    "x${{A}}y${{B}}",
    "${{",
    "${{ ${{A}}",
    "${{OUTRIGGER_DOLLAR:=$}}{{A}}",
    "$env://A",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&TEXTS).prop_map(str::to_owned),
        prop::sample::select(&VARIABLES).prop_map(str::to_owned),
        any::<String>(),
        "[ a-z:#\\-\n\"'{}\\[\\],]{0,12}",
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Of longer fractions the last digit is at the mercy of whoever reads JSON,
        // the store included.
        (any::<i32>(), 0i32..9)
            .prop_map(|(digits, point)| { Value::from(f64::from(digits) / 10f64.powi(point)) }),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object_of(inner).prop_map(Value::from),
        ]
    })
}

fn object_of(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((text(), values), 0..4)
        .prop_map(|properties| properties.into_iter().collect())
}

fn plugins() -> impl Strategy<Value = Value> {
    prop::collection::vec((text(), object_of(anything())), 0..3).prop_map(|plugins| {
        let plugins = plugins.into_iter();
        Value::Object(plugins.map(|(name, conf)| (name, conf.into())).collect())
    })
}

/// A resource with its key, without what it names.
fn resource() -> impl Strategy<Value = (String, Value)> {
    let kind = prop::sample::select(&[
        "routes",
        "services",
        "upstreams",
        "plugin_configs",
        "global_rules",
        "consumers",
        "credentials",
        "consumer_groups",
    ]);
    let told = any::<Option<u32>>();
    (kind, "[a-z]{1,2}", plugins(), text(), told).prop_map(|(kind, id, plugins, desc, told)| {
        let mut value = match kind {
            "routes" => json!({"uri": "/a", "plugins": plugins}),
            "upstreams" => json!({"nodes": {"127.0.0.1:80": 1}, "type": "roundrobin"}),
            "consumers" => json!({"username": id, "plugins": plugins}),
            "credentials" => json!({"plugins": {}}),
            _ => json!({"plugins": plugins}),
        };
        if kind != "consumers" {
            value["id"] = id.clone().into();
        }
        // APISIX describes no global rules.
        if kind != "global_rules" {
            value["desc"] = desc.chars().take(256).collect::<String>().into();
        }
        if let Some(time) = told {
            value["create_time"] = time.into();
            value["update_time"] = time.into();
        }
        let key = match kind {
            // The consumer is made sure of.
            "credentials" => format!("consumers/jack/credentials/{id}"),
            kind => format!("{kind}/{id}"),
        };
        (key, value)
    })
}

fn inventory() -> impl Strategy<Value = Inventory> {
    prop::collection::vec(resource(), 0..12).prop_map(|resources| {
        let mut resources: BTreeMap<String, Value> = resources.into_iter().collect();
        let jack = json!({"username": "jack"});
        resources.insert("consumers/jack".to_owned(), jack);
        let resources = resources.into_iter();
        let keyed = |(key, value): (String, Value)| (key.parse::<Key>().unwrap(), Arc::new(value));
        Inventory::of_revision(1, resources.map(keyed))
    })
}

fn exported(inventory: &Inventory, format: Format) -> String {
    let (document, left_out) = portable::document(inventory);
    assert!(left_out.is_empty());
    portable::text(&document, format)
}

fn imported(text: &str, format: Format) -> Inventory {
    // What refers to it stays a reference.
    let env = |name: &str| (name == "A").then(|| "of the environment".to_owned());
    let read = apisix_yaml::parse(text, format, Path::new("file"), &env);
    let (document, _) = read.unwrap_or_else(|report| panic!("{report}\n{text}"));
    let resources = portable::resources(&document).into_iter();
    let wanted = resources.map(|carried| (carried.key.unwrap(), carried.value));
    let plan = portable::plan(&Inventory::default(), wanted.collect(), false, 1);
    assert_eq!((plan.changed.len(), plan.unchanged.len()), (0, 0));
    plan.after(&Inventory::default())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    })]

    #[test]
    fn every_resource_arrives_as_it_was(inventory in inventory()) {
        for format in [Format::Yaml, Format::Json] {
            let text = exported(&inventory, format);
            let arrived = imported(&text, format);
            for (key, entry) in inventory.iter() {
                let mut there = Value::clone(&arrived.get(key).unwrap().value);
                if entry.value.get("create_time").is_none() {
                    // It got them on arrival.
                    let there = there.as_object_mut().unwrap();
                    there.shift_remove("create_time");
                    there.shift_remove("update_time");
                }
                // As texts: the order of properties is kept too.
                prop_assert_eq!(there.to_string(), entry.value.to_string(), "{}", text);
            }
            prop_assert_eq!(arrived.iter().count(), inventory.iter().count());
            let again = exported(&arrived, format);
            let there_again = imported(&again, format);
            prop_assert_eq!(exported(&there_again, format), again);
        }
    }
}
