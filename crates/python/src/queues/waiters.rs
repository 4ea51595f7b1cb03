//! `_getters` and `_putters`: the futures that tasks wait for.
//!
//! They stand in a [`WaitQueue`] until Python code asks for the attribute; from then on in the deque that was
//! shown, because the program may change it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use yibu_engine::{Ticket, WaitQueue};

use crate::errors;
use crate::ffi::{LoopCell, Output, Ref, Slot, Visitor, call, none};
use crate::mixins::{is_done, set_result};
use crate::replaced::names::DEQUE_OF_QUEUES;
use crate::{names, stock};

/// The waiters of one side of a queue.
#[derive(Default)]
pub struct Waiters {
    parked: LoopCell<WaitQueue<Ref>>,
    shown: Slot,
}

/// The ticket of waiters in a shown deque; no queue ever gives it out.
const NO_TICKET: u64 = u64::MAX;

impl Waiters {
    /// Lets a waiter in at the back; the number is for [`Waiters::remove`].
    #[inline]
    pub fn push(&self, waiter: &Bound<'_, PyAny>) -> PyResult<u64> {
        let py = waiter.py();
        if let Some(shown) = self.shown.get(py) {
            call::method(names::append(py), [&shown, waiter])?;
            return Ok(NO_TICKET);
        }
        let kept = Ref::new(waiter.clone());
        let ticket = self.parked.with(|parked| parked.make_room().then(|| parked.push(kept)));
        ticket.map(Ticket::number).ok_or_else(errors::no_memory)
    }

    /// Lets a waiter out that gives up, unless it was let out before.
    pub fn remove(&self, number: u64, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = waiter.py();
        let parked = self.parked.with(|parked| parked.remove(Ticket::from_number(number)));
        if parked.is_some() {
            return Ok(());
        }
        let Some(shown) = self.shown.get(py) else { return Ok(()) };
        match call::method(names::remove(py), [&shown, waiter]) {
            Err(error) if !error.is_instance_of::<PyValueError>(py) => Err(error),
            _ => Ok(()),
        }
    }

    #[inline]
    fn pop<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.shown.get(py) {
            Some(shown) => pop(&shown),
            None => Ok(self.parked.with(WaitQueue::pop).map(|waiter| waiter.into_any(py))),
        }
    }

    /// Wakes the first one that still waits.
    #[inline]
    pub fn wake_next(&self, py: Python<'_>) -> PyResult<()> {
        if self.shown.is_empty() && self.parked.with(|parked| parked.is_empty()) {
            return Ok(());
        }
        while let Some(waiter) = self.pop(py)? {
            if wake(&waiter)? {
                break;
            }
        }
        Ok(())
    }

    /// Wakes all of them.
    #[cfg(Py_3_13)]
    pub fn wake_all(&self, py: Python<'_>) -> PyResult<()> {
        while let Some(waiter) = self.pop(py)? {
            wake(&waiter)?;
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self, py: Python<'_>) -> PyResult<usize> {
        match self.shown.get(py) {
            Some(shown) => shown.len(),
            None => Ok(self.parked.with(|parked| parked.len())),
        }
    }

    /// The deque, which from now on is where they stand.
    pub fn show<'py>(&self, py: Python<'py>) -> Output<'py> {
        if let Some(shown) = self.shown.get(py) {
            return Ok(shown);
        }
        let waiting = self.parked.with(WaitQueue::take);
        let shown = stock::deque(py)?.call1((PyList::new(py, waiting.iter().map(|w| w.any(py)))?,))?;
        self.shown.put(shown.clone());
        Ok(shown)
    }

    /// What a program puts in the deque's place.
    pub fn put(&self, shown: Bound<'_, PyAny>) {
        let forgotten = self.parked.with(WaitQueue::take);
        drop(forgotten);
        self.shown.put(shown);
    }

    /// Begins anew: there is no waiter. Where the program has put something in the place of
    /// `collections.deque`, waiters stand in one of those.
    pub fn begin(&self, py: Python<'_>) -> PyResult<()> {
        self.clear();
        if let Some(deque) = DEQUE_OF_QUEUES.replacement(py)? {
            self.shown.put(deque.call0()?);
        }
        Ok(())
    }

    /// Forgets every waiter.
    pub fn clear(&self) {
        // Not a new wait queue: old tickets must not be given out again.
        let forgotten = self.parked.with(WaitQueue::take);
        drop(forgotten);
        self.shown.clear();
    }

    /// Shows every reference to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.shown.traverse(visitor);
        self.parked.try_with(|parked| parked.iter().for_each(|waiter| visitor.visit(waiter.as_ptr())));
    }
}

fn pop<'py>(deque: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if deque.is_truthy()? { call::method(names::popleft(deque.py()), [deque]).map(Some) } else { Ok(None) }
}

/// Whether the waiter had to be woken.
#[inline]
fn wake(waiter: &Bound<'_, PyAny>) -> PyResult<bool> {
    if is_done(waiter)? {
        return Ok(false);
    }
    set_result(waiter, none(waiter.py()))?;
    Ok(true)
}

/// `_wakeup_next(waiters)`, for whatever deque it is called with.
pub fn wake_next_of(waiters: &Bound<'_, PyAny>) -> PyResult<()> {
    while let Some(waiter) = pop(waiters)? {
        if wake(&waiter)? {
            break;
        }
    }
    Ok(())
}
