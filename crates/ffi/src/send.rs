//! Driving coroutines: `PyIter_Send` and `throw` as three-way answers, and what `await` iterates.

use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{ffi, intern};

use crate::call;
use crate::objects::Output;
use crate::raised::Raised;

/// What a coroutine did.
pub enum Sent<'py> {
    /// It yielded this object and waits.
    Yielded(Bound<'py, PyAny>),
    /// It returned this value.
    Returned(Bound<'py, PyAny>),
    /// It raised.
    Raised(PyErr),
}

/// `coroutine.send(value)` without a StopIteration in between.
#[inline(always)]
pub fn send<'py>(coroutine: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coroutine.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: attached; the objects are alive for the call and `result` receives a new reference or null.
    let answer = unsafe { ffi::PyIter_Send(coroutine.as_ptr(), value.as_ptr(), &mut result) };
    match answer {
        // SAFETY: for these two answers CPython guarantees `result` to be a new reference.
        ffi::PySendResult::PYGEN_NEXT => Sent::Yielded(unsafe { Bound::from_owned_ptr(py, result) }),
        // SAFETY: as above.
        ffi::PySendResult::PYGEN_RETURN => Sent::Returned(unsafe { Bound::from_owned_ptr(py, result) }),
        ffi::PySendResult::PYGEN_ERROR => Sent::Raised(PyErr::fetch(py)),
    }
}

/// `coroutine.throw(error)` as a three-way answer; `name` is `"throw"`.
pub fn throw<'py>(coroutine: &Bound<'py, PyAny>, name: &Bound<'py, PyString>, error: PyErr) -> Sent<'py> {
    let py = coroutine.py();
    match call::method(name, [coroutine, Raised::from_err(py, error).as_any()]) {
        Ok(object) => Sent::Yielded(object),
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
            match Raised::from_err(py, error).0.getattr(intern!(py, "value")) {
                Ok(value) => Sent::Returned(value),
                Err(error) => Sent::Raised(error),
            }
        }
        Err(error) => Sent::Raised(error),
    }
}

/// What `await object` iterates. TypeError with the interpreter's texts for objects that cannot be awaited.
pub fn awaitable_iterator<'py>(object: &Bound<'py, PyAny>) -> Output<'py> {
    /// `inspect.CO_ITERABLE_COROUTINE`: a generator made by `types.coroutine`.
    const ITERABLE_COROUTINE: u32 = 0x100;
    let py = object.py();
    // SAFETY: attached; the checks compare type pointers of a live object.
    let (is_coroutine, is_generator) = unsafe {
        (ffi::PyCoro_CheckExact(object.as_ptr()) != 0, ffi::PyGen_CheckExact(object.as_ptr()) != 0)
    };
    if is_coroutine {
        if !object.getattr(intern!(py, "cr_await"))?.is_none() {
            return Err(PyRuntimeError::new_err("coroutine is being awaited already"));
        }
        return Ok(object.clone());
    }
    if is_generator {
        let flags: u32 =
            object.getattr(intern!(py, "gi_code"))?.getattr(intern!(py, "co_flags"))?.extract()?;
        if flags & ITERABLE_COROUTINE != 0 {
            return Ok(object.clone());
        }
    }
    // SAFETY: attached; a type's slot table, where there is one, lives as long as the type, and the slot's
    // function gets a live object of that type and returns a new reference or null with an exception set.
    let iterator = unsafe {
        let table = (*ffi::Py_TYPE(object.as_ptr())).tp_as_async;
        let slot = if table.is_null() { None } else { (*table).am_await };
        match slot {
            Some(slot) => Bound::from_owned_ptr_or_err(py, slot(object.as_ptr()))?,
            None => return Err(cannot_be_awaited(object)),
        }
    };
    // SAFETY: attached; as above.
    let (is_iterator, is_coroutine) = unsafe {
        (ffi::PyIter_Check(iterator.as_ptr()) != 0, ffi::PyCoro_CheckExact(iterator.as_ptr()) != 0)
    };
    if is_coroutine {
        return Err(PyTypeError::new_err("__await__() returned a coroutine"));
    }
    if !is_iterator {
        let class = iterator.get_type().name()?;
        return Err(PyTypeError::new_err(format!("__await__() returned non-iterator of type '{class}'")));
    }
    Ok(iterator)
}

#[cold]
fn cannot_be_awaited(object: &Bound<'_, PyAny>) -> PyErr {
    match object.get_type().name() {
        Ok(class) if cfg!(Py_3_14) => PyTypeError::new_err(format!("'{class}' object can't be awaited")),
        Ok(class) => PyTypeError::new_err(format!("object {class} can't be used in 'await' expression")),
        Err(error) => error,
    }
}
