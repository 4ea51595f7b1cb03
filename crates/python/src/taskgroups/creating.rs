//! How a task becomes one of the group's: `TaskGroup.create_task`.
//!
//! Called by Python code; calls the loop, which makes the task.

#[cfg(Py_3_14)]
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

#[cfg(not(Py_3_14))]
use super::CREATE_TASK;
use super::{TASK_DONE, TaskGroup, refusal};
use crate::callbacks::react;
#[cfg(not(Py_3_14))]
use crate::ffi::make;
use crate::ffi::{Args, Obj, Output};
use crate::futures::future_like;
use crate::names;
#[cfg(Py_3_14)]
use crate::tasks::create_task_on;
#[cfg(not(Py_3_14))]
use crate::tasks::{self, Options};

/// `TaskGroup.create_task`.
pub(super) fn create_task<'py>(group: &Obj<'py, TaskGroup>, args: Args<'_, 'py>) -> Output<'py> {
    let py = group.py();
    let asked = Asked::parse(args)?;
    let refused = if !group.entered.get() {
        Some("has not been entered")
    } else if group.exiting.get() && !group.has_tasks(py)? {
        Some("is finished")
    } else if group.aborting.get() {
        Some("is shutting down")
    } else {
        None
    };
    if let Some(why) = refused {
        if cfg!(Py_3_13) {
            asked.coroutine.call_method0(names::close(py))?;
        }
        return Err(refusal(group, why));
    }
    let task = asked.spawn(&group.event_loop.get_or_none(py), args)?;
    enlist(group, &task)?;
    Ok(task)
}

/// What `create_task` was asked for.
struct Asked<'py> {
    coroutine: Bound<'py, PyAny>,
    #[cfg(not(Py_3_14))]
    options: Options<'py>,
}

#[cfg(Py_3_14)]
impl<'py> Asked<'py> {
    /// The keywords are the loop's business.
    fn parse(args: Args<'_, 'py>) -> PyResult<Self> {
        if args.len() > 1 {
            let text = "TaskGroup.create_task() takes 2 positional arguments but";
            return Err(PyTypeError::new_err(format!("{text} {} were given", args.len() + 1)));
        }
        let named = || args.keywords().find(|(name, _)| name == "coro").map(|(_, value)| value);
        let coroutine = args.get(0).or_else(named).ok_or_else(|| {
            PyTypeError::new_err("TaskGroup.create_task() missing 1 required positional argument: 'coro'")
        })?;
        Ok(Self { coroutine })
    }

    fn spawn(self, event_loop: &Bound<'py, PyAny>, args: Args<'_, 'py>) -> Output<'py> {
        create_task_on(event_loop, args)
    }
}

#[cfg(not(Py_3_14))]
impl<'py> Asked<'py> {
    fn parse(args: Args<'_, 'py>) -> PyResult<Self> {
        if let Some(coroutine) = args.only() {
            return Ok(Self { coroutine, options: Options::default() });
        }
        let [coroutine, name, context] = args.parse(&CREATE_TASK)?;
        let given = |object: Bound<'py, PyAny>| (!object.is_none()).then_some(object);
        Ok(Self {
            coroutine,
            options: Options { name: given(name), context: given(context), eager_start: false },
        })
    }

    fn spawn(self, event_loop: &Bound<'py, PyAny>, _args: Args<'_, 'py>) -> Output<'py> {
        let Self { coroutine, options } = self;
        if let Some(native) = tasks::spawner(event_loop) {
            native.check_open()?;
            return Ok(tasks::spawn(native, coroutine, options)?.into_any());
        }
        let py = event_loop.py();
        let keywords = make::dict(py)?;
        if let Some(context) = options.context {
            keywords.set_item("context", context)?;
        }
        if cfg!(Py_3_13) {
            keywords.set_item("name", options.name)?;
            return event_loop.call_method(names::create_task(py), (coroutine,), Some(&keywords));
        }
        let task = event_loop.call_method(names::create_task(py), (coroutine,), Some(&keywords))?;
        if let Some(name) = options.name {
            tasks::set_task_name(&task, &name)?;
        }
        Ok(task)
    }
}

/// Makes a new task one of the group's.
#[inline]
fn enlist<'py>(group: &Obj<'py, TaskGroup>, task: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = group.py();
    // A task that is done at birth, too, is dealt with at the next turn: a failure must not cancel the task
    // that has just made it.
    group.tasks(py)?.add(task)?;
    if group.is_native() {
        react(task, &TASK_DONE, group.as_any())?;
    } else {
        let done = group.as_any().getattr(names::_on_task_done(py))?;
        task.call_method1(names::add_done_callback(py), (done,))?;
    }
    // An eager task may have cancelled the group before it was listed.
    if group.aborting.get() && !future_like::is_done(task)? {
        future_like::cancel(task)?;
    }
    Ok(())
}
