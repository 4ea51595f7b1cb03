//! The tasks that wait for a future: `_asyncio_awaited_by` and the two functions that change it (3.14).
//!
//! Native tasks and primitives leave themselves among the callbacks of what they wait for, which is all that
//! a call graph has to read. Others tell it by `future_add_to_awaited_by()`. Called by Python code and by
//! [`crate::graph`].

use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyModule, PySet};

use super::Callback;
use super::state::Future;
use crate::ffi::{Args, Obj, Output, Signature, none};
use crate::{functions, stock};

const ADD: Signature<2> = Signature::new("future_add_to_awaited_by", "fut, waiter, /");
const DISCARD: Signature<2> = Signature::new("future_discard_from_awaited_by", "fut, waiter, /");

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "Notes that waiter waits for fut; both must be futures of asyncio or yibu.";
    functions::add(module, &ADD, add, doc)?;
    let doc = "Notes that waiter does not wait for fut any more.";
    functions::add(module, &DISCARD, discard, doc)
}

fn add<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    let [future, waiter] = args.parse(&ADD)?;
    let Some(native) = Obj::<Future>::cast(&future) else {
        return stock::future_add_to_awaited_by(py)?.call1((future, waiter));
    };
    if super::future_like::is_asyncio_future(&waiter)? {
        let set = match native.awaited_by.get(py) {
            Some(set) => set,
            None => {
                let set = PySet::empty(py)?.into_any();
                native.awaited_by.put(set.clone());
                set
            }
        };
        set.call_method1(name!("add"), (waiter,))?;
    }
    Ok(none(py))
}

fn discard<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    let [future, waiter] = args.parse(&DISCARD)?;
    let Some(native) = Obj::<Future>::cast(&future) else {
        return stock::future_discard_from_awaited_by(py)?.call1((future, waiter));
    };
    if let Some(set) = native.awaited_by.get(py) {
        set.call_method1(name!("discard"), (waiter,))?;
    }
    Ok(none(py))
}

/// `Future._asyncio_awaited_by`: None when no task waits.
pub(super) fn awaited_by<'py>(future: &Obj<'py, Future>) -> Output<'py> {
    let py = future.py();
    let callbacks: Vec<Callback> =
        future.callbacks.with(|all| all.iter().map(|callback| callback.copy(py)).collect());
    let mut tasks: Vec<_> = callbacks.iter().filter_map(|callback| callback.waiter(py)).collect();
    if let Some(told) = future.awaited_by.get(py) {
        for task in told.try_iter()? {
            tasks.push(task?);
        }
    }
    if tasks.is_empty() { Ok(none(py)) } else { Ok(PyFrozenSet::new(py, tasks)?.into_any()) }
}
