//! `eager_task_factory`: the task factory whose tasks are native and begin to run at once (3.12).
//!
//! asyncio's factories are Python functions that `create_eager_task_factory` makes around a class of tasks.
//! They share one code object, by which libraries recognise them, so the factory of native tasks is such a
//! function, too. The loop's `create_task` knows it ([`makes_eager_tasks`]) and makes the task without
//! calling it.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;

use super::state::Task;
use crate::ffi::Class;
use crate::ffi::closure::is_closure;

/// The code of all factories.
static CODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Adds the factory to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let create = crate::stock::module(py, "asyncio.tasks")?.getattr(name!("create_eager_task_factory"))?;
    let factory = create.call1((Task::class(py),))?;
    CODE.get_or_try_init(py, || factory.getattr(name!("__code__")).map(Bound::unbind))?;
    module.add("eager_task_factory", factory)
}

/// Whether a task factory is one whose tasks are plain native ones. Its code is asked each time: a tracer may
/// have replaced it.
#[inline]
pub fn makes_eager_tasks(factory: &Bound<'_, PyAny>) -> bool {
    let py = factory.py();
    CODE.get(py).is_some_and(|code| is_closure(factory, code.bind(py), Task::class(py).as_any()))
}
