//! Routines that await each other, however deep: a loop runs them all, with a list of those that wait for the
//! innermost one.
//!
//! Python coroutines that await each other need no room on the thread's stack, so neither may `wait_for` in
//! `wait_for`. [`run`] goes inwards to the routine that waits for something else, or begins; when that one
//! ends, its outcome goes to the next one outwards, and when it yields, all of them are suspended. Sending,
//! throwing and closing go the same way. A Python coroutine between two routines is called by the one and
//! calls the other, as any function does.
//!
//! Called by [`super`] for a routine that awaits another one; calls the pieces of all of them.

use std::mem::replace;

use pyo3::exceptions::{PyGeneratorExit, PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;
use yibu_driver::memory::MakeRoom;

use super::pieces::{Caller, closed, drive, running_ended_by_panic, sent_to, suspend, thrown_into};
use super::{Resume, Routine};
use crate::coroutines::protocol::Advanced;
use crate::ffi::{Obj, Output};

/// What is done to a routine.
pub(super) enum Push {
    Send,
    Throw(PyErr),
    Close,
}

/// What a routine that waits for another has done by the time that its caller must act.
enum Driven<'py> {
    Yielded(Bound<'py, PyAny>),
    Ended(Output<'py>),
    Awaits(Obj<'py, Routine>, Resume, Push),
}

/// What calls those that await each other: the loop in [`run`].
struct Loop;

impl Caller for Loop {
    type Gets<'py> = Driven<'py>;

    fn yielded<'py>(object: Bound<'py, PyAny>) -> Driven<'py> {
        Driven::Yielded(object)
    }

    fn ended<'py>(outcome: Output<'py>) -> Driven<'py> {
        Driven::Ended(outcome)
    }

    fn awaits<'py>(
        _: &Obj<'py, Routine>,
        inner: &Obj<'py, Routine>,
        resume: Resume,
        push: Push,
    ) -> Driven<'py> {
        Driven::Awaits(inner.clone(), resume, push)
    }
}

/// A routine that awaits the next one inwards.
struct Outer<'py> {
    routine: Obj<'py, Routine>,
    resume: Resume,
    /// What was thrown into the routine, for which it closes the one that it awaits.
    closes_for: Option<PyErr>,
}

/// The routines that wait, the innermost one last.
#[derive(Default)]
struct Waiting<'py> {
    /// Two routines need no list.
    outermost: Option<Outer<'py>>,
    others: Vec<Outer<'py>>,
}

impl Push {
    /// What a routine does to the one that it awaits when this is done to itself, and what it gets when that
    /// one has been closed: a GeneratorExit is not passed on.
    fn inwards(self, py: Python<'_>) -> (Self, Option<PyErr>) {
        match self {
            Self::Throw(error) if error.is_instance_of::<PyGeneratorExit>(py) => (Self::Close, Some(error)),
            push => (push, None),
        }
    }
}

impl<'py> Outer<'py> {
    /// What its `await` gives when the routine that it awaits has ended so.
    fn outcome(&mut self, outcome: Output<'py>) -> Output<'py> {
        let Some(thrown) = self.closes_for.take() else { return outcome };
        match outcome {
            Err(error) if !error.is_instance_of::<PyGeneratorExit>(self.routine.py()) => Err(error),
            _ => Err(thrown),
        }
    }
}

impl<'py> Waiting<'py> {
    fn has_room(&mut self) -> bool {
        self.outermost.is_none() || self.others.make_room(1)
    }

    /// One more waits, for which there is room.
    fn push(&mut self, outer: Outer<'py>, awaited: &Obj<'py, Routine>) {
        #[cfg(Py_3_14)]
        crate::coroutines::driving::begin(&outer.routine, awaited.as_any());
        #[cfg(not(Py_3_14))]
        let _ = awaited;
        if self.outermost.is_none() {
            self.outermost = Some(outer);
        } else {
            self.others.push(outer);
        }
    }

    fn pop(&mut self) -> Option<Outer<'py>> {
        let outer = self.others.pop().or_else(|| self.outermost.take());
        #[cfg(Py_3_14)]
        if outer.is_some() {
            crate::coroutines::driving::end();
        }
        outer
    }

    /// Suspends them because the innermost routine, `inner`, has yielded: all of them, or those inwards of
    /// one that closes, which is given back.
    fn suspend(&mut self, mut inner: Obj<'py, Routine>) -> Option<Outer<'py>> {
        while let Some(outer) = self.pop() {
            if outer.closes_for.is_some() {
                return Some(outer);
            }
            suspend(&outer.routine, inner.into_any(), outer.resume);
            inner = outer.routine;
        }
        None
    }
}

impl Drop for Waiting<'_> {
    /// Those that are left when a piece panics.
    fn drop(&mut self) {
        while let Some(outer) = self.pop() {
            outer.routine.end();
        }
    }
}

/// Runs `current`, which awaits `inner` and has something to do to it, until it yields or ends.
pub(super) fn run<'py>(
    current: &Obj<'py, Routine>,
    inner: &Obj<'py, Routine>,
    resume: Resume,
    push: Push,
) -> Advanced<'py> {
    let mut waiting = Waiting::default();
    let mut current = current.clone();
    let mut driven = Driven::Awaits(inner.clone(), resume, push);
    loop {
        driven = match driven {
            Driven::Awaits(inner, resume, push) if waiting.has_room() => {
                let (push, closes_for) = push.inwards(current.py());
                let routine = replace(&mut current, inner);
                waiting.push(Outer { routine, resume, closes_for }, &current);
                match push {
                    Push::Send => sent_to::<Loop>(&current),
                    Push::Throw(error) => thrown_into::<Loop>(&current, error),
                    Push::Close => closed::<Loop>(&current),
                }
            }
            Driven::Awaits(_, resume, _) => go_on(&current, resume, Err(PyMemoryError::new_err(()))),
            Driven::Ended(outcome) => {
                let Some(mut outer) = waiting.pop() else { return outcome.map(Err) };
                let outcome = outer.outcome(outcome);
                current = outer.routine;
                go_on(&current, outer.resume, outcome)
            }
            Driven::Yielded(object) => match waiting.suspend(current) {
                None => return Ok(Ok(object)),
                Some(outer) => {
                    let ignored = PyRuntimeError::new_err("coroutine ignored GeneratorExit");
                    current = outer.routine;
                    go_on(&current, outer.resume, Err(ignored))
                }
            },
        }
    }
}

/// The routine gets what its `await` gave.
fn go_on<'py>(routine: &Obj<'py, Routine>, resume: Resume, outcome: Output<'py>) -> Driven<'py> {
    running_ended_by_panic(routine, || drive::<Loop>(routine, resume(routine, outcome)))
}
