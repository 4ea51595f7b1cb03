//! `_native_place`: file, line and name of asyncio's function in whose place a native coroutine runs.

use pyo3::prelude::*;
use pyo3::types::{PyModule, PyString};

use crate::coroutines::place;
use crate::ffi::{Args, Output, Signature, none};
use crate::functions;

const PLACE: Signature<3> = Signature::new("_native_place", "name, awaited, waits");

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "File, line and qualified name of the asyncio function of a native coroutine, or None.";
    functions::add(module, &PLACE, native_place, doc)
}

/// The name is that of the native coroutine, `awaited` that of the coroutine that it awaits (None for a
/// future), `waits` whether it awaits anything.
fn native_place<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [name, awaited, waits] = args.parse(&PLACE)?;
    let py = args.py();
    let name = name.cast_into::<PyString>()?;
    let awaited = if awaited.is_none() { None } else { Some(awaited.extract::<String>()?) };
    match place(py, name.to_str()?, awaited.as_deref(), waits.is_truthy()?)? {
        Some(place) => Ok(place.into_pyobject(py)?.into_any()),
        None => Ok(none(py)),
    }
}
