//! The data of the three classes of queues.

use std::cell::Cell;

use pyo3::prelude::*;

use super::container::{Items, Limit};
use super::finished::Finished;
use super::waiters::Waiters;
use crate::ffi::derived;
use crate::ffi::originals::Replaced;
use crate::mixins::LoopBound;
#[cfg(Py_3_13)]
use crate::stock;

/// The data of a `Queue`, and of the two classes derived from it.
#[derive(Default)]
pub struct Queue {
    pub(super) known: Known,
    pub(super) items: Items,
    pub(super) limit: Limit,
    /// `_unfinished_tasks`.
    pub(super) unfinished: Cell<i64>,
    /// `_is_shutdown`; never true before Python 3.13.
    pub(super) shut_down: Cell<bool>,
    pub(super) finished: Finished,
    pub(super) getters: Waiters,
    pub(super) putters: Waiters,
    pub(super) bound: LoopBound,
}

/// What makes a queue a `PriorityQueue`: nothing but its class.
#[derive(Default)]
pub struct ByPriority;

/// What makes a queue a `LifoQueue`: nothing but its class.
#[derive(Default)]
pub struct NewestFirst;

derived! {
    /// The data of a `PriorityQueue`.
    pub struct PriorityQueue { base: Queue, own: ByPriority }
}
derived! {
    /// The data of a `LifoQueue`.
    pub struct LifoQueue { base: Queue, own: NewestFirst }
}

/// Which item leaves first.
#[derive(Clone, Copy, Default)]
pub enum Kind {
    /// The oldest: `Queue`.
    #[default]
    Fifo,
    /// The least: `PriorityQueue`.
    Priority,
    /// The newest: `LifoQueue`.
    Lifo,
}

/// What was found out about an object.
#[derive(Default)]
pub struct Known {
    pub(super) class_version: Cell<u32>,
    pub(super) kind: Cell<Kind>,
    /// How many attributes of its own the object had, and which hooks they hide.
    pub(super) attributes: Cell<usize>,
    pub(super) hidden: Cell<Replaced>,
}

impl Known {
    /// An attribute of the object was set or deleted.
    pub fn forget(&self) {
        self.attributes.set(usize::MAX);
    }
}

impl Queue {
    /// QueueShutDown after `shutdown()`, which came with Python 3.13.
    #[inline]
    pub(super) fn ensure_open(&self, _py: Python<'_>) -> PyResult<()> {
        #[cfg(Py_3_13)]
        if self.shut_down.get() {
            return Err(PyErr::from_type(stock::queue_shut_down(_py)?.clone(), ()));
        }
        Ok(())
    }
}
