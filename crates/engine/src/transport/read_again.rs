//! [`ReadAgain`]: whether a socket receives its next datagram without waiting for the kernel's report. Held
//! by `datagrams`; calls nothing.
//!
//! Where datagrams come faster than they are handled, polling the kernel costs as much as receiving. There
//! the socket makes one more receive per turn without a report: an attempt. Where datagrams come one by one,
//! an attempt finds nothing and is wasted. So the results of earlier attempts decide, and now and then an
//! attempt is made without them.

/// If earlier attempts found nothing, the next attempt comes after this many datagrams.
const TRY_AFTER: u8 = 16;

/// The results of the attempts of one socket.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadAgain {
    /// An attempt is in the ready ring.
    scheduled: bool,
    /// The next receive is an attempt.
    under_way: bool,
    /// A datagram was received, and `schedule` was not called since.
    has_received: bool,
    /// An attempt has found a datagram since an attempt last found nothing.
    found_since_miss: bool,
    /// An attempt had found a datagram before an attempt last found nothing, and after the one before that.
    found_before_miss: bool,
    /// How many datagrams were reported by the kernel since an attempt was last made without results.
    since_last_try: u8,
}

impl ReadAgain {
    /// A datagram was received.
    pub(super) fn received(&mut self) {
        self.has_received = true;
        if std::mem::take(&mut self.under_way) {
            self.found_since_miss = true;
        } else {
            self.since_last_try = self.since_last_try.saturating_add(1);
        }
    }

    /// A receive found nothing.
    pub(super) fn found_nothing(&mut self) {
        if std::mem::take(&mut self.under_way) {
            self.found_before_miss = std::mem::take(&mut self.found_since_miss);
        }
    }

    /// Whether to schedule an attempt. To be called when the received datagram has been handled.
    pub(super) fn schedule(&mut self) -> bool {
        if !std::mem::take(&mut self.has_received) || self.scheduled {
            return false;
        }
        let tries = self.since_last_try >= TRY_AFTER;
        if tries {
            self.since_last_try = 0;
        }
        self.scheduled = self.found_since_miss || self.found_before_miss || tries;
        self.scheduled
    }

    /// The scheduled attempt begins; `possible` is false if the socket does not read any more.
    pub(super) fn begin(&mut self, possible: bool) {
        self.scheduled = false;
        self.under_way = possible;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets bursts of datagrams come; returns how many attempts found nothing, and how many reports there
    /// were.
    fn costs(bursts: impl IntoIterator<Item = usize>) -> (usize, usize) {
        let (mut read_again, mut wasted, mut reports) = (ReadAgain::default(), 0, 0);
        for mut burst in bursts {
            while burst > 0 {
                reports += 1;
                burst -= 1;
                read_again.received();
                while read_again.schedule() {
                    read_again.begin(true);
                    if burst == 0 {
                        wasted += 1;
                        read_again.found_nothing();
                    } else {
                        burst -= 1;
                        read_again.received();
                    }
                }
            }
        }
        (wasted, reports)
    }

    #[test]
    fn one_by_one_hardly_any_attempt_is_made() {
        let (wasted, reports) = costs([1; 1600]);
        assert_eq!(reports, 1600);
        assert!(wasted <= 100, "{wasted}");
    }

    #[test]
    fn bursts_cost_a_report_and_an_attempt_each() {
        let (wasted, reports) = costs([10; 100]);
        assert!(reports <= 100 + usize::from(TRY_AFTER) && wasted <= 100, "{reports} {wasted}");
    }

    #[test]
    fn an_attempt_is_scheduled_once() {
        let mut read_again = ReadAgain::default();
        for _ in 0..TRY_AFTER {
            read_again.received();
        }
        assert!(read_again.schedule());
        assert!(!read_again.schedule(), "nothing was received since");
        read_again.received();
        assert!(!read_again.schedule(), "an attempt is scheduled already");
        read_again.begin(false);
        read_again.found_nothing();
        read_again.received();
        assert!(!read_again.schedule(), "an attempt that was not possible has no result");
    }
}
