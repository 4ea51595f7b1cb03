//! [`Coalescing`]: whether a transport usually writes more than once in an entry of the loop.

use std::cell::Cell;

/// Whether a transport usually writes more than once in an entry. One that does has its first write wait for
/// the others; one that does not has it sent at once, as asyncio does.
#[derive(Default)]
pub struct Coalescing {
    /// The entry of the last write.
    entry: Cell<u64>,
    /// That entry has seen more than one.
    again: Cell<bool>,
    /// The entry before it had seen more than one.
    previous_again: Cell<bool>,
}

impl Coalescing {
    /// Takes note of a write in `entry`; false when it is the first and no second is to be expected.
    #[inline]
    pub(super) fn expects_more(&self, entry: u64) -> bool {
        if self.entry.replace(entry) == entry {
            self.again.set(true);
            return true;
        }
        self.previous_again.set(self.again.replace(false));
        self.previous_again.get()
    }
}
