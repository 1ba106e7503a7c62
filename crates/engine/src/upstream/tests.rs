use super::*;
use proptest::prelude::*;
use serde_json::json;

fn upstream(json: serde_json::Value) -> Upstream {
    Upstream::new(&model::Upstream::from_json(&json).unwrap())
}

fn nodes(weights: &[(&str, u32, i64)]) -> Upstream {
    let nodes: Vec<_> = weights
        .iter()
        .map(|(host, weight, priority)| {
            json!({"host": host, "port": 80, "weight": weight, "priority": priority})
        })
        .collect();
    upstream(json!({"nodes": nodes}))
}

fn turns(upstream: &Upstream, count: usize) -> Vec<usize> {
    (0..count).map(|_| upstream.pick().unwrap().0).collect()
}

#[test]
fn turns_are_shared_by_weight_and_spread_evenly() {
    let upstream = nodes(&[("10.0.0.1", 5, 0), ("10.0.0.2", 3, 0)]);
    let turns = turns(&upstream, 16);
    assert_eq!(turns.iter().filter(|node| **node == 0).count(), 10);
    let longest = turns.chunk_by(|a, b| a == b).map(<[usize]>::len).max();
    assert!(longest <= Some(2), "{turns:?}");
}

#[test]
fn equal_nodes_take_turns() {
    let upstream = nodes(&[("10.0.0.1", 1, 0), ("10.0.0.2", 1, 0)]);
    assert_eq!(turns(&upstream, 4), [0, 1, 0, 1]);
}

#[test]
fn a_node_of_weight_0_has_no_turn_unless_there_is_no_other() {
    let upstream = nodes(&[("10.0.0.1", 0, 0), ("10.0.0.2", 1, 0)]);
    assert_eq!(upstream.only_node().unwrap().host_field, "10.0.0.2:80");
    assert_eq!(upstream.pick_after(&[0]).map(|(at, _)| at), None);
    let upstream = nodes(&[("10.0.0.1", 0, 0)]);
    assert_eq!(upstream.pick().unwrap().1.host_field, "10.0.0.1:80");
    assert!(nodes(&[]).pick().is_none());
}

#[test]
fn nodes_of_lower_priority_come_after_all_others_have_failed() {
    let upstream = nodes(&[
        ("10.0.0.9", 9, -1),
        ("10.0.0.1", 1, 0),
        ("10.0.0.2", 1, 0),
        ("10.0.0.3", 1, 0),
    ]);
    assert!(turns(&upstream, 30).iter().all(|node| *node < 3));
    let mut tried = vec![1];
    while let Some((next, _)) = upstream.pick_after(&tried) {
        tried.push(next);
    }
    assert_eq!(tried, [1, 2, 0, 3]);
}

#[test]
fn retries_are_bounded_by_the_other_nodes() {
    let two = json!({"10.0.0.1:80": 1, "10.0.0.2:80": 1});
    assert_eq!(upstream(json!({"nodes": two})).retries, 1);
    assert_eq!(upstream(json!({"nodes": two, "retries": 0})).retries, 0);
    assert_eq!(upstream(json!({"nodes": two, "retries": 5})).retries, 1);
}

proptest! {
    #[test]
    fn each_cycle_is_exact(weights in prop::collection::vec(1u32..50, 1..6)) {
        let specs: Vec<_> = weights.iter().map(|weight| ("10.0.0.1", *weight, 0)).collect();
        let upstream = nodes(&specs);
        let cycle: u32 = weights.iter().sum();
        if weights.len() > 1 {
            let turns = turns(&upstream, cycle as usize);
            for (node, weight) in weights.iter().enumerate() {
                let had = turns.iter().filter(|turn| **turn == node).count();
                prop_assert_eq!(had, *weight as usize);
            }
        }
    }

    #[test]
    fn any_sum_of_weights_has_a_step(cycle in 1u64..=u64::from(u32::MAX) * 1000) {
        prop_assert_eq!(gcd(step(cycle), cycle), 1);
    }
}
