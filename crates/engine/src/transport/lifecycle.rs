//! Open, closing, lost: the `_closing` and `_conn_lost` of asyncio's transports. Held by `stream`; calls nothing.

/// How far a transport is on its way out.
#[derive(Clone, Debug, Default)]
pub(super) struct Lifecycle {
    closing: bool,
    /// Zero while `connection_lost` is still to be called; after that, one more than the writes that came too late.
    lost: u32,
}

/// That many late writes are silent.
const SILENT_LOST_WRITES: u32 = 4;

impl Lifecycle {
    #[inline]
    pub(super) const fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether `connection_lost` has been called or is going to be.
    #[inline]
    pub(super) const fn is_lost(&self) -> bool {
        self.lost != 0
    }

    /// asyncio's `_conn_lost`.
    pub(super) const fn lost_count(&self) -> u32 {
        self.lost
    }

    /// Starts closing; false when it had started before.
    pub(super) fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.closing, true)
    }

    /// The connection ends here: true once, for the one who sees to it that `connection_lost` is called.
    pub(super) fn lose(&mut self) -> bool {
        let first = self.lost == 0;
        self.closing = true;
        self.lost = self.lost.max(1);
        first
    }

    /// Counts a write to a lost connection; whether to warn about it.
    pub(super) fn write_lost(&mut self) -> bool {
        let warn = self.lost > SILENT_LOST_WRITES;
        self.lost = self.lost.saturating_add(1);
        warn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_lost_once() {
        let mut lifecycle = Lifecycle::default();
        assert!(!lifecycle.is_closing() && !lifecycle.is_lost());
        assert!(lifecycle.close());
        assert!(!lifecycle.close());
        assert!(lifecycle.is_closing() && !lifecycle.is_lost());
        assert!(lifecycle.lose());
        assert!(!lifecycle.lose());
        assert!(lifecycle.is_lost());
    }

    #[test]
    fn the_fifth_late_write_warns() {
        let mut lifecycle = Lifecycle::default();
        assert!(lifecycle.lose());
        let warned: Vec<bool> = (0..7).map(|_| lifecycle.write_lost()).collect();
        assert_eq!(warned, [false, false, false, false, true, true, true]);
    }
}
