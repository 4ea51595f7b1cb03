//! Methods that are C functions on asyncio, too: those of `Future` and `Task`. They have the texts and
//! signatures of asyncio's, and a class has each method and attribute itself that asyncio's class has itself.
//!
//! What asyncio has in Python is the matter of [`crate::function`]. Called by [`super::build`].

use std::ffi::CString;
use std::ptr::null;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use crate::types::{dict_of, lookup, own};

/// Whether an object is a C function in the dict of a class.
fn is_method(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: attached; the object is alive.
    unsafe { ffi::Py_TYPE(object.as_ptr()) == &raw mut ffi::PyMethodDescr_Type }
}

/// Whether an object is an attribute in the dict of a class that C functions read and write.
fn is_attribute(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: attached; the object is alive.
    unsafe { ffi::Py_TYPE(object.as_ptr()) == &raw mut ffi::PyGetSetDescr_Type }
}

/// Gives each method the text of the one that the standard library's class has under its name.
pub(super) fn take_texts(methods: &mut [ffi::PyMethodDef], stock: &Bound<'_, PyType>) -> PyResult<()> {
    for method in methods {
        // SAFETY: the names in a table live for ever.
        let name = unsafe { std::ffi::CStr::from_ptr(method.ml_name) };
        let name = PyString::new(stock.py(), &name.to_string_lossy());
        if let Some(counterpart) = lookup(stock, &name)?.filter(is_method) {
            take_text(method, &counterpart)?;
        }
    }
    Ok(())
}

/// The text in the form in which the interpreter reads it: with the signature in front.
fn take_text(method: &mut ffi::PyMethodDef, counterpart: &Bound<'_, PyAny>) -> PyResult<()> {
    let part = |name| counterpart.getattr(name)?.extract::<Option<String>>();
    let doc = part("__doc__")?;
    let text = match (part("__text_signature__")?, doc) {
        (Some(signature), doc) => {
            let name = counterpart.getattr("__name__")?.extract::<String>()?;
            Some(format!("{name}{signature}\n--\n\n{}", doc.unwrap_or_default()))
        }
        (None, doc) => doc,
    };
    // Never freed: the class refers to it for ever.
    method.ml_doc = text.map(CString::new).transpose()?.map_or(null(), |text| text.into_raw());
    Ok(())
}

/// Gives a new class what it only inherits and asyncio's class has itself.
pub(super) fn repeat_inherited(class: &Bound<'_, PyType>, stock: &Bound<'_, PyType>) -> PyResult<()> {
    for (name, counterpart) in dict_of(stock)?.copy()? {
        let name = name.cast_into::<PyString>()?;
        if name.to_str()?.starts_with("__") || own(class, &name)?.is_some() {
            continue;
        }
        let Some(inherited) = lookup(class, &name)? else { continue };
        let repeated = if is_method(&inherited) && is_method(&counterpart) {
            repeated_method(class, &inherited, &counterpart)?
        } else if is_attribute(&inherited) && is_attribute(&counterpart) {
            repeated_attribute(class, &inherited)?
        } else {
            continue;
        };
        dict_of(class)?.set_item(name, repeated)?;
    }
    // SAFETY: attached; the type is alive, new and nobody else's.
    unsafe { ffi::PyType_Modified(class.as_type_ptr()) };
    Ok(())
}

fn repeated_method<'py>(
    class: &Bound<'py, PyType>,
    inherited: &Bound<'py, PyAny>,
    counterpart: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the object is a method descriptor, whose definition lives as long as it does.
    let mut method = unsafe { *(*inherited.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method };
    take_text(&mut method, counterpart)?;
    // SAFETY: attached; the type is alive, and the definition is never freed. What the function takes for its
    // object is the data of the base, with which an object of the class begins.
    unsafe {
        let repeated = ffi::PyDescr_NewMethod(class.as_type_ptr(), Box::into_raw(Box::new(method)));
        Bound::from_owned_ptr_or_err(class.py(), repeated)
    }
}

fn repeated_attribute<'py>(
    class: &Bound<'py, PyType>,
    inherited: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; the object is an attribute descriptor, and its definition is in the table of the
    // class that it came from, which is never freed.
    unsafe {
        let definition = (*inherited.as_ptr().cast::<ffi::PyGetSetDescrObject>()).d_getset;
        let repeated = ffi::PyDescr_NewGetSet(class.as_type_ptr(), definition);
        Bound::from_owned_ptr_or_err(class.py(), repeated)
    }
}
