//! [`Contexts`]: contexts that handles share, so that a batch of callbacks needs no copy of the current
//! context for each of them.
//!
//! asyncio copies the current context for every handle, because a callback may set variables, and no other
//! callback may see that. Mostly no callback does. So the handles that are made in one context, one after the
//! other, share one copy of it, in which nothing runs; it is theirs to look at the variables. Their callbacks
//! run one after the other in another copy, which is replaced once a callback has set a variable in it.
//! Python code that asks for the context of a handle gets a copy that is the handle's alone from then on
//! ([`crate::events`]).
//!
//! The first handle of a context gets a copy of its own: what is not repeated costs nothing more. The copies
//! are let go when a turn has made no use of them and before the loop blocks, so no value of a variable lives
//! longer than the turn that its last callback ran in.

use std::cell::Cell;

use pyo3::prelude::*;

use crate::ffi::context::{self, variables};
use crate::ffi::{Output, Slot, Visitor};
use crate::replaced::names::COPY_CONTEXT;

/// The contexts of one loop.
#[derive(Default)]
pub struct Contexts {
    /// The address of the variables of the context that was copied last; 0 when a turn has not copied any.
    variables: Cell<usize>,
    /// The copy of that context that handles share, and that keeps the variables in their place; empty while
    /// one copy was asked for.
    shared: Slot,
    /// The context that callbacks of such handles run in; empty while one runs.
    running: Slot,
    /// Whether a copy was asked for in this turn.
    is_used: Cell<bool>,
}

/// A copy of the current context.
pub struct Copied<'py> {
    /// The copy.
    pub context: Bound<'py, PyAny>,
    /// Whether others have it, too.
    pub is_shared: bool,
}

impl Contexts {
    /// `contextvars.copy_context()` for a handle of a loop that runs, or does not.
    #[inline]
    pub fn copy_current<'py>(&self, py: Python<'py>, is_running: bool) -> PyResult<Copied<'py>> {
        if let Some(copy) = COPY_CONTEXT.replacement(py)? {
            return Ok(Copied { context: copy.call0()?, is_shared: false });
        }
        // Only the turns of a running loop let the copies go again.
        if !is_running {
            return Ok(Copied { context: context::copy_current(py)?, is_shared: false });
        }
        self.is_used.set(true);
        let variables = variables::address_of_current(py);
        if variables == 0 || self.variables.replace(variables) != variables {
            self.shared.clear();
            return Ok(Copied { context: context::copy_current(py)?, is_shared: false });
        }
        let context = match self.shared.get(py) {
            Some(shared) => shared,
            None => {
                let shared = context::copy_current(py)?;
                self.shared.put(shared.clone());
                shared
            }
        };
        Ok(Copied { context, is_shared: true })
    }

    /// A context with the variables of a shared one, to run one callback in.
    #[inline]
    pub fn borrow<'py>(&self, shared: &Bound<'py, PyAny>) -> Output<'py> {
        match self.running.take() {
            Some(running) => {
                let running = running.into_any(shared.py());
                if variables::are_same(&running, shared) { Ok(running) } else { context::copy(shared) }
            }
            None => context::copy(shared),
        }
    }

    /// The callback has ended: the next one may have the context, unless this one has set a variable.
    #[inline]
    pub fn give_back<'py>(&self, running: Bound<'py, PyAny>, shared: &Bound<'py, PyAny>) {
        if variables::are_same(&running, shared) {
            self.running.put(running);
        }
    }

    /// A turn has ended.
    #[inline]
    pub(super) fn end_turn(&self) {
        if !self.is_used.replace(false) {
            self.clear();
        }
    }

    /// Lets the copies go.
    #[inline]
    pub fn clear(&self) {
        self.variables.set(0);
        if !(self.shared.is_empty() && self.running.is_empty()) {
            drop((self.shared.take(), self.running.take()));
        }
    }

    /// Shows the copies to the collector.
    pub(super) fn traverse(&self, visitor: &mut Visitor) {
        self.shared.traverse(visitor);
        self.running.traverse(visitor);
    }
}
