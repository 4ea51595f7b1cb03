//! The return code of a child that has exited. Called by the watchers.

use pyo3::exceptions::{PyChildProcessError, PyValueError};
use pyo3::prelude::*;

use crate::ffi::Raised;
use crate::frames::Frame;
use crate::replaced::names::{Name, UNIX_EVENTS};
use crate::stock;

/// `unix_events.waitstatus_to_exitcode`
static WAITSTATUS_TO_EXITCODE: Name<1> = Name::new([(&UNIX_EVENTS, "waitstatus_to_exitcode")]);

/// Waits for a child and gives its return code: None when other code of the program has waited for it before.
pub(super) fn reap<'py>(pid: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = pid.py();
    let waited = match stock::os_module(py)?.call_method1(name!("waitpid"), (pid, 0)) {
        Ok(waited) => waited,
        Err(error) if error.is_instance_of::<PyChildProcessError>(py) => {
            drop(Raised::from_err(py, error));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let status = waited.get_item(1)?;
    if let Some(function) = WAITSTATUS_TO_EXITCODE.replacement(py)? {
        return function.call1((status,)).map(Some);
    }
    match stock::os_module(py)?.call_method1(name!("waitstatus_to_exitcode"), (&status,)) {
        Ok(code) => Ok(Some(code)),
        // Neither an exit nor a signal, which should not happen: perhaps the number helps.
        Err(error) if error.is_instance_of::<PyValueError>(py) => {
            drop(Raised::from_err(py, error));
            Ok(Some(status))
        }
        Err(error) => Err(error),
    }
}

/// What is reported for a child whose return code is unknown.
const UNKNOWN: i32 = 255;

/// The return code for a child that other code of the program has waited for, with a warning.
pub(super) fn unknown<'py>(
    frame: &Frame,
    pid: &Bound<'py, PyAny>,
    text: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let py = pid.py();
    frame.log(py, "warning", (text, pid))?;
    Ok(UNKNOWN.into_pyobject(py)?.into_any())
}
