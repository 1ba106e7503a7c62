//! Which traces are recorded.

use super::context::TraceId;

/// The share of traces that are recorded among those whose beginner has not
/// decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    /// Traces whose number is below are recorded.
    below: u128,
}

impl Ratio {
    /// A share from 0 to 1; what is outside counts as the nearest.
    pub(crate) fn new(ratio: f64) -> Self {
        let whole = (1_u64 << 56) as f64;
        // Within 0 and 2^56.
        let below = (ratio.clamp(0.0, 1.0) * whole) as u64;
        Ratio {
            below: u128::from(below),
        }
    }

    /// Judges by the number's last seven bytes, which W3C wants random, so
    /// that all gateways with one ratio judge alike.
    pub(crate) fn samples(self, trace: TraceId) -> bool {
        let random = u128::from_be_bytes(trace.0) & ((1 << 56) - 1);
        random < self.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_the_numbers() {
        let lowest = TraceId([0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let highest = TraceId([0xff; 16]);
        let mut third = [0xff; 16];
        third[9] = 0x55;
        let third = TraceId(third);
        for (ratio, expected) in [
            (-1.0, [false, false, false]),
            (0.0, [false, false, false]),
            (0.3, [true, false, false]),
            (0.5, [true, true, false]),
            (1.0, [true, true, true]),
            (7.0, [true, true, true]),
        ] {
            let ratio = Ratio::new(ratio);
            let judged = [lowest, third, highest].map(|id| ratio.samples(id));
            assert_eq!(judged, expected, "{ratio:?}");
        }
    }
}
