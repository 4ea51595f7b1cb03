//! StopIteration: how an iterator hands over the value it returns.
//!
//! `await` on an object that is no Python coroutine asks `tp_iternext`, and takes the result out of the exception at once. Making
//! that exception costs more than all else in an await that is satisfied; so for `True`, which `acquire()` and the like return,
//! one is kept. Called by the trampolines.

#[cfg(Py_3_12)]
use std::cell::Cell;

use pyo3::ffi;
use pyo3::prelude::*;

/// Sets the error indicator to `StopIteration(value)`; to nothing for None.
#[inline]
pub(super) fn raise(value: Bound<'_, PyAny>) {
    // SAFETY: attached; singletons live for ever.
    unsafe {
        if value.as_ptr() == ffi::Py_None() {
            return;
        }
        #[cfg(Py_3_12)]
        if value.as_ptr() == ffi::Py_True() {
            return raise_true();
        }
    }
    raise_anew(value);
}

fn raise_anew(value: Bound<'_, PyAny>) {
    // SAFETY: attached; `value` is alive for the calls, and the exception made of it is released after being set.
    unsafe {
        let class = ffi::PyExc_StopIteration;
        if ffi::PyTuple_Check(value.as_ptr()) == 0 && ffi::PyExceptionInstance_Check(value.as_ptr()) == 0 {
            ffi::PyErr_SetObject(class, value.as_ptr());
            return;
        }
        // These two would be taken for the arguments of the exception, or for the exception.
        let stop = ffi::PyObject_CallOneArg(class, value.as_ptr());
        if !stop.is_null() {
            ffi::PyErr_SetObject(class, stop);
            ffi::Py_DECREF(stop);
        }
    }
}

/// The kept exception, which is used while nobody else has it or has left a trace on it.
#[cfg(Py_3_12)]
struct Kept(Cell<*mut ffi::PyObject>);

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it uses the GIL).
#[cfg(Py_3_12)]
unsafe impl Sync for Kept {}

#[cfg(Py_3_12)]
fn raise_true() {
    static KEPT: Kept = Kept(Cell::new(std::ptr::null_mut()));
    // SAFETY: attached. What is kept is an owned reference to a StopIteration; its layout begins with that of BaseException,
    // whose fields are only compared with null. `PyErr_SetRaisedException` takes over one reference.
    unsafe {
        let kept = KEPT.0.get();
        if !kept.is_null() && ffi::Py_REFCNT(kept) == 1 {
            let fields = &*kept.cast::<ffi::PyBaseExceptionObject>();
            let untouched = fields.traceback.is_null()
                && fields.context.is_null()
                && fields.cause.is_null()
                && fields.notes.is_null()
                && fields.dict.is_null();
            if untouched {
                ffi::Py_INCREF(kept);
                return ffi::PyErr_SetRaisedException(kept);
            }
        }
        let fresh = ffi::PyObject_CallOneArg(ffi::PyExc_StopIteration, ffi::Py_True());
        if fresh.is_null() {
            return;
        }
        ffi::Py_INCREF(fresh);
        KEPT.0.set(fresh);
        ffi::Py_XDECREF(kept);
        ffi::PyErr_SetRaisedException(fresh);
    }
}
