//! `__init__` of `BaseEventLoop` and `BaseSelectorEventLoop`, where a program has replaced them: tracers list
//! loops so.
//!
//! The native `__init__` does all that asyncio's three do. Replacements in the bases are called when that is
//! done; the originals that they call find nothing left to do. Called by `event_loop` when a loop is made,
//! and by what a program has put there.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::core::EventLoop;
use crate::ffi::{Obj, Table, none, originals};
use crate::stock;

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.any(
        c"_init_of_base",
        |event_loop, _| Ok(none(event_loop.py())),
        "What asyncio's __init__ of a base is for this loop.",
    );
}

/// `super().__init__(selector)` and `super().__init__()`, to what a program has put there.
pub(super) fn call_replaced_inits(
    event_loop: &Obj<'_, EventLoop>,
    selector: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = event_loop.py();
    for (class, init) in originals::replaced_base_inits(event_loop)? {
        // `BaseEventLoop` does not know of selectors.
        let takes_selector = !class.is(stock::base_event_loop(py)?);
        let arguments = if takes_selector { vec![selector] } else { Vec::new() };
        init.call1(PyTuple::new(py, arguments)?)?;
    }
    Ok(())
}
