//! Audit hooks (PEP 578): whether there are any, checked without calling them.
//!
//! The events come from the standard library's own functions. If a hook is set, the standard library's
//! function makes the system call in the place of native code, so that its event is raised.

use std::ffi::{c_char, c_int, c_void};

use pyo3::ffi;
use pyo3::prelude::*;

unsafe extern "C" {
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}

/// Makes the argument of an event, which is only asked for where there are hooks, and refuses.
extern "C" fn refuse(_: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: attached, for the interpreter calls this; the exception is a static of it.
    unsafe { ffi::PyErr_SetNone(ffi::PyExc_RuntimeError) };
    std::ptr::null_mut()
}

/// Whether there is an audit hook.
#[inline]
pub fn is_watched(_py: Python<'_>) -> bool {
    let refuse: extern "C" fn(*mut c_void) -> *mut ffi::PyObject = refuse;
    // SAFETY: attached; `O&` takes a function of this type and a pointer. An event whose arguments cannot be
    // made reaches no hook.
    let told =
        unsafe { PySys_Audit(c"yibu".as_ptr(), c"O&".as_ptr(), refuse, std::ptr::null_mut::<c_void>()) };
    if told == 0 {
        return false;
    }
    // SAFETY: attached; the exception is that of `refuse`.
    unsafe { ffi::PyErr_Clear() };
    true
}
