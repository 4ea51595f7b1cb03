//! [`Executors`]: the executors of a loop, kept in the loop as a part.

use std::cell::Cell;
use std::rc::Rc;

use pyo3::prelude::*;

use crate::core::{EventLoop, Part};
use crate::ffi::{Obj, Slot, Visitor};

/// The executors of a loop.
#[derive(Default)]
pub struct Executors {
    /// The default executor.
    pub current: Slot,
    /// The native pool that a program's patch of the standard library's class has put out of use.
    pub former: Slot,
    /// Whether `shutdown_default_executor()` was called, or the loop is closed.
    pub shut_down: Cell<bool>,
}

impl Part for Executors {
    fn traverse(&self, visitor: &mut Visitor) {
        self.current.traverse(visitor);
        self.former.traverse(visitor);
    }
}

/// The executors of this loop.
pub fn executors(event_loop: &Obj<'_, EventLoop>) -> Rc<Executors> {
    event_loop.parts.shared()
}

/// The default executor, or None while there is none.
pub fn current_default<'py>(event_loop: &Obj<'py, EventLoop>) -> Bound<'py, PyAny> {
    executors(event_loop).current.get_or_none(event_loop.py())
}
