//! The errors of this crate that have no better home, and the one way from an operating-system error to an exception.

use pyo3::exceptions::{PyMemoryError, PyOSError};
use pyo3::prelude::*;

/// An `OSError` with errno, so that the right subclass (`ConnectionResetError`, ...) appears.
pub fn os_error(error: &std::io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(code) => errno(code),
        None if error.kind() == std::io::ErrorKind::OutOfMemory => no_memory(),
        None => PyOSError::new_err(error.to_string()),
    }
}

/// There is no memory for something of Rust's.
#[cold]
pub fn no_memory() -> PyErr {
    PyMemoryError::new_err(())
}

/// `OSError(code, os.strerror(code))`.
pub fn errno(code: i32) -> PyErr {
    // The text as Python gives it: without Rust's " (os error N)".
    let text = std::io::Error::from_raw_os_error(code).to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_owned();
    PyOSError::new_err((code, text))
}

/// An exception of a class that is only known at run time.
pub fn raise(class: &Bound<'_, pyo3::types::PyType>, text: impl Into<String>) -> PyErr {
    PyErr::from_type(class.clone(), (text.into(),))
}
