//! The functions of the asyncio namespace: how native ones are made ([`add`]), and those that belong to no
//! other file.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::ffi::function::Lookups;
use crate::ffi::trampoline::Stateless;
use crate::ffi::{Args, Output, Signature, call, class};
use crate::replaced::functions::Reach;
use crate::replaced::names::{self as replaced, Name};
use crate::stock::{self, counterparts};

/// Adds a native function to the module: one like asyncio's Python function of the same name where there is
/// one, else a C function.
pub fn add<const N: usize, F>(
    module: &Bound<'_, PyModule>,
    signature: &'static Signature<N>,
    body: F,
    doc: &str,
) -> PyResult<()>
where
    F: Stateless + for<'a, 'p> Fn(Args<'a, 'p>) -> Output<'p>,
{
    module.add(signature.function, make(module, signature, body, doc)?)
}

/// The function itself.
pub fn make<'py, const N: usize, F>(
    module: &Bound<'py, PyModule>,
    signature: &'static Signature<N>,
    body: F,
    doc: &str,
) -> Output<'py>
where
    F: Stateless + for<'a, 'p> Fn(Args<'a, 'p>) -> Output<'p>,
{
    // It lives as long as the function, which lives as long as the module.
    let lookups = || &*Box::leak(Box::new(Reach::new()));
    let counterpart = counterparts::function(module.py(), signature.function)?
        .map(|counterpart| (counterpart, lookups() as &dyn Lookups));
    class::function(module.as_any(), signature, body, doc, counterpart)
}

/// The loop that runs in this thread, whatever a program has put in the place of the functions that say so.
#[inline]
pub fn running(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    #[cfg(Py_3_14)]
    if let Some(event_loop) = crate::ffi::running::event_loop(py) {
        return Ok(event_loop);
    }
    let event_loop = call::call0(stock::get_running_loop(py)?)?;
    Ok((!event_loop.is_none()).then_some(event_loop))
}

/// `events._get_running_loop()`, where `function` is that function as the caller's module has it.
#[inline]
pub fn asked<'py>(py: Python<'py>, function: &Name<2>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match function.replacement(py)? {
        None => running(py),
        Some(function) => {
            let event_loop = call::call0(&function)?;
            Ok((!event_loop.is_none()).then_some(event_loop))
        }
    }
}

/// `events.get_running_loop()`, where `function` is that function as the caller's module has it.
#[inline]
pub fn running_loop<'py>(py: Python<'py>, function: &Name<2>) -> Output<'py> {
    match function.replacement(py)? {
        None => running(py)?.ok_or_else(|| PyRuntimeError::new_err("no running event loop")),
        Some(function) => call::call0(&function),
    }
}

/// `asyncio.get_event_loop()`: the running loop, or the one that the policy has.
#[inline]
pub fn current_loop(py: Python<'_>) -> Output<'_> {
    if replaced::GET_EVENT_LOOP.is_replaced(py) {
        return stock::current_event_loop(py);
    }
    running(py)?.map_or_else(|| stock::current_event_loop(py), Ok)
}
