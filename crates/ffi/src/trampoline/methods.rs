//! The calling conventions of methods and of functions of modules.

use std::any::TypeId;
use std::mem::ManuallyDrop;

use pyo3::ffi;
use pyo3::prelude::*;

use super::borrowing::{Stateless, borrow_self, give};
use super::guard::guard;
use crate::args::Args;
use crate::class::definition::Class;
use crate::class::object::Obj;
use crate::objects::Output;
use crate::originals::questions;
use crate::originals::state::IN_STOCK;

/// Calls what replaces a method in the class of asyncio's that `T` stands for. One comparison when nothing
/// does.
///
/// # Safety
/// As in [`borrow_self`]; the arguments follow the vectorcall protocol.
#[inline(always)]
unsafe fn replaced<'py, T: Class, F: Stateless>(
    py: Python<'py>,
    slf: &Obj<'py, T>,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> PyResult<Option<*mut ffi::PyObject>> {
    if !T::STANDS_FOR_STOCK || slf.replaced() & IN_STOCK == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { call_replacement(py, slf, TypeId::of::<F>(), args, nargs, keywords) }
}

/// Calls what Python code has put in the place of a method, if it has.
///
/// # Safety
/// The arguments follow the vectorcall protocol.
#[cold]
unsafe fn call_replacement<'py, T: Class>(
    py: Python<'py>,
    slf: &Obj<'py, T>,
    function: TypeId,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> PyResult<Option<*mut ffi::PyObject>> {
    let Some(replacement) = questions::replacement(slf, function)? else { return Ok(None) };
    // SAFETY: attached; the arguments are those that the caller vouches for.
    let result =
        unsafe { ffi::PyObject_Vectorcall(replacement.as_ptr(), args, nargs.cast_unsigned(), keywords) };
    if result.is_null() { Err(PyErr::fetch(py)) } else { Ok(Some(result)) }
}

/// METH_NOARGS.
#[inline(always)] // or the body of a `function::call_*`
pub(crate) unsafe extern "C" fn noargs<T, F>(
    slf: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let object = borrow_self(py, slf);
            match replaced::<T, F>(py, &object, std::ptr::null(), 0, std::ptr::null_mut())? {
                Some(result) => Ok(result),
                None => give(F::value()(&object)),
            }
        })
    }
}

/// METH_O.
#[inline(always)] // or the body of a `function::call_*`
pub(crate) unsafe extern "C" fn one<T, F>(
    slf: *mut ffi::PyObject,
    arg: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>) -> Output<'py>,
{
    // SAFETY: as in `unary`; `arg` is a live borrowed reference, only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let object = borrow_self(py, slf);
            if let Some(result) = replaced::<T, F>(py, &object, &raw const arg, 1, std::ptr::null_mut())? {
                return Ok(result);
            }
            let arg = ManuallyDrop::new(Bound::from_owned_ptr(py, arg));
            give(F::value()(&object, &arg))
        })
    }
}

/// METH_FASTCALL | METH_KEYWORDS.
#[inline(always)] // or the body of a `function::call_*`
pub(crate) unsafe extern "C" fn fast<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `unary`; the arguments follow the vectorcall protocol.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let object = borrow_self(py, slf);
            if let Some(result) = replaced::<T, F>(py, &object, args, nargs, keywords)? {
                return Ok(result);
            }
            give(F::value()(&object, Args::from_vectorcall(py, args, nargs, keywords)))
        })
    }
}

/// A call of an instance, by the vectorcall protocol.
pub(crate) unsafe extern "C" fn vectorcall<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `fast`; the flag bit of `nargsf` is masked off.
    unsafe { fast::<T, F>(slf, args, ffi::PyVectorcall_NARGS(nargsf), keywords) }
}

/// A function of the module.
#[inline(always)] // it is the body of `function::call_free`
pub(crate) unsafe fn function<F>(
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Stateless + for<'a, 'py> Fn(Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: called for CPython, attached; the arguments follow the vectorcall protocol.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || give(F::value()(Args::from_vectorcall(py, args, nargs, keywords))))
    }
}
