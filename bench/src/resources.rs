//! The resources of a gateway with many routes: what one would expect of a few hundred
//! teams with a few dozen routes each.

use serde_json::{Map, Value, json};

/// Routes that name the same upstream.
const ROUTES_PER_UPSTREAM: usize = 100;

/// Every so many-th route serves a host of its own, and so on.
const HOST_EVERY: usize = 5;
const METHODS_EVERY: usize = 4;
const PREFIX_EVERY: usize = 3;
const SECOND_PLUGIN_EVERY: usize = 2;

/// Resources, by their keys in the Admin API.
pub(crate) struct Resources {
    pub(crate) upstreams: Vec<(String, Value)>,
    pub(crate) routes: Vec<(String, Value)>,
}

impl Resources {
    /// `count` routes to `node`.
    pub(crate) fn new(count: usize, node: &str) -> Self {
        let upstreams = 0..count.div_ceil(ROUTES_PER_UPSTREAM);
        let upstreams = upstreams.map(|number| {
            let upstream = json!({
                "id": format!("u{number}"),
                "name": format!("servers of team {number}"),
                "nodes": {node: 1},
            });
            (format!("upstreams/u{number}"), upstream)
        });
        let routes = (0..count).map(|number| {
            let id = format!("r{number:05}");
            (format!("routes/{id}"), route(number, node, "1"))
        });
        Resources {
            upstreams: upstreams.collect(),
            routes: routes.collect(),
        }
    }

    /// All of them as `apisix.yaml` has them.
    pub(crate) fn yaml(&self) -> String {
        let list = |resources: &[(String, Value)]| -> String {
            let lines = resources.iter().map(|(_, it)| format!("- {it}\n"));
            lines.collect()
        };
        format!(
            "upstreams:\n{}routes:\n{}#END\n",
            list(&self.upstreams),
            list(&self.routes)
        )
    }
}

/// A route that tells the upstream its number and its version.
pub(crate) fn route(number: usize, node: &str, version: &str) -> Value {
    let mut route = Map::new();
    route.insert("id".to_owned(), format!("r{number:05}").into());
    route.insert("name".to_owned(), format!("route {number}").into());
    route.insert("desc".to_owned(), "one of many routes".into());
    let labels = json!({"team": format!("team-{}", number / ROUTES_PER_UPSTREAM)});
    route.insert("labels".to_owned(), labels);
    let (path, is_prefix) = path(number);
    let uri = if is_prefix { format!("{path}*") } else { path };
    route.insert("uri".to_owned(), uri.into());
    if let Some(host) = host(number) {
        route.insert("host".to_owned(), host.into());
    }
    if number.is_multiple_of(METHODS_EVERY) {
        route.insert("methods".to_owned(), json!(["GET", "POST"]));
    }
    let marks = json!({"set": {"X-Route": number.to_string(), "X-Version": version}});
    let mut plugins = json!({"proxy-rewrite": {"headers": marks}});
    if number.is_multiple_of(SECOND_PLUGIN_EVERY) {
        plugins["ip-restriction"] = json!({"whitelist": ["127.0.0.0/8", "::1/128"]});
    }
    route.insert("plugins".to_owned(), plugins);
    if number.is_multiple_of(2) {
        let upstream = format!("u{}", number / ROUTES_PER_UPSTREAM);
        route.insert("upstream_id".to_owned(), upstream.into());
    } else {
        let timeout = json!({"connect": 2, "send": 10, "read": 10});
        let upstream = json!({"nodes": {node: 1}, "timeout": timeout});
        route.insert("upstream".to_owned(), upstream);
    }
    Value::Object(route)
}

/// The host of a route, if it has one.
pub(crate) fn host(number: usize) -> Option<String> {
    (number.is_multiple_of(HOST_EVERY))
        .then(|| format!("team-{}.bench.test", number / ROUTES_PER_UPSTREAM))
}

/// A path that the route serves, and whether it serves all that begin with it.
pub(crate) fn path(number: usize) -> (String, bool) {
    let team = number / ROUTES_PER_UPSTREAM;
    let path = format!("/teams/{team}/things/{number}");
    if number.is_multiple_of(PREFIX_EVERY) {
        (format!("{path}/"), true)
    } else {
        (path, false)
    }
}
