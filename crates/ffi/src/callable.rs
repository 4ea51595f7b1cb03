//! What a callable surely is not: a coroutine function. Asked in debug mode for each callback.

use pyo3::ffi;
use pyo3::prelude::*;

/// What stands behind a function of Python code or of C, or behind a method of one.
pub enum Known<'py> {
    /// A function of Python code that is no coroutine function by its code. It may have attributes.
    Function(Bound<'py, PyAny>),
    /// A function of C, which has no attributes of a program's.
    Native,
}

/// What stands behind a callback; `None` for a coroutine function and for all that is no function.
pub fn known<'py>(callback: &Bound<'py, PyAny>) -> Option<Known<'py>> {
    unsafe extern "C" {
        static mut PyMethod_Type: ffi::PyTypeObject;
        fn PyMethod_Function(method: *mut ffi::PyObject) -> *mut ffi::PyObject;
    }
    // SAFETY: attached; any object can be asked for its class; a method is alive and so keeps its function,
    // which is borrowed, alive.
    let function = unsafe {
        if ffi::Py_TYPE(callback.as_ptr()) == &raw mut PyMethod_Type {
            &Bound::from_borrowed_ptr(callback.py(), PyMethod_Function(callback.as_ptr()))
        } else {
            callback
        }
    };
    // SAFETY: attached; the code of a function is borrowed from it.
    let code = unsafe {
        if ffi::PyCFunction_CheckExact(function.as_ptr()) != 0 {
            return Some(Known::Native);
        }
        if ffi::PyFunction_Check(function.as_ptr()) == 0 {
            return None;
        }
        Bound::from_borrowed_ptr(function.py(), ffi::PyFunction_GetCode(function.as_ptr()))
    };
    let flags: i32 = code.getattr(pyo3::intern!(code.py(), "co_flags")).ok()?.extract().ok()?;
    (flags & ffi::CO_COROUTINE == 0).then(|| Known::Function(function.clone()))
}
