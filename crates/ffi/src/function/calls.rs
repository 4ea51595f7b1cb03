//! Calls of a [`Function`], by a function for each calling convention.

use std::ptr::null_mut;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::binding;
use super::data::Function;
use crate::args::Args;
use crate::class::definition::Class;
use crate::class::layout::{Instance, data_of};
use crate::class::object::Obj;
use crate::objects::Output;
use crate::trampoline::borrowing::{Stateless, borrow_self};
use crate::trampoline::guard::guard;
use crate::trampoline::methods as tramp;

/// Has the interpreter call a function as its attributes ask for.
pub(crate) fn choose_vectorcall(function: &Obj<'_, Function>) {
    let vectorcall = match function.code.get() {
        _ if !function.replacement.is_empty() => call_replacement,
        Some(code) if !function.set.defaults_differ() => code,
        _ => call_bound,
    };
    // SAFETY: layout; the interpreter reads the field when it calls the function, on an attached thread.
    unsafe {
        (*function.as_any().as_ptr().cast::<Instance<Function>>()).header.vectorcall = Some(vectorcall);
    }
}

/// Whether the Rust code may work on an object. A C function that was called itself has no other function to
/// go to.
#[inline(always)]
fn serves<T: Class>(function: *mut ffi::PyObject, object: *mut ffi::PyObject) -> bool {
    let state = T::CLASS;
    state.is_of_main_class(object)
        || if function.is_null() { state.has(object) } else { state.serves(object) }
}

/// A call of METH_NOARGS code. Other arguments than the object itself go the slow way, as in the following
/// ones.
pub(crate) unsafe extern "C" fn call_noargs<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: called by CPython on a Function, attached, with arguments by the vectorcall protocol; the Rust
    // code gets an object of its class.
    unsafe {
        if ffi::PyVectorcall_NARGS(nargsf) == 1 && keywords.is_null() && serves::<T>(slf, *args) {
            return tramp::noargs::<T, F>(*args, null_mut());
        }
        call_bound(slf, args, nargsf, keywords)
    }
}

/// A call of METH_O code.
pub(crate) unsafe extern "C" fn call_one<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>) -> Output<'py>,
{
    // SAFETY: as in `call_noargs`.
    unsafe {
        if ffi::PyVectorcall_NARGS(nargsf) == 2 && keywords.is_null() && serves::<T>(slf, *args) {
            return tramp::one::<T, F>(*args, *args.add(1));
        }
        call_bound(slf, args, nargsf, keywords)
    }
}

/// A call of METH_FASTCALL | METH_KEYWORDS code.
pub(crate) unsafe extern "C" fn call_fast<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `call_noargs`; the other arguments follow the object.
    unsafe {
        let count = ffi::PyVectorcall_NARGS(nargsf);
        if count > 0 && serves::<T>(slf, *args) {
            let result = tramp::fast::<T, F>(*args, args.add(1), count - 1, keywords);
            return if result.is_null() { failed(slf, args, nargsf, keywords) } else { result };
        }
        call_bound(slf, args, nargsf, keywords)
    }
}

/// A call of the code of a module's function.
pub(crate) unsafe extern "C" fn call_free<F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Stateless + for<'a, 'py> Fn(Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `call_noargs`.
    unsafe {
        if !slf.is_null() {
            let py = Python::assume_attached();
            let function: &Function = data_of(slf);
            if !function.verified.holds(py) {
                match guard(py, None, || Ok(Some(function.must_run_twin(py)))) {
                    Some(false) => {}
                    Some(true) => {
                        return ffi::PyObject_Vectorcall(
                            function.counterpart.as_ptr(),
                            args,
                            nargsf,
                            keywords,
                        );
                    }
                    None => return null_mut(),
                }
            }
        }
        let result = tramp::function::<F>(args, ffi::PyVectorcall_NARGS(nargsf), keywords);
        if result.is_null() { failed(slf, args, nargsf, keywords) } else { result }
    }
}

/// METH_NOARGS, for a method that is mostly called as a Function: goes by [`call_noargs`], so that the Rust
/// code is a part of one function only, that of ordinary calls, and is compiled into it.
pub(crate) unsafe extern "C" fn noargs<T, F>(
    slf: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: called by CPython on an instance of T's type, attached; the arguments are alive for the call.
    unsafe { call_noargs::<T, F>(null_mut(), &raw const slf, 1, null_mut()) }
}

/// METH_O, in the same way.
pub(crate) unsafe extern "C" fn one<T, F>(
    slf: *mut ffi::PyObject,
    arg: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>) -> Output<'py>,
{
    let args = [slf, arg];
    // SAFETY: as in `noargs`.
    unsafe { call_one::<T, F>(null_mut(), args.as_ptr(), args.len(), null_mut()) }
}

/// METH_FASTCALL | METH_KEYWORDS, in the same way.
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
    // SAFETY: as in `noargs`; the arguments follow the vectorcall protocol.
    unsafe {
        let named = if keywords.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(keywords).unsigned_abs() };
        let count = nargs.unsigned_abs();
        let mut all = Vec::new();
        if all.try_reserve_exact(1 + count + named).is_err() {
            return ffi::PyErr_NoMemory();
        }
        all.push(slf);
        if !args.is_null() {
            all.extend_from_slice(std::slice::from_raw_parts(args, count + named));
        }
        call_fast::<T, F>(null_mut(), all.as_ptr(), 1 + count, keywords)
    }
}

/// METH_FASTCALL | METH_KEYWORDS of a module's function, in the same way.
pub(crate) unsafe extern "C" fn free<F>(
    _: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Stateless + for<'a, 'py> Fn(Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `fast`.
    unsafe { call_free::<F>(null_mut(), args, nargs.unsigned_abs(), keywords) }
}

/// A call of what stands for a slot of the type, such as `__init__`.
pub(crate) unsafe extern "C" fn call_object(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `call_noargs`; `native` is a live object that the function keeps.
    unsafe {
        let function: &Function = data_of(slf);
        if ffi::PyVectorcall_NARGS(nargsf) > 0
            && function.owner.get().is_some_and(|owner| owner.serves(*args))
        {
            let result = ffi::PyObject_Vectorcall(function.native.as_ptr(), args, nargsf, keywords);
            return if result.is_null() { failed(slf, args, nargsf, keywords) } else { result };
        }
        call_bound(slf, args, nargsf, keywords)
    }
}

unsafe extern "C" fn call_replacement(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `call_noargs`. The function may set another `__code__` while this one runs, so it is kept
    // for that time.
    unsafe {
        let py = Python::assume_attached();
        let function: &Function = data_of(slf);
        let replacement = function.replacement.get_or_none(py);
        ffi::PyObject_Vectorcall(replacement.as_ptr(), args, nargsf, keywords)
    }
}

/// The slow way of all calls, and the only one of a function whose defaults were set.
#[cold]
unsafe extern "C" fn call_bound(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `call_noargs`; function and arguments are only lent. There is no function where a C
    // function was called, whose arguments were bound before.
    unsafe {
        let py = Python::assume_attached();
        guard(py, null_mut(), || {
            if slf.is_null() {
                return Err(PyTypeError::new_err("wrong arguments"));
            }
            let args = Args::from_vectorcall(py, args, ffi::PyVectorcall_NARGS(nargsf), keywords);
            binding::call(&borrow_self(py, slf), args).map(Bound::into_ptr)
        })
    }
}

/// A call has failed. If that was because of the number or the names of its arguments, what a Python function
/// says is said instead.
#[cold]
unsafe fn failed(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    if slf.is_null() {
        return null_mut();
    }
    // SAFETY: as in `call_bound`; an exception is set, because the Rust code has returned null.
    unsafe {
        let py = Python::assume_attached();
        guard(py, null_mut(), || {
            let error = PyErr::fetch(py);
            if error.is_instance_of::<PyTypeError>(py) {
                let args = Args::from_vectorcall(py, args, ffi::PyVectorcall_NARGS(nargsf), keywords);
                binding::bind(&borrow_self(py, slf), args)?;
            }
            Err(error)
        })
    }
}
