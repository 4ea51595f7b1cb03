//! [`AfterEntry`]: what is to be done when the entry that the loop runs has ended. Transports send their writes then, several in one call.

use std::cell::Cell;

use pyo3::prelude::*;

use super::EventLoop;
use crate::ffi::{Class, LoopCell, Obj, Ref};

/// Does it. Failures are reported; only what must leave the loop comes out.
pub type Deferred = for<'a, 'py> fn(&'a Obj<'py, EventLoop>, Ref) -> PyResult<()>;

/// A loop's list of it.
#[derive(Default)]
pub struct AfterEntry {
    open: Cell<bool>,
    entry: Cell<u64>,
    filled: Cell<bool>,
    work: LoopCell<Vec<(Deferred, Ref)>>,
}

impl AfterEntry {
    /// Whether an entry is running, at whose end the list will be worked off.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// The number of the entry that runs, counted from 1.
    #[inline]
    pub fn entry(&self) -> u64 {
        self.entry.get()
    }

    /// An entry begins.
    #[inline]
    pub(super) fn open(&self) {
        self.entry.set(self.entry.get() + 1);
        self.open.set(true);
    }

    /// Adds `work` on an object.
    pub fn push<T: Class>(&self, work: Deferred, object: Obj<'_, T>) {
        self.filled.set(true);
        let object = Ref::new(object.into_any());
        self.work.with(|list| list.push((work, object)));
    }

    /// The entry has ended. Whether there is something to [`do`](Self::run).
    #[inline]
    pub(super) fn shut(&self) -> bool {
        self.open.set(false);
        self.filled.get()
    }

    /// Works the list off.
    pub(super) fn run(&self, event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
        self.filled.set(false);
        let mut list = self.work.with(std::mem::take);
        let mut result = Ok(());
        for (work, object) in list.drain(..) {
            result = result.and(work(event_loop, object));
        }
        // The memory serves the next entry.
        self.work.with(|slot| {
            if slot.is_empty() {
                std::mem::swap(slot, &mut list);
            }
        });
        result
    }
}
