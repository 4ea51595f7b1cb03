//! Functions are made: of the methods of a class ([`make_functions`]), and of the functions of modules
//! ([`of_module`]).

use std::collections::HashMap;
use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFunction, PyString, PyType};

use super::calls::{call_object, choose_vectorcall};
use super::data::{Counterpart, Function};
use super::naming;
use crate::class::allocation::Create;
use crate::class::object::Obj;
use crate::class::state::ClassState;
use crate::objects::Output;
use crate::types::{dict_of, is_slot, lookup};

impl Function {
    fn of<'py>(
        code: ffi::vectorcallfunc,
        owner: Option<&'static ClassState>,
        native: Bound<'py, PyAny>,
        counterpart: Bound<'py, PyAny>,
    ) -> PyResult<Obj<'py, Self>> {
        let function = Self::create(native.py())?;
        function.code.set(Some(code));
        function.owner.set(owner);
        function.native.put(native);
        function.counterpart.put(counterpart);
        choose_vectorcall(&function);
        make_immortal(&function);
        Ok(function)
    }
}

/// Ends the counting of references to a function: it lives as long as its class or module anyhow, and every
/// call counts twice.
#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
fn make_immortal(function: &Obj<'_, Function>) {
    let object = function.as_any().as_ptr();
    // SAFETY: attached; the object is alive, new, and known to this thread only. The count is the one that
    // this version of the interpreter gives to immortal objects. It is not part of garbage from now on, so
    // the collector need not look at it.
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
fn make_immortal(_function: &Obj<'_, Function>) {}

/// A function of a module, called by `code`, which is also there as a C function.
pub(crate) fn of_module<'py>(
    code: ffi::vectorcallfunc,
    native: Bound<'py, PyAny>,
    (counterpart, lookups): Counterpart<'py>,
) -> Output<'py> {
    let function = Function::of(code, None, native, counterpart)?;
    function.lookups.set(Some(lookups));
    Ok(function.into_any())
}

/// Makes Functions of those methods of a new class for which the standard library's class has Python
/// functions. `vectorcalls` are how the methods are called that are no slots of the type; `part` has the
/// counterparts of those that asyncio's class has not.
///
/// They are put into the dict of the type past its slots, which stay the C functions that they are.
pub(crate) fn make_functions<'py>(
    class: &Bound<'py, PyType>,
    state: &'static ClassState,
    vectorcalls: &[(&'static CStr, ffi::vectorcallfunc)],
    stock: &Bound<'py, PyType>,
    part: Option<&Bound<'py, PyType>>,
) -> PyResult<()> {
    let content = dict_of(class)?;
    let codes: HashMap<&[u8], ffi::vectorcallfunc> =
        vectorcalls.iter().map(|(name, code)| (name.to_bytes(), *code)).collect();
    for (name, native) in content.copy()? {
        let name = name.cast_into::<PyString>()?;
        let code = if is_slot(&native) {
            call_object
        } else if let Some(code) = codes.get(name.to_str()?.as_bytes()) {
            *code
        } else {
            continue;
        };
        let mut counterpart = lookup(stock, &name)?;
        if let (None, Some(part)) = (&counterpart, part) {
            counterpart = lookup(part, &name)?;
        }
        if let Some(counterpart) =
            counterpart.filter(|counterpart| counterpart.is_instance_of::<PyFunction>())
        {
            content.set_item(&name, Function::of(code, Some(state), native, counterpart)?.into_any())?;
        }
    }
    content.set_item("__doc__", stock.getattr("__doc__")?)?;
    // SAFETY: attached; the type is alive.
    unsafe { ffi::PyType_Modified(class.as_type_ptr()) };
    naming::follow(class, stock)
}
