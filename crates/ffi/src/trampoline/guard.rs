//! Errors and panics of Rust code become exceptions of the interpreter.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use pyo3::exceptions::{PyMemoryError, PySystemError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::depth;
use crate::thread::attached;

/// Runs `body`; a panic in it becomes an exception, for callers that have to put things right after both.
#[inline]
pub fn caught<R>(body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(panicked(payload.as_ref())))
}

/// What PyO3 says where the interpreter could not make an object, and the standard library where PyO3 could
/// not show a type: there was no memory, as a rule, if the interpreter has not told another reason.
const NO_OBJECT: [&str; 3] = [
    "PyObject pointer is null",
    "Python API call failed",
    "a formatting trait implementation returned an error when the underlying stream did not: Error",
];

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

/// Has panics about an object for which there is no memory print nothing: they become MemoryError
/// (`panicked`). All other panics of this library are printed. Called when the module is made; doing it again
/// changes nothing.
pub fn print_no_lack_of_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // SAFETY: the first function may be called by any thread, and the others are by one that is
            // attached.
            let lacks_memory = NO_OBJECT.contains(&message(panic.payload()))
                && unsafe {
                    ffi::PyGILState_Check() != 0
                        && (ffi::PyErr_Occurred().is_null()
                            || ffi::PyErr_ExceptionMatches(ffi::PyExc_MemoryError) != 0)
                };
            if !lacks_memory {
                default_hook(panic);
            }
        }));
    });
}

#[cold]
fn panicked(payload: &(dyn Any + Send)) -> PyErr {
    let text = message(payload);
    if NO_OBJECT.contains(&text) {
        // SAFETY: attached, as everything that makes objects.
        let told = PyErr::take(unsafe { Python::assume_attached() });
        return told.unwrap_or_else(|| PyMemoryError::new_err(()));
    }
    PySystemError::new_err(format!("yibu failed internally: {text}"))
}

/// Runs `body`, giving `failed` and a set exception when it fails or panics, or when calls are nested too
/// deep.
#[inline(always)] // it is a part of every call
pub(crate) fn guard<'py, R: Copy>(py: Python<'py>, failed: R, body: impl FnOnce() -> PyResult<R>) -> R {
    guard_entered(py, failed, || depth::enter().and_then(|()| body()))
}

/// The same for finalizers, which may nest deeper.
#[inline]
pub(super) fn guard_deeper<'py, R: Copy>(
    py: Python<'py>,
    failed: R,
    body: impl FnOnce() -> PyResult<R>,
) -> R {
    guard_entered(py, failed, || depth::enter_finalizer().and_then(|()| body()))
}

#[inline(always)] // into `guard`
fn guard_entered<'py, R: Copy>(_: Python<'py>, failed: R, body: impl FnOnce() -> PyResult<R>) -> R {
    // What comes out of `catch_unwind` goes through memory. So the value alone comes out: it is a word, a
    // `PyResult` is not.
    let entered = || match body() {
        Ok(value) => value,
        Err(error) => {
            raise(error);
            failed
        }
    };
    match catch_unwind(AssertUnwindSafe(entered)) {
        Ok(value) => value,
        Err(payload) => {
            raise(panicked(payload.as_ref()));
            failed
        }
    }
}

/// Sets the exception. Attached for PyO3, too: the arguments of which it makes the exception it would
/// otherwise keep until it attaches a thread itself, which may be never where yibu's own loop does not run.
#[cold]
fn raise(error: PyErr) {
    attached(|py| {
        // Where there is no memory for the exception, PyO3 panics. A panic that leaves this function ends the
        // process.
        if catch_unwind(AssertUnwindSafe(|| error.restore(py))).is_err() {
            // SAFETY: attached; the interpreter has made this exception long before.
            unsafe { ffi::PyErr_NoMemory() };
        }
    });
}
