//! StopIteration: how an iterator hands over the value it returns.
//!
//! `await` on an object that is no Python coroutine asks `tp_iternext`, takes the result out of the exception
//! at once and lets go of both. Making that exception costs more than all else in an await that is satisfied;
//! so one is kept, and reused when the caller holds the only reference to the iterator, so that Python code
//! cannot notice. It is emptied when that iterator dies. Called by the trampolines and by [`super::class`].

#[cfg(Py_3_12)]
pub(super) use kept::release;

use pyo3::ffi;
use pyo3::prelude::*;

/// Sets the error indicator to `StopIteration(value)`; to nothing for None. `iterator_dies` says that the
/// iterator dies next.
#[inline]
pub(super) fn raise(value: Bound<'_, PyAny>, iterator_dies: bool) {
    if value.is_none() {
        return;
    }
    #[cfg(Py_3_12)]
    if iterator_dies {
        return kept::raise(value);
    }
    // Before 3.12 `await` asks `am_send`, which needs no exception.
    let _ = iterator_dies;
    raise_anew(value);
}

fn raise_anew(value: Bound<'_, PyAny>) {
    // SAFETY: attached; `value` is alive for the calls, and the exception made of it is released after being
    // set.
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

#[cfg(Py_3_12)]
mod kept {
    //! The exception that is used again.

    use std::cell::Cell;
    use std::ptr::null_mut;

    use pyo3::ffi;
    use pyo3::prelude::*;

    /// An owned reference to a StopIteration, or null. While there is no other reference, its value and its
    /// only argument are null and None, or what was handed over last and not yet released.
    struct Kept(Cell<*mut ffi::PyObject>);

    // SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it
    // uses the GIL).
    unsafe impl Sync for Kept {}

    static KEPT: Kept = Kept(Cell::new(null_mut()));

    /// Whether there is no other reference to the exception or its arguments, and no trace was left on it.
    ///
    /// # Safety
    /// `kept` must be a live StopIteration.
    #[inline]
    unsafe fn is_untouched(kept: *mut ffi::PyObject) -> bool {
        // SAFETY: the layout is the interpreter's; the fields are read only. The arguments are a tuple of
        // one, because the exception was made so, unless a setter has replaced them.
        unsafe {
            let fields = &*kept.cast::<ffi::PyStopIterationObject>();
            ffi::Py_REFCNT(kept) == 1
                && fields.traceback.is_null()
                && fields.context.is_null()
                && fields.cause.is_null()
                && fields.notes.is_null()
                && fields.dict.is_null()
                && !fields.args.is_null()
                && ffi::Py_REFCNT(fields.args) == 1
                && ffi::PyTuple_GET_SIZE(fields.args) == 1
        }
    }

    /// Puts a value into an exception that is untouched; the old ones are to be released. Takes over both
    /// references.
    ///
    /// # Safety
    /// `kept` must be a live StopIteration that [`is_untouched`]; `argument` is not null.
    #[inline]
    unsafe fn fill(
        kept: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
        argument: *mut ffi::PyObject,
    ) -> [*mut ffi::PyObject; 2] {
        // SAFETY: the caller's promise; a tuple that nobody else has may be written to.
        unsafe {
            let fields = &mut *kept.cast::<ffi::PyStopIterationObject>();
            let old = [fields.value, ffi::PyTuple_GET_ITEM(fields.args, 0)];
            fields.value = value;
            ffi::PyTuple_SET_ITEM(fields.args, 0, argument);
            old
        }
    }

    /// Sets the error indicator to `StopIteration(value)`.
    #[inline]
    pub fn raise(value: Bound<'_, PyAny>) {
        // SAFETY: attached. The reference taken first keeps the exception alive, and from being used again,
        // while what it held before is released, which may run any code; `PyErr_SetRaisedException` takes
        // that reference over.
        unsafe {
            let mut kept = KEPT.0.get();
            if kept.is_null() || !is_untouched(kept) {
                kept = renew();
                if kept.is_null() {
                    return;
                }
            }
            ffi::Py_INCREF(kept);
            ffi::Py_INCREF(value.as_ptr());
            let value = value.into_ptr();
            let [old_value, old_argument] = fill(kept, value, value);
            ffi::Py_XDECREF(old_value);
            ffi::Py_DECREF(old_argument);
            ffi::PyErr_SetRaisedException(kept);
        }
    }

    /// Keeps a new exception instead; null when there is no memory for it.
    #[cold]
    fn renew() -> *mut ffi::PyObject {
        // SAFETY: attached; the old exception is released when the new one is in place.
        unsafe {
            let fresh = ffi::PyObject_CallOneArg(ffi::PyExc_StopIteration, ffi::Py_None());
            if !fresh.is_null() {
                ffi::Py_XDECREF(KEPT.0.replace(fresh));
            }
            fresh
        }
    }

    /// Lets go of what was handed over; of the exception too, when other code has a reference to it.
    #[inline]
    pub fn release() {
        let kept = KEPT.0.get();
        // SAFETY: attached; what is released is out of the exception before any code can run.
        unsafe {
            if kept.is_null() {
                return;
            }
            if !is_untouched(kept) {
                KEPT.0.set(null_mut());
                ffi::Py_DECREF(kept);
                return;
            }
            let [old_value, old_argument] = fill(kept, null_mut(), ffi::Py_None());
            ffi::Py_XDECREF(old_value);
            ffi::Py_DECREF(old_argument);
        }
    }
}
