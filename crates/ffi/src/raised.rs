//! Exceptions that were caught, as plain objects.
//!
//! `PyErr` is how errors travel through this crate; where one stops (a callback raised, a coroutine ended) it
//! becomes a [`Raised`], which is dropped at once and without asking whether the thread is attached.

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{PyTypeInfo, ffi};

/// A caught exception.
#[derive(Clone)]
pub struct Raised<'py>(pub Bound<'py, PyBaseException>);

/// The exception that the indicator shows, which is set; an owned reference.
///
/// # Safety
/// The thread is attached and the indicator set.
#[cfg(Py_3_12)]
unsafe fn take_indicator() -> *mut ffi::PyObject {
    // SAFETY: attached.
    unsafe { ffi::PyErr_GetRaisedException() }
}

/// The exception that the indicator shows, which is set; an owned reference.
///
/// # Safety
/// The thread is attached and the indicator set.
#[cfg(not(Py_3_12))]
unsafe fn take_indicator() -> *mut ffi::PyObject {
    let (mut class, mut value, mut traceback) =
        (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: attached; the three are owned references or null, and after normalising only the traceback may
    // be null.
    unsafe {
        ffi::PyErr_Fetch(&mut class, &mut value, &mut traceback);
        ffi::PyErr_NormalizeException(&mut class, &mut value, &mut traceback);
        if !traceback.is_null() {
            ffi::PyException_SetTraceback(value, traceback);
        }
        ffi::Py_XDECREF(traceback);
        ffi::Py_XDECREF(class);
    }
    value
}

impl<'py> Raised<'py> {
    /// Catches what a Rust function returned. Nothing of the `PyErr` is dropped: PyO3 would keep that until
    /// it attaches a thread itself, which on a loop that is not native it never does.
    pub fn from_err(py: Python<'py>, error: PyErr) -> Self {
        error.restore(py);
        // SAFETY: attached; the indicator was just set, and the call takes it.
        unsafe { Self(Bound::from_owned_ptr(py, take_indicator()).cast_into_unchecked()) }
    }

    /// Whether it is an instance of exception type `T`.
    #[inline]
    pub fn is<T: PyTypeInfo>(&self) -> bool {
        self.is_instance_of(&T::type_object(self.0.py()))
    }

    /// Whether it is an instance of an exception class.
    #[inline]
    pub fn is_instance_of(&self, class: &Bound<'py, PyType>) -> bool {
        // SAFETY: attached; both objects are alive, the call compares types without running Python code.
        unsafe { ffi::PyErr_GivenExceptionMatches(self.0.as_ptr(), class.as_ptr()) != 0 }
    }

    /// The exception as an object.
    pub fn as_any(&self) -> &Bound<'py, PyAny> {
        self.0.as_any()
    }

    /// The exception as an owned object.
    pub fn into_any(self) -> Bound<'py, PyAny> {
        self.0.into_any()
    }

    /// Runs `f` as if in an `except` clause for this exception: what is raised in there gets it as
    /// `__context__`, and `sys.exc_info()` tells it.
    pub fn handling<R>(&self, f: impl FnOnce() -> R) -> R {
        // SAFETY: attached; Get returns a new reference or null, Set borrows its argument, which may be null.
        unsafe {
            // Get tells what the coroutines around this one handle where the innermost one handles nothing;
            // Set is only for the innermost one. What is told without it belongs to the others and is not put
            // back here.
            let mut before = ffi::PyErr_GetHandledException();
            if !before.is_null() {
                ffi::PyErr_SetHandledException(std::ptr::null_mut());
                let around = ffi::PyErr_GetHandledException();
                if around == before {
                    ffi::Py_DECREF(std::mem::replace(&mut before, std::ptr::null_mut()));
                }
                ffi::Py_XDECREF(around);
            }
            ffi::PyErr_SetHandledException(self.0.as_ptr());
            let result = f();
            ffi::PyErr_SetHandledException(before);
            ffi::Py_XDECREF(before);
            result
        }
    }

    /// The error to return in order to raise it as the `raise` statement does: what is being handled becomes
    /// its `__context__`.
    pub fn raise(self) -> PyErr {
        let py = self.0.py();
        // SAFETY: attached; the exception is alive, and an instance of its type. The indicator is read at
        // once.
        unsafe { ffi::PyErr_SetObject(self.0.get_type().as_ptr(), self.0.as_ptr()) };
        PyErr::fetch(py)
    }

    /// The error to return in order to raise it again.
    pub fn into_err(self) -> PyErr {
        PyErr::from_value(self.0.into_any())
    }
}

/// The error to return in order to raise an object as the `raise` statement does. What is no exception
/// becomes the TypeError that PyO3 makes of it.
pub fn raise(object: Bound<'_, PyAny>) -> PyErr {
    match object.cast_into::<PyBaseException>() {
        Ok(exception) => Raised(exception).raise(),
        Err(refused) => PyErr::from_value(refused.into_inner()),
    }
}
