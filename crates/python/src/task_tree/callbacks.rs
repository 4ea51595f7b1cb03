//! `_future_reactions`: what primitives have left on a native future, by the names of asyncio's callbacks.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyModule};

use crate::ffi::{Args, Obj, Output, Signature};
use crate::functions;
use crate::futures::Future;
use crate::futures::watchers::reactions;

const REACTIONS: Signature<1> = Signature::new("_future_reactions", "future");

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "The name of asyncio's callback and the object it acts on, for each callback of a primitive on a native future.";
    functions::add(module, &REACTIONS, future_reactions, doc)
}

fn future_reactions<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [future] = args.parse(&REACTIONS)?;
    let found = PyList::empty(args.py());
    if let Some(native) = Obj::<Future>::cast(&future) {
        for reaction in reactions(native) {
            found.append(reaction)?;
        }
    }
    Ok(found.into_any())
}
