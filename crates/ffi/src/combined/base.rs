//! [`Base`]: what all combined classes derive from.

use std::ffi::CStr;
use std::ptr::null_mut;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PySuper, PyTuple, PyType};
use pyo3::{ffi, intern};

use super::data::take_allocator;
use super::header::Combinable;
use crate::class::definition::Class;
use crate::class::object::Obj;
use crate::class::state::ClassState;
use crate::class::table::Table;
use crate::gc::Visitor;
use crate::objects::Output;
use crate::trampoline::guard;

/// What all combinable classes derive from, and what the interpreter compares when they are combined.
#[derive(Default)]
pub struct Base;

static BASE: ClassState = ClassState::new();

/// `__getstate__`: classes that can be copied have their own.
fn refuse_copy<'py>(object: &Obj<'py, Base>) -> Output<'py> {
    let name = object.as_any().get_type().name()?;
    Err(PyTypeError::new_err(format!("cannot pickle '{name}' object")))
}

impl Class for Base {
    const NAME: &'static CStr = c"yibu._NativeBase";
    type Header = Combinable;
    const CLASS: &'static ClassState = &BASE;

    fn table(t: &mut Table<Self>) {
        // No doc: `inspect.getdoc` would find it for classes that have none, such as `StreamReader`.
        t.noargs(c"__getstate__", refuse_copy, "Refuses to be copied.");
        t.init_subclass(init_subclass);
    }

    fn traverse(&self, _visitor: &mut Visitor) {}

    fn clear(&self) {}
}

/// `__init_subclass__`: has the class make its instances with the data of its native base behind them, then
/// does what `object`'s or that of another base does.
unsafe extern "C" fn init_subclass(
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called by CPython, attached, as a class method of a class that derives from `Base`, with
    // arguments by the vectorcall protocol.
    unsafe {
        let py = Python::assume_attached();
        take_allocator(class.cast());
        guard(py, null_mut(), || {
            let class = Bound::from_borrowed_ptr(py, class);
            let next = PySuper::new(&Base::class(py), &class)?.getattr(intern!(py, "__init_subclass__"))?;
            let result = ffi::PyObject_Vectorcall(next.as_ptr(), args, count.cast_unsigned(), names);
            Bound::from_owned_ptr_or_err(py, result).map(Bound::into_ptr)
        })
    }
}

/// The bases of a combinable class: those it is given, and [`Base`] unless one of them derives from it.
pub(crate) fn bases<'py>(
    py: Python<'py>,
    given: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !BASE.is_made() {
        return Ok(None);
    }
    let base = Base::class(py);
    let mut bases: Vec<Bound<'py, PyAny>> = match given {
        None => Vec::new(),
        Some(given) => {
            given.cast::<PyTuple>().map_or_else(|_| vec![given.clone()], |all| all.iter().collect())
        }
    };
    let mut derives = false;
    for given in &bases {
        derives |= given.cast::<PyType>()?.is_subclass(&base)?;
    }
    if !derives {
        bases.push(base.into_any());
    }
    Ok(Some(PyTuple::new(py, bases)?.into_any()))
}
