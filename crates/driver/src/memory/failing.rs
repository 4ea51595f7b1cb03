//! Has the system's allocator fail for the thread that asked for it, in a build for tests. Called by the
//! allocator and by tests; calls nothing.

use std::cell::Cell;

/// Which allocations of a thread fail: of those that are large enough, the ones from `first` on, before
/// `end`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failures {
    /// The number of the first that fails.
    pub first: u64,
    /// The number of the first that does not fail any more.
    pub end: u64,
    /// Smaller ones are not counted.
    pub least_size: usize,
}

thread_local! {
    static FAILURES: Cell<Failures> = const { Cell::new(Failures { first: 0, end: 0, least_size: 0 }) };
    static SEEN: Cell<u64> = const { Cell::new(0) };
    static STRUCK: Cell<u64> = const { Cell::new(0) };
}

/// Has allocations of this thread fail from now on, or none by `Failures::default()`; says how many have
/// failed since this was last called.
pub fn fail(failures: Failures) -> u64 {
    SEEN.set(0);
    FAILURES.set(failures);
    STRUCK.replace(0)
}

/// Whether the allocation that is asked for has to fail.
#[inline]
pub(super) fn is_due(size: usize) -> bool {
    let failures = FAILURES.get();
    if failures.end == 0 || size < failures.least_size {
        return false;
    }
    let number = SEEN.replace(SEEN.get() + 1);
    let due = (failures.first..failures.end).contains(&number);
    STRUCK.set(STRUCK.get() + u64::from(due));
    due
}
