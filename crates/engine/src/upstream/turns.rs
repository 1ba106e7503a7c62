//! Taking turns by weight: a counter is all that changes, so that workers can
//! share it. Exact over each cycle, and a node's turns are spread evenly.

/// Nodes by their weights. Invariant: `ends` are the running sums of weights,
/// all above 0, and `step` has no divisor in common with the last of them.
#[derive(Debug)]
pub(super) struct Turns {
    ends: Vec<u64>,
    step: u64,
}

impl Turns {
    /// Of nodes with these weights, at least one of them, all above 0.
    pub(super) fn new(weights: impl Iterator<Item = u64>) -> Self {
        let mut sum = 0;
        let ends = weights.map(|weight| {
            sum += weight;
            sum
        });
        Turns {
            ends: ends.collect(),
            step: step(sum),
        }
    }

    /// Whether there is just one node.
    pub(super) fn is_one(&self) -> bool {
        self.ends.len() == 1
    }

    /// The node of turn number `turn`.
    pub(super) fn at(&self, turn: u64) -> usize {
        let cycle = *self.ends.last().expect("there is a node");
        let place = place(turn, self.step, cycle);
        self.ends.partition_point(|end| *end <= place)
    }
}

/// Which of some nodes has turn number `turn`, if only these take part.
pub(super) fn among<T: Copy>(
    nodes: impl Iterator<Item = (T, u64)> + Clone,
    turn: u64,
) -> Option<T> {
    let cycle = nodes.clone().map(|(_, weight)| weight).sum();
    if cycle == 0 {
        return None;
    }
    let mut left = place(turn, step(cycle), cycle);
    for (node, weight) in nodes {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return Some(node),
        }
    }
    None
}

/// The place in the cycle of all weights moves on by a step that has no
/// divisor in common with the cycle's length, so each place has its turn once a
/// cycle, and by about the golden ratio, so neighbours in time are far apart
/// in place.
fn place(turn: u64, step: u64, cycle: u64) -> u64 {
    let place = u128::from(turn) * u128::from(step) % u128::from(cycle);
    u64::try_from(place).expect("less than the cycle's length")
}

/// About 0.618 times `cycle`, without a common divisor.
fn step(cycle: u64) -> u64 {
    let golden = u64::try_from(u128::from(cycle) * 618 / 1000).expect("less than the cycle");
    (golden.max(1)..)
        .find(|step| gcd(*step, cycle) == 1)
        .expect("cycle + 1 is such a number")
}

pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_cycle_is_exact(weights in prop::collection::vec(1u64..50, 1..6)) {
            let turns = Turns::new(weights.iter().copied());
            let cycle: u64 = weights.iter().sum();
            let mut had = vec![0; weights.len()];
            for turn in 0..cycle {
                had[turns.at(turn)] += 1;
                let all = weights.iter().copied().enumerate();
                prop_assert_eq!(among(all, turn), Some(turns.at(turn)));
            }
            prop_assert_eq!(had, weights);
        }

        #[test]
        fn any_sum_of_weights_has_a_step(cycle in 1u64..=u64::from(u32::MAX) * 1000) {
            prop_assert_eq!(gcd(step(cycle), cycle), 1);
        }
    }

    #[test]
    fn turns_are_spread_evenly() {
        let turns = Turns::new([5, 3].into_iter());
        let turns: Vec<_> = (0..16).map(|turn| turns.at(turn)).collect();
        let longest = turns.chunk_by(|a, b| a == b).map(<[usize]>::len).max();
        assert!(longest <= Some(2), "{turns:?}");
    }

    #[test]
    fn nobody_has_a_turn_where_nobody_takes_part() {
        assert_eq!(among(std::iter::empty::<(usize, u64)>(), 3), None);
    }
}
