//! `TaskGroup`: tasks that end together. `asyncio.taskgroups`, native.
//!
//! A group lists its tasks in a set and has one [`Reaction`] on each of them; the first that fails aborts the
//! others and cancels the task that entered the group, which collects the exceptions when it leaves. On
//! groups of a subclass the methods that it may override (`create_task`, `_on_task_done`, `_abort`,
//! `_is_base_error`) are called by name, as asyncio does. Called by Python code; calls the loop, the tasks
//! and the parent task.

mod creating;
mod leaving;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PySet};

use crate::attributes::{flags, objects};
use crate::callbacks::Reaction;
use crate::copying::{self, Copied};
use crate::core::EventLoop;
use crate::core::current;
use crate::coroutines::{Routine, Step};
use crate::errors;
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Signature, Slot, Table, boolean, make, references, stands_for,
};
use crate::functions::running_loop;
use crate::futures::future_like;
use crate::replaced::names::current_task;
use crate::replaced::names::running_loop::OF_TASKGROUPS;
use crate::{names, stock};

/// The data of a `TaskGroup`.
#[derive(Default)]
pub struct TaskGroup {
    entered: Cell<bool>,
    exiting: Cell<bool>,
    aborting: Cell<bool>,
    /// Whether the group itself cancelled its parent task, which then owes it an `uncancel()`.
    parent_cancel_requested: Cell<bool>,
    #[cfg(Py_3_15)]
    cancel_on_enter: Cell<bool>,
    event_loop: Slot,
    parent_task: Slot,
    /// The set of the tasks that are not done.
    tasks: Slot,
    /// The list of their exceptions, or None.
    errors: Slot,
    /// The first KeyboardInterrupt or SystemExit, which goes before all others.
    base_error: Slot,
    /// What `__aexit__` waits for.
    on_completed: Slot,
}

static TASK_GROUP: ClassState = ClassState::new();

const INIT: Signature<0> = Signature::new_method("TaskGroup.__init__", "");
const AEXIT: Signature<3> = Signature::new_method("TaskGroup.__aexit__", "et, exc, tb");
#[cfg(Py_3_14)]
const CREATE_TASK: Signature<1> = Signature::new("TaskGroup.create_task", "coro, **kwargs");
#[cfg(not(Py_3_14))]
const CREATE_TASK: Signature<3> =
    Signature::new_method("TaskGroup.create_task", "coro, *, name=None, context=None");

static TASK_DONE: Reaction = Reaction {
    name: "TaskGroup._on_task_done",
    run: |group, task| match Obj::<TaskGroup>::cast(group) {
        Some(group) => task_done(group, task),
        None => Ok(()),
    },
    waiter: |group| Obj::<TaskGroup>::cast(group)?.parent_task.get(group.py()),
    standard: None,
};

/// Builds the class.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::classes::add::<TaskGroup>(module).map(drop)
}

impl TaskGroup {
    /// `_tasks`.
    fn tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        Ok(self.tasks.get_or_none(py).cast_into()?)
    }

    /// Whether any task is not done.
    fn has_tasks(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!self.tasks(py)?.is_empty())
    }

    /// `_errors`, unless it is None or empty.
    fn errors<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyList>> {
        let errors = self.errors.get(py)?.cast_into::<PyList>().ok()?;
        (!errors.is_empty()).then_some(errors)
    }
}

/// `TaskGroup.__init__`.
fn init(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    let py = group.py();
    for flag in [&group.entered, &group.exiting, &group.aborting, &group.parent_cancel_requested] {
        flag.set(false);
    }
    for slot in [&group.event_loop, &group.parent_task, &group.base_error, &group.on_completed] {
        slot.clear();
    }
    group.tasks.put(PySet::empty(py)?);
    group.errors.put(PyList::empty(py));
    Ok(())
}

/// `TaskGroup.__repr__`.
fn repr<'py>(group: &Obj<'py, TaskGroup>) -> Output<'py> {
    let py = group.py();
    let mut text = String::from("<TaskGroup");
    let tasks = group.tasks(py)?.len();
    if tasks > 0 {
        text += &format!(" tasks={tasks}");
    }
    if let Some(errors) = group.errors(py) {
        text += &format!(" errors={}", errors.len());
    }
    if group.aborting.get() {
        text += " cancelling";
    } else if group.entered.get() {
        text += " entered";
    }
    Ok(make::text(py, &(text + ">"))?.into_any())
}

/// A RuntimeError about the group.
#[cold]
fn refusal(group: &Obj<'_, TaskGroup>, why: &str) -> PyErr {
    match group.as_any().repr().and_then(|shown| text!("TaskGroup {shown} {why}")) {
        Ok(text) => PyRuntimeError::new_err(text),
        Err(error) => error,
    }
}

/// `TaskGroup.__aenter__`.
fn enter<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let group = routine.owner::<TaskGroup>(py)?;
    if group.entered.get() {
        return Err(refusal(&group, "has already been entered"));
    }
    if group.event_loop.is_empty() {
        group.event_loop.put(running_loop(py, &OF_TASKGROUPS)?);
    }
    let event_loop = group.event_loop.get_or_none(py);
    let task = match current_task::OF_TASKGROUPS.replacement(py)? {
        Some(current_task) => Some(current_task.call1((event_loop,))?).filter(|task| !task.is_none()),
        None => current::running_task(&event_loop)?,
    };
    match task {
        Some(task) => group.parent_task.put(task),
        None => return Err(refusal(&group, "cannot determine the parent task")),
    }
    group.entered.set(true);
    #[cfg(Py_3_15)]
    if group.cancel_on_enter.get() {
        group.as_any().call_method0(names::cancel(py))?;
    }
    Ok(Step::Return(group.into_any()))
}

/// `TaskGroup._is_base_error`: SystemExit and KeyboardInterrupt, which tasks let through to the loop.
fn is_base_error<'py>(group: &Obj<'py, TaskGroup>, exception: &Bound<'py, PyAny>) -> PyResult<bool> {
    if group.is_native() {
        return Ok(exits(exception));
    }
    group.as_any().call_method1(name!("_is_base_error"), (exception,))?.is_truthy()
}

fn exits(exception: &Bound<'_, PyAny>) -> bool {
    exception.is_instance_of::<PySystemExit>() || exception.is_instance_of::<PyKeyboardInterrupt>()
}

/// `TaskGroup._abort`.
#[cold]
fn abort(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    if group.is_native() {
        cancel_tasks(group)
    } else {
        group.as_any().call_method0(name!("_abort")).map(drop)
    }
}

fn cancel_tasks(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    group.aborting.set(true);
    // A copy, because cancelling runs foreign code if a task is foreign.
    for task in errors::collected(group.tasks(group.py())?.try_iter()?)? {
        if !future_like::is_done(&task)? {
            future_like::cancel(&task)?;
        }
    }
    Ok(())
}

/// `TaskGroup._on_task_done`.
#[inline]
fn task_done<'py>(group: &Obj<'py, TaskGroup>, task: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = group.py();
    let tasks = group.tasks(py)?;
    tasks.discard(task)?;
    if let Some(completed) = group.on_completed.get(py)
        && tasks.is_empty()
        && !future_like::is_done(&completed)?
    {
        future_like::set_result(&completed, boolean(py, true))?;
    }
    if future_like::is_cancelled(task)? {
        return Ok(());
    }
    match future_like::exception(task)? {
        Some(exception) => task_failed(group, task, exception),
        None => Ok(()),
    }
}

#[cold]
fn task_failed<'py>(
    group: &Obj<'py, TaskGroup>,
    task: &Bound<'py, PyAny>,
    exception: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = group.py();
    let event_loop = group.event_loop.get_or_none(py);
    if let Some(native) = Obj::<EventLoop>::cast(&event_loop) {
        current::flush_leave(native)?;
    }
    group.errors.get_or_none(py).cast::<PyList>()?.append(&exception)?;
    if is_base_error(group, &exception)? && group.base_error.is_empty() {
        group.base_error.put(exception.clone());
    }
    let parent = group.parent_task.get_or_none(py);
    if future_like::is_done(&parent)? {
        let report = make::dict(py)?;
        let text = text!(
            "Task {} has errored out but its parent task {} is already completed",
            task.repr()?,
            parent.str()?
        )?;
        report.set_item(names::message(py), text)?;
        report.set_item(names::exception(py), exception)?;
        report.set_item(names::task(py), task)?;
        return event_loop.call_method1(names::call_exception_handler(py), (report,)).map(drop);
    }
    if !group.aborting.get() && !group.parent_cancel_requested.get() {
        abort(group)?;
        cancel_parent(group)?;
    }
    Ok(())
}

/// Cancels what the parent task does in the body of the group; `__aexit__` will take that back.
fn cancel_parent(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    group.parent_cancel_requested.set(true);
    future_like::cancel(&group.parent_task.get_or_none(group.py())).map(drop)
}

/// `TaskGroup.cancel`.
#[cfg(Py_3_15)]
fn cancel(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    if !group.entered.get() {
        group.cancel_on_enter.set(true);
        return Ok(());
    }
    if group.aborting.get() || group.exiting.get() && !group.has_tasks(group.py())? {
        return Ok(());
    }
    abort(group)?;
    if group.parent_task.is_empty() || group.parent_cancel_requested.get() {
        return Ok(());
    }
    cancel_parent(group)
}

/// The attributes that asyncio's instances have.
fn attributes(t: &mut Table<TaskGroup>) {
    flags! { t:
        c"_entered" => entered,
        c"_exiting" => exiting,
        c"_aborting" => aborting,
        c"_parent_cancel_requested" => parent_cancel_requested,
    }
    #[cfg(Py_3_15)]
    flags! { t: c"_cancel_on_enter" => cancel_on_enter }
    objects! { t:
        c"_loop" => event_loop,
        c"_parent_task" => parent_task,
        c"_tasks" => tasks,
        c"_errors" => errors,
        c"_base_error" => base_error,
        c"_on_completed_fut" => on_completed,
    }
}

impl Copied for TaskGroup {}

impl Class for TaskGroup {
    const NAME: &'static CStr = c"yibu.TaskGroup";
    type Header = Combinable;
    const FREELIST: usize = 64;
    const FUNCTIONS: bool = true;

    const SHOWN: &'static [&'static str] = &[
        "_entered",
        "_exiting",
        "_aborting",
        "_loop",
        "_parent_task",
        "_parent_cancel_requested",
        "_tasks",
        "_errors",
        "_base_error",
        "_on_completed_fut",
    ];

    stands_for! { TASK_GROUP, stock::task_group }

    fn table(t: &mut Table<Self>) {
        t.doc(c"TaskGroup()\n--\n\nAn asynchronous context manager that waits for the tasks made by its create_task(). When one fails, the others are cancelled and the exceptions raised as an ExceptionGroup.");
        t.init(|group, args, kwargs| {
            let [] = Args::parse_tuple(&INIT, args, kwargs)?;
            init(group)
        });
        t.repr(repr);
        t.noargs(
            c"__aenter__",
            |group| Ok(Routine::begin(group.as_any(), "TaskGroup.__aenter__", enter)?.into_any()),
            "Enters the group, whose parent is the current task.",
        );
        t.method(&AEXIT, leaving::exit, "Waits for the tasks, and raises what they raised.");
        t.method(
            &CREATE_TASK,
            creating::create_task,
            "Makes a task in the group; like asyncio.create_task().",
        );
        #[cfg(Py_3_15)]
        t.action(
            c"cancel",
            cancel,
            "Cancels the tasks and the body. The group then exits without raising CancelledError.",
        );
        t.one(
            c"_is_base_error",
            "exc",
            |group, exception| Ok(boolean(group.py(), exits(exception))),
            "Whether the exception is a SystemExit or a KeyboardInterrupt.",
        );
        t.action(c"_abort", cancel_tasks, "Cancels all tasks.");
        t.action_on(c"_on_task_done", "task", task_done, "Takes note that a task is done.");
        attributes(t);
        copying::table(t);
    }

    references! { event_loop, parent_task, tasks, errors, base_error, on_completed }
}
