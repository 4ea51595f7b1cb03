//! Giving a class that exists another metaclass, which Python code cannot do. Called by `installation.rs`.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Makes `metaclass` the type of `class`; gives the one it had.
///
/// TypeError unless `metaclass` is `type` or derives from it without adding anything to the memory of its
/// instances.
pub fn replace<'py>(
    class: &Bound<'py, PyType>,
    metaclass: &Bound<'py, PyType>,
) -> PyResult<Bound<'py, PyType>> {
    let (new, old) = (metaclass.as_type_ptr(), class.get_type());
    // SAFETY: attached; both types are alive, and only read.
    let fits = unsafe {
        ffi::PyType_IsSubtype(new, &raw mut ffi::PyType_Type) != 0
            && (*new).tp_basicsize == (*old.as_type_ptr()).tp_basicsize
            && (*new).tp_itemsize == (*old.as_type_ptr()).tp_itemsize
    };
    if !fits {
        return Err(PyTypeError::new_err("the metaclass does not fit the class"));
    }
    // SAFETY: attached; the memory of a type object is laid out alike for both metaclasses (just checked).
    // The class owns the reference to its metaclass that is given up by `into_ptr`, and the one it had goes
    // to `old`'s caller; static types, `type` among them, are never freed. What the interpreter remembers of
    // the class is forgotten.
    unsafe {
        (*class.as_ptr()).ob_type = metaclass.clone().into_ptr().cast();
        if ffi::PyType_HasFeature(old.as_type_ptr(), ffi::Py_TPFLAGS_HEAPTYPE) != 0 {
            ffi::Py_DECREF(old.as_ptr());
        }
        ffi::PyType_Modified(class.as_type_ptr());
    }
    Ok(old)
}
