//! A task's step and wake-up as Python callables, for loops and futures that are not native.
//!
//! Made by [`super`]; called by foreign loops, and by programs that read the callbacks of a future.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyString};

use super::state::Task;
use super::stepping::step;
use crate::core::EventLoop;
use crate::core::current;
use crate::ffi::class::Plain;
use crate::ffi::thread::outlive_interpreter;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Ref, Signature, Slot, Table, references,
};
use crate::ffi::{boolean, call, none};
use crate::futures::{self, Outcome};
use crate::names;

static TASK_CALLBACK: ClassState = ClassState::new();

/// Which of the two callables of a task this is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Step,
    Wakeup,
}

/// A task's step or wake-up as a Python callable, for foreign loops and futures.
#[derive(Default)]
pub struct TaskCallback {
    task: Slot<Task>,
    error: Slot,
    kind: Cell<Kind>,
}

impl TaskCallback {
    #[expect(clippy::new_ret_no_self, reason = "a Python object is what callers need")]
    pub(super) fn new<'py>(task: &Obj<'py, Task>, kind: Kind, error: Option<Ref>) -> Output<'py> {
        let callback = Self::create(task.py())?;
        callback.kind.set(kind);
        callback.task.set(Ref::of(task.clone()));
        drop(callback.error.replace(error));
        Ok(callback.into_any())
    }
}

/// The callable a future calls when it is done.
pub fn wakeup_callable<'py>(task: &Obj<'py, Task>) -> Output<'py> {
    TaskCallback::new(task, Kind::Wakeup, None)
}

/// Whether a callable is the wake-up of this very task.
pub fn is_wakeup_of(function: &Bound<'_, PyAny>, task: &Obj<'_, Task>) -> bool {
    Obj::<TaskCallback>::cast_exact(function).is_some_and(|callback| {
        callback.kind.get() == Kind::Wakeup && callback.task.as_ptr() == task.as_any().as_ptr()
    })
}

/// The task that a callable belongs to, for messages about slow callbacks.
pub fn task_of<'py>(function: &Bound<'py, PyAny>) -> Option<Obj<'py, Task>> {
    Obj::<TaskCallback>::cast_exact(function)?.task.obj(function.py())
}

/// The task, if a callable is its wake-up.
fn wakes<'py>(callback: &Obj<'py, TaskCallback>) -> Option<Obj<'py, Task>> {
    if callback.kind.get() == Kind::Wakeup { callback.task.obj(callback.py()) } else { None }
}

/// Runs a task's callable on whatever loop called it.
fn invoke<'py>(callback: &Obj<'py, TaskCallback>, future: Option<Bound<'py, PyAny>>) -> Output<'py> {
    let py = callback.py();
    let Some(task) = callback.task.obj(py) else { return Ok(none(py)) };
    let error = match (callback.kind.get(), future) {
        (Kind::Wakeup, Some(future)) => awaited_error(&future)?,
        _ => match callback.error.take() {
            Some(error) => Some(Raised(error.into_any(py).cast_into()?)),
            None => None,
        },
    };
    let event_loop = task.base.event_loop.get_or_none(py);
    let native = EventLoop::plain(&event_loop);
    match native {
        Some(native) => current::enter(native, task.as_any())?,
        None => current::enter_foreign(&event_loop, task.as_any())?,
    }
    let stepped = step(&task, error);
    match native {
        Some(native) => current::leave(native),
        None => current::leave_foreign(&event_loop, task.as_any())?,
    }
    stepped.map(|()| none(py))
}

/// The exception that the awaited future raises, if it raises one.
fn awaited_error<'py>(future: &Bound<'py, PyAny>) -> PyResult<Option<Raised<'py>>> {
    let py = future.py();
    if let Some(future) = futures::exact(future) {
        return Ok(match futures::take_outcome(future)? {
            Some(Outcome::Raised(error)) => Some(error),
            Some(Outcome::Value(_)) | None => None,
        });
    }
    Ok(call::method(names::result(py), [future]).err().map(|error| Raised::from_err(py, error)))
}

const WAKEUP: Signature<1> = Signature::new("TaskWakeup", "future=None, /");

impl Class for TaskCallback {
    const NAME: &'static CStr =
        if cfg!(Py_3_12) { c"_asyncio.TaskStepMethWrapper" } else { c"builtins.TaskStepMethWrapper" };
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &TASK_CALLBACK;

    fn table(t: &mut Table<Self>) {
        t.call(|callback, args, kwargs| {
            let [future] = Args::parse_tuple(&WAKEUP, args, kwargs)?;
            outlive_interpreter(|| invoke(callback, (!future.is_none()).then_some(future)))
        });
        t.compare(|callback, other, op| {
            let py = callback.py();
            let same = callback.task.obj(py).is_some_and(|task| is_wakeup_of(other, &task))
                && callback.kind.get() == Kind::Wakeup;
            match op {
                pyo3::basic::CompareOp::Eq => Ok(boolean(py, same || callback.as_any().is(other))),
                pyo3::basic::CompareOp::Ne => Ok(boolean(py, !(same || callback.as_any().is(other)))),
                _ => Ok(py.NotImplemented().into_bound(py)),
            }
        });
        t.hash(|callback| Ok((callback.task.as_ptr() as isize >> 4) ^ (callback.kind.get() as isize)));
        // In asyncio the wake-up is a built-in method of the task, and the step an object of a class of its
        // own.
        t.repr(|callback| {
            let py = callback.py();
            let text = match wakes(callback) {
                Some(task) => {
                    let class = task.as_any().get_type();
                    let module = if class.is(Task::class(py)) { "_asyncio." } else { "" };
                    let (class, task) = (class.name()?, task.as_any().as_ptr());
                    format!("<built-in method task_wakeup of {module}{class} object at {task:p}>")
                }
                None => {
                    let module = if cfg!(Py_3_12) { "_asyncio." } else { "" };
                    format!("<{module}TaskStepMethWrapper object at {:p}>", callback.as_any().as_ptr())
                }
            };
            Ok(PyString::new(py, &text).into_any())
        });
        t.getter(c"__class__", |callback| match wakes(callback) {
            Some(_) => Ok(callback.py().get_type::<PyCFunction>().into_any()),
            None => Ok(callback.as_any().get_type().into_any()),
        });
        t.getter(c"__name__", |callback| match wakes(callback) {
            Some(_) => Ok(PyString::new(callback.py(), "task_wakeup").into_any()),
            None => {
                Err(PyAttributeError::new_err("'TaskStepMethWrapper' object has no attribute '__name__'"))
            }
        });
        t.getter(c"__qualname__", |callback| match wakes(callback) {
            Some(task) => {
                let class = task.as_any().get_type().qualname()?;
                Ok(PyString::new(callback.py(), &format!("{class}.task_wakeup")).into_any())
            }
            None => {
                Err(PyAttributeError::new_err("'TaskStepMethWrapper' object has no attribute '__qualname__'"))
            }
        });
        t.getter(c"__self__", |callback| {
            Ok(callback.task.obj(callback.py()).map_or_else(|| none(callback.py()), Obj::into_any))
        });
    }

    references! { task, error }
}
