//! The interpreter that has the classes: there is one set of them in a process, in statics, and the main
//! interpreter's it is.

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The module that was loaded first: this one, or an earlier one, whose classes it shares. ImportError in a
/// subinterpreter.
pub fn first<'py>(module: &Bound<'py, PyModule>) -> PyResult<Bound<'py, PyModule>> {
    static FIRST: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let py = module.py();
    /// What the main interpreter is numbered.
    const MAIN: i64 = 0;
    // SAFETY: attached, so there is a current interpreter.
    match unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) } {
        MAIN => {}
        ..0 => return Err(PyErr::fetch(py)),
        _ => {
            return Err(PyImportError::new_err(
                "yibu works in the main interpreter only, and this is another one",
            ));
        }
    }
    Ok(FIRST.get_or_init(py, || module.clone().unbind()).bind(py).clone())
}
