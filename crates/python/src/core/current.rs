//! Tells the standard library which task runs on which loop, because `asyncio.current_task()` and its callers
//! must see native tasks.
//!
//! Up to 3.13 that is an entry in a dict (`_current_tasks`), from 3.14 on a field of the thread state
//! (`ffi/src/running.rs`). Between two consecutive steps no Python code could see that no task is current, so
//! [`leave`] only marks the task as left. Every entry that runs Python code and is not a step calls
//! [`flush_leave`] first, which changes the record; entries that run no Python code (an alarm, the end of a
//! job) leave it as it is. Called by tasks and by the kinds of entries.

#[cfg(not(Py_3_14))]
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::EventLoop;
use super::noted_task::Recorded;
#[cfg(not(Py_3_14))]
use crate::ffi::dict;
#[cfg(Py_3_14)]
use crate::ffi::running::swap_task;
use crate::ffi::{Obj, Output};
use crate::functions::running;
use crate::stock;

mod table {
    //! The dict `{loop: task}`; since 3.14 it is that of asyncio's Python tasks alone.
    use pyo3::prelude::*;
    use pyo3::sync::PyOnceLock;
    use pyo3::types::PyDict;

    pub fn tasks(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
        static TASKS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
        let tasks = TASKS.get_or_try_init(py, || {
            let tasks = crate::stock::module(py, "asyncio.tasks")?.getattr(name!("_current_tasks"))?;
            Ok::<_, PyErr>(tasks.cast_into::<PyDict>()?.unbind())
        })?;
        Ok(tasks.bind(py))
    }
}

/// `_enter_task` for a native loop. RuntimeError when another task runs there.
#[inline]
pub fn enter(event_loop: &Obj<'_, EventLoop>, task: &Bound<'_, PyAny>) -> PyResult<()> {
    let recorded = &event_loop.current.recorded;
    #[cfg(not(Py_3_14))]
    {
        let tasks = table::tasks(task.py())?;
        let (noted, address) = (&event_loop.current.noted, task.as_ptr().addr());
        if recorded.get() == Recorded::Stale {
            if noted.get() == (address, dict::version(tasks)) {
                recorded.set(Recorded::Running);
                return Ok(());
            }
        } else if let Some(other) = tasks.get_item(event_loop.as_any())? {
            return Err(already_running(task, &other));
        }
        let hash = match event_loop.current.hash.get() {
            Some(hash) => hash,
            None => event_loop.as_any().hash()?,
        };
        event_loop.current.hash.set(Some(hash));
        dict::set_item(tasks, event_loop.as_any(), hash, task)?;
        noted.set((address, dict::version(tasks)));
    }
    #[cfg(Py_3_14)]
    {
        // Where a task is noted whose step has ended, this one takes its place; otherwise there must be none.
        let is_stale = recorded.get() == Recorded::Stale;
        if swap_task(event_loop.as_any(), Some(task), |other| is_stale || other.is_none()).is_none() {
            enter_by_function(event_loop.as_any(), task, is_stale)?;
        }
    }
    recorded.set(Recorded::Running);
    Ok(())
}

/// [`enter`] where asyncio's function has to do it, or has to say what is wrong.
#[cfg(Py_3_14)]
#[cold]
fn enter_by_function(event_loop: &Bound<'_, PyAny>, task: &Bound<'_, PyAny>, is_stale: bool) -> PyResult<()> {
    if is_stale {
        return swap(event_loop, task).map(drop);
    }
    as_running(event_loop, || stock::enter_task(task.py())?.call1((event_loop, task))).map(drop)
}

#[cfg(not(Py_3_14))]
#[cold]
fn already_running(task: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyErr {
    let text = || {
        let (task, other) = (task.repr()?, other.repr()?);
        text!("Cannot enter into task {task} while another task {other} is being executed.")
    };
    match text() {
        Ok(text) => PyRuntimeError::new_err(text),
        Err(error) => error,
    }
}

/// `_leave_task` for a native loop.
#[inline]
pub fn leave(event_loop: &Obj<'_, EventLoop>) {
    event_loop.current.recorded.set(Recorded::Stale);
}

/// Makes the standard library see that no task runs. To be called before anything but a step of a task runs.
#[inline]
pub fn flush_leave(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if event_loop.current.recorded.get() == Recorded::Stale { clear(event_loop) } else { Ok(()) }
}

/// [`flush_leave`] for the running loop, whatever its kind.
pub fn flush_leave_running(py: Python<'_>) -> PyResult<()> {
    match running(py)?.as_ref().and_then(Obj::cast) {
        Some(native) => flush_leave(native),
        None => Ok(()),
    }
}

fn clear(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    event_loop.current.recorded.set(Recorded::None);
    let py = event_loop.py();
    #[cfg(not(Py_3_14))]
    {
        let tasks = table::tasks(py)?;
        if tasks.contains(event_loop.as_any())? {
            tasks.del_item(event_loop.as_any())?;
        }
        Ok(())
    }
    #[cfg(Py_3_14)]
    swap(event_loop.as_any(), &crate::ffi::none(py)).map(drop)
}

/// The task whose step has just ended, if the last entry that ran Python code was one.
pub fn left_task<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if event_loop.current.recorded.get() != Recorded::Stale {
        return Ok(None);
    }
    #[cfg(not(Py_3_14))]
    return table::tasks(event_loop.py())?.get_item(event_loop.as_any());
    #[cfg(Py_3_14)]
    {
        let task = swap(event_loop.as_any(), &crate::ffi::none(event_loop.py()))?;
        swap(event_loop.as_any(), &task)?;
        Ok((!task.is_none()).then_some(task))
    }
}

/// `asyncio.current_task(event_loop)` on any loop: the task that runs there, if one does.
#[inline]
pub fn running_task<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if Obj::<EventLoop>::cast(event_loop)
        .is_some_and(|native| native.current.recorded.get() == Recorded::Stale)
    {
        return Ok(None);
    }
    #[cfg(not(Py_3_14))]
    return table::tasks(event_loop.py())?.get_item(event_loop);
    #[cfg(Py_3_14)]
    {
        let task = crate::ffi::call::call1(stock::current_task(event_loop.py())?, event_loop)?;
        if task.is_none() { table::tasks(event_loop.py())?.get_item(event_loop) } else { Ok(Some(task)) }
    }
}

/// `_enter_task` for any loop.
pub fn enter_foreign(event_loop: &Bound<'_, PyAny>, task: &Bound<'_, PyAny>) -> PyResult<()> {
    stock::enter_task(task.py())?.call1((event_loop, task)).map(drop)
}

/// `_leave_task` for any loop.
pub fn leave_foreign(event_loop: &Bound<'_, PyAny>, task: &Bound<'_, PyAny>) -> PyResult<()> {
    stock::leave_task(task.py())?.call1((event_loop, task)).map(drop)
}

/// `_swap_current_task`: makes `task` (or None) current and gives the previous one, or None.
pub fn swap<'py>(event_loop: &Bound<'py, PyAny>, task: &Bound<'py, PyAny>) -> Output<'py> {
    let py = event_loop.py();
    #[cfg(Py_3_14)]
    return match swap_task(event_loop, (!task.is_none()).then_some(task), |_| true) {
        Some(before) => Ok(before.unwrap_or_else(|| crate::ffi::none(py))),
        None => as_running(event_loop, || {
            crate::ffi::call::call(stock::swap_current_task(py)?, [event_loop, task])
        }),
    };
    #[cfg(all(Py_3_12, not(Py_3_14)))]
    return crate::ffi::call::call(stock::swap_current_task(py)?, [event_loop, task]);
    #[cfg(not(Py_3_12))]
    {
        // Eager tasks came with 3.12; before, nothing calls this.
        let tasks = table::tasks(py)?;
        let previous = tasks.get_item(event_loop)?.unwrap_or_else(|| crate::ffi::none(py));
        if task.is_none() {
            tasks.del_item(event_loop)?
        } else {
            tasks.set_item(event_loop, task)?
        }
        Ok(previous)
    }
}

/// Runs only while the standard library considers the loop to be running, which is always except in a forked
/// child.
#[cfg(Py_3_14)]
#[inline]
fn as_running<'py>(event_loop: &Bound<'py, PyAny>, note: impl FnOnce() -> Output<'py>) -> Output<'py> {
    match Obj::<EventLoop>::cast(event_loop) {
        Some(native) if native.current.forked.get() => {
            let py = event_loop.py();
            let known = stock::get_running_loop(py)?.call0()?;
            let set = stock::set_running_loop(py)?;
            set.call1((event_loop,))?;
            let noted = note();
            set.call1((known,))?;
            noted
        }
        _ => note(),
    }
}
