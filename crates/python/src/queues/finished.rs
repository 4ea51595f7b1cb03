//! [`Finished`], `_finished`: the event of a queue that is set while no work is open.

use std::cell::Cell;

use pyo3::prelude::*;

use crate::ffi::originals;
use crate::ffi::{Obj, Output, Slot, Visitor, call};
use crate::locks::event::{self, Event};
use crate::names;
use crate::replaced::names::EVENT_OF_QUEUES;

/// `_finished`: an event that is set while no work is open. It is a flag until a task waits for it or Python
/// code asks for it.
#[derive(Default)]
pub struct Finished {
    is_set: Cell<bool>,
    event: Slot,
}

impl Finished {
    /// Begins anew: set, and not shown, unless the program wants to know.
    pub fn begin(&self, py: Python<'_>) -> PyResult<()> {
        self.is_set.set(true);
        self.event.clear();
        if !EVENT_OF_QUEUES.is_replaced(py) && !calls_events(py) {
            return Ok(());
        }
        match EVENT_OF_QUEUES.maker::<Event>(py)? {
            None => drop(self.event(py)?),
            Some(class) => self.event.put(class.call0()?),
        }
        self.set(py)
    }

    /// `_finished.set()`.
    #[inline]
    pub(super) fn set(&self, py: Python<'_>) -> PyResult<()> {
        self.is_set.set(true);
        let Some(event) = self.event.get(py) else { return Ok(()) };
        match native(&event) {
            Some(native) => event::set(native),
            None => call::method(names::set(py), [&event]).map(drop),
        }
    }

    /// `_finished.clear()`.
    #[inline]
    pub fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.is_set.set(false);
        if self.event.is_empty() { Ok(()) } else { self.clear_event(py) }
    }

    #[cold]
    fn clear_event(&self, py: Python<'_>) -> PyResult<()> {
        let Some(event) = self.event.get(py) else { return Ok(()) };
        match native(&event) {
            Some(native) => native.lower(),
            None => drop(call::method(names::clear(py), [&event])?),
        }
        Ok(())
    }

    /// The event.
    pub fn event<'py>(&self, py: Python<'py>) -> Output<'py> {
        if let Some(event) = self.event.get(py) {
            return Ok(event);
        }
        let event = Event::new(py, self.is_set.get())?.into_any();
        self.event.put(event.clone());
        Ok(event)
    }

    /// What a program puts in the event's place.
    pub fn put(&self, event: Bound<'_, PyAny>) {
        self.event.put(event);
    }

    /// Shows the reference to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.event.traverse(visitor);
    }

    /// Lets go of the reference.
    pub fn forget(&self) {
        self.event.clear();
    }
}

/// The event, when its methods may be gone past.
fn native<'a, 'py>(event: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Event>> {
    Obj::<Event>::cast_exact(event).filter(|event| event.is_native())
}

/// Whether methods of events are the program's: then `_finished` is no mere flag.
pub fn calls_events(py: Python<'_>) -> bool {
    originals::replaced_in::<Event>(py) != 0
}
