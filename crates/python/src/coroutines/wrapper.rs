//! `CoroutineWrapper`: what `coroutine.__await__()` gives, as the interpreter's own `coroutine_wrapper`.
//!
//! `await` iterates a native coroutine itself; this is for Python code that calls `__await__`, because the
//! result must be an iterator and a coroutine must not. Made by [`mod@super::protocol`]; calls the coroutine.

use std::ffi::CStr;

use pyo3::prelude::*;

use crate::ffi::class::Plain;
use crate::ffi::send::{Sent, send};
use crate::ffi::{Class, ClassState, Create, Obj, Output, Slot, Table, new_reference, references};
use crate::futures::stop_iteration;
use crate::names;

use super::protocol::Advanced;

/// The data of a wrapper.
#[derive(Default)]
pub struct CoroutineWrapper {
    coroutine: Slot,
}

static COROUTINE_WRAPPER: ClassState = ClassState::new();

impl CoroutineWrapper {
    /// Wraps a native coroutine.
    pub fn of<'py>(coroutine: &Bound<'py, PyAny>) -> Output<'py> {
        let wrapper = Self::create(coroutine.py())?;
        wrapper.coroutine.put(coroutine.clone());
        Ok(wrapper.into_any())
    }
}

fn advance<'py>(wrapper: &Obj<'py, CoroutineWrapper>, value: &Bound<'py, PyAny>) -> Advanced<'py> {
    match send(&wrapper.coroutine.get_or_none(wrapper.py()), value) {
        Sent::Yielded(object) => Ok(Ok(object)),
        Sent::Returned(value) => Ok(Err(value)),
        Sent::Raised(error) => Err(error),
    }
}

impl Class for CoroutineWrapper {
    const NAME: &'static CStr = c"builtins.coroutine_wrapper";
    const BARE_NAME: bool = true;
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &COROUTINE_WRAPPER;

    fn table(t: &mut Table<Self>) {
        t.doc(c"A wrapper object implementing __await__ for coroutines.");
        t.iter(|wrapper| Ok(new_reference(wrapper.as_any())));
        t.send(advance);
        t.one(
            c"send",
            "value",
            |wrapper, value| match advance(wrapper, value)? {
                Ok(object) => Ok(object),
                Err(value) => Err(stop_iteration(value)),
            },
            "Runs the coroutine until its next wait; raises StopIteration with the result at the end.",
        );
        t.any(
            c"throw",
            |wrapper, args| {
                let throw =
                    wrapper.coroutine.get_or_none(wrapper.py()).getattr(names::throw(wrapper.py()))?;
                throw.call1(args.tuple_from(0)?)
            },
            "Throws into the coroutine.",
        );
        t.noargs(
            c"close",
            |wrapper| wrapper.coroutine.get_or_none(wrapper.py()).call_method0(names::close(wrapper.py())),
            "Ends the coroutine.",
        );
    }

    references! { coroutine }
}
