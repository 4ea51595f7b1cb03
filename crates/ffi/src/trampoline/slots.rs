//! The slots of types.

use std::any::TypeId;
use std::ffi::c_int;
use std::mem::ManuallyDrop;

use pyo3::basic::CompareOp;
use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::borrowing::{Stateless, borrow_self, give};
use super::guard::{guard, guard_deeper};
use crate::args::Args;
use crate::class::definition::Class;
use crate::class::object::Obj;
use crate::objects::Output;
use crate::originals::questions;
use crate::originals::state::{IN_STOCK, NOT_CALLED};
use crate::stop_iteration;
use crate::thread::outlive_interpreter;

/// The slots of one argument (`tp_repr`, `tp_iter`, `am_await`), and getters.
pub(crate) unsafe extern "C" fn unary<T, F>(
    slf: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: called by CPython on an instance of T's type, attached; the table builder had an F.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || give(F::value()(&borrow_self(py, slf))))
    }
}

/// The slots of one argument, which have no second parameter.
pub(crate) unsafe extern "C" fn slot<T, F>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: as in `unary`.
    unsafe { unary::<T, F>(slf, std::ptr::null_mut()) }
}

/// `tp_repr`: objects show what they hold.
pub(crate) unsafe extern "C" fn repr<T, F>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        // What the objects shown do may take as long as the interpreter.
        outlive_interpreter(|| guard(py, std::ptr::null_mut(), || give(F::value()(&borrow_self(py, slf)))))
    }
}

/// `tp_hash`.
pub(crate) unsafe extern "C" fn hash<T, F>(slf: *mut ffi::PyObject) -> ffi::Py_hash_t
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<isize>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, -1, || F::value()(&borrow_self(py, slf)))
    }
}

/// `tp_richcompare`.
pub(crate) unsafe extern "C" fn compare<T, F>(
    slf: *mut ffi::PyObject,
    other: *mut ffi::PyObject,
    op: c_int,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>, CompareOp) -> Output<'py>,
{
    // SAFETY: as in `unary`; `other` is a live borrowed reference, only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let other = ManuallyDrop::new(Bound::from_owned_ptr(py, other));
            match CompareOp::from_raw(op) {
                Some(op) => give(F::value()(&borrow_self(py, slf), &other, op)),
                None => Err(PySystemError::new_err("unknown comparison")),
            }
        })
    }
}

/// `tp_descr_get`.
pub(crate) unsafe extern "C" fn descr_get<T, F>(
    slf: *mut ffi::PyObject,
    object: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Option<&'a Bound<'py, PyAny>>) -> Output<'py>,
{
    // SAFETY: as in `unary`; `object` is null or a live borrowed reference, only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let object =
                (!object.is_null()).then(|| ManuallyDrop::new(Bound::<PyAny>::from_owned_ptr(py, object)));
            give(F::value()(&borrow_self(py, slf), object.as_deref()))
        })
    }
}

/// `tp_iternext` of a plain iterator: `Ok(None)` is its end.
pub(crate) unsafe extern "C" fn item<T, F>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<Option<Bound<'py, PyAny>>>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            Ok(F::value()(&borrow_self(py, slf))?.map_or(std::ptr::null_mut(), Bound::into_ptr))
        })
    }
}

/// `tp_iternext` of what can be sent to, as `await` calls it: a value that is returned travels in a
/// StopIteration, None in no exception at all.
pub(crate) unsafe extern "C" fn next<T, F>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless
        + for<'a, 'py> Fn(
            &'a Obj<'py, T>,
            &'a Bound<'py, PyAny>,
        ) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let nothing = ManuallyDrop::new(Bound::from_owned_ptr(py, ffi::Py_None()));
            Ok(match F::value()(&borrow_self(py, slf), &nothing)? {
                Ok(value) => value.into_ptr(),
                Err(value) => {
                    stop_iteration::raise(value, T::AWAITED && ffi::Py_REFCNT(slf) == 1);
                    std::ptr::null_mut()
                }
            })
        })
    }
}

/// `am_send`: `Ok(Err(value))` returns, `Ok(Ok(value))` yields.
pub(crate) unsafe extern "C" fn send<T, F>(
    slf: *mut ffi::PyObject,
    arg: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult
where
    T: Class,
    F: Stateless
        + for<'a, 'py> Fn(
            &'a Obj<'py, T>,
            &'a Bound<'py, PyAny>,
        ) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>,
{
    // SAFETY: as in `unary`; `arg` is a live borrowed reference and `result` a place to write to.
    unsafe {
        let py = Python::assume_attached();
        *result = std::ptr::null_mut();
        guard(py, ffi::PySendResult::PYGEN_ERROR, || {
            let arg = ManuallyDrop::new(Bound::from_owned_ptr(py, arg));
            Ok(match F::value()(&borrow_self(py, slf), &arg)? {
                Ok(value) => {
                    *result = value.into_ptr();
                    ffi::PySendResult::PYGEN_NEXT
                }
                Err(value) => {
                    *result = value.into_ptr();
                    ffi::PySendResult::PYGEN_RETURN
                }
            })
        })
    }
}

/// `tp_init`.
pub(crate) unsafe extern "C" fn init<T, F>(
    slf: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int
where
    T: Class,
    F: Stateless
        + for<'a, 'py> Fn(
            &'a Obj<'py, T>,
            &'a Bound<'py, PyTuple>,
            Option<&'a Bound<'py, PyDict>>,
        ) -> PyResult<()>,
{
    // SAFETY: as in `unary`; `args` is a tuple and `kwargs` null or a dict, both only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, -1, || {
            let args = ManuallyDrop::new(Bound::from_owned_ptr(py, args).cast_into_unchecked::<PyTuple>());
            let kwargs = (!kwargs.is_null()).then(|| {
                ManuallyDrop::new(Bound::from_owned_ptr(py, kwargs).cast_into_unchecked::<PyDict>())
            });
            let object = borrow_self::<T>(py, slf);
            if T::STANDS_FOR_STOCK
                && object.replaced() & IN_STOCK != 0
                && let Some(replacement) = questions::replacement(&object, TypeId::of::<F>())?
            {
                return replacement.call(&*args, kwargs.as_deref()).map(|_| 0);
            }
            if T::STANDS_FOR_STOCK && object.replaced() & NOT_CALLED != 0 {
                questions::refuse(&object)?;
            }
            F::value()(&object, &args, kwargs.as_deref()).map(|()| 0)
        })
    }
}

/// `tp_vectorcall` of a class: a call of the class itself.
pub(crate) unsafe extern "C" fn construct<T, F>(
    _class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(Args<'a, 'py>) -> PyResult<Obj<'py, T>>,
{
    // SAFETY: called by CPython, attached; the arguments follow the vectorcall protocol; the table builder
    // had an F.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let args = Args::from_vectorcall(py, args, ffi::PyVectorcall_NARGS(nargsf), keywords);
            F::value()(args).map(|object| object.into_any().into_ptr())
        })
    }
}

/// `tp_call`.
pub(crate) unsafe extern "C" fn invoke<T, F>(
    slf: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless
        + for<'a, 'py> Fn(
            &'a Obj<'py, T>,
            &'a Bound<'py, PyTuple>,
            Option<&'a Bound<'py, PyDict>>,
        ) -> Output<'py>,
{
    // SAFETY: as in `init`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let args = ManuallyDrop::new(Bound::from_owned_ptr(py, args).cast_into_unchecked::<PyTuple>());
            let kwargs = (!kwargs.is_null()).then(|| {
                ManuallyDrop::new(Bound::from_owned_ptr(py, kwargs).cast_into_unchecked::<PyDict>())
            });
            give(F::value()(&borrow_self(py, slf), &args, kwargs.as_deref()))
        })
    }
}

/// Getter of a property.
pub(crate) unsafe extern "C" fn getter<T, F>(
    slf: *mut ffi::PyObject,
    _: *mut std::ffi::c_void,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: as in `unary`.
    unsafe { unary::<T, F>(slf, std::ptr::null_mut()) }
}

/// Setter of a property; the value is `None` (the Rust one) for `del`.
pub(crate) unsafe extern "C" fn setter<T, F>(
    slf: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    _: *mut std::ffi::c_void,
) -> c_int
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Option<&'a Bound<'py, PyAny>>) -> PyResult<()>,
{
    // SAFETY: as in `unary`; `value` is null or a live reference, only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, -1, || {
            let value =
                (!value.is_null()).then(|| ManuallyDrop::new(Bound::<PyAny>::from_owned_ptr(py, value)));
            F::value()(&borrow_self(py, slf), value.as_deref()).map(|()| 0)
        })
    }
}

/// `tp_setattro`: also asked for deletions (value `None`).
pub(crate) unsafe extern "C" fn setattr<T, F>(
    slf: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>, bool) -> PyResult<()>,
{
    // SAFETY: as in `unary`; the generic setattr does the work, the Rust function only observes that it
    // happened.
    unsafe {
        let py = Python::assume_attached();
        guard(py, -1, || {
            if ffi::PyObject_GenericSetAttr(slf, name, value) != 0 {
                return Err(PyErr::fetch(py));
            }
            let name = ManuallyDrop::new(Bound::<PyAny>::from_owned_ptr(py, name));
            F::value()(&borrow_self(py, slf), &name, !value.is_null()).map(|()| 0)
        })
    }
}

/// `tp_finalize`: runs with any current exception put aside; what it raises itself is reported as unraisable.
/// The garbage collector and Python subclasses call it without asking first, so [`Class::wants_finalizer`] is
/// asked here, too.
pub(crate) unsafe extern "C" fn finalize<T, F>(slf: *mut ffi::PyObject)
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<()>,
{
    // SAFETY: as in `unary`; the object is alive (possibly for the last time, or resurrected by the
    // function).
    unsafe {
        let py = Python::assume_attached();
        let object = borrow_self(py, slf);
        if !T::wants_finalizer(&object) {
            return;
        }
        let aside = PyErr::take(py);
        let failed = guard_deeper(py, true, || F::value()(&object).map(|()| false));
        if failed {
            ffi::PyErr_WriteUnraisable(slf);
        }
        if let Some(error) = aside {
            error.restore(py);
        }
    }
}
