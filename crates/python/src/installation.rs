//! What `install()` tells the native side: which classes stand in the place of asyncio's, and so are what `__class__` answers.
//!
//! Called by `python/yibu/installation.py`, and by the `__class__` property of each class that has a namesake in asyncio.

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::ffi::{Args, Output, Signature, class, metaclass, none};

const PUT_IN_PLACE: Signature<2> = Signature::new("_put_in_place", "class_, in_place");
const SET_METACLASS: Signature<2> = Signature::new("_set_metaclass", "class_, metaclass");

fn put_in_place<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [class, in_place] = args.parse(&PUT_IN_PLACE)?;
    class::put_in_place(class.cast::<PyType>()?, in_place.is_truthy()?);
    Ok(none(args.py()))
}

fn set_metaclass<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [class, metaclass] = args.parse(&SET_METACLASS)?;
    let (class, metaclass) = (class.cast::<PyType>()?, metaclass.cast::<PyType>()?);
    metaclass::replace(class, metaclass).map(Bound::into_any)
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let (py, any) = (module.py(), module.as_any());
    let doc = "Notes whether asyncio's name for a native class means that class now.";
    module.add("_put_in_place", class::function(py, any, &PUT_IN_PLACE, put_in_place, doc)?)?;
    let doc = "Gives a class another metaclass and returns the one it had.";
    module.add("_set_metaclass", class::function(py, any, &SET_METACLASS, set_metaclass, doc)?)
}
