//! Which tasks there are, where asyncio's functions for that are Python code that looks into globals of
//! `asyncio.tasks`: `all_tasks` (up to 3.13) and `current_task` (3.11).
//!
//! Native tasks are in a registry of their own ([`super::described::living`]); stock and other tasks are
//! where those functions look. Called by Python code and by the shutdown of a `Runner`.

use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyModule, PySet};

use super::state::TASKS;
#[cfg(Py_3_12)]
use crate::errors;
use crate::ffi::{Args, Obj, Output, Signature};
use crate::functions::{self, running_loop};
use crate::futures::future_like::{is_done, loop_of};
use crate::replaced::names::running_loop::OF_TASKS;
use crate::stock;

const ALL_TASKS: Signature<1> = Signature::new("all_tasks", "loop=None");
#[cfg(not(Py_3_12))]
const CURRENT_TASK: Signature<1> = Signature::new("current_task", "loop=None");

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "The tasks of a loop, by default the running one, that are not done.";
    functions::add(
        module,
        &ALL_TASKS,
        |args| Ok(all_tasks(&loop_argument(&args, &ALL_TASKS)?)?.into_any()),
        doc,
    )?;
    #[cfg(not(Py_3_12))]
    {
        let doc = "The task that runs on a loop, by default the running one; None when none does.";
        functions::add(
            module,
            &CURRENT_TASK,
            |args| {
                let task = crate::core::current::running_task(&loop_argument(&args, &CURRENT_TASK)?)?;
                Ok(task.unwrap_or_else(|| crate::ffi::none(args.py())))
            },
            doc,
        )?;
    }
    Ok(())
}

fn loop_argument<'py>(args: &Args<'_, 'py>, signature: &Signature<1>) -> Output<'py> {
    let [event_loop] = args.parse(signature)?;
    if event_loop.is_none() { running_loop(args.py(), &OF_TASKS) } else { Ok(event_loop) }
}

/// `asyncio.all_tasks(event_loop)`.
pub fn all_tasks<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
    let py = event_loop.py();
    let found = PySet::empty(py)?;
    let module = stock::tasks_module(py)?;
    // Eager ones first: one that ceases to be eager meanwhile is among the others then.
    #[cfg(Py_3_12)]
    let eager = errors::collected(module.getattr(name!("_eager_tasks"))?.try_iter()?)?;
    #[cfg(not(Py_3_12))]
    let eager = Vec::new();
    let scheduled = if cfg!(Py_3_12) { name!("_scheduled_tasks") } else { name!("_all_tasks") };
    let scheduled = snapshot(&module.getattr(scheduled)?)?;
    let native = TASKS.living(py).into_iter().map(Obj::into_any);
    for task in eager.into_iter().chain(scheduled).chain(native) {
        if loop_of(&task)?.is(event_loop) && !is_done(&task)? {
            found.add(task)?;
        }
    }
    Ok(found)
}

/// What is in the standard library's weak set, without the native tasks that it also shows.
fn snapshot<'py>(tasks: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    // Made of what the set itself holds, at once, so that no other thread changes it meanwhile. The class of
    // its references, whose iterator shows the native tasks (`python/yibu/task_registry.py`), is not asked.
    let references = tasks.py().get_type::<PyFrozenSet>().call1((tasks.getattr(name!("data"))?,))?;
    let mut living = Vec::new();
    for reference in references.try_iter()? {
        let task = reference?.call0()?;
        if !task.is_none() {
            living.push(task);
        }
    }
    Ok(living)
}
