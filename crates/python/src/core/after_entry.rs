//! [`AfterEntry`]: the list of functions to run when the running entry of a loop has ended. A transport uses
//! it to send all writes of one entry by one system call.

use std::cell::Cell;

use pyo3::prelude::*;

use super::EventLoop;
use crate::ffi::{Class, LoopCell, Obj, Ref};

/// A function on the list. It reports failures itself and returns only errors that end the run of the loop.
pub type Deferred = for<'a, 'py> fn(&'a Obj<'py, EventLoop>, Ref) -> PyResult<()>;

/// The list of one loop.
#[derive(Default)]
pub struct AfterEntry {
    open: Cell<bool>,
    filled: Cell<bool>,
    work: LoopCell<Vec<(Deferred, Ref)>>,
}

impl AfterEntry {
    /// Whether an entry is running, so that the list is run when it ends.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Called before an entry runs.
    #[inline]
    pub(super) fn begin_entry(&self) {
        self.open.set(true);
    }

    /// Adds `work`, to be called with the object.
    pub fn push<T: Class>(&self, work: Deferred, object: Obj<'_, T>) {
        self.filled.set(true);
        let object = Ref::new(object.into_any());
        self.work.with(|list| list.push((work, object)));
    }

    /// Called after an entry ran. Returns whether the list has to be [`run`](Self::run).
    #[inline]
    pub(super) fn end_entry(&self) -> bool {
        self.open.set(false);
        self.filled.get()
    }

    /// Runs the functions of the list and empties it.
    pub(super) fn run(&self, event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
        self.filled.set(false);
        let mut list = self.work.with(std::mem::take);
        let mut result = Ok(());
        for (work, object) in list.drain(..) {
            result = result.and(work(event_loop, object));
        }
        // The list of the next entry uses the same memory.
        self.work.with(|slot| {
            if slot.is_empty() {
                std::mem::swap(slot, &mut list);
            }
        });
        result
    }
}
