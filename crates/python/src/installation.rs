//! What `install()` tells the native side: which classes stand in the place of asyncio's, and so are what
//! `__class__` answers; and whether native objects are named as asyncio's are.
//!
//! Called by `installation.py` and `child_watchers.py` in `python/yibu`, and by the `__class__` property of
//! each class that has a namesake in asyncio.

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::ffi::function::naming;
use crate::ffi::{Args, Output, Signature, class, metaclass, none};
use crate::functions;

const PUT_IN_PLACE: Signature<2> = Signature::new("_put_in_place", "class_, in_place");
const SET_METACLASS: Signature<2> = Signature::new("_set_metaclass", "class_, metaclass");
const NAME_AS: Signature<2> = Signature::new("_name_as", "class_, stock");
const SET_INSTALLED: Signature<1> = Signature::new("_set_installed", "installed");

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

fn name_as<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [class, stock] = args.parse(&NAME_AS)?;
    naming::follow(class.cast::<PyType>()?, stock.cast::<PyType>()?)?;
    Ok(none(args.py()))
}

fn set_installed<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [installed] = args.parse(&SET_INSTALLED)?;
    naming::set_installed(args.py(), installed.is_truthy()?)?;
    Ok(none(args.py()))
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "Notes whether asyncio's name for a native class means that class now.";
    functions::add(module, &PUT_IN_PLACE, put_in_place, doc)?;
    let doc = "Gives a class another metaclass and returns the one it had.";
    functions::add(module, &SET_METACLASS, set_metaclass, doc)?;
    let doc = "Has a class of Python follow one of asyncio's in its names, as native classes do.";
    functions::add(module, &NAME_AS, name_as, doc)?;
    let doc = "Notes whether native objects stand in asyncio's modules, and so are named as asyncio's are.";
    functions::add(module, &SET_INSTALLED, set_installed, doc)
}
