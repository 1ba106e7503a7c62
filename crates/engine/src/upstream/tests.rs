use super::*;
use serde_json::{Value, json};

fn model(json: &Value) -> model::Upstream {
    model::Upstream::from_json(json).unwrap()
}

fn upstream(json: &Value) -> Upstream {
    Upstream::new(&model(json))
}

/// Nodes `10.0.0.N` by N, weight and priority.
fn nodes(nodes: &[(u8, u32, i64)]) -> Value {
    let nodes = nodes.iter().map(|(number, weight, priority)| {
        let host = format!("10.0.0.{number}");
        json!({"host": host, "port": 80, "weight": weight, "priority": priority})
    });
    json!({"nodes": nodes.collect::<Vec<_>>()})
}

fn of_type(kind: &str, of: &[(u8, u32, i64)]) -> Value {
    let mut upstream = nodes(of);
    upstream["type"] = json!(kind);
    upstream["key"] = json!("uri");
    upstream
}

/// The nodes' numbers in the order in which one request is sent to them.
fn tries_of(upstream: &Upstream, hash: u32) -> Vec<u8> {
    let mut choice = upstream.choose_by(hash);
    let next = || choice.next(Instant::now()).map(number);
    std::iter::from_fn(next).take(10).collect()
}

fn tries(upstream: &Upstream) -> Vec<u8> {
    tries_of(upstream, 0)
}

fn number(node: &Node) -> u8 {
    match node.address {
        Address::Socket(std::net::SocketAddr::V4(address)) => address.ip().octets()[3],
        _ => unreachable!("the tests have addresses"),
    }
}

fn first(upstream: &Upstream) -> u8 {
    tries(upstream)[0]
}

fn node(upstream: &Upstream, wanted: u8) -> &Node {
    let mut nodes = upstream.nodes().iter();
    nodes.find(|node| number(node) == wanted).unwrap()
}

const TYPES: [&str; 4] = ["roundrobin", "chash", "least_conn", "ewma"];

#[test]
fn turns_are_shared_by_weight() {
    let upstream = upstream(&nodes(&[(1, 5, 0), (2, 3, 0)]));
    // Only what is asked first is a turn.
    let turns: Vec<_> = (0..16)
        .map(|_| number(upstream.choose_by(0).next(Instant::now()).unwrap()))
        .collect();
    assert_eq!(turns.iter().filter(|node| **node == 1).count(), 10);
}

#[test]
fn a_node_of_weight_0_has_no_turn_unless_there_is_no_other() {
    for kind in TYPES {
        let some = upstream(&of_type(kind, &[(1, 0, 0), (2, 1, 0)]));
        assert_eq!(tries(&some), [2], "{kind}");
        let none = upstream(&of_type(kind, &[(1, 0, 0), (2, 0, 0)]));
        assert_eq!(tries(&none).len(), 2, "{kind}");
        assert!(tries(&upstream(&of_type(kind, &[]))).is_empty(), "{kind}");
    }
}

#[test]
fn the_only_node_is_asked_again() {
    for weight in [0, 1] {
        let lone = upstream(&nodes(&[(1, weight, 0)]));
        assert_eq!(tries(&lone), [1; 10]);
    }
}

#[test]
fn no_node_is_asked_twice_and_those_of_lower_priority_come_last() {
    for kind in TYPES {
        let some = [(9, 9, -1), (1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0)];
        let upstream = upstream(&of_type(kind, &some));
        for hash in 0..20 {
            let mut tries = tries_of(&upstream, hash << 27);
            assert_eq!(tries.pop(), Some(9), "{kind}");
            tries.sort_unstable();
            assert_eq!(tries, [1, 2, 3, 4], "{kind}");
        }
    }
}

#[test]
fn a_key_has_its_node_and_others_only_while_that_one_is_away() {
    let checked = |mut upstream: Value| {
        upstream["checks"] = json!({"active": {"unhealthy": {"tcp_failures": 1}}});
        self::upstream(&upstream)
    };
    let upstream = checked(of_type("chash", &[(1, 1, 0), (2, 1, 0), (3, 1, 0)]));
    let before: Vec<_> = (0..64)
        .map(|hash| tries_of(&upstream, hash << 26))
        .collect();
    upstream.probed(node(&upstream, 2), Report::Failed);
    for (hash, before) in (0..64).zip(before) {
        let mut left = before;
        left.retain(|node| *node != 2);
        assert_eq!(tries_of(&upstream, hash << 26), left);
    }
}

#[test]
fn nodes_that_are_not_well_are_left_out_unless_all_are() {
    for kind in TYPES {
        let mut json = of_type(kind, &[(1, 2, 0), (2, 1, 0), (3, 1, -1)]);
        json["checks"] = json!({"active": {"unhealthy": {"tcp_failures": 1}}});
        let upstream = upstream(&json);
        upstream.probed(node(&upstream, 1), Report::Failed);
        assert_eq!(tries(&upstream), [2, 3], "{kind}");
        upstream.probed(node(&upstream, 2), Report::Failed);
        assert_eq!(tries(&upstream), [3], "{kind}");
        upstream.probed(node(&upstream, 3), Report::Failed);
        let all = tries(&upstream);
        assert_eq!((all.len(), all[2]), (3, 3), "{kind}");
    }
}

#[test]
fn the_turns_of_a_node_that_is_away_are_shared_by_weight() {
    let mut json = nodes(&[(1, 90, 0), (2, 2, 0), (3, 1, 0)]);
    json["checks"] = json!({"active": {"unhealthy": {"tcp_failures": 1}}});
    let upstream = upstream(&json);
    upstream.probed(node(&upstream, 1), Report::Failed);
    let second = (0..3000)
        .map(|_| number(upstream.choose_by(0).next(Instant::now()).unwrap()))
        .filter(|node| *node == 2)
        .count();
    assert!((1900..=2100).contains(&second), "{second}");
}

#[test]
fn the_least_busy_node_by_weight_is_asked() {
    let upstream = upstream(&of_type("least_conn", &[(1, 3, 0), (2, 1, 0)]));
    let mut busy = Vec::new();
    let mut asked = Vec::new();
    for _ in 0..8 {
        let now = Instant::now();
        let chosen = upstream.choose_by(0).next(now).unwrap();
        asked.push(number(chosen));
        busy.extend(upstream.busy(chosen, now));
    }
    assert_eq!(asked.iter().filter(|node| **node == 1).count(), 6);
    busy.clear();
    let second = upstream.busy(node(&upstream, 2), Instant::now());
    assert_eq!(first(&upstream), 1);
    drop(second);
    assert_eq!(node(&upstream, 2).load.in_flight(), 0);
}

#[test]
fn the_faster_node_is_asked() {
    let upstream = upstream(&of_type("ewma", &[(1, 1, 0), (2, 1, 0)]));
    let began = Instant::now() - Duration::from_secs(2);
    let mut slow = upstream.busy(node(&upstream, 1), began).unwrap();
    slow.answered();
    drop(slow);
    assert!((0..20).all(|_| first(&upstream) == 2));
}

#[test]
fn a_request_may_be_sent_again_as_often_as_there_are_others() {
    let mut two = nodes(&[(1, 1, 0), (2, 0, 0)]);
    assert_eq!(upstream(&two).retries, 1);
    for retries in [0, 5] {
        two["retries"] = json!(retries);
        assert_eq!(upstream(&two).retries, retries);
    }
    two["retry_timeout"] = json!(0);
    assert_eq!(upstream(&two).retry_timeout, None);
}

#[test]
fn what_is_known_of_a_node_outlives_the_configuration() {
    let checks = |failures| json!({"active": {"unhealthy": {"tcp_failures": failures}}});
    let mut json = of_type("least_conn", &[(1, 1, 0), (2, 1, 0)]);
    json["checks"] = checks(1);
    let before = upstream(&json);
    let _busy = before.busy(node(&before, 1), Instant::now());
    before.probed(node(&before, 1), Report::Failed);

    let mut changed = of_type("roundrobin", &[(3, 1, 0), (1, 7, 0)]);
    changed["checks"] = checks(1);
    let after = Upstream::following(&model(&changed), &before);
    let known = |upstream: &Upstream, number| {
        let node = node(upstream, number);
        (node.load.in_flight(), node.health().condition.is_well())
    };
    assert_eq!(known(&after, 1), (1, false));
    assert_eq!(known(&after, 3), (0, true));
    assert!(Arc::ptr_eq(&before.turn, &after.turn));

    changed["checks"] = checks(2);
    let anew = Upstream::following(&model(&changed), &after);
    assert_eq!(known(&anew, 1), (1, true));
}

#[test]
fn only_what_passive_checks_ask_for_is_learnt_from_requests() {
    let mut json = nodes(&[(1, 1, 0), (2, 1, 0)]);
    json["checks"] = json!({"active": {}});
    let active = upstream(&json);
    assert_eq!(active.met(node(&active, 1), Report::Failed), None);
    assert_eq!(node(&active, 1).health(), health::Health::default());
    json["checks"]["passive"] = json!({"unhealthy": {"tcp_failures": 1}});
    let passive = upstream(&json);
    let told = passive.met(node(&passive, 1), Report::Failed);
    assert_eq!(told, Some(Condition::Unhealthy));
}
