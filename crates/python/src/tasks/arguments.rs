//! The arguments of `Task(coro, ...)`. Parsed by the table of the class, for a call of it and for `__init__`.

use pyo3::prelude::*;

use crate::ffi::{Args, Signature, none};

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
    /// Those of a call of the class.
    #[inline]
    pub(super) fn of_call(args: &Args<'_, 'py>) -> PyResult<Self> {
        Self::as_written(args).unwrap_or_else(|| Self::of(args.parse(&SIGNATURE)?))
    }

    /// Those of a call as programs write it: a coroutine, and keywords. `None` for any other call.
    #[inline]
    fn as_written(args: &Args<'_, 'py>) -> Option<PyResult<Self>> {
        let py = args.py();
        let coroutine = args.get(0).filter(|_| args.len() == 1)?;
        let names = [name!("loop"), name!("name"), name!("context")].map(|name| name.get(py));
        #[cfg(not(Py_3_12))]
        let ([event_loop, name, context], eager) = (args.values_of(names)?, None::<Bound<'py, PyAny>>);
        #[cfg(Py_3_12)]
        let [event_loop, name, context, eager] = {
            let [event_loop, name, context] = names;
            args.values_of([event_loop, name, context, name!("eager_start").get(py)])?
        };
        let given = |object: Borrowed<'_, 'py, PyAny>| (!object.is_none()).then(|| object.to_owned());
        Some(eager.map_or(Ok(false), |eager| eager.is_truthy()).map(|eager_start| Self {
            coroutine,
            event_loop: event_loop.map_or_else(|| none(py), |event_loop| event_loop.to_owned()),
            name: name.and_then(given),
            context: context.and_then(given),
            eager_start,
        }))
    }

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
