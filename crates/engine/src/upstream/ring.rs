//! A consistent hash: every node has points on a ring, and a key belongs to the
//! node whose point comes next. The points are those of lua-resty-balancer's
//! `resty.chash`, which are those of nginx's `hash … consistent`, so that the same
//! keys go to the same nodes as with APISIX.

use crc32fast::Hasher;

use crate::limits::{RING_POINTS, RING_POINTS_PER_WEIGHT};

use super::turns::gcd;

/// Invariant: `points` are in order.
#[derive(Debug, Default)]
pub(super) struct Ring {
    points: Vec<Point>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    hash: u32,
    node: u32,
}

impl Ring {
    /// A ring of nodes that are given by their names, `host:port`, and weights
    /// above 0. They are numbered in this order.
    pub(super) fn new<'a>(nodes: impl Iterator<Item = (&'a str, u64)> + Clone) -> Self {
        let divisor = nodes.clone().fold(0, |all, (_, weight)| gcd(all, weight));
        let whole: u64 = nodes.clone().map(|(_, weight)| weight / divisor).sum();
        let most = RING_POINTS / RING_POINTS_PER_WEIGHT;
        let mut points = Vec::new();
        for (node, (name, weight)) in (0..).zip(nodes) {
            let mut weight = weight / divisor;
            if whole > most {
                let scaled = u128::from(weight) * u128::from(most) / u128::from(whole);
                weight = u64::try_from(scaled).unwrap_or(most).max(1);
            }
            let hashes = hashes(name).take((weight * RING_POINTS_PER_WEIGHT) as usize);
            points.extend(hashes.map(|hash| Point { hash, node }));
        }
        points.sort_unstable();
        Ring { points }
    }

    /// The nodes for a key's hash in the order in which they are to be asked,
    /// many times each.
    pub(super) fn nodes(&self, hash: u32) -> impl Iterator<Item = usize> {
        let at = self.points.partition_point(|point| point.hash < hash);
        let (before, after) = self.points.split_at(at);
        after.iter().chain(before).map(|point| point.node as usize)
    }
}

/// The hashes of a node's points: each is that of the name, with a zero byte
/// in place of each colon, and the hash before.
fn hashes(name: &str) -> impl Iterator<Item = u32> {
    let named = crc32fast::hash(name.replace(':', "\0").as_bytes());
    std::iter::successors(Some(0_u32), move |before| {
        let mut hasher = Hasher::new_with_initial(named);
        hasher.update(&before.to_le_bytes());
        Some(hasher.finalize())
    })
    .skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [(&str, u64); 3] = [("127.0.0.1:1980", 2), ("127.0.0.1:1981", 2), ("b:80", 2)];

    fn first(ring: &Ring, key: &str) -> usize {
        let hash = crc32fast::hash(key.as_bytes());
        ring.nodes(hash).next().unwrap()
    }

    #[test]
    fn a_point_is_the_crc_of_the_name_and_the_point_before() {
        let mut expected = 0_u32;
        for hash in hashes("127.0.0.1:80").take(3) {
            let mut bytes = b"127.0.0.1\x0080".to_vec();
            bytes.extend(expected.to_le_bytes());
            expected = crc32fast::hash(&bytes);
            assert_eq!(hash, expected);
        }
    }

    #[test]
    fn equal_weights_are_as_good_as_1() {
        let ring = Ring::new(NODES.into_iter());
        assert_eq!(ring.points.len(), 3 * 160);
        let weighted = Ring::new([("a:1", 6), ("b:1", 4)].into_iter());
        assert_eq!(weighted.points.len(), 5 * 160);
    }

    #[test]
    fn keys_spread_by_weight() {
        let ring = Ring::new([("10.0.0.1:80", 3), ("10.0.0.2:80", 1)].into_iter());
        let keys = (0..4000).map(|number| format!("key-{number}"));
        let of_first = keys.filter(|key| first(&ring, key) == 0).count();
        assert!((2600..=3400).contains(&of_first), "{of_first}");
    }

    #[test]
    fn a_node_that_goes_takes_only_its_own_keys_along() {
        let before = Ring::new(NODES.into_iter());
        let after = Ring::new(NODES[..2].iter().copied());
        for number in 0..1000 {
            let key = number.to_string();
            let was = first(&before, &key);
            if was < 2 {
                assert_eq!(first(&after, &key), was, "{key}");
            } else {
                let hash = crc32fast::hash(key.as_bytes());
                let next = before.nodes(hash).find(|node| *node < 2);
                assert_eq!(Some(first(&after, &key)), next, "{key}");
            }
        }
    }

    #[test]
    fn a_ring_is_bounded_whatever_the_weights() {
        let weights = [("a:1", u64::from(u32::MAX)), ("b:1", 1)];
        let ring = Ring::new(weights.into_iter());
        assert!(ring.points.len() as u64 <= RING_POINTS + RING_POINTS_PER_WEIGHT);
        assert!(ring.points.iter().any(|point| point.node == 1));
    }
}
