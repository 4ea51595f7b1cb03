//! `_on_crash`: a function that is called when an exception leaves `run`, while the tasks that it leaves
//! behind are still there.
//!
//! Set by `yibu.inspect(crash=True)`; nothing is called otherwise.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::ffi::{Args, Output, Signature, none};
use crate::functions;

const ON_CRASH: Signature<1> = Signature::new("_on_crash", "function");

static FUNCTION: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

/// Adds the function to the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "Has a function called when an exception leaves run(); None for no function.";
    functions::add(
        module,
        &ON_CRASH,
        |args: Args<'_, '_>| {
            let [function] = args.parse(&ON_CRASH)?;
            let function = (!function.is_none()).then(|| function.unbind());
            let former =
                std::mem::replace(&mut *FUNCTION.lock().unwrap_or_else(PoisonError::into_inner), function);
            drop(former);
            Ok(none(args.py()))
        },
        doc,
    )
}

/// The outcome of a run. Calls the function if it is an exception, other than SystemExit.
pub(super) fn noted<'py>(py: Python<'py>, outcome: Output<'py>) -> Output<'py> {
    outcome.inspect_err(|error| {
        if !error.is_instance_of::<PySystemExit>(py) {
            call(py);
        }
    })
}

#[cold]
fn call(py: Python<'_>) {
    let function =
        FUNCTION.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|known| known.clone_ref(py));
    if let Some(function) = function
        && let Err(error) = function.call0(py)
    {
        error.write_unraisable(py, Some(function.bind(py)));
    }
}
