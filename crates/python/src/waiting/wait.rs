//! `wait`: waits for several futures, until the first is done, the first has failed, or all are done.
//!
//! The routine's owner is the `fs` argument, later the set of its futures; timeout and `return_when` are in
//! the first two slots, then the [`Wait`] in the first. The futures' reactions act on that.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyAssertionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyList, PySet, PyTuple};
use yibu_driver::memory::MakeRoom;

use super::release::release;
use crate::alarms::{self, Alarm};
use crate::callbacks::{Reaction, forget, react};
use crate::coroutines::{Routine, Step, is_coroutine, taken};
use crate::errors;
use crate::ffi::class::Plain;
use crate::ffi::{Args, Class, ClassState, Create, Obj, Output, Ref, Signature, Slot, Table, references};
use crate::functions::running_loop;
use crate::futures::{self, future_like};
use crate::mixins::create_future;
use crate::replaced::names::running_loop::OF_TASKS;

/// `wait`'s parameters.
pub const WAIT: Signature<3> = Signature::new("wait", "fs, *, timeout=None, return_when='ALL_COMPLETED'");
/// What `help(wait)` says.
pub const DOC: &str = "Coroutine that waits for futures and returns the sets of those that are done and those that are pending; by timeout seconds, or when as many are done as return_when says.";

/// `return_when`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Until {
    First,
    FirstException,
    #[default]
    All,
}

impl Until {
    fn of(return_when: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(given) = return_when else { return Ok(Self::All) };
        for (name, until) in [
            ("FIRST_COMPLETED", Self::First),
            ("FIRST_EXCEPTION", Self::FirstException),
            ("ALL_COMPLETED", Self::All),
        ] {
            if given.eq(name)? {
                return Ok(until);
            }
        }
        Err(PyValueError::new_err(text!("Invalid return_when value: {}", given.str()?)?))
    }
}

/// The state of a `wait` that is not over.
#[derive(Default)]
pub struct Wait {
    left: Cell<usize>,
    until: Cell<Until>,
    /// The future that the routine awaits.
    waiter: Slot,
    alarm: Slot<Alarm>,
    /// The task that waits, as call graphs show it (3.14).
    task: Slot,
}

static WAIT_STATE: ClassState = ClassState::new();

/// The reaction on each future: one more is done.
static COMPLETION: Reaction = Reaction {
    name: "_wait.<locals>._on_completion",
    run: completed,
    waiter: |wait| Obj::<Wait>::cast(wait)?.task.get(wait.py()),
    standard: None,
};

/// `wait(fs, *, timeout=None, return_when=ALL_COMPLETED)`.
pub fn wait<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [futures, timeout, return_when] = args.parse_given(&WAIT)?;
    let futures = futures.unwrap_or_else(|| crate::ffi::none(args.py()));
    let routine = Routine::begin(&futures, WAIT.function, begin)?;
    if let Some(timeout) = timeout.filter(|timeout| !timeout.is_none()) {
        routine.first.put(timeout);
    }
    if let Some(return_when) = return_when {
        routine.second.put(return_when);
    }
    Ok(routine.into_any())
}

/// TypeError and ValueError for what is no collection of futures, or an empty one.
fn check(given: &Bound<'_, PyAny>) -> PyResult<()> {
    let plain = given.is_exact_instance_of::<PyList>()
        || given.is_exact_instance_of::<PyTuple>()
        || given.is_exact_instance_of::<PySet>()
        || given.is_exact_instance_of::<PyFrozenSet>();
    if !plain && (future_like::is_future(given)? || is_coroutine(given)?) {
        let class = given.get_type().name()?;
        return Err(PyTypeError::new_err(format!("expect a list of futures, not {class}")));
    }
    if given.is_truthy()? { Ok(()) } else { Err(PyValueError::new_err("Set of Tasks/Futures is empty.")) }
}

/// Calls `f` with every element of a set, and returns the elements: to go through these costs less than to go
/// through the set again.
fn each<'py>(
    futures: &Bound<'py, PySet>,
    mut f: impl FnMut(&Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut elements = Vec::new();
    errors::room(elements.make_room(futures.len()))?;
    for future in futures.try_iter()? {
        let future = future?;
        f(&future)?;
        elements.push(future);
    }
    Ok(elements)
}

fn refuse_coroutine(future: &Bound<'_, PyAny>) -> PyResult<()> {
    if futures::exact(future).is_none() && is_coroutine(future)? {
        return Err(PyTypeError::new_err("Passing coroutines is forbidden, use tasks explicitly."));
    }
    Ok(())
}

fn begin<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let given = routine.owner.get_or_none(py);
    check(&given)?;
    let until = Until::of(routine.second.get(py).as_ref())?;
    let futures = py.get_type::<PySet>().call1((&given,))?.cast_into::<PySet>()?;
    let elements = each(&futures, refuse_coroutine)?;
    let event_loop = running_loop(py, &OF_TASKS)?;
    // An iterator is true whatever it gives.
    if futures.is_empty() {
        return Err(PyAssertionError::new_err("Set of Futures is empty."));
    }
    let waiter = create_future(&event_loop)?;
    let wait = Wait::create(py)?;
    wait.left.set(futures.len());
    wait.until.set(until);
    wait.waiter.put(waiter.clone());
    if let Some(timeout) = routine.first.get(py) {
        wait.alarm.set(Ref::of(alarms::set_after(&event_loop, &timeout, &waiter, release)?));
    }
    #[cfg(Py_3_14)]
    if let Some(task) = crate::core::current::running_task(&event_loop)? {
        wait.task.put(task);
    }
    for future in &elements {
        react(future, &COMPLETION, wait.as_any())?;
    }
    routine.owner.put(futures);
    routine.first.put(wait.into_any());
    Ok(Step::Await(waiter, finish))
}

/// Whether a future has an exception, which is marked as retrieved.
fn failed(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(!future_like::is_cancelled(future)? && future_like::exception(future)?.is_some())
}

fn completed(wait: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(wait) = Obj::<Wait>::cast(wait) else { return Ok(()) };
    let left = wait.left.get().saturating_sub(1);
    wait.left.set(left);
    let over = match wait.until.get() {
        _ if left == 0 => true,
        Until::First => true,
        Until::FirstException => failed(future)?,
        Until::All => false,
    };
    if !over {
        return Ok(());
    }
    if let Some(alarm) = wait.alarm.obj(wait.py()) {
        alarms::cancel(&alarm)?;
    }
    release(&wait.waiter.get_or_none(wait.py()))
}

fn finish<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let wait = taken(py, &routine.first);
    let done = taken(py, &routine.owner).cast_into::<PySet>()?;
    let alarm = Obj::<Wait>::cast(&wait).and_then(|wait| wait.alarm.take());
    if let Some(alarm) = alarm {
        alarms::cancel(&alarm.into_obj(py))?;
    }
    let elements = each(&done, |future| forget(future, &COMPLETION, &wait))?;
    waited?;
    let pending = PySet::empty(py)?;
    for future in &elements {
        if !future_like::is_done(future)? {
            pending.add(future)?;
        }
    }
    for future in pending.try_iter()? {
        done.discard(&future?)?;
    }
    Ok(Step::Return(PyTuple::new(py, [done, pending])?.into_any()))
}

impl Class for Wait {
    const NAME: &'static CStr = c"yibu.Wait";
    type Header = Plain;
    const FREELIST: usize = 64;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &WAIT_STATE;

    fn table(t: &mut Table<Self>) {
        t.doc(c"What is still to come before a wait() is over.");
        t.getter(c"_alarm", |wait| Ok(wait.alarm.get_or_none(wait.py())));
    }

    references! { waiter, alarm, task }
}
