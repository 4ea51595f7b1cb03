//! `__dict__` of native objects, for `vars()`: what asyncio's objects have there is put in when it is asked
//! for.
//!
//! The dict is the object's own, so what a program puts into it is an attribute. For native data the dict
//! shows the values at the time of the last request. Changing them in the dict has no effect: attributes are
//! looked up in the class first. Made by [`crate::class`]; an object whose `__dict__` is never asked for has
//! none.

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::class::Obj;
use crate::class::definition::Class;
use crate::objects::Output;
use crate::originals::natives::natives;
use crate::trampoline::{Stateless, slots};

/// The function of the attribute `__dict__`.
pub(super) fn getter<T: Class>() -> ffi::getter {
    fn function_of<T: Class, F>(_: F) -> ffi::getter
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        slots::getter::<T, F>
    }
    function_of::<T, _>(|object| filled(object.as_any()))
}

fn filled<'py>(object: &Bound<'py, PyAny>) -> Output<'py> {
    let py = object.py();
    // SAFETY: attached; the object is alive, and its class has a place for a dict.
    let dict = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyObject_GenericGetDict(object.as_ptr(), std::ptr::null_mut()))?
    };
    let dict = dict.cast_into::<PyDict>()?;
    let bases = object.get_type().mro();
    let native_bases =
        || bases.iter().filter_map(|base| natives(py).iter().find(|native| native.class.is(&base)));
    for native in native_bases() {
        if let Some(name) = native.none_before_init
            && object.getattr_opt(PyString::intern(py, name))?.is_none_or(|value| value.is_none())
        {
            return Ok(dict.into_any());
        }
    }
    for native in native_bases() {
        for name in native.shown {
            show(object, &dict, name, true)?;
        }
        for name in native.shown_when_set {
            show(object, &dict, name, false)?;
        }
    }
    Ok(dict.into_any())
}

fn show<'py>(
    object: &Bound<'py, PyAny>,
    dict: &Bound<'py, PyDict>,
    name: &str,
    always: bool,
) -> PyResult<()> {
    let name = PyString::intern(object.py(), name);
    match object.getattr(&name) {
        Ok(value) if always || !value.is_none() => dict.set_item(name, value),
        Ok(_) => Ok(()),
        // The program has deleted it, or another class's `__init__` was not called.
        Err(error) if error.is_instance_of::<PyAttributeError>(object.py()) => Ok(()),
        Err(error) => Err(error),
    }
}
