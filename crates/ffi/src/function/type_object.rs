//! The class of a [`Function`].

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::attributes;
use super::data::{FUNCTION, Function, FunctionHeader};
use crate::class::definition::Class;
use crate::class::object::Obj;
use crate::class::state::ClassState;
use crate::class::table::Table;
use crate::objects::Output;
use crate::references;

unsafe extern "C" {
    /// A bound method; part of the C API that PyO3 does not declare.
    fn PyMethod_New(function: *mut ffi::PyObject, object: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

/// `function.__get__(object)`.
fn bind_to<'py>(function: &Obj<'py, Function>, object: Option<&Bound<'py, PyAny>>) -> Output<'py> {
    match object {
        None => Ok(function.as_any().clone()),
        // SAFETY: attached; both objects are alive, and a new reference or null is returned.
        Some(object) => unsafe {
            let method = PyMethod_New(function.as_any().as_ptr(), object.as_ptr());
            Bound::from_owned_ptr_or_err(function.py(), method)
        },
    }
}

impl Class for Function {
    const NAME: &'static CStr = c"yibu._yibu.function";
    type Header = FunctionHeader;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;
    // What the interpreter's specialised instructions for method calls ask of the class of a method.
    const IMMUTABLE: bool = true;
    const METHOD: bool = true;
    const BARE_NAME: bool = true;
    const CLASS: &'static ClassState = &FUNCTION;

    fn table(t: &mut Table<Self>) {
        t.descriptor(bind_to);
        attributes::list(t);
    }

    references! { native, counterpart, counterpart_of_natives, binder, replacement, set }
}
