//! The numbers of tasks that nobody named.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a new task, for its name.
#[inline]
pub(super) fn next() -> u64 {
    // One sequence for the whole process, as asyncio's `_task_name_counter`.
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
