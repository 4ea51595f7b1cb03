//! The numbers of tasks that were given no name.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a new task, for its name.
#[inline]
pub(super) fn next() -> u64 {
    // One sequence for the whole process, as asyncio's `_task_name_counter`.
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    // In two steps, which cost less than one: the thread that makes a task holds the interpreter, so no other
    // thread counts in between.
    let number = NUMBER.load(Ordering::Relaxed);
    NUMBER.store(number + 1, Ordering::Relaxed);
    number
}

/// Passes over the number of a task that asyncio would make where the native code needs none, so that the
/// program's own tasks have asyncio's numbers.
#[inline]
pub fn pass_over() {
    next();
}
