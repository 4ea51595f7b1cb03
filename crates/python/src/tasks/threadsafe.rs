//! `run_coroutine_threadsafe`: a coroutine for a loop of another thread.

use std::ffi::CStr;

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::ensure::ensure;
use crate::coroutines::is_coroutine;
use crate::ffi::class::Plain;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Signature, Slot, Table, none, references,
};
use crate::futures::bridge::{chain, starts_running};
use crate::futures::future_like;
use crate::replaced::names::CONCURRENT_FUTURE;
use crate::{functions, names, stock};

const RUN_COROUTINE_THREADSAFE: Signature<2> = Signature::new("run_coroutine_threadsafe", "coro, loop");

/// Builds the class and adds the function.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    Table::<Submission>::build(module.py(), None)?;
    let doc = "Runs a coroutine on a loop of another thread. Returns a concurrent.futures.Future.";
    functions::add(module, &RUN_COROUTINE_THREADSAFE, run_coroutine_threadsafe, doc)
}

/// `asyncio.run_coroutine_threadsafe(coro, loop)`.
fn run_coroutine_threadsafe<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [coroutine, event_loop] = args.parse(&RUN_COROUTINE_THREADSAFE)?;
    let py = args.py();
    if !is_coroutine(&coroutine)? {
        return Err(PyTypeError::new_err("A coroutine object is required"));
    }
    let future = match CONCURRENT_FUTURE.replacement(py)? {
        None => stock::concurrent_future(py)?.call0()?,
        Some(class) => class.call0()?,
    };
    let submission = Submission::create(py)?;
    submission.coroutine.put(coroutine);
    submission.event_loop.put(event_loop.clone());
    submission.future.put(future.clone());
    event_loop.call_method1(names::call_soon_threadsafe(py), (submission.as_any(),))?;
    Ok(future)
}

/// What `run_coroutine_threadsafe` has the loop call.
#[derive(Default)]
pub struct Submission {
    coroutine: Slot,
    event_loop: Slot,
    future: Slot,
}

static SUBMISSION: ClassState = ClassState::new();

/// Starts the coroutine in the loop's thread. What goes wrong is told to the submitter, and to the loop.
fn start<'py>(submission: &Obj<'py, Submission>) -> Output<'py> {
    let py = submission.py();
    let event_loop = submission.event_loop.get_or_none(py);
    let future = submission.future.get_or_none(py);
    let started = ensure(&submission.coroutine.get_or_none(py), Some(&event_loop))
        .and_then(|task| chain(&task, &future));
    let Err(error) = started else { return Ok(none(py)) };
    if error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py) {
        return Err(error);
    }
    let raised = Raised::from_err(py, error);
    raised.handling(|| -> PyResult<()> {
        if starts_running(&future)? {
            future_like::set_exception(&future, raised.as_any())?;
        }
        Ok(())
    })?;
    Err(raised.into_err())
}

impl Class for Submission {
    const NAME: &'static CStr = c"yibu.Submission";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &SUBMISSION;

    fn table(t: &mut Table<Self>) {
        t.call(|submission, _args, _kwargs| start(submission));
        t.getter(c"__qualname__", |submission| {
            let name = "run_coroutine_threadsafe.<locals>.callback";
            Ok(PyString::new(submission.py(), name).into_any())
        });
    }

    references! { coroutine, event_loop, future }
}
