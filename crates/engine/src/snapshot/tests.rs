use super::*;
use crate::plugin::{Factory, Phases};
use crate::plugin::{Owner, Plugin};
use outrigger_model::{Fault, Kind, PropertyPath};
use serde_json::{Value, json};

#[derive(Debug)]
struct Mark(#[expect(dead_code, reason = "shown by Debug")] Value);

impl Plugin for Mark {
    fn phases(&self) -> Phases {
        Phases::REWRITE
    }
}

/// Refuses configurations that name this, as one that names what has gone.
#[derive(Default)]
struct MarkFactory {
    gone: Option<&'static str>,
}

impl Factory for MarkFactory {
    fn name(&self) -> &'static str {
        "mark"
    }

    fn priority(&self) -> i32 {
        1
    }

    fn build(&self, conf: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        if conf.get("bad").is_some() {
            let path = PropertyPath::root().key("bad");
            return Err(Fault {
                path,
                message: "must not be".into(),
            });
        }
        self.check(conf)?;
        Ok(Arc::new(Mark(conf.clone())))
    }

    fn check(&self, conf: &Value) -> Result<(), Fault> {
        match self.gone {
            Some(gone) if conf.get("uses") == Some(&gone.into()) => Err(Fault {
                path: PropertyPath::root().key("uses"),
                message: "there is none".into(),
            }),
            _ => Ok(()),
        }
    }
}

fn registry(gone: Option<&'static str>) -> Registry {
    Registry::new([Box::new(MarkFactory { gone }) as Box<dyn Factory>])
}

fn compile(resources: &Value, previous: &Snapshot) -> Result<Snapshot, Vec<Invalid>> {
    compile_by(&registry(None), resources, previous)
}

fn compile_by(
    registry: &Registry,
    resources: &Value,
    previous: &Snapshot,
) -> Result<Snapshot, Vec<Invalid>> {
    let resources = Resources::from_json(resources).unwrap();
    resources.check_references().unwrap();
    Snapshot::compile(&resources, registry, Mode::default(), previous)
}

fn find(snapshot: Snapshot, path: &str) -> MatchedRoute {
    let snapshot = Rc::new(Arc::new(snapshot));
    let request = http::Request::get(path).header("host", "a.test");
    let exchange = crate::exchange::tests::exchange(request);
    MatchedRoute::find(&snapshot, &exchange).unwrap()
}

fn nodes(port: u16) -> Value {
    json!({"nodes": {(format!("127.0.0.1:{port}")): 1}})
}

#[test]
fn what_did_not_change_is_the_same_object() {
    let resources = |port, mark| {
        json!({"routes": [
            {"id": "1", "uri": "/1", "upstream": nodes(80), "plugins": {"mark": {"v": 1}}},
            {"id": "2", "uri": "/2", "upstream": nodes(port), "plugins": {"mark": {"v": mark}}},
        ]})
    };
    let before = compile(&resources(80, 1), &Snapshot::empty()).unwrap();
    let after = compile(&resources(81, 2), &before).unwrap();
    let plugin = |snapshot: &Snapshot, id: &str| {
        let owner = Owner {
            kind: Kind::Route,
            id: id.parse().unwrap(),
        };
        Arc::clone(&snapshot.kept.plugins[&(owner, "mark".to_owned())].1)
    };
    let upstream = |snapshot: &Snapshot, at: usize| snapshot.routes[at].upstream.clone().unwrap();
    assert!(Arc::ptr_eq(&plugin(&before, "1"), &plugin(&after, "1")));
    assert!(!Arc::ptr_eq(&plugin(&before, "2"), &plugin(&after, "2")));
    assert!(Arc::ptr_eq(&upstream(&before, 0), &upstream(&after, 0)));
    assert!(!Arc::ptr_eq(&upstream(&before, 1), &upstream(&after, 1)));
}

#[test]
fn a_route_has_its_own_things_before_those_of_its_service() {
    let resources = json!({
        "upstreams": [{"id": "u", "nodes": {"127.0.0.1:83": 1}, "timeout": {"connect": 1, "send": 2, "read": 3}}],
        "services": [
            {"id": "s", "name": "svc", "upstream_id": "u", "hosts": ["a.test"], "plugins": {"mark": {"of": "service"}}},
        ],
        "routes": [
            {"id": "1", "uri": "/1", "service_id": "s"},
            {"id": "2", "uri": "/2", "service_id": "s", "upstream": nodes(82), "plugins": {"mark": {"of": "route"}}},
            {"id": "3", "uri": "/3", "service_id": "s", "timeout": {"connect": 9, "send": 9, "read": 9}},
        ],
    });
    let snapshot = Rc::new(Arc::new(compile(&resources, &Snapshot::empty()).unwrap()));
    let find = |path: &str| {
        let request = http::Request::get(path).header("host", "a.test");
        let exchange = crate::exchange::tests::exchange(request);
        MatchedRoute::find(&snapshot, &exchange).unwrap()
    };
    let chain = |path: &str| format!("{:?}", find(path).chain);
    let node = |path: &str| {
        let route = find(path);
        route
            .upstream
            .as_ref()
            .unwrap()
            .only_node()
            .unwrap()
            .host_field
            .clone()
    };
    assert!(chain("/1").contains("service"));
    assert!(chain("/2").contains("route") && !chain("/2").contains("service"));
    assert_eq!(
        (node("/1"), node("/2")),
        (
            "127.0.0.1:83".parse().unwrap(),
            "127.0.0.1:82".parse().unwrap()
        )
    );
    assert_eq!(find("/1").timeout.read.as_secs(), 3);
    assert_eq!(find("/3").timeout.read.as_secs(), 9);
    assert_eq!(
        find("/1").service.as_ref().unwrap().name.as_deref(),
        Some("svc")
    );
    let other = http::Request::get("/1").header("host", "b.test");
    let other = crate::exchange::tests::exchange(other);
    assert!(MatchedRoute::find(&snapshot, &other).is_none());
}

#[test]
fn everything_that_does_not_hold_is_named_with_its_place() {
    let resources = json!({
        "services": [{"id": "s", "plugins": {"mark": {"bad": 1}}}],
        "routes": [
            {"id": "1", "uri": "/1", "plugins": {"nonsense": {}}},
            {"id": "2", "uri": "/2", "status": 0, "plugins": {"mark": {"bad": 1}}},
        ],
    });
    let invalid = compile(&resources, &Snapshot::empty()).unwrap_err();
    let said: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "service s: plugins.mark.bad: must not be",
            "route 1: plugins.nonsense: unknown plugin [nonsense]; known are mark",
            "route 2: plugins.mark.bad: must not be",
        ]
    );
}

#[test]
fn a_route_that_is_switched_off_does_not_serve() {
    let resources = json!({"routes": [
        {"id": "off", "uri": "/a", "status": 0, "upstream": nodes(80)},
        {"id": "on", "uri": "/*", "upstream": nodes(80)},
    ]});
    assert_eq!(
        find(compile(&resources, &Snapshot::empty()).unwrap(), "/a")
            .id
            .as_str(),
        "on"
    );
}

/// The marks that a request for `/` passes, in their order.
fn marks(resources: &Value) -> String {
    let snapshot = compile(resources, &Snapshot::empty()).unwrap();
    format!("{:?}", find(snapshot, "/").chain)
}

#[test]
fn plugins_come_from_the_route_then_its_plugin_config_then_its_service() {
    let with = |of_route: Value, of_config: Value| {
        json!({
            "services": [{"id": "s", "plugins": {"mark": {"of": "service"}}}],
            "plugin_configs": [{"id": "p", "plugins": of_config}],
            "routes": [{"id": "r", "uri": "/", "service_id": "s", "plugin_config_id": "p",
                        "plugins": of_route}],
        })
    };
    let of_config = json!({"mark": {"of": "config"}});
    let all = marks(&with(json!({"mark": {"of": "route"}}), of_config.clone()));
    assert!(all.contains("route") && !all.contains("config") && !all.contains("service"));
    let two = marks(&with(json!({}), of_config.clone()));
    assert!(two.contains("config") && !two.contains("service"));
    assert!(marks(&with(json!({}), json!({}))).contains("service"));
    let off = json!({"mark": {"of": "route", "_meta": {"disable": true}}});
    let none = marks(&with(off, of_config));
    assert!(
        !none.contains("route") && !none.contains("config"),
        "{none}"
    );
}

#[test]
fn what_only_meta_says_anew_keeps_the_plugin() {
    let with = |meta: Value| {
        json!({"routes": [
            {"id": "1", "uri": "/", "plugins": {"mark": {"v": 1, "_meta": meta}}},
        ]})
    };
    let before = compile(&with(json!({})), &Snapshot::empty()).unwrap();
    let filtered = with(json!({"filter": [["arg_a", "==", "1"]]}));
    let after = compile(&filtered, &before).unwrap();
    let plugin = |snapshot: &Snapshot| {
        let (_, plugin) = snapshot.kept.plugins.values().next().unwrap();
        Arc::clone(plugin)
    };
    assert!(Arc::ptr_eq(&plugin(&before), &plugin(&after)));
    let wrong = compile(&with(json!({"filter": [["arg_a", "=~", "1"]]})), &before).unwrap_err();
    assert_eq!(
        wrong[0].to_string(),
        "route 1: plugins.mark._meta.filter[0][1]: invalid operator '=~'"
    );
}

#[test]
fn global_rules_are_chains_of_their_own() {
    let resources = json!({"global_rules": [
        {"id": "1", "plugins": {"mark": {"of": "one"}}},
        {"id": "2", "plugins": {"mark": {"of": "two"}}},
    ]});
    let snapshot = compile(&resources, &Snapshot::empty()).unwrap();
    let rules: Vec<_> = snapshot
        .global_rules()
        .iter()
        .map(|rule| format!("{rule:?}"))
        .collect();
    assert!(
        rules[0].contains("one") && rules[1].contains("two"),
        "{rules:?}"
    );
    let wrong = json!({
        "global_rules": [{"id": "1", "plugins": {"mark": {"bad": 1}}}],
        "plugin_configs": [{"id": "p", "plugins": {"nonsense": {}}}],
        "consumers": [{"username": "jack", "plugins": {"key-auth": {"key": "k"}}}],
    });
    let wrong = compile(&wrong, &Snapshot::empty()).unwrap_err();
    let said: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "plugin_config p: plugins.nonsense: unknown plugin [nonsense]; known are mark",
            "global_rule 1: plugins.mark.bad: must not be",
            "consumer jack: plugins.key-auth: unknown plugin [key-auth]; known are mark",
        ]
    );
}

/// What is wrong, as text.
fn faults(compiled: Result<Snapshot, Vec<Invalid>>) -> Vec<String> {
    let invalid = compiled.err().unwrap_or_default();
    invalid.iter().map(ToString::to_string).collect()
}

#[test]
fn another_registry_takes_plugins_over_if_what_they_name_is_still_there() {
    let resources = json!({"routes": [
        {"id": "1", "uri": "/1", "plugins": {"mark": {"uses": "a"}}},
        {"id": "2", "uri": "/2", "plugins": {"mark": {"uses": "b"}}},
    ]});
    let first = compile(&resources, &Snapshot::empty()).unwrap();
    let gone = compile_by(&registry(Some("b")), &resources, &first);
    assert_eq!(faults(gone), ["route 2: plugins.mark.uses: there is none"]);

    let other = compile_by(&registry(Some("c")), &resources, &first).unwrap();
    for (key, (_, plugin)) in &other.kept.plugins {
        assert!(Arc::ptr_eq(plugin, &first.kept.plugins[key].1), "{key:?}");
    }
}

#[test]
fn a_plugin_that_is_not_in_the_list_is_refused_by_name() {
    let resources = json!({"routes": [{"id": "1", "uri": "/", "plugins": {"mark": {}}}]});
    let compiled = |names: &[&str]| {
        let registry = registry(None).only(names);
        faults(compile_by(&registry, &resources, &Snapshot::empty()))
    };
    assert_eq!(compiled(&["mark", "another"]), [""; 0]);
    assert_eq!(
        compiled(&["another"]),
        [
            "route 1: plugins.mark: the plugin [mark] is switched off: it is not in the list \
          `plugins` of config.yaml"
        ]
    );
}

#[test]
fn an_upstream_is_shown_the_certificate_that_it_names() {
    let pair = |name: &str| {
        let pair = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    };
    let (one, other) = (pair("one.test"), pair("other.test"));
    let resources = |(cert, key): &(String, String), kind: &str| {
        let mut upstream = nodes(80);
        upstream["scheme"] = "https".into();
        upstream["tls"] = json!({"client_cert_id": "c"});
        json!({
            "ssls": [{"id": "c", "type": kind, "sni": "c.test", "cert": cert, "key": key}],
            "routes": [{"id": "1", "uri": "/1", "upstream": upstream}],
        })
    };
    let before = compile(&resources(&one, "client"), &Snapshot::empty()).unwrap();
    let same = compile(&resources(&one, "client"), &before).unwrap();
    let after = compile(&resources(&other, "client"), &same).unwrap();
    let upstream = |snapshot: &Snapshot| snapshot.routes[0].upstream.clone().unwrap();
    let shown = |snapshot: &Snapshot| {
        let identity = upstream(snapshot).tls.clone().unwrap().identity.unwrap();
        (identity.chain().to_vec(), identity.place())
    };
    assert!(Arc::ptr_eq(&upstream(&before), &upstream(&same)));
    assert_eq!(shown(&before), shown(&same));
    assert_ne!(shown(&before).0, shown(&after).0);

    // As a store has it, where references are not checked before.
    let wrong = resources(&one, "server");
    let wrong = Resources::from_json(&wrong).unwrap();
    let found = Snapshot::compile(&wrong, &registry(None), Mode::default(), &before).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "route 1: upstream.tls.client_cert_id: \
         there is no ssl c of the type \"client\" that can be used"
    );
}

#[test]
fn a_key_of_another_certificate_is_refused_where_it_stands() {
    let pair = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let (cert, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let resources = json!({"ssls": [
        {"id": "a", "sni": "a.test", "cert": cert, "key": key, "certs": [cert], "keys": [key]},
    ]});
    let resources = Resources::from_json(&resources).unwrap();
    let registry = registry(None).checking_identities(|_| Err("does not fit"));
    let empty = Snapshot::empty();
    let found = Snapshot::compile(&resources, &registry, Mode::default(), &empty).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["ssl a: key: does not fit", "ssl a: keys[0]: does not fit"]
    );
}
