//! The arguments of `Task(coro, ...)`. Parsed by the table of the class, for a call of it and for `__init__`.

use pyo3::prelude::*;

use crate::ffi::Signature;

/// Their number.
const NUMBER: usize = if cfg!(Py_3_12) { 5 } else { 4 };

#[cfg(not(Py_3_12))]
const TEXT: &str = "coro, *, loop=None, name=None, context=None";
#[cfg(Py_3_12)]
const TEXT: &str = "coro, *, loop=None, name=None, context=None, eager_start=False";

/// What a call looks like.
pub(super) const SIGNATURE: Signature<NUMBER> = Signature::new_native("Task", TEXT);

/// What was given.
pub(super) struct Given<'py> {
    pub(super) coroutine: Bound<'py, PyAny>,
    /// The loop, or None.
    pub(super) event_loop: Bound<'py, PyAny>,
    pub(super) name: Option<Bound<'py, PyAny>>,
    pub(super) context: Option<Bound<'py, PyAny>>,
    pub(super) eager_start: bool,
}

impl<'py> Given<'py> {
    /// The parsed arguments by their names.
    #[inline]
    pub(super) fn of(parsed: [Bound<'py, PyAny>; NUMBER]) -> PyResult<Self> {
        #[cfg(not(Py_3_12))]
        let ([coroutine, event_loop, name, context], eager_start) = (parsed, false);
        #[cfg(Py_3_12)]
        let [coroutine, event_loop, name, context, eager] = parsed;
        #[cfg(Py_3_12)]
        let eager_start = eager.is_truthy()?;
        let given = |object: Bound<'py, PyAny>| (!object.is_none()).then_some(object);
        Ok(Self { coroutine, event_loop, name: given(name), context: given(context), eager_start })
    }
}
