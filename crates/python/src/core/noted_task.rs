//! [`NotedTask`]: what a loop knows of the task that the standard library has noted as its current one.
//! [`super::current`] works on it.

use std::cell::Cell;

/// The current task of a loop as the standard library has it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Recorded {
    /// No task runs.
    #[default]
    None,
    /// The running task is noted.
    Running,
    /// A task is noted, but its step has ended: see [`super::current::flush_leave`].
    Stale,
}

/// The state of one loop for [`super::current`].
#[derive(Default)]
pub struct NotedTask {
    pub(super) recorded: Cell<Recorded>,
    /// The task that was noted last, by its address, and the version of the dict since then: while that is
    /// the same, so is the entry.
    #[cfg(not(Py_3_14))]
    pub(super) noted: Cell<(usize, u64)>,
    /// The loop's hash, once it was asked for.
    #[cfg(not(Py_3_14))]
    pub(super) hash: Cell<Option<isize>>,
    /// Whether the process was forked while the loop ran. The standard library has made the child forget the
    /// loop, which still has the rest of its turn to run there; since 3.14 it takes notes for none but the
    /// loop it knows of.
    #[cfg(Py_3_14)]
    pub(super) forked: Cell<bool>,
}

impl NotedTask {
    /// The loop runs in a forked child, or begins to run.
    #[cfg(Py_3_14)]
    pub fn set_forked(&self, forked: bool) {
        self.forked.set(forked);
    }
}
