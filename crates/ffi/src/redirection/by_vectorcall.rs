//! Functions with another vectorcall: see [`super`]. Called when the first loop is made.

use std::collections::HashMap;

use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyFunction;

use crate::class::state::ClassState;
use crate::originals::natives::natives;
use crate::originals::questions::call_native;
use crate::trampoline::guard::guard;

/// A function of asyncio's.
struct Redirected {
    /// The native classes that have it, and their methods.
    methods: Vec<(&'static ClassState, Py<PyAny>)>,
    /// What the function does with other objects.
    original: ffi::vectorcallfunc,
}

static REDIRECTED: PyOnceLock<HashMap<usize, Redirected>> = PyOnceLock::new();

/// Has asyncio's methods look at what they are called on. Only the first call does anything.
pub fn redirect_all(py: Python<'_>) -> PyResult<()> {
    if REDIRECTED.get(py).is_some() {
        return Ok(());
    }
    let mut functions: HashMap<usize, (Bound<'_, PyAny>, Redirected)> = HashMap::new();
    for native in natives(py) {
        native.state.originals.counterparts(py, |function, method| {
            if !function.is_exact_instance_of::<PyFunction>() {
                return Ok(());
            }
            // SAFETY: attached; the object is a function, which has a vectorcall.
            let Some(original) = (unsafe { ffi::PyVectorcall_Function(function.as_ptr()) }) else {
                return Ok(());
            };
            let new = || (function.clone(), Redirected { methods: Vec::new(), original });
            let (_, redirected) = functions.entry(function.as_ptr() as usize).or_insert_with(new);
            redirected.methods.push((native.state, method.clone().unbind()));
            Ok(())
        })?;
    }
    let mut all = HashMap::new();
    let mut objects = Vec::new();
    for (address, (function, redirected)) in functions {
        all.insert(address, redirected);
        objects.push(function);
    }
    if REDIRECTED.set(py, all).is_ok() {
        objects.into_iter().for_each(redirect);
    }
    Ok(())
}

/// Gives a function [`dispatch`] for its vectorcall. It is never deallocated then.
fn redirect(function: Bound<'_, PyAny>) {
    unsafe extern "C" {
        fn PyFunction_SetVectorcall(function: *mut ffi::PyObject, vectorcall: ffi::vectorcallfunc);
    }
    // SAFETY: attached; the object is a function, and one that `dispatch` knows.
    unsafe { PyFunction_SetVectorcall(function.into_ptr(), dispatch) }
}

/// A call of a function of asyncio's.
unsafe extern "C" fn dispatch(
    function: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called by CPython, attached; the arguments follow the vectorcall protocol, and the first is
    // lent by the caller.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let known = REDIRECTED.get(py).and_then(|all| all.get(&(function as usize)));
            let redirected =
                known.ok_or_else(|| PySystemError::new_err("a function that yibu does not know"))?;
            let first = (ffi::PyVectorcall_NARGS(nargsf) > 0).then(|| *args);
            let native = first.and_then(|object| {
                let method = redirected.methods.iter().find(|(state, _)| state.has(object))?;
                Some((Bound::from_borrowed_ptr(py, object), method))
            });
            let result = match native {
                Some((object, (state, method))) => {
                    let call = || ffi::PyObject_Vectorcall(method.as_ptr(), args, nargsf, keywords);
                    call_native(state, &object, call)
                }
                None => (redirected.original)(function, args, nargsf, keywords),
            };
            if result.is_null() { Err(PyErr::fetch(py)) } else { Ok(result) }
        })
    }
}
