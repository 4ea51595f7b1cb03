//! The errors of this crate that have no better home, and the one way from an operating-system error to an
//! exception.

use pyo3::exceptions::{PyMemoryError, PyOSError};
use pyo3::prelude::*;
use yibu_driver::memory;

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

/// MemoryError unless there is room.
#[inline]
pub fn room(there_is: bool) -> PyResult<()> {
    if there_is { Ok(()) } else { Err(no_memory()) }
}

/// Collects what a program decides the number of, until one is an error; MemoryError where there is no memory
/// for them.
pub fn collected<T>(items: impl IntoIterator<Item = PyResult<T>>) -> PyResult<Vec<T>> {
    let mut failed = None;
    let all =
        memory::collect(items.into_iter().map_while(|item| item.map_err(|error| failed = Some(error)).ok()));
    match failed {
        Some(error) => Err(error),
        None => all.ok_or_else(no_memory),
    }
}

/// A copy of bytes of which a program decides how many they are, or MemoryError.
pub fn copied(bytes: &[u8]) -> PyResult<Vec<u8>> {
    memory::copy(bytes).ok_or_else(no_memory)
}

/// `OSError(code, os.strerror(code))`.
pub fn errno(code: i32) -> PyErr {
    // The text as Python gives it: without Rust's " (os error N)".
    let text = std::io::Error::from_raw_os_error(code).to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_owned();
    PyOSError::new_err((code, text))
}

/// `EBADF`: what asyncio gets from the kernel for a descriptor that the program has closed.
#[cold]
pub fn bad_descriptor() -> PyErr {
    errno(rustix::io::Errno::BADF.raw_os_error())
}

/// An exception of a class that is only known at run time.
pub fn raise(class: &Bound<'_, pyo3::types::PyType>, text: impl Into<String>) -> PyErr {
    PyErr::from_type(class.clone(), (text.into(),))
}
