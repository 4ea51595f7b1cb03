//! The identity of threads as Python counts them.

use pyo3::ffi;

/// `threading.get_ident()` of this thread.
#[inline]
pub fn ident() -> u64 {
    // SAFETY: the function has no preconditions: it asks the thread library.
    unsafe { ffi::PyThread_get_thread_ident() as u64 }
}
