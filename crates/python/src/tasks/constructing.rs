//! `Task(coro, ...)`: its arguments, for a call of the class and for `__init__`. Called by the table of the class.

use pyo3::prelude::*;

use super::{Options, Task, begin};
use crate::ffi::{Obj, Signature};
use crate::futures::Future;

/// The number of arguments.
const ARGUMENTS: usize = if cfg!(Py_3_12) { 5 } else { 4 };

#[cfg(not(Py_3_12))]
const TEXT: &str = "coro, *, loop=None, name=None, context=None";
#[cfg(Py_3_12)]
const TEXT: &str = "coro, *, loop=None, name=None, context=None, eager_start=False";

/// What a call looks like.
pub(super) const SIGNATURE: Signature<ARGUMENTS> = Signature::new_native("Task", TEXT);

/// `Task.__init__`, where `init_future` is that of a future.
#[inline]
pub(super) fn init<'py>(
    task: &Obj<'py, Task>,
    arguments: [Bound<'py, PyAny>; ARGUMENTS],
    init_future: impl FnOnce(&Obj<'py, Future>, Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    #[cfg(not(Py_3_12))]
    let ([coroutine, event_loop, name, context], eager_start) = (arguments, false);
    #[cfg(Py_3_12)]
    let [coroutine, event_loop, name, context, eager] = arguments;
    #[cfg(Py_3_12)]
    let eager_start = eager.is_truthy()?;
    init_future(task.upcast(), event_loop)?;
    let event_loop = task.base.event_loop.get_or_none(task.py());
    let given = |object: Bound<'py, PyAny>| (!object.is_none()).then_some(object);
    begin(task, &event_loop, coroutine, Options { name: given(name), context: given(context), eager_start })
}
