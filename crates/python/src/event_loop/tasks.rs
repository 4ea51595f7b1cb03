//! `create_future`, `create_task`, `set_task_factory`, `get_task_factory`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::core::EventLoop;
use crate::ffi::{Signature, Table, none};
use crate::futures::create_future;
use crate::replaced::names::FUTURE;
use crate::tasks::creating::{METHOD, create_task_of, of_class};

const SET_TASK_FACTORY: Signature<1> = Signature::new("EventLoop.set_task_factory", "factory");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.noargs(
        c"create_future",
        |event_loop| match FUTURE.replacement(event_loop.py())? {
            None => Ok(create_future(event_loop)?.into_any()),
            Some(class) => of_class(event_loop, &class, (), PyDict::new(event_loop.py())),
        },
        "A Future bound to the loop.",
    );
    t.method(&METHOD, create_task_of, "Schedules a coroutine; returns its Task. Keywords: name, context and, where asyncio has it, eager_start.");
    t.method(
        &SET_TASK_FACTORY,
        |event_loop, args| {
            let [factory] = args.parse(&SET_TASK_FACTORY)?;
            if !factory.is_none() && !factory.is_callable() {
                return Err(PyTypeError::new_err("task factory must be a callable or None"));
            }
            if factory.is_none() {
                event_loop.task_factory.clear()
            } else {
                event_loop.task_factory.put(factory)
            }
            Ok(none(event_loop.py()))
        },
        "Sets the callable(loop, coro, **kwargs) that create_task() uses; None for the default.",
    );
    t.noargs(
        c"get_task_factory",
        |event_loop| Ok(event_loop.task_factory.get_or_none(event_loop.py())),
        "The task factory, or None for the default.",
    );
}
