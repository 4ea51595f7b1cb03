//! Functions are made: of the methods of a class ([`dress`]), and of the functions of modules ([`of_module`]).

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFunction, PyString, PyType};

use super::calls::{call_object, route};
use super::data::{Function, Twin};
use super::naming;
use crate::class::allocation::Create;
use crate::class::object::Obj;
use crate::class::state::ClassState;
use crate::objects::Output;
use crate::types::{dict_of, is_slot, lookup};

impl Function {
    fn of<'py>(
        way: ffi::vectorcallfunc,
        owner: Option<&'static ClassState>,
        native: Bound<'py, PyAny>,
        twin: Bound<'py, PyAny>,
    ) -> PyResult<Obj<'py, Self>> {
        let function = Self::create(native.py())?;
        function.way.set(Some(way));
        function.owner.set(owner);
        function.native.put(native);
        function.twin.put(twin);
        route(&function);
        immortalise(&function);
        Ok(function)
    }
}

/// Ends the counting of references to a function: it lives as long as its class or module anyhow, and every call counts twice.
#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
fn immortalise(function: &Obj<'_, Function>) {
    let object = function.as_any().as_ptr();
    // SAFETY: attached; the object is alive, new, and known to this thread only. The count is the one that this version of the
    // interpreter gives to immortal objects. It is not part of garbage from now on, so the collector need not look at it.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        #[cfg(Py_3_14)]
        {
            (*object).ob_refcnt.ob_refcnt_full = 3 << 30;
        }
        #[cfg(not(Py_3_14))]
        {
            (*object).ob_refcnt.ob_refcnt = u32::MAX as ffi::Py_ssize_t;
        }
    }
}

#[cfg(not(all(Py_3_12, not(Py_GIL_DISABLED))))]
fn immortalise(_function: &Obj<'_, Function>) {}

/// A function of a module, called by `way`, which is also there as a C function.
pub(crate) fn of_module<'py>(
    way: ffi::vectorcallfunc,
    native: Bound<'py, PyAny>,
    (twin, lookups): Twin<'py>,
) -> Output<'py> {
    let function = Function::of(way, None, native, twin)?;
    function.lookups.set(Some(lookups));
    Ok(function.into_any())
}

/// Makes Functions of those methods of a new class for which the standard library's class has Python functions. `ways` are how the
/// methods are called that are no slots of the type.
///
/// They are put into the dict of the type past its slots, which stay the C functions that they are.
pub(crate) fn dress<'py>(
    class: &Bound<'py, PyType>,
    state: &'static ClassState,
    ways: &[(&'static CStr, ffi::vectorcallfunc)],
    stock: &Bound<'py, PyType>,
) -> PyResult<()> {
    let content = dict_of(class)?;
    for (name, native) in content.copy()? {
        let name = name.cast_into::<PyString>()?;
        let way = if is_slot(&native) {
            call_object
        } else if let Some((_, way)) = ways
            .iter()
            .find(|(method, _)| name.to_str().is_ok_and(|name| name.as_bytes() == method.to_bytes()))
        {
            *way
        } else {
            continue;
        };
        if let Some(twin) = lookup(stock, &name)?.filter(|twin| twin.is_instance_of::<PyFunction>()) {
            content.set_item(&name, Function::of(way, Some(state), native, twin)?.into_any())?;
        }
    }
    content.set_item("__doc__", stock.getattr("__doc__")?)?;
    // SAFETY: attached; the type is alive.
    unsafe { ffi::PyType_Modified(class.as_type_ptr()) };
    naming::follow(class, stock)
}
