//! `task_done`, `join` and `shutdown`: the end of the work, and of the queue.

use std::cell::Cell;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::Queue;
#[cfg(Py_3_13)]
use super::{exchange, hooks, items};
use crate::coroutines::{Routine, Step};
use crate::ffi::originals;
use crate::ffi::{Obj, Output, Slot, Visitor, call, none};
use crate::locks::event::{self, Event};
use crate::names;
use crate::replaced::names::EVENT_OF_QUEUES;

/// `_finished`: an event that is set while no work is open. It is a flag until somebody waits for it or looks at it.
#[derive(Default)]
pub struct Finished {
    is_set: Cell<bool>,
    event: Slot,
}

impl Finished {
    /// Begins anew: set, and seen by nobody, unless the program wants to know.
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
    fn set(&self, py: Python<'_>) -> PyResult<()> {
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

/// `task_done()`.
pub fn task_done<'py>(queue: &Obj<'py, Queue>) -> Output<'py> {
    let py = queue.py();
    let unfinished = queue.unfinished.get() - 1;
    if unfinished < 0 {
        return Err(PyValueError::new_err("task_done() called too many times"));
    }
    queue.unfinished.set(unfinished);
    if unfinished == 0 {
        if calls_events(py) {
            queue.finished.event(py)?;
        }
        queue.finished.set(py)?;
    }
    Ok(none(py))
}

/// `join()`.
pub fn join<'py>(queue: &Obj<'py, Queue>) -> Output<'py> {
    let routine = Routine::begin(queue.as_any(), "Queue.join", |routine| {
        let py = routine.py();
        let queue = routine.owner::<Queue>(py)?;
        if queue.unfinished.get() <= 0 {
            return Ok(Step::Return(none(py)));
        }
        let waiting = call::method(names::wait(py), [&queue.finished.event(py)?])?;
        Ok(Step::Await(waiting, |routine, waited| waited.map(|_| Step::Return(none(routine.py())))))
    })?;
    Ok(routine.into_any())
}

/// `shutdown(immediate=False)`.
#[cfg(Py_3_13)]
pub fn shutdown<'py>(queue: &Obj<'py, Queue>, immediate: bool) -> Output<'py> {
    let py = queue.py();
    queue.shut_down.set(true);
    if immediate {
        let hooks = hooks::of(queue)?;
        while !items::is_empty(queue, hooks)? {
            exchange::take(queue, hooks)?;
            queue.unfinished.set((queue.unfinished.get() - 1).max(0));
        }
        if queue.unfinished.get() == 0 {
            queue.finished.set(py)?;
        }
    }
    // Those who wait look again, and find the queue shut down.
    queue.getters.wake_all(py)?;
    queue.putters.wake_all(py)?;
    Ok(none(py))
}
