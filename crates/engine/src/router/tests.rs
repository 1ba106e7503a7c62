use super::*;
use proptest::prelude::*;

#[derive(Debug)]
struct Spec {
    name: &'static str,
    uris: Vec<UriPattern>,
    hosts: Vec<HostPattern>,
    methods: MethodSet,
    remote_addrs: Vec<Cidr>,
    vars: Option<Expr>,
    priority: i64,
}

fn route(name: &'static str, uri: &str) -> Spec {
    Spec {
        name,
        uris: vec![UriPattern::new(uri)],
        hosts: Vec::new(),
        methods: MethodSet::default(),
        remote_addrs: Vec::new(),
        vars: None,
        priority: 0,
    }
}

impl Spec {
    fn host(mut self, host: &str) -> Self {
        self.hosts.push(HostPattern::new(host).unwrap());
        self
    }

    fn uri(mut self, uri: &str) -> Self {
        self.uris.push(UriPattern::new(uri));
        self
    }

    fn from(mut self, range: &str) -> Self {
        self.remote_addrs.push(range.parse().unwrap());
        self
    }

    fn vars(mut self, vars: serde_json::Value) -> Self {
        self.vars = Some(Expr::from_json(&vars).unwrap());
        self
    }

    fn priority(mut self, priority: i64) -> Self {
        self.priority = priority;
        self
    }

    fn methods(mut self, methods: &[&str]) -> Self {
        let json = serde_json::json!({"id": "x", "uri": "/", "methods": methods, "plugins": {}});
        self.methods = outrigger_model::Route::from_json(&json).unwrap().methods;
        self
    }
}

struct Routes(Router, Vec<&'static str>);

impl Spec {
    fn key(&self) -> RouteKey<'_> {
        RouteKey {
            uris: &self.uris,
            hosts: &self.hosts,
            methods: self.methods,
            remote_addrs: &self.remote_addrs,
            vars: self.vars.as_ref(),
            priority: self.priority,
        }
    }
}

fn routes(mode: Mode, specs: Vec<Spec>) -> Routes {
    let mut router = Router::new(mode);
    for (number, spec) in specs.iter().enumerate() {
        router.add(number, &spec.key(), &|number| number);
    }
    Routes(router, specs.iter().map(|spec| spec.name).collect())
}

impl Routes {
    fn find(&self, method: &str, host: &str, path: &str) -> &str {
        let found = self.look(method, host, path, None);
        found.map_or("", |found| self.1[found.route])
    }

    /// The request comes from 10.1.1.1; `arg_v` is the only variable.
    fn look(&self, method: &str, host: &str, path: &str, arg: Option<&str>) -> Option<Found> {
        self.0.find(&Wanted {
            host,
            path: path.as_bytes(),
            method: &method.parse().unwrap(),
            remote: "10.1.1.1".parse().unwrap(),
            vars: &|name| match name {
                "arg_v" => arg.map(|arg| Cow::Owned(arg.as_bytes().to_vec())),
                _ => None,
            },
        })
    }

    fn get(&self, host: &str, path: &str) -> &str {
        self.find("GET", host, path)
    }
}

#[test]
fn an_exact_path_goes_before_a_prefix_and_a_longer_prefix_before_a_shorter() {
    let routes = routes(
        Mode::HostThenUri,
        vec![
            route("all", "/*").priority(9),
            route("a", "/a/*").priority(5),
            route("ab", "/a/b/*"),
            route("exact", "/a/b"),
        ],
    );
    assert_eq!(routes.get("x", "/a/b"), "exact");
    assert_eq!(routes.get("x", "/a/b/c"), "ab");
    assert_eq!(routes.get("x", "/a/c"), "a");
    assert_eq!(routes.get("x", "/a"), "all");
}

#[test]
fn hosts_go_before_paths_and_exact_hosts_before_wildcards() {
    let routes = routes(
        Mode::HostThenUri,
        vec![
            route("hostless", "/*").priority(100),
            route("exact path", "/x/y").priority(100),
            route("any", "/*").host("*").priority(50),
            route("wild", "/*").host("*.test").priority(20),
            route("longer", "/*").host("*.a.test").priority(10),
            route("exact", "/x/*").host("x.a.test").priority(1),
        ],
    );
    assert_eq!(routes.get("x.a.test", "/x/y"), "exact");
    assert_eq!(routes.get("x.a.test", "/z"), "longer");
    assert_eq!(routes.get("y.a.test", "/x/y"), "longer");
    assert_eq!(routes.get("z.test", "/"), "wild");
    assert_eq!(routes.get("other", "/x/y"), "any");
}

#[test]
fn with_the_uri_router_paths_go_before_hosts() {
    let routes = routes(
        Mode::UriThenHost,
        vec![
            route("hosted", "/*").host("a.test"),
            route("exact path", "/x/y"),
            route("hostless", "/*"),
        ],
    );
    assert_eq!(routes.get("a.test", "/x/y"), "exact path");
    assert_eq!(routes.get("a.test", "/z"), "hosted");
    assert_eq!(routes.get("b.test", "/z"), "hostless");
}

#[test]
fn priority_decides_between_routes_of_one_host_and_path() {
    let routes = routes(
        Mode::HostThenUri,
        vec![
            route("low", "/a"),
            route("high", "/a").priority(1),
            route("same", "/a").priority(1),
        ],
    );
    assert_eq!(routes.get("x", "/a"), "high");
}

#[test]
fn a_candidate_of_another_method_gives_way() {
    let routes = routes(
        Mode::HostThenUri,
        vec![
            route("post", "/a").methods(&["POST"]),
            route("put", "/a*").methods(&["PUT"]).host("a.test"),
            route("rest", "/*"),
        ],
    );
    assert_eq!(routes.find("POST", "a.test", "/a"), "post");
    assert_eq!(routes.find("PUT", "a.test", "/a"), "put");
    assert_eq!(routes.get("a.test", "/a"), "rest");
    assert_eq!(routes.find("BREW", "a.test", "/a"), "rest");
}

/// Reference scenario: "an asterisk in the middle of a uri".
#[test]
fn an_asterisk_may_stand_in_the_middle() {
    let routes = routes(
        Mode::HostThenUri,
        vec![route("mid", "/a/*/c"), route("end", "/b/*/d/*").uri("/e")],
    );
    assert_eq!(routes.get("x", "/a/x/y/c"), "mid");
    assert_eq!(routes.get("x", "/a/c"), "");
    assert_eq!(routes.get("x", "/b/1/d/2"), "end");
    assert_eq!(routes.get("x", "/b/1/d"), "");
    assert_eq!(routes.get("x", "/e"), "end");
}

/// A route of few paths and hosts, so that many get into each other's way.
fn any_spec() -> impl Strategy<Value = Spec> {
    let host = prop::option::of("\\*?\\.?[ab]\\.t");
    ("/[ab]{0,3}\\*?", host, -1i64..2).prop_map(|(uri, host, priority)| {
        let spec = route("", &uri).priority(priority);
        match host {
            Some(host) => spec.host(&host),
            None => spec,
        }
    })
}

const ANY_PATH: &str = "/[ab]{0,3}";
const ANY_HOST: &str = "[ab]\\.[ab]\\.t|[ab]\\.t";

proptest! {
    /// Against a reading of the rules that tries every route.
    #[test]
    fn finds_what_a_search_of_all_routes_finds(
        specs in prop::collection::vec(any_spec(), 0..8), path in ANY_PATH, host in ANY_HOST,
    ) {
        let rank = |spec: &Spec| {
            let host = match spec.hosts.first() {
                None => 0,
                Some(HostPattern::Any) => 1,
                Some(HostPattern::Wildcard(suffix)) => 2 + suffix.len(),
                Some(HostPattern::Exact(_)) => 100,
            };
            let uri = match &spec.uris[0] {
                UriPattern::Exact(_) => 100,
                pattern => pattern.to_string().len(),
            };
            (host, uri, spec.priority)
        };
        let matching = specs.iter().enumerate().filter(|(_, spec)| {
            spec.uris[0].matches(path.as_bytes()) && spec.hosts.iter().all(|pattern| pattern.matches(&host))
        });
        let best = matching.max_by_key(|(at, spec)| (rank(spec), Reverse(*at))).map(|(at, _)| at);
        let Routes(router, _) = routes(Mode::HostThenUri, specs);
        let found = Routes(router, vec![]).look("GET", &host, &path, None).map(|found| found.route);
        prop_assert_eq!(found, best);
    }

    /// Whatever has come and gone in between, in whatever order.
    #[test]
    fn a_changed_router_finds_what_one_made_anew_finds(
        specs in prop::collection::vec((any_spec(), any::<u8>(), any::<bool>()), 0..12),
        uri_first in any::<bool>(), path in ANY_PATH, host in ANY_HOST,
    ) {
        let mode = if uri_first { Mode::UriThenHost } else { Mode::HostThenUri };
        let mut by_turn: Vec<_> = specs.iter().enumerate().collect();
        by_turn.sort_by_key(|(_, (_, turn, _))| *turn);
        let mut changed = Router::new(mode);
        for (number, (spec, ..)) in &by_turn {
            changed.add(*number, &spec.key(), &|number| number);
        }
        let before = changed.clone();
        let mut anew = Router::new(mode);
        let mut all = Router::new(mode);
        for (number, (spec, _, stays)) in specs.iter().enumerate() {
            all.add(number, &spec.key(), &|number| number);
            if *stays {
                anew.add(number, &spec.key(), &|number| number);
            } else {
                changed.remove(number, &spec.key());
            }
        }
        let find = |router| Routes(router, vec![]).look("GET", &host, &path, None);
        prop_assert_eq!(find(changed), find(anew));
        prop_assert_eq!(find(before), find(all));
    }
}

#[test]
fn addresses_and_variables_are_conditions_like_others() {
    let routes = routes(
        Mode::HostThenUri,
        vec![
            route("else", "/a"),
            route("elsewhere", "/a").from("192.0.2.0/24").priority(9),
            route("here", "/b").from("192.0.2.0/24").from("10.0.0.0/8"),
            route("v", "/a").vars(serde_json::json!([["arg_v", ">", 5]])),
            route("any", "/c").vars(serde_json::json!([])),
        ],
    );
    let name = |path: &str, arg: Option<&str>| {
        let found = routes.look("GET", "a.test", path, arg);
        found.map_or("", |found| routes.1[found.route])
    };
    assert_eq!(name("/a", None), "else");
    assert_eq!(name("/a", Some("6")), "v");
    assert_eq!(name("/a", Some("5")), "else");
    assert_eq!(name("/b", None), "here");
    assert_eq!(name("/c", None), "any");
}

#[test]
fn parameters_are_captured_only_where_the_router_takes_them() {
    let specs = || {
        vec![
            route("all", "/*"),
            route("user", "/u/:name/o/:id"),
            route("me", "/u/me/o/1"),
        ]
    };
    let with = routes(Mode::UriWithParameters, specs());
    let found = with.look("GET", "a", "/u/jack/o/7", None).unwrap();
    assert_eq!(with.1[found.route], "user");
    let captured: Vec<_> = found
        .captured
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(captured, [("name", &b"jack"[..]), ("id", b"7")]);
    assert_eq!(with.get("a", "/u/me/o/1"), "me");
    assert_eq!(with.get("a", "/u/jack"), "all");
    let without = routes(Mode::UriThenHost, specs());
    assert_eq!(without.get("a", "/u/jack/o/7"), "all");
    assert_eq!(without.get("a", "/u/:name/o/:id"), "user");
}
