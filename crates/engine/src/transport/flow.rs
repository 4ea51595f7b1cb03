//! Write flow control: `asyncio.transports._FlowControlMixin` without the protocol. Held by every writing
//! transport; calls nothing.

use std::fmt;

/// The high-water mark of a new transport, in bytes.
pub const DEFAULT_HIGH: i64 = 64 * 1024;

/// The water marks, and whether the protocol has been paused.
#[derive(Clone, Debug)]
pub struct Flow {
    high: i64,
    low: i64,
    paused: bool,
}

/// Marks that contradict each other; its text is asyncio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsError {
    /// The high-water mark asked for.
    pub high: i64,
    /// The low-water mark asked for.
    pub low: i64,
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "high ({}) must be >= low ({}) must be >= 0", self.high, self.low)
    }
}

impl std::error::Error for LimitsError {}

impl Default for Flow {
    fn default() -> Self {
        Self { high: DEFAULT_HIGH, low: DEFAULT_HIGH / 4, paused: false }
    }
}

impl Flow {
    /// The low and the high mark, in the order of `get_write_buffer_limits`.
    pub const fn limits(&self) -> (i64, i64) {
        (self.low, self.high)
    }

    /// Whether the protocol has been told to pause.
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// `_set_write_buffer_limits`. The new marks count from the next change of the buffer, or from
    /// [`Flow::grew`] called at once.
    pub fn set_limits(&mut self, high: Option<i64>, low: Option<i64>) -> Result<(), LimitsError> {
        let high = high.unwrap_or_else(|| low.map_or(DEFAULT_HIGH, |low| low.saturating_mul(4)));
        let low = low.unwrap_or_else(|| high.div_euclid(4));
        if high >= low && low >= 0 {
            (self.high, self.low) = (high, low);
            Ok(())
        } else {
            Err(LimitsError { high, low })
        }
    }

    /// `_maybe_pause_protocol`: whether to pause the protocol now that this much is buffered.
    #[inline]
    pub fn grew(&mut self, size: usize) -> bool {
        if self.paused || size as i64 <= self.high {
            return false;
        }
        self.paused = true;
        true
    }

    /// `_maybe_resume_protocol`: whether to resume the protocol now that this much is buffered.
    #[inline]
    pub fn shrank(&mut self, size: usize) -> bool {
        if !self.paused || size as i64 > self.low {
            return false;
        }
        self.paused = false;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(high: Option<i64>, low: Option<i64>) -> Result<(i64, i64), String> {
        let mut flow = Flow::default();
        flow.set_limits(high, low).map(|()| flow.limits()).map_err(|error| error.to_string())
    }

    #[test]
    fn marks_default_to_each_other() {
        assert_eq!(Flow::default().limits(), (16 * 1024, 64 * 1024));
        assert_eq!(limits(None, None), Ok((16 * 1024, 64 * 1024)));
        assert_eq!(limits(Some(1000), None), Ok((250, 1000)));
        assert_eq!(limits(None, Some(1000)), Ok((1000, 4000)));
        assert_eq!(limits(Some(0), None), Ok((0, 0)));
        assert_eq!(limits(Some(7), Some(7)), Ok((7, 7)));
    }

    #[test]
    fn contradictions_are_refused_in_asyncio_s_words() {
        assert_eq!(limits(Some(1), Some(2)), Err("high (1) must be >= low (2) must be >= 0".into()));
        assert_eq!(limits(Some(-1), None), Err("high (-1) must be >= low (-1) must be >= 0".into()));
        assert_eq!(limits(Some(5), Some(-5)), Err("high (5) must be >= low (-5) must be >= 0".into()));
    }

    #[test]
    fn at_the_marks_themselves() {
        let mut flow = Flow::default();
        assert_eq!(flow.set_limits(Some(100), Some(10)), Ok(()));
        assert!(!flow.grew(100));
        assert!(flow.grew(101));
        assert!(!flow.grew(102), "once is enough");
        assert!(!flow.shrank(11));
        assert!(flow.shrank(10));
        assert!(!flow.shrank(0), "once is enough");
    }

    proptest! {
        #[test]
        fn pausing_and_resuming_alternate(
            high in 0..200i64, low in 0..200i64, sizes in prop::collection::vec(0..300usize, 0..100)
        ) {
            let mut flow = Flow::default();
            prop_assert_eq!(flow.set_limits(Some(high), Some(low)).is_ok(), high >= low);
            let (low, high) = flow.limits();
            let (mut size, mut paused) = (0, false);
            for next in sizes {
                let change = if next > size { flow.grew(next) } else { flow.shrank(next) };
                if change {
                    paused = !paused;
                    let beyond_its_mark = if paused { next as i64 > high } else { next as i64 <= low };
                    prop_assert!(beyond_its_mark);
                }
                prop_assert_eq!(flow.is_paused(), paused);
                size = next;
            }
        }
    }
}
