//! Whether two contexts have the same variables with the same values: one comparison of addresses.
//!
//! A context refers to an immutable mapping; setting a variable gives it another one, and a copy of a context
//! begins with the mapping of the original. The C API shows neither the mapping nor the current context, so
//! their places are read from memory. The places are those of the interpreters that were looked at, and
//! [`verify`] tries them before other code relies on them. Where they are not as expected, no two contexts
//! are alike. Used by what would copy the current context again and again.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use super::{copy, empty, run};

/// Where the thread state of an interpreter refers to the current context, in bytes, by minor version: at
/// least one pointer before the end of the smallest structure that this version had.
const IN_THREAD: [(u8, usize); 5] = [(11, 224), (12, 208), (13, 208), (14, 208), (15, 232)];
/// Where a context refers to its mapping, in bytes: behind the head and the previous context.
const IN_CONTEXT: usize = size_of::<ffi::PyObject>() + size_of::<usize>();

/// The verified place in the thread state; 0 where there is none.
static PLACE: AtomicUsize = AtomicUsize::new(0);

/// The pointer at a place of a structure.
///
/// # Safety
/// The structure is alive, and a pointer-sized, aligned field begins `place` bytes behind its start.
#[inline]
unsafe fn field<T>(structure: *mut T, place: usize) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe { structure.byte_add(place).cast::<*mut ffi::PyObject>().read() }
}

/// The current context of this thread, borrowed; null where none has been needed yet.
#[inline]
fn current(place: usize) -> *mut ffi::PyObject {
    // SAFETY: attached (every caller has a token or an object), so the thread has a state; the place is one
    // of `IN_THREAD`, which lies inside of it.
    unsafe { field(ffi::PyThreadState_Get(), place) }
}

/// The mapping of a context, borrowed.
///
/// # Safety
/// The object is a live `contextvars.Context`.
#[inline]
unsafe fn mapping(context: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise; the place is inside of a context, whose size `verify` compares.
    unsafe { field(context, IN_CONTEXT) }
}

/// The address of the mapping of the current context; 0 where it cannot be told. The same address stands for
/// the same variables and values only as long as something has the mapping.
#[inline]
pub fn address_of_current(_py: Python<'_>) -> usize {
    let place = PLACE.load(Ordering::Relaxed);
    let context = if place == 0 { std::ptr::null_mut() } else { current(place) };
    // SAFETY: what is not null is the live current context.
    if context.is_null() { 0 } else { unsafe { mapping(context) }.addr() }
}

/// Whether two contexts have one mapping.
#[inline]
pub fn are_same(one: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> bool {
    // SAFETY: both are live; only contexts have their type, so the comparison is made with two of them.
    PLACE.load(Ordering::Relaxed) != 0
        && unsafe {
            ffi::PyContext_CheckExact(one.as_ptr()) != 0
                && ffi::Py_TYPE(one.as_ptr()) == ffi::Py_TYPE(other.as_ptr())
                && mapping(one.as_ptr()) == mapping(other.as_ptr())
        }
}

/// Finds out whether the places are right in this interpreter. Called when the module is made.
pub fn verify(py: Python<'_>) -> PyResult<()> {
    let minor = py.version_info().minor;
    let place = IN_THREAD.iter().find(|(version, _)| *version == minor).map_or(0, |(_, place)| *place);
    if place != 0 && context_is_as_expected(py)? && thread_is_as_expected(py, place)? {
        PLACE.store(place, Ordering::Relaxed);
    }
    Ok(())
}

/// A copy has the mapping of the original, until a variable is set in it.
fn context_is_as_expected(py: Python<'_>) -> PyResult<bool> {
    let original = empty(py)?;
    let size = original.get_type().getattr("__basicsize__")?.extract::<usize>()?;
    if size < IN_CONTEXT + 2 * size_of::<usize>() {
        return Ok(false);
    }
    let changed = copy(&original)?;
    // SAFETY: both are contexts, which are large enough.
    let mappings = || unsafe { (mapping(original.as_ptr()), mapping(changed.as_ptr())) };
    let (before, copied) = mappings();
    let variable = py.import("contextvars")?.getattr("ContextVar")?.call1(("yibu",))?;
    run(&changed, |_| variable.call_method1("set", (1,)))?;
    let (unchanged, after) = mappings();
    Ok(before == copied && before == unchanged && !before.is_null() && after != before && !after.is_null())
}

/// Each of two contexts is found at the place while it is entered.
fn thread_is_as_expected(py: Python<'_>, place: usize) -> PyResult<bool> {
    let before = current(place);
    let mut found = true;
    for context in [empty(py)?, empty(py)?] {
        run(&context, |_| {
            found &= current(place) == context.as_ptr();
            Ok(())
        })?;
        found &= current(place) == before;
    }
    Ok(found)
}
