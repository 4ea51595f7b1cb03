//! Which routines are in the middle of running a coroutine that they await: call graphs show them between the
//! frames of the program (3.14), where the native ones have none.
//!
//! Written by [`super::routine`] around every run of what is awaited by iteration; read by [`crate::graph`].

use std::cell::RefCell;

use pyo3::prelude::*;

use super::{Routine, details};
use crate::ffi::{Obj, Ref};

thread_local! {
    /// The routines of this thread with what each of them runs, the innermost at the end.
    static DRIVING: RefCell<Vec<(Ref<Routine>, Ref)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `run`, in which a routine runs what it awaits.
#[inline]
pub fn driving<'py, R>(
    routine: &Obj<'py, Routine>,
    awaited: &Bound<'py, PyAny>,
    run: impl FnOnce() -> R,
) -> R {
    struct Driving;
    impl Drop for Driving {
        fn drop(&mut self) {
            end();
        }
    }
    begin(routine, awaited);
    let _driving = Driving;
    run()
}

/// A routine begins to run what it awaits.
#[inline]
pub fn begin<'py>(routine: &Obj<'py, Routine>, awaited: &Bound<'py, PyAny>) {
    let entry = (Ref::of(routine.clone()), Ref::new(awaited.clone()));
    DRIVING.with(|driving| driving.borrow_mut().push(entry));
}

/// The innermost of the routines has run what it awaits.
#[inline]
pub fn end() {
    // What is taken out is dropped with nothing borrowed.
    let entry = DRIVING.with(|driving| driving.borrow_mut().pop());
    drop(entry);
}

/// The frames of the routines that run a coroutine, one awaiting the other, from the innermost outwards; and
/// the outermost of them.
pub fn frames_around<'py>(
    coroutine: &Bound<'py, PyAny>,
) -> PyResult<(Vec<Bound<'py, PyAny>>, Bound<'py, PyAny>)> {
    let (mut frames, mut outermost) = (Vec::new(), coroutine.clone());
    while let Some(routine) = driver(&outermost) {
        let frame = details::frame(&routine)?;
        if !frame.is_none() {
            frames.push(frame);
        }
        outermost = routine.into_any();
    }
    Ok((frames, outermost))
}

fn driver<'py>(awaited: &Bound<'py, PyAny>) -> Option<Obj<'py, Routine>> {
    let py = awaited.py();
    DRIVING.with(|driving| {
        let driving = driving.borrow();
        let entry = driving.iter().rev().find(|(_, driven)| driven.as_ptr() == awaited.as_ptr());
        entry.map(|(routine, _)| routine.obj(py))
    })
}
