//! `_future_reactions` and `_stand_ins`: what primitives have left on a native future, by the names of
//! asyncio's callbacks, and how the future of a primitive is known that stands for it.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyModule};

use crate::ffi::{Args, Obj, Output, Signature, reference_count};
use crate::functions;
use crate::futures::Future;
use crate::futures::watchers::{callback_count, reactions};

const REACTIONS: Signature<1> = Signature::new("_future_reactions", "future");
/// So many times a primitive within another is followed.
const DEEPEST: usize = 8;

const STAND_INS: Signature<1> = Signature::new("_stand_ins", "future");

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "The name of asyncio's callback and the object it acts on, for each callback of a primitive on a native future.";
    functions::add(module, &REACTIONS, future_reactions, doc)?;
    let doc = "For each gather() and shield() that waits for a native future: its name, the id, the number of references and the number of callbacks of its own future, and the same for that.";
    functions::add(module, &STAND_INS, stand_ins, doc)
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

fn stand_ins<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [future] = args.parse(&STAND_INS)?;
    let py = args.py();
    match Obj::<Future>::cast(&future) {
        Some(native) => Ok(stand_ins_of(native, DEEPEST)?.into_any()),
        None => Ok(PyList::empty(py).into_any()),
    }
}

fn stand_ins_of<'py>(future: &Obj<'py, Future>, levels: usize) -> PyResult<Bound<'py, PyList>> {
    let found = PyList::empty(future.py());
    for (callback, owner) in reactions(future) {
        let (name, outer) = match callback {
            "gather.<locals>._done_callback" => ("gather", owner),
            "shield.<locals>._inner_done_callback" => ("shield", owner.getattr("_outer")?),
            _ => continue,
        };
        // Without the one that is held here.
        let references = reference_count(&outer) - 1;
        let native = Obj::<Future>::cast(&outer);
        let callbacks = native.map(callback_count);
        let above = match native.filter(|_| levels > 0) {
            Some(native) => stand_ins_of(native, levels - 1)?,
            None => PyList::empty(future.py()),
        };
        found.append((name, outer.as_ptr() as usize, references, callbacks, above))?;
    }
    Ok(found)
}
