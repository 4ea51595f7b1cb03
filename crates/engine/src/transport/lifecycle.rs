//! Open, closing, lost: the `_closing` and `_conn_lost` of asyncio's transports. Held by `stream`; calls
//! nothing.

/// Whether a transport is open, closing or lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Lifecycle {
    closing: bool,
    /// `connection_lost` has been called or is going to be.
    lost: bool,
    /// asyncio's `_conn_lost`.
    lost_count: u32,
}

impl Lifecycle {
    #[inline]
    pub(super) const fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether `connection_lost` has been called or is going to be.
    #[inline]
    pub(super) const fn is_lost(&self) -> bool {
        self.lost
    }

    /// asyncio's `_conn_lost`.
    pub(super) const fn lost_count(&self) -> u32 {
        self.lost_count
    }

    /// Starts closing; false when it had started before.
    pub(super) fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.closing, true)
    }

    /// Marks the connection as lost. Returns true the first time only: the caller then has `connection_lost`
    /// called. `counts` says whether `_conn_lost` is raised.
    pub(super) fn lose(&mut self, counts: bool) -> bool {
        let first = !std::mem::replace(&mut self.lost, true);
        self.closing = true;
        self.lost_count += u32::from(first && counts);
        first
    }

    /// Counts a write after the connection was lost; returns the count before.
    pub(super) fn write_lost(&mut self) -> u32 {
        let before = self.lost_count;
        self.lost_count = before.saturating_add(1);
        before
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
        assert!(lifecycle.lose(true));
        assert!(!lifecycle.lose(true));
        assert!(lifecycle.is_lost());
        assert_eq!(lifecycle.lost_count(), 1);
    }

    #[test]
    fn late_writes_are_counted() {
        let mut lifecycle = Lifecycle::default();
        assert!(lifecycle.lose(true));
        let counts: Vec<u32> = (0..3).map(|_| lifecycle.write_lost()).collect();
        assert_eq!(counts, [1, 2, 3]);
        assert_eq!(lifecycle.lost_count(), 4);
    }
}
