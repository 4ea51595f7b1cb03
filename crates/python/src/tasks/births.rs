//! What is done when a task is made: its age is noted while ages are wanted, and a function is called while
//! calls are wanted. Otherwise one flag is read.
//!
//! Asked for by the task tree and for spans (`yibu.trace()`).

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use yibu_observing::nanoseconds;

use crate::ffi::Slot;

/// What is wanted of tasks that are made: [`AGES`], [`CALLS`].
static WANTED: AtomicU8 = AtomicU8::new(0);
const AGES: u8 = 1;
const CALLS: u8 = 2;

static FUNCTION: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

fn want(what: u8, wanted: bool) {
    if wanted {
        WANTED.fetch_or(what, Ordering::Relaxed);
    } else {
        WANTED.fetch_and(!what, Ordering::Relaxed);
    }
}

/// Has the tasks that are made from now on note when they are made, or not.
pub fn want_ages(wanted: bool) {
    want(AGES, wanted);
}

/// Whether tasks note when they are made.
#[inline]
pub fn ages_are_wanted() -> bool {
    WANTED.load(Ordering::Relaxed) & AGES != 0
}

/// Has a function called with each task that is made from now on, its context, and whether that is its own.
pub fn want_calls(function: Option<Py<PyAny>>) {
    want(CALLS, function.is_some());
    let former = std::mem::replace(&mut *FUNCTION.lock().unwrap_or_else(PoisonError::into_inner), function);
    drop(former);
}

/// Does what is wanted of a task that is made now.
#[inline]
pub(super) fn note(task: &Bound<'_, PyAny>, created: &Cell<u64>, context: &Slot, has_own_context: bool) {
    let wanted = WANTED.load(Ordering::Relaxed);
    if wanted & AGES != 0 {
        created.set(nanoseconds());
    }
    if wanted & CALLS != 0 {
        tell(task, context, has_own_context);
    }
}

#[cold]
fn tell(task: &Bound<'_, PyAny>, context: &Slot, has_own_context: bool) {
    let py = task.py();
    let function =
        FUNCTION.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|known| known.clone_ref(py));
    // A task is made also if the function fails.
    if let Some(function) = function
        && let Err(error) = function.call1(py, (task, context.get_or_none(py), has_own_context))
    {
        error.write_unraisable(py, Some(function.bind(py)));
    }
}
