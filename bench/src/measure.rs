//! The measurements, one after the other, and the table that comes of them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outrigger_harness::{Connection, Gateway, GatewayBuilder};
use serde_json::{Value, json};

use crate::Options;
use crate::load::{self, Times};
use crate::process::{machine_load, memory, worker_time};
use crate::resources::{Resources, route};
use crate::upstream;

const WORKERS: usize = 2;

/// Rounds of load on either gateway, of which the middle one counts.
const ROUNDS: usize = 3;

/// Changes under load, and how long after one the next comes at the earliest.
const CHANGES: usize = 100;
const CHANGE_PAUSE: Duration = Duration::from_millis(50);

/// Connections on which a change has to be seen: enough for every worker to have some.
const WITNESSES: usize = 8;

/// After so long the gateway has given back what a change has taken.
const SETTLE: Duration = Duration::from_secs(1);

/// Changes of the file, each of which waits until it is live.
const FILE_CHANGES: usize = 5;

/// Measures everything and prints it line by line.
pub(crate) fn all(options: &Options) {
    let node = upstream::start().to_string();
    let many = Resources::new(options.routes, &node);
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let count = options.routes;
    println!(
        "{count} routes, {WORKERS} workers; load of the machine: {}",
        machine_load()
    );
    row("", "", "target");

    let stored = of_store(options, data.path()).start();
    row(
        "memory without routes",
        mib(memory(stored.process(), "VmRSS")),
        "",
    );
    let begun = Instant::now();
    fill(&stored, &many);
    let each = begun.elapsed() / u32::try_from(count).unwrap_or(u32::MAX);
    row("a PUT while all routes were written", ms(each), "");
    row(
        "memory with all",
        mib(memory(stored.process(), "VmRSS")),
        "< 150 MiB",
    );
    lists(&stored, count);
    matching(options, &stored, &node);
    changes(options, &stored, &node);
    row(
        "memory after that",
        mib(memory(stored.process(), "VmRSS")),
        "< 150 MiB",
    );
    row(
        "most memory at any time",
        mib(memory(stored.process(), "VmHWM")),
        "",
    );
    stored.stop();
    drop(stored);

    let begun = Instant::now();
    let again = of_store(options, data.path()).start();
    row("start from the store", ms(begun.elapsed()), "");
    row(
        "memory then",
        mib(memory(again.process(), "VmRSS")),
        "< 150 MiB",
    );
    again.stop();
    drop(again);

    file(options, many, &node);
    println!("load of the machine at the end: {}", machine_load());
}

fn row(what: &str, found: impl AsRef<str>, target: &str) {
    let found = found.as_ref();
    println!("{what:<44} {found:>16}  {target}");
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn mib(memory: f64) -> String {
    format!("{memory:.1} MiB")
}

fn gateway(options: &Options) -> GatewayBuilder {
    Gateway::build().program(&options.gateway)
}

/// A gateway with a store in `folder`.
fn of_store(options: &Options, folder: &Path) -> GatewayBuilder {
    let settings = json!({"outrigger": {
        "workers": WORKERS,
        "runtime_dir": folder.join("run"),
        "data_dir": folder.join("data"),
    }});
    std::fs::create_dir_all(folder.join("run")).expect("a folder can be made");
    gateway(options).traditional().config(settings)
}

/// A gateway with these routes in its `apisix.yaml`.
fn of_file(options: &Options, routes: &str) -> GatewayBuilder {
    let settings = json!({"outrigger": {"workers": WORKERS}});
    gateway(options).config(settings).routes(routes)
}

fn put(gateway: &Gateway, key: &str, resource: &Value) {
    let response = gateway.admin("PUT", key).json(resource).send();
    assert!(response.status < 300, "{key}: {response:?}");
}

fn fill(gateway: &Gateway, resources: &Resources) {
    for (key, resource) in resources.upstreams.iter().chain(&resources.routes) {
        put(gateway, key, resource);
    }
}

fn lists(gateway: &Gateway, count: usize) {
    let list = |query: &str| {
        let begun = Instant::now();
        let response = gateway.admin("GET", &format!("routes{query}")).send();
        let took = begun.elapsed();
        assert_eq!(response.json()["total"], count);
        ms(took)
    };
    row("Admin API: list of all routes", list(""), "");
    row("Admin API: a page of 20", list("?page=7&page_size=20"), "");
}

/// CPU time of the workers per request, with one route and with many.
fn matching(options: &Options, many: &Gateway, node: &str) {
    let only = Resources::new(1, node);
    let one = of_file(options, &only.yaml()).start();
    let cost = |gateway: &Gateway, routes: usize| {
        let before = worker_time(gateway.process());
        let time = Duration::from_secs(options.seconds);
        let times = load::run_for(gateway.client(), routes, time);
        let used = worker_time(gateway.process()).saturating_sub(before);
        used.as_secs_f64() * 1e6 / times.count() as f64
    };
    // So that connections are there and nothing is done for the first time.
    cost(&one, 1);
    cost(many, options.routes);
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let alone = cost(&one, 1);
            let same = cost(many, 1);
            let spread = cost(many, options.routes);
            (alone, same, spread)
        })
        .collect();
    let middle = |of: fn(&(f64, f64, f64)) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let (alone, same, spread) = (middle(|it| it.0), middle(|it| it.1), middle(|it| it.2));
    row(
        "CPU of a request, one route there is",
        format!("{alone:.1} µs"),
        "",
    );
    row("one of many, always the same", format!("{same:.1} µs"), "");
    row("all of them in turn", format!("{spread:.1} µs"), "");
    row("of one route", format!("{:.2}", same / alone), "<= 1.2");
    row(
        "of one route, all in turn",
        format!("{:.2}", spread / alone),
        "",
    );
}

/// What changes take, and what they cost the requests under way.
fn changes(options: &Options, gateway: &Gateway, node: &str) {
    let quiet = load::run_for(
        gateway.client(),
        options.routes,
        CHANGE_PAUSE * u32::try_from(CHANGES).unwrap_or(1),
    );
    let one_route = |version: usize| {
        let number = (version * 101) % options.routes;
        let version = format!("new-{version}");
        put(
            gateway,
            &format!("routes/r{number:05}"),
            &route(number, node, &version),
        );
        Some((number, version))
    };
    let one = under_load(options, gateway, one_route);
    let an_upstream = |version: usize| {
        let upstream = json!({"nodes": {node: 1}, "retries": version % 2});
        put(gateway, "upstreams/u0", &upstream);
        None
    };
    let shared = under_load(options, gateway, an_upstream);
    let times = |what: &str, times: &Times, target: &str| {
        let [middle, most, all] = [0.5, 0.99, 1.0].map(|share| times.quantile(share));
        row(what, format!("{middle:.1} {most:.1} {all:.1}"), target);
    };
    row("", "50 % 99 % all", "ms");
    times("a route changed: live on all workers", &one.0, "< 100");
    times("an upstream of 50 routes changed", &shared.0, "< 100");
    times("requests meanwhile, nothing changes", &quiet, "");
    times("requests while routes change", &one.1, "+ 10 at most");
    times(
        "requests while the upstream changes",
        &shared.1,
        "+ 10 at most",
    );
}

/// Times of changes and times of requests meanwhile. `change` makes a change, and says
/// which route has what version then.
fn under_load(
    options: &Options,
    gateway: &Gateway,
    change: impl Fn(usize) -> Option<(usize, String)>,
) -> (Times, Times) {
    let client = gateway.client();
    let mut witnesses: Vec<Connection> = (0..WITNESSES).map(|_| client.connection()).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| load::run(client, options.routes, &stop));
        let mut times = Times::default();
        for version in 0..CHANGES {
            let begun = Instant::now();
            let expected = change(version);
            times.add(begun.elapsed());
            if let Some((route, version)) = expected {
                for witness in &mut witnesses {
                    assert_eq!(load::get(witness, route), version, "a change is live");
                }
            }
            std::thread::sleep(CHANGE_PAUSE.saturating_sub(begun.elapsed()));
        }
        stop.store(true, Ordering::Relaxed);
        (times, load.join().expect("the load ends"))
    })
}

/// The same routes from a file.
fn file(options: &Options, mut resources: Resources, node: &str) {
    let begun = Instant::now();
    let gateway = of_file(options, &resources.yaml()).start();
    row("start from apisix.yaml", ms(begun.elapsed()), "");
    row(
        "memory then",
        mib(memory(gateway.process(), "VmRSS")),
        "< 150 MiB",
    );
    let client = gateway.client();
    let stop = AtomicBool::new(false);
    let mut took = Times::default();
    let mut witness = client.connection();
    let load = std::thread::scope(|scope| {
        let load = scope.spawn(|| load::run(client, options.routes, &stop));
        for version in 0..FILE_CHANGES {
            let version = format!("new-{version}");
            resources.routes[0].1 = route(0, node, &version);
            let text = resources.yaml();
            let begun = Instant::now();
            gateway.write_routes(text);
            while load::get(&mut witness, 0) != version {
                std::thread::sleep(Duration::from_millis(5));
            }
            took.add(begun.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        load.join().expect("the load ends")
    });
    let shown = |times: &Times| format!("{:.0} {:.0}", times.quantile(0.5), times.quantile(1.0));
    row("", "50 % all", "ms");
    row("a route edited in apisix.yaml: live", shown(&took), "");
    row("requests meanwhile", shown(&load), "");
    std::thread::sleep(SETTLE);
    row(
        "memory a second later",
        mib(memory(gateway.process(), "VmRSS")),
        "< 150 MiB",
    );
    row(
        "most memory at any time",
        mib(memory(gateway.process(), "VmHWM")),
        "",
    );
    gateway.stop();
}
