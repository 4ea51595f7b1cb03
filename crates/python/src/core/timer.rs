//! [`Timer`]: one timer of the heap: an object and a static table of functions that run or cancel it.

use yibu_engine::timers::Timer;

use super::entry::{Entry, EntryKind, Runnable};
use crate::ffi::{Class, Obj, Ref};

/// A timer in the heap.
pub struct Scheduled {
    kind: &'static TimerKind,
    object: Ref,
}

/// The functions of a kind of timer.
pub struct TimerKind {
    /// Whether the timer was cancelled.
    pub is_cancelled: fn(&Ref) -> bool,
    /// Called when the timer has left the heap, to run or to be dropped.
    pub left: fn(&Ref),
    /// How it runs when it is due.
    pub entry: &'static EntryKind,
}

impl Scheduled {
    /// A timer of a kind.
    #[inline]
    pub fn new<T: Class>(kind: &'static TimerKind, object: Obj<'_, T>) -> Self {
        Self { kind, object: Ref::new(object.into_any()) }
    }

    /// The kind of the timer.
    pub fn kind(&self) -> &'static TimerKind {
        self.kind
    }

    /// The timer object.
    pub fn object(&self) -> &Ref {
        &self.object
    }

    /// The timer left the heap without being due.
    #[inline]
    pub fn leave(&self) {
        (self.kind.left)(&self.object);
    }

    /// The timer is due.
    #[inline]
    pub(super) fn entry(self) -> Entry {
        self.leave();
        Entry::Run(Runnable::new(self.kind.entry, self.object))
    }
}

impl Timer for Scheduled {
    #[inline]
    fn cancelled(&self) -> bool {
        (self.kind.is_cancelled)(&self.object)
    }
}
