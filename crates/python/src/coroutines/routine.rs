//! `Routine`: a coroutine of the primitives (`Lock.acquire`, `Queue.get`, `wait_for`, ...), cut at its
//! awaits.
//!
//! Each piece is a plain function that runs up to the next `await` and says, with a [`Step`], what is awaited
//! and which function goes on afterwards; that one gets the result of the await, or the exception that it
//! raised or that was thrown in (a cancellation). All a routine remembers between two pieces is in its slots,
//! where the collector sees it. One whose first piece returns has allocated nothing but itself, which comes
//! from a freelist. Unlike [`super::NativeCoroutine`] it runs on any loop, under anything that drives
//! coroutines, and catches what is thrown into it.
//!
//! Called by the interpreter; calls the pieces, and what they await.

mod nesting;
mod pieces;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError};
use pyo3::prelude::*;

use super::details::Details;
use super::inner;
use super::protocol::{Advanced, Coroutine, protocol};
use crate::ffi::class::Callable;
use crate::ffi::{Class, ClassState, Create, Obj, Output, Ref, Slot, Table, new_reference, none, references};
use crate::stock;
use pieces::{Driver, not_called, sent_to, thrown_into};

/// The piece before the first `await`.
pub type Start = for<'a, 'py> fn(&'a Obj<'py, Routine>) -> PyResult<Step<'py>>;
/// A piece between two of them: gets what the `await` gave.
pub type Resume = for<'a, 'py> fn(&'a Obj<'py, Routine>, Output<'py>) -> PyResult<Step<'py>>;

/// How a piece ends, unless it raises.
pub enum Step<'py> {
    /// `return value`.
    Return(Bound<'py, PyAny>),
    /// `await object`, then the next piece.
    Await(Bound<'py, PyAny>, Resume),
    /// A bare `yield`: waits one turn, then the next piece.
    GiveWay(Resume),
}

#[derive(Clone, Copy, Default)]
enum Phase {
    New(Start),
    /// A bound method that was not called yet: see [`super::special`].
    Bound(Start),
    /// Waits for the native future in `awaiting`, which it yielded itself.
    Future(Resume),
    /// Waits for the iterator in `awaiting`.
    Iterator(Resume),
    /// Waits after a bare `yield`.
    GaveWay(Resume),
    Running,
    #[default]
    Done,
}

/// The data of a routine. What the slots hold is the business of its pieces.
#[derive(Default)]
pub struct Routine {
    phase: Cell<Phase>,
    name: Cell<&'static str>,
    started: Cell<bool>,
    iterated: Cell<bool>,
    /// Whether it was a bound method, which may be called again and keeps its owner.
    was_bound: Cell<bool>,
    awaiting: Slot,
    /// Mostly the object whose method the routine is.
    pub owner: Slot,
    /// An argument, or what has to outlive an await.
    pub first: Slot,
    /// Another one.
    pub second: Slot,
    /// Another one.
    pub third: Slot,
    /// A number to remember: a ticket, a count.
    pub number: Cell<u64>,
    details: Details,
    /// Beside `started` and the like, in place of padding: a class derived from this one would have that copied by way of
    /// the stack.
    _filling: [u8; 5],
}

static ROUTINE: ClassState = ClassState::new();

impl Routine {
    /// A coroutine object that begins with `start`. `name` is what `repr()` and "was never awaited" call it.
    #[inline]
    pub fn begin<'py>(
        owner: &Bound<'py, PyAny>,
        name: &'static str,
        start: Start,
    ) -> PyResult<Obj<'py, Self>> {
        let routine = Self::create(owner.py())?;
        routine.name.set(name);
        routine.phase.set(Phase::New(start));
        routine.owner.put(new_reference(owner));
        routine.details.note_origin(owner.py())?;
        Ok(routine)
    }

    /// Makes a new one a method that [`Routine::called`] makes a coroutine of.
    #[inline]
    pub(super) fn bind(&self, owner: &Bound<'_, PyAny>, name: &'static str, start: Start) {
        self.name.set(name);
        self.phase.set(Phase::Bound(start));
        self.was_bound.set(true);
        self.owner.put(new_reference(owner));
    }

    /// Turns a bound method into its coroutine; returns false if that was done before.
    #[inline]
    pub(super) fn called(&self, py: Python<'_>) -> PyResult<bool> {
        let Phase::Bound(start) = self.phase.get() else { return Ok(false) };
        self.phase.set(Phase::New(start));
        self.details.note_origin(py)?;
        Ok(true)
    }

    /// Whether it is a method that was not called yet.
    #[inline]
    pub(super) fn is_bound(&self) -> bool {
        matches!(self.phase.get(), Phase::Bound(_))
    }

    /// The iterator of what it awaits, unless that is a native future.
    pub fn awaited_iterator<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        if matches!(self.phase.get(), Phase::Iterator(_)) { self.awaiting.get(py) } else { None }
    }

    /// The native future it waits for, if it does.
    pub(super) fn awaited_future<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        if matches!(self.phase.get(), Phase::Future(_)) { self.awaiting.get(py) } else { None }
    }

    /// The one or the other.
    pub(super) fn awaited<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.awaited_future(py).or_else(|| self.awaited_iterator(py))
    }

    /// It has ended, and keeps nothing alive, as a coroutine of the interpreter has no frame any more.
    #[inline]
    fn end(&self) {
        self.phase.set(Phase::Done);
        if !self.was_bound.get() {
            self.owner.clear();
        }
        self.first.clear();
        self.second.clear();
        self.third.clear();
        self.details.end();
    }

    /// It returns. What only the coroutine that awaits it has is freed right after, with all that it keeps.
    #[inline]
    fn returned(routine: &Obj<'_, Self>) {
        routine.end_and(routine.is_shared());
    }

    /// It raises. An exception keeps what its coroutine had, as the frames of its traceback do; but a task lets
    /// go of a cancellation.
    fn raised(routine: &Obj<'_, Self>, error: &PyErr) {
        let py = routine.py();
        let is_cancellation = stock::cancelled_error(py).is_ok_and(|class| error.is_instance(py, class));
        routine.end_and(is_cancellation && routine.is_shared());
    }

    #[inline]
    fn end_and(&self, lets_go: bool) {
        if lets_go {
            self.end();
        } else {
            self.phase.set(Phase::Done);
            self.details.end();
        }
    }

    /// The owner as an object of its native class.
    #[inline]
    pub fn owner<'py, T: Class>(&self, py: Python<'py>) -> PyResult<Obj<'py, T>> {
        let owner = self.owner.get_or_none(py);
        Obj::<T>::cast_into(owner).ok_or_else(lost)
    }

    /// Runs `piece` on the owner as the native class it is, without counting references: meanwhile the owner
    /// is out of its slot.
    #[inline]
    pub fn with_owner<'py, T: Class, R>(
        &self,
        py: Python<'py>,
        piece: impl FnOnce(&Obj<'py, T>) -> PyResult<R>,
    ) -> PyResult<R> {
        let owner = self.owner.take().ok_or_else(lost)?;
        let result = Obj::<T>::cast(owner.any(py)).map_or_else(|| Err(lost()), piece);
        let nothing = self.owner.replace(Some(owner));
        debug_assert!(nothing.is_none(), "the owner is put back where it was");
        result
    }
}

/// The error for a slot that is empty although an earlier piece filled it: the collector has cleared this
/// coroutine.
#[cold]
pub(super) fn lost() -> PyErr {
    PyRuntimeError::new_err("the coroutine was destroyed by the garbage collector")
}

impl Coroutine for Routine {
    #[inline]
    fn advance<'py>(routine: &Obj<'py, Self>) -> Advanced<'py> {
        sent_to::<Driver>(routine)
    }

    fn throw<'py>(routine: &Obj<'py, Self>, error: PyErr) -> Advanced<'py> {
        thrown_into::<Driver>(routine, error)
    }

    /// `close()`: GeneratorExit is raised where the routine waits.
    fn finish(routine: &Obj<'_, Self>) -> PyResult<()> {
        let py = routine.py();
        match routine.phase.get() {
            Phase::New(_) | Phase::Done => {
                routine.end();
                Ok(())
            }
            Phase::Bound(_) => Err(not_called()),
            _ => match Self::throw(routine, PyGeneratorExit::new_err(())) {
                Ok(Ok(_)) => Err(PyRuntimeError::new_err("coroutine ignored GeneratorExit")),
                Err(error) if !error.is_instance_of::<PyGeneratorExit>(py) => Err(error),
                Ok(Err(_)) | Err(_) => {
                    routine.end();
                    Ok(())
                }
            },
        }
    }

    fn name(&self) -> &'static str {
        self.name.get()
    }

    fn started(&self) -> &Cell<bool> {
        &self.started
    }

    fn iterated(&self) -> &Cell<bool> {
        &self.iterated
    }

    fn is_running(&self) -> bool {
        matches!(self.phase.get(), Phase::Running)
    }

    fn is_over(routine: &Obj<'_, Self>) -> bool {
        matches!(routine.phase.get(), Phase::Done)
    }

    fn details(&self) -> &Details {
        &self.details
    }

    fn awaiting<'py>(routine: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match routine.awaited_future(routine.py()) {
            Some(future) => inner::shown(routine, future).map(Some),
            None if matches!(routine.phase.get(), Phase::GaveWay(_)) => inner::of_a_turn(routine),
            None => match routine.awaited_iterator(routine.py()) {
                Some(coroutine) => inner::around(routine, coroutine).map(Some),
                None => Ok(routine.awaiting.get(routine.py())),
            },
        }
    }

    fn parameter<'py>(routine: &Obj<'py, Self>, name: &str) -> Option<Bound<'py, PyAny>> {
        let py = routine.py();
        if name == "self" {
            return routine.owner.get(py);
        }
        // Before it runs, its arguments are where its first piece looks for them.
        if routine.started.get() {
            return None;
        }
        match (routine.name.get(), name) {
            ("wait_for", "fut") => routine.owner.get(py),
            ("wait_for", "timeout") => Some(routine.first.get_or_none(py)),
            ("Condition.wait_for", "predicate") => routine.first.get(py),
            ("Queue.put", "item") => routine.second.get(py),
            _ => None,
        }
    }

    fn class_of(routine: &Obj<'_, Self>) -> PyResult<Py<PyAny>> {
        let py = routine.py();
        let class = if routine.is_bound() { stock::method(py)? } else { stock::coroutine(py)? };
        Ok(class.clone().into_any().unbind())
    }
}

impl Class for Routine {
    const NAME: &'static CStr = c"builtins.coroutine";
    const BARE_NAME: bool = true;
    /// Shared with [`super::special`], whose routines can be called.
    type Header = Callable;
    const CALLABLE: bool = false;
    const FREELIST: usize = 256;
    const AWAITED: bool = true;
    const CONSTRUCTIBLE: bool = false;
    const CLASS: &'static ClassState = &ROUTINE;

    fn table(t: &mut Table<Self>) {
        protocol(t);
    }

    references! { awaiting, owner, first, second, third, details }

    fn wants_finalizer(&self) -> bool {
        !matches!(self.phase.get(), Phase::Done | Phase::Bound(_))
    }
}

/// Lets go of a slot's content when the piece that calls it ends.
pub fn taken<'py>(py: Python<'py>, slot: &Slot) -> Bound<'py, PyAny> {
    slot.take().map_or_else(|| none(py), |content: Ref| content.into_any(py))
}
