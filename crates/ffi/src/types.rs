//! The dicts of classes, and the version tags that classes have.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

/// The version tag of a class, given to it if it has none. 0 when it cannot have one.
pub(crate) fn give_version(class: &Bound<'_, PyType>) -> u32 {
    // SAFETY: attached; the object is a type, and alive.
    unsafe { assign_version(class.as_type_ptr()) }
}

/// See [`give_version`].
///
/// # Safety
/// A live type, by attached code.
pub(crate) unsafe fn assign_version(class: *mut ffi::PyTypeObject) -> u32 {
    #[cfg(not(Py_3_12))]
    unsafe extern "C" {
        fn _PyType_Lookup(class: *mut ffi::PyTypeObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject;
    }
    #[cfg(Py_3_12)]
    unsafe extern "C" {
        fn PyUnstable_Type_AssignVersionTag(class: *mut ffi::PyTypeObject) -> std::ffi::c_int;
    }
    // SAFETY: the caller's promise. Looking a name up runs no Python code, and gives a version.
    unsafe {
        #[cfg(not(Py_3_12))]
        {
            let py = Python::assume_attached();
            _PyType_Lookup(class, pyo3::intern!(py, "__doc__").as_ptr());
        }
        #[cfg(Py_3_12)]
        PyUnstable_Type_AssignVersionTag(class);
        (*class).tp_version_tag
    }
}

/// The dict of a class itself, to be written only before the class is used.
pub(crate) fn dict_of<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: attached; the object is a type, and alive, and its namespace is a dict.
    unsafe {
        #[cfg(Py_3_12)]
        let dict = Bound::from_owned_ptr_or_err(class.py(), ffi::PyType_GetDict(class.as_type_ptr()))?;
        #[cfg(not(Py_3_12))]
        let dict = Bound::from_borrowed_ptr_or_err(class.py(), (*class.as_type_ptr()).tp_dict)?;
        Ok(dict.cast_into_unchecked())
    }
}

/// A copy of what a class has of its own.
pub fn content<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    dict_of(class)?.copy()
}

/// What a class itself has under a name.
pub(crate) fn own<'py>(
    class: &Bound<'py, PyType>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    dict_of(class)?.get_item(name)
}

/// What a class or the first of its bases has under a name.
pub(crate) fn lookup<'py>(
    class: &Bound<'py, PyType>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    for base in class.mro() {
        if let Some(found) = own(base.cast::<PyType>()?, name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether what stands in the dict of a type is the C object for one of its slots.
pub(crate) fn is_slot(native: &Bound<'_, PyAny>) -> bool {
    // SAFETY: attached; the object is alive.
    unsafe { ffi::Py_TYPE(native.as_ptr()) == &raw mut ffi::PyWrapperDescr_Type }
}

/// A number that is another one when the attributes of the class, or of one of its bases, have changed;
/// `None` when that cannot be told. It means something once an attribute has been looked up.
#[inline]
pub fn class_version(class: &Bound<'_, PyType>) -> Option<u32> {
    // SAFETY: the object is a class; the field is written with the interpreter held, as it is read.
    let version = unsafe { (*class.as_ptr().cast::<ffi::PyTypeObject>()).tp_version_tag };
    (version != 0).then_some(version)
}
