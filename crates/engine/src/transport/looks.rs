//! Whether to look for the next datagram without waiting for the kernel's report. Held by `datagrams`; calls nothing.
//!
//! Where datagrams come faster than they are handled, asking the kernel what is ready costs as much as receiving. There one
//! looks instead, once a turn; where they come one by one, a look finds nothing and is for nothing. So the habit decides, and
//! once in a while it is put to the test.

/// Without a habit one look is made after so many datagrams.
const TEST_AFTER: u8 = 16;

/// The habit of a socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    /// A look is arranged.
    arranged: bool,
    /// What is taken next is what a look finds.
    under_way: bool,
    /// A datagram has been taken, and whether to look for another has not been asked.
    taken: bool,
    /// The last look found something.
    found: bool,
    /// The looks before the last one that found nothing found something.
    usual: bool,
    /// Datagrams that came without a look, since the habit was last put to the test.
    untested: u8,
}

impl Looks {
    /// A datagram was taken.
    pub(super) fn take(&mut self) {
        self.taken = true;
        if std::mem::take(&mut self.under_way) {
            self.found = true;
        } else {
            self.untested = self.untested.saturating_add(1);
        }
    }

    /// Nothing was there.
    pub(super) fn miss(&mut self) {
        if std::mem::take(&mut self.under_way) {
            self.usual = std::mem::take(&mut self.found);
        }
    }

    /// Whether to arrange a look, now that what was taken has been handled.
    pub(super) fn arrange(&mut self) -> bool {
        if !std::mem::take(&mut self.taken) || self.arranged {
            return false;
        }
        let tested = self.untested >= TEST_AFTER;
        if tested {
            self.untested = 0;
        }
        self.arranged = self.found || self.usual || tested;
        self.arranged
    }

    /// The look that was arranged begins, if there is still something to look at.
    pub(super) fn begin(&mut self, possible: bool) {
        self.arranged = false;
        self.under_way = possible;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets bursts of datagrams come; how many looks were for nothing, and how many reports it took.
    fn costs(bursts: impl IntoIterator<Item = usize>) -> (usize, usize) {
        let (mut looks, mut for_nothing, mut reports) = (Looks::default(), 0, 0);
        for mut burst in bursts {
            while burst > 0 {
                reports += 1;
                burst -= 1;
                looks.take();
                while looks.arrange() {
                    looks.begin(true);
                    if burst == 0 {
                        for_nothing += 1;
                        looks.miss();
                    } else {
                        burst -= 1;
                        looks.take();
                    }
                }
            }
        }
        (for_nothing, reports)
    }

    #[test]
    fn one_by_one_hardly_any_look_is_made() {
        let (for_nothing, reports) = costs([1; 1600]);
        assert_eq!(reports, 1600);
        assert!(for_nothing <= 100, "{for_nothing}");
    }

    #[test]
    fn bursts_cost_a_report_and_a_look_each() {
        let (for_nothing, reports) = costs([10; 100]);
        assert!(reports <= 100 + usize::from(TEST_AFTER) && for_nothing <= 100, "{reports} {for_nothing}");
    }

    #[test]
    fn a_look_is_arranged_once() {
        let mut looks = Looks::default();
        for _ in 0..TEST_AFTER {
            looks.take();
        }
        assert!(looks.arrange());
        assert!(!looks.arrange(), "nothing was taken since");
        looks.take();
        assert!(!looks.arrange(), "it is arranged already");
        looks.begin(false);
        looks.miss();
        looks.take();
        assert!(!looks.arrange(), "what was not looked at says nothing");
    }
}
