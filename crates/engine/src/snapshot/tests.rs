use super::*;
use crate::plugin::{Factory, Phases, Told};
use crate::plugin::{Owner, Plugin};
use outrigger_model::{Fault, PropertyPath};
use proptest::prelude::*;
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
    Snapshot::compile(resources, registry, Mode::default(), previous)
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

/// The route with this id.
fn route<'s>(snapshot: &'s Snapshot, id: &str) -> &'s Arc<Route> {
    let mut routes = snapshot.routes.serving.iter();
    routes.find(|route| route.id.as_str() == id).unwrap()
}

/// The plugin of the route with this id.
fn plugin(snapshot: &Snapshot, id: &str) -> Arc<dyn Plugin> {
    Arc::clone(&route(snapshot, id).built[0].plain)
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
    let upstream = |snapshot: &Snapshot, id: &str| route(snapshot, id).upstream.clone().unwrap();
    assert!(Arc::ptr_eq(&plugin(&before, "1"), &plugin(&after, "1")));
    assert!(!Arc::ptr_eq(&plugin(&before, "2"), &plugin(&after, "2")));
    assert!(Arc::ptr_eq(&upstream(&before, "1"), &upstream(&after, "1")));
    assert!(!Arc::ptr_eq(
        &upstream(&before, "2"),
        &upstream(&after, "2")
    ));
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
    assert!(Arc::ptr_eq(&plugin(&before, "1"), &plugin(&after, "1")));
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
    for id in ["1", "2"] {
        assert!(
            Arc::ptr_eq(&plugin(&other, id), &plugin(&first, id)),
            "{id}"
        );
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
    let upstream = |snapshot: &Snapshot| route(snapshot, "1").upstream.clone().unwrap();
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
    let found = Snapshot::compile(wrong, &registry(None), Mode::default(), &before).unwrap_err();
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
    let found = Snapshot::compile(resources, &registry, Mode::default(), &empty).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["ssl a: key: does not fit", "ssl a: keys[0]: does not fit"]
    );
}

/// Resources, of which those that are equal to ones before are the same objects, as a
/// store has them.
fn taking_over(json: &Value, before: &Resources) -> Resources {
    fn same<T: PartialEq>(before: &[Arc<T>], now: &mut [Arc<T>]) {
        for it in now {
            let same = before.iter().find(|other| *other == it);
            *it = Arc::clone(same.unwrap_or(it));
        }
    }
    let mut now = Resources::from_json(json).unwrap();
    same(&before.routes, &mut now.routes);
    same(&before.services, &mut now.services);
    same(&before.upstreams, &mut now.upstreams);
    same(&before.plugin_configs, &mut now.plugin_configs);
    same(&before.global_rules, &mut now.global_rules);
    now
}

/// All that requests can see of a snapshot.
fn shown(snapshot: &Arc<Snapshot>) -> Vec<String> {
    let local = Rc::new(Arc::clone(snapshot));
    let shown = |path: &str, host: &str| {
        let request = http::Request::get(path).header("host", host);
        let exchange = crate::exchange::tests::exchange(request);
        let route = MatchedRoute::find(&local, &exchange);
        route.map_or(String::new(), |route| {
            let service = route.service.as_ref().map(|service| &service.id);
            let (id, upstream) = (&route.id, &route.upstream);
            format!(
                "{path} {host}: {id} {service:?} {} {upstream:?} {:?}",
                route.uri(),
                route.chain
            )
        })
    };
    let places = ["/a", "/b", "/ab", "/c"].map(|path| {
        let hosts = ["a.test", "b.test"];
        hosts.map(|host| shown(path, host))
    });
    let rules = format!("{:?}", snapshot.global_rules());
    places.into_iter().flatten().chain([rules]).collect()
}

/// Resources of few ids and values, which often agree with others in parts.
fn any_resources() -> impl Strategy<Value = Value> {
    let id = 0..3_u8;
    let mark = || prop::option::of(0..3_u8).prop_map(|v| v.map(|v| json!({"mark": {"v": v}})));
    let own = || prop::option::of(80..82_u16).prop_map(|port| port.map(nodes));
    let upstreams = prop::collection::btree_map(id.clone(), own(), 0..3);
    let services = prop::collection::btree_map(
        id.clone(),
        (
            mark(),
            prop::option::of(id.clone()),
            own(),
            prop::option::of("[ab]\\.test"),
        ),
        0..3,
    );
    let configs = prop::collection::btree_map(id.clone(), mark(), 0..3);
    let route = (
        (
            "/[abc]\\*?",
            -1..1_i64,
            0..4_u8,
            prop::option::of("[ab]\\.test"),
        ),
        mark(),
        (prop::option::of(id.clone()), own()),
        (prop::option::of(id.clone()), prop::option::of(id.clone())),
    );
    let routes = prop::collection::vec((0..5_u8, route), 0..6);
    let rules = prop::collection::btree_map(id, mark(), 0..2);
    (upstreams, services, configs, routes, rules).prop_map(
        |(upstreams, services, configs, mut routes, rules)| {
            let plugins = |mark: Option<Value>| mark.unwrap_or(json!({}));
            let mut seen = std::collections::HashSet::new();
            routes.retain(|(id, _)| seen.insert(*id));
            let mut all = json!({
                "upstreams": upstreams.into_iter().map(|(id, own)| {
                    let mut upstream = own.unwrap_or(nodes(90));
                    upstream["id"] = id.to_string().into();
                    upstream
                }).collect::<Vec<_>>(),
                "services": services.into_iter().map(|(id, (mark, upstream, own, host))| json!({
                    "id": id.to_string(), "plugins": plugins(mark),
                    "upstream_id": upstream.map(|id| id.to_string()),
                    "upstream": own, "hosts": host.map(|host| [host]),
                })).collect::<Vec<_>>(),
                "plugin_configs": configs.into_iter().map(|(id, mark)| json!({
                    "id": id.to_string(), "plugins": plugins(mark),
                })).collect::<Vec<_>>(),
                "global_rules": rules.into_iter().map(|(id, mark)| json!({
                    "id": id.to_string(), "plugins": plugins(mark),
                })).collect::<Vec<_>>(),
                "routes": routes.into_iter().map(|(id, route)| {
                    let ((uri, priority, status, host), mark, upstream, others) = route;
                    json!({
                        "id": id.to_string(), "uri": uri, "priority": priority, "host": host,
                        "status": u8::from(status > 0), "plugins": plugins(mark),
                        "upstream_id": upstream.0.map(|id| id.to_string()),
                        "upstream": upstream.1,
                        "service_id": others.0.map(|id| id.to_string()),
                        "plugin_config_id": others.1.map(|id| id.to_string()),
                    })
                }).collect::<Vec<_>>(),
            });
            without_null(&mut all);
            all
        },
    )
}

/// A property that is null is one that is not there.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(properties) => {
            properties.retain(|_, value| !value.is_null());
            properties.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

proptest! {
    /// Whatever became of the resources in between, references to what is not there
    /// among them.
    #[test]
    fn a_snapshot_made_from_another_is_the_one_that_would_be_made_anew(
        states in prop::collection::vec(any_resources(), 1..5),
    ) {
        let registry = registry(None);
        let mut resources = Resources::default();
        let mut snapshot = Arc::new(Snapshot::empty());
        for state in states {
            resources = taking_over(&state, &resources);
            let compile = |previous: &Snapshot| {
                let resources = resources.clone();
                let mode = Mode::default();
                Arc::new(Snapshot::compile(resources, &registry, mode, previous).unwrap())
            };
            let anew = compile(&Snapshot::empty());
            snapshot = compile(&snapshot);
            prop_assert_eq!(shown(&snapshot), shown(&anew));
            prop_assert_eq!(snapshot.route_count(), anew.route_count());
        }
    }
}

#[test]
fn another_order_of_routes_is_another_precedence() {
    let route = |id: &str| json!({"id": id, "uri": "/", "upstream": nodes(80)});
    let first = Resources::from_json(&json!({"routes": (["a", "b", "c"].map(route))})).unwrap();
    let turned = taking_over(&json!({"routes": (["c", "b", "a"].map(route))}), &first);
    let registry = registry(None);
    let compile = |resources, previous: &Snapshot, mode| {
        Snapshot::compile(resources, &registry, mode, previous).unwrap()
    };
    let before = compile(first, &Snapshot::empty(), Mode::default());
    let after = compile(turned.clone(), &before, Mode::default());
    let other_mode = compile(turned, &after, Mode::UriThenHost);
    assert_eq!(find(before, "/").id.as_str(), "a");
    assert_eq!(find(after, "/").id.as_str(), "c");
    assert_eq!(find(other_mode, "/").id.as_str(), "c");
}

#[test]
fn two_resources_of_one_id_are_refused() {
    let route = |uri: &str| json!({"id": "1", "uri": uri, "upstream": nodes(80)});
    let one = Resources::from_json(&json!({"routes": [route("/a")]})).unwrap();
    let two = taking_over(&json!({"routes": [route("/a"), route("/b")]}), &one);
    let registry = registry(None);
    let compile = |resources, previous: &Snapshot| {
        Snapshot::compile(resources, &registry, Mode::default(), previous)
    };
    let before = compile(one, &Snapshot::empty()).unwrap();
    let expected = ["route 1: id: another route has the id 1 too"];
    assert_eq!(faults(compile(two.clone(), &before)), expected);
    assert_eq!(faults(compile(two, &Snapshot::empty())), expected);
}

/// Remembers what it is told.
struct ListenerFactory;

impl Factory for ListenerFactory {
    fn name(&self) -> &'static str {
        "mark"
    }

    fn priority(&self) -> i32 {
        1
    }

    fn build(&self, conf: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        Ok(Arc::new(Mark(conf.clone())))
    }

    fn metadata(&self, conf: &Value) -> Result<Told, Fault> {
        match &conf["word"] {
            Value::String(word) => Ok(Arc::new(word.clone())),
            _ => Err(Fault {
                path: PropertyPath::root().key("word"),
                message: "is no text".to_owned(),
            }),
        }
    }
}

#[test]
fn a_plugin_finds_what_it_is_told_in_the_snapshot() {
    let registry = Registry::new([Box::new(ListenerFactory) as Box<dyn Factory>]);
    let told = |word: Value| json!({"plugin_metadata": [{"id": "mark", "word": word}]});
    let compile =
        |resources: &Value, previous: &Snapshot| compile_by(&registry, resources, previous);
    let first = compile(&told(json!("a")), &Snapshot::empty()).unwrap();
    let same = compile(&told(json!("a")), &first).unwrap();
    let other = compile(&told(json!("b")), &same).unwrap();
    let none = compile(&json!({}), &other).unwrap();
    let word = |snapshot| Snapshot::told::<String>(snapshot, "mark");
    assert!(std::ptr::eq(word(&first).unwrap(), word(&same).unwrap()));
    assert_eq!(word(&other).unwrap(), "b");
    assert_eq!(word(&none), None);
    assert_eq!(first.told::<u8>("mark"), None);

    let wrong = compile(&told(json!(5)), &other).unwrap_err();
    assert_eq!(
        wrong[0].to_string(),
        "plugin_metadata mark: word: is no text"
    );
    let unknown = json!({"plugin_metadata": [{"id": "nobody"}]});
    let unknown = compile(&unknown, &other).unwrap_err()[0].to_string();
    assert!(unknown.contains("unknown plugin [nobody]"), "{unknown}");
}
