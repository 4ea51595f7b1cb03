//! [`Waiters`]: the tasks that wait for a lock, an event, a condition or a semaphore; with the attributes of
//! such objects that programs read, and their `repr()`.
//!
//! They run on any loop: on a native one a waiter is a native future, whose completion wakes the waiting task
//! without anything in between.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use yibu_engine::{Ticket, WaitQueue};

use crate::copying::{self, Copied};
use crate::errors;
use crate::ffi::{Class, LoopCell, Obj, Output, Ref, Slot, Table, Visitor, make, none};
use crate::futures::{self, State};
use crate::mixins::{LoopBound, create_future, is_cancelled, is_done};
use crate::replaced::names::DEQUE_OF_LOCKS;
use crate::{names, stock, texts};

/// The futures by which tasks wait for one object, first come first served.
#[derive(Default)]
pub struct Waiters {
    bound: LoopBound,
    queue: LoopCell<WaitQueue<Ref>>,
    /// No waiter with a smaller ticket is pending: so many cancelled waiters are not searched again and
    /// again.
    first_pending: Cell<u64>,
    /// The deque that stands for the queue once Python code has asked for `_waiters`: from then on that says
    /// which futures wait, in which order, because Python code may have changed it. The queue still knows the
    /// waiters by their tickets.
    shown: Slot,
}

impl Waiters {
    /// Begins anew, without waiters.
    pub(super) fn begin(&self, py: Python<'_>) -> PyResult<()> {
        self.clear();
        self.begin_elsewhere(py)
    }

    /// Where the program has put something in the place of `collections.deque`, waiters stand in one of
    /// those.
    fn begin_elsewhere(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(deque) = DEQUE_OF_LOCKS.replacement(py)?
            && self.shown.is_empty()
        {
            self.shown.put(deque.call0()?);
        }
        Ok(())
    }

    /// A new future of `owner`'s loop: `self._get_loop().create_future()`.
    pub(super) fn waiter<'py, T: HasWaiters>(&self, owner: &Obj<'py, T>) -> Output<'py> {
        if owner.is_native() {
            let first = || if T::LAZY_WAITERS { self.begin_elsewhere(owner.py()) } else { Ok(()) };
            return self.bound.first_waiter(owner.as_any(), first);
        }
        if T::LAZY_WAITERS && self.queue.with(|queue| queue.is_empty()) {
            self.begin_elsewhere(owner.py())?;
        }
        create_future(&owner.as_any().call_method0(names::_get_loop(owner.py()))?)
    }

    /// Lets a waiter in, at the back; its ticket.
    pub(super) fn push(&self, waiter: &Bound<'_, PyAny>) -> PyResult<u64> {
        let py = waiter.py();
        if let Some(shown) = self.shown.get(py) {
            shown.call_method1(names::append(py), (waiter,))?;
        }
        let waiter = Ref::new(waiter.clone());
        let ticket = self.queue.with(|queue| queue.make_room().then(|| queue.push(waiter)));
        ticket.map(Ticket::number).ok_or_else(errors::no_memory)
    }

    /// Makes a waiter and lets it in.
    pub(super) fn join<'py, T: HasWaiters>(&self, owner: &Obj<'py, T>) -> PyResult<(Bound<'py, PyAny>, u64)> {
        let waiter = self.waiter(owner)?;
        let ticket = self.push(&waiter)?;
        Ok((waiter, ticket))
    }

    /// Lets a waiter out, whose wait is over.
    pub(super) fn leave<'py>(&self, py: Python<'py>, ticket: u64) -> PyResult<Bound<'py, PyAny>> {
        let waiter = self.queue.with(|queue| queue.remove(Ticket::from_number(ticket)));
        let waiter = waiter.map_or_else(|| none(py), |waiter| waiter.into_any(py));
        if let Some(shown) = self.shown.get(py) {
            shown.call_method1(names::remove(py), (&waiter,))?;
        }
        Ok(waiter)
    }

    /// The next waiter in a state that `wanted` picks; `from` says where to look, and afterwards where to go
    /// on.
    pub(super) fn next<'py>(
        &self,
        py: Python<'py>,
        from: &mut u64,
        wanted: fn(State) -> bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let Some(waiter) = self.candidate(py, from, wanted)? else { return Ok(None) };
            if wanted(state(&waiter)?) {
                return Ok(Some(waiter));
            }
        }
    }

    /// The next waiter that is wanted, or has to be asked because it is not native.
    fn candidate<'py>(
        &self,
        py: Python<'py>,
        from: &mut u64,
        wanted: fn(State) -> bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(shown) = self.shown.get(py) {
            let index = usize::try_from(*from)?;
            *from += 1;
            return if index < shown.len()? { shown.get_item(index).map(Some) } else { Ok(None) };
        }
        let found = self.queue.with(|queue| {
            let mut waiters = queue.iter_from(Ticket::from_number(*from));
            let (ticket, waiter) = waiters.find(|(_, waiter)| {
                futures::exact(waiter.any(py)).is_none_or(|native| wanted(native.state()))
            })?;
            *from = ticket.number() + 1;
            Some(waiter.copy(py))
        });
        Ok(found.map(|waiter| waiter.into_any(py)))
    }

    /// The next waiter that was neither woken nor cancelled.
    #[inline]
    pub(super) fn next_pending<'py>(
        &self,
        py: Python<'py>,
        from: &mut u64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.are_none() { Ok(None) } else { self.find_pending(py, from) }
    }

    fn find_pending<'py>(&self, py: Python<'py>, from: &mut u64) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.shown.is_empty() {
            return self.next(py, from, |state| state == State::Pending);
        }
        let first_pending = self.first_pending.get();
        let from_the_first = *from <= first_pending;
        *from = first_pending.max(*from);
        let found = self.next(py, from, |state| state == State::Pending)?;
        if from_the_first && self.shown.is_empty() {
            let next = match found {
                Some(_) => *from - 1,
                None => self.queue.with(|queue| queue.next()).number(),
            };
            self.first_pending.set(next.max(first_pending));
        }
        Ok(found)
    }

    /// Whether there are no waiters.
    #[inline]
    pub(super) fn are_none(&self) -> bool {
        self.shown.is_empty() && self.queue.with(|queue| queue.is_empty())
    }

    /// Whether a task waits, or was woken and is about to run.
    #[inline]
    pub(super) fn has_uncancelled(&self, py: Python<'_>) -> PyResult<bool> {
        if self.are_none() {
            return Ok(false);
        }
        Ok(self.next(py, &mut 0, |state| state != State::Cancelled)?.is_some())
    }

    pub(super) fn len(&self, py: Python<'_>) -> PyResult<usize> {
        match self.shown.get(py) {
            Some(shown) => shown.len(),
            None => Ok(self.queue.with(|queue| queue.len())),
        }
    }

    /// `_waiters` as a deque.
    pub(super) fn show<'py>(&self, py: Python<'py>) -> Output<'py> {
        if let Some(shown) = self.shown.get(py) {
            return Ok(shown);
        }
        let copies: Vec<Ref> = self.queue.with(|queue| queue.iter().map(|waiter| waiter.copy(py)).collect());
        let waiters = PyTuple::new(py, copies.into_iter().map(|waiter| waiter.into_any(py)))?;
        let shown = stock::deque(py)?.call1((waiters,))?;
        self.shown.put(shown.clone());
        Ok(shown)
    }

    pub(super) fn traverse(&self, visitor: &mut Visitor) {
        self.bound.event_loop.traverse(visitor);
        self.shown.traverse(visitor);
        self.queue.try_with(|queue| queue.iter().for_each(|waiter| visitor.visit(waiter.as_ptr())));
    }

    pub(super) fn clear(&self) {
        self.bound.event_loop.clear();
        self.shown.clear();
        drop(self.queue.with(WaitQueue::take));
    }
}

/// A class whose instances are waited for.
pub(super) trait HasWaiters: Copied {
    /// Whether `_waiters` is None until a task waits.
    const LAZY_WAITERS: bool;
    fn waiters(&self) -> &Waiters;
}

/// The attributes of everything that is waited for.
pub(super) fn attributes<T: HasWaiters>(t: &mut Table<T>) {
    t.property(
        c"_waiters",
        |object| {
            let waiters = object.waiters();
            if T::LAZY_WAITERS && waiters.shown.is_empty() && waiters.bound.event_loop.is_empty() {
                return Ok(none(object.py()));
            }
            waiters.show(object.py())
        },
        |object, value| {
            write(&object.waiters().shown, value);
            Ok(())
        },
    );
    t.property(
        c"_loop",
        |object| Ok(object.waiters().bound.event_loop.get_or_none(object.py())),
        |object, value| {
            write(&object.waiters().bound.event_loop, value);
            Ok(())
        },
    );
    t.noargs(
        c"_get_loop",
        |object| object.waiters().bound.get_loop(object.as_any()),
        "The running loop, to which the object is bound from its first wait on.",
    );
    copying::table(t);
}

/// Writes an attribute whose slot is empty for None.
fn write(slot: &Slot, value: Option<&Bound<'_, PyAny>>) {
    match value.filter(|value| !value.is_none()) {
        Some(value) => slot.put(value.clone()),
        None => slot.clear(),
    }
}

/// The state of a future of whatever kind.
pub(super) fn state(future: &Bound<'_, PyAny>) -> PyResult<State> {
    if let Some(native) = futures::exact(future) {
        return Ok(native.state());
    }
    Ok(match () {
        () if is_cancelled(future)? => State::Cancelled,
        () if is_done(future)? => State::Finished,
        () => State::Pending,
    })
}

/// Whether an await was cancelled.
pub(super) fn is_cancellation(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    Ok(error.is_instance(py, stock::cancelled_error(py)?))
}

/// `super().__repr__()`, which is mostly `object`'s, with the state in square brackets.
pub(super) fn repr<'py, T: Class>(object: &Obj<'py, T>, state: &str, waiters: usize) -> Output<'py> {
    let py = object.py();
    let plain = texts::copied(&object.super_method(intern!(py, "__repr__"))?.call0()?)?;
    let plain = plain.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(&plain);
    let text = match waiters {
        0 => text!("<{plain} [{state}]>")?,
        _ => text!("<{plain} [{state}, waiters:{waiters}]>")?,
    };
    Ok(make::text(py, &text)?.into_any())
}
