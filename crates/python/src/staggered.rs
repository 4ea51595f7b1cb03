//! `staggered_race`: `asyncio.staggered`, native. Attempts that start one after the other, until one
//! succeeds.
//!
//! Each attempt is a task: a [`Routine`] which waits until the attempt before it has failed, or the delay is
//! over, starts the next one, and then awaits what it was given. Earlier Pythons left the attempts to
//! themselves when the race was cancelled, and lost those of eager tasks; this is the race of 3.14, which
//! 3.12.9 and 3.13.2 have, too. Called by Python code: the loop's own connections have theirs in
//! `event_loop/connect.rs`.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PySet, PyTuple};

use crate::alarms::{self, Alarm};
use crate::callbacks::{self, Reaction};
use crate::core::current;
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::class::Plain;
use crate::ffi::raised::raise;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Signature, Slot, Table, none, references,
};
use crate::functions::{self, running_loop};
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::replaced::names::running_loop::OF_STAGGERED;
use crate::tasks::spawn_on;
use crate::{names, stock};

const RACE: Signature<3> = Signature::new("staggered_race", "coro_fns, delay, *, loop=None");
const DOC: &str = "Coroutine that starts the coroutine functions one after the other, the next one when the last one failed or after delay seconds, until one succeeds. Returns its result, its number, and the exceptions of those that were started.";

/// Builds the class and adds the function.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    Table::<Race>::build(module.py(), None)?;
    functions::add(module, &RACE, staggered_race, DOC)
}

/// What the attempts share.
#[derive(Default)]
struct Race {
    event_loop: Slot,
    /// The coroutine functions not yet called.
    functions: Slot,
    delay: Slot,
    /// The task that races, for call graphs.
    parent: Slot,
    /// A set of the attempts' tasks.
    running: Slot,
    /// What the race waits for: done when no attempt runs any more.
    completed: Slot,
    /// A list: what each attempt raised.
    exceptions: Slot,
    /// A list: what ended an attempt that was not its own failure.
    unhandled: Slot,
    result: Slot,
    winner: Slot,
    /// How many attempts were started.
    count: Cell<u64>,
}

static STATE: ClassState = ClassState::new();

/// What happens when an attempt's task is done.
static ATTEMPT_DONE: Reaction = Reaction {
    name: "staggered_race.<locals>.task_done",
    run: |race, task| match Obj::<Race>::cast(race) {
        Some(race) => attempt_done(race, task),
        None => Ok(()),
    },
    waiter: |race| Obj::<Race>::cast(race)?.parent.get(race.py()),
    standard: None,
};

/// `staggered_race(coro_fns, delay, *, loop=None)`. The routine's owner is the race.
fn staggered_race<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [functions, delay, event_loop] = args.parse(&RACE)?;
    let race = Race::create(args.py())?;
    race.functions.put(functions);
    race.delay.put(delay);
    race.event_loop.put(event_loop);
    Ok(Routine::begin(race.as_any(), RACE.function, begin)?.into_any())
}

fn begin<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let race = routine.owner::<Race>(py)?;
    if !race.event_loop.get_or_none(py).is_truthy()? {
        race.event_loop.put(running_loop(py, &OF_STAGGERED)?);
    }
    let event_loop = race.event_loop.get_or_none(py);
    if let Some(parent) = current::running_task(&event_loop)? {
        race.parent.put(parent);
    }
    race.functions.put(race.functions.get_or_none(py).try_iter()?);
    race.running.put(PySet::empty(py)?);
    race.exceptions.put(PyList::empty(py));
    race.unhandled.put(PyList::empty(py));
    start_attempt(&race, None)?;
    wait(routine)
}

/// Waits until no attempt runs. A cancellation, which the second slot keeps, is one of all attempts.
fn wait<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let race = routine.owner::<Race>(py)?;
    if race.running(py)?.is_empty() {
        return finish(routine, &race);
    }
    let completed = create_future(&race.event_loop.get_or_none(py))?;
    race.completed.put(completed.clone());
    Ok(Step::Await(completed, |routine, waited| {
        let py = routine.py();
        let race = routine.owner::<Race>(py)?;
        race.completed.clear();
        if let Err(error) = waited {
            let error = Raised::from_err(py, error);
            if !error.is_instance_of(stock::cancelled_error(py)?) {
                return Err(error.into_err());
            }
            let message = error.as_any().getattr(name!("args"))?.cast_into::<PyTuple>()?;
            routine.second.put(error.into_any());
            for task in race.tasks(py)? {
                task.call_method1(names::cancel(py), message.clone())?;
            }
        }
        wait(routine)
    }))
}

fn finish<'py>(routine: &Obj<'py, Routine>, race: &Obj<'py, Race>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let unhandled = taken(py, &race.unhandled);
    if unhandled.is_truthy()? && !is_optimized(py)? {
        if cfg!(not(Py_3_12)) {
            return Err(raise(unhandled.get_item(0)?));
        }
        let group = stock::module(py, "builtins")?.getattr(name!("ExceptionGroup"))?;
        return Err(raise(group.call1(("staggered race failed", unhandled))?));
    }
    if let Some(cancelled) = routine.second.take() {
        return Err(PyErr::from_value(cancelled.into_any(py)));
    }
    let answer = [taken(py, &race.result), taken(py, &race.winner), taken(py, &race.exceptions)];
    Ok(Step::Return(PyTuple::new(py, answer)?.into_any()))
}

/// Whether Python runs without `__debug__`.
fn is_optimized(py: Python<'_>) -> PyResult<bool> {
    stock::module(py, "sys")?.getattr(name!("flags"))?.getattr(name!("optimize"))?.is_truthy()
}

impl Race {
    /// The attempts' tasks.
    fn running<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        Ok(self.running.get_or_none(py).cast_into()?)
    }

    /// A copy: cancelling one may end it.
    fn tasks<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.running(py)?.try_iter()?.collect()
    }
}

/// Starts the task of the next attempt. `failed` is done when the attempt before it has failed.
fn start_attempt<'py>(race: &Obj<'py, Race>, failed: Option<Bound<'py, PyAny>>) -> PyResult<()> {
    let py = race.py();
    let event_loop = race.event_loop.get_or_none(py);
    // An eager task would begin before it is among those that run.
    let may_start = create_future(&event_loop)?;
    let attempt = Routine::begin(race.as_any(), "staggered_race.<locals>.run_one_coro", attempt)?;
    attempt.first.put(may_start.clone());
    if let Some(failed) = failed {
        attempt.second.put(failed);
    }
    let task = spawn_on(&event_loop, attempt.as_any())?;
    race.running(py)?.add(&task)?;
    callbacks::react(&task, &ATTEMPT_DONE, race.as_any())?;
    future_like::set_none(&may_start)
}

fn attempt_done<'py>(race: &Obj<'py, Race>, task: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = race.py();
    let running = race.running(py)?;
    running.discard(task)?;
    if running.is_empty()
        && let Some(completed) = race.completed.get(py)
    {
        future_like::set_none(&completed)?;
    }
    if future_like::is_cancelled(task)? {
        return Ok(());
    }
    match future_like::exception(task)? {
        Some(error) => race.unhandled.get_or_none(py).cast_into::<PyList>()?.append(error),
        None => Ok(()),
    }
}

/// An attempt: first the future that lets it start.
fn attempt<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    Ok(Step::Await(taken(routine.py(), &routine.first), |routine, started| {
        started?;
        wait_for_turn(routine)
    }))
}

/// Waits until the attempt before this one has failed, or the delay is over.
fn wait_for_turn<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let Some(failed) = routine.second.get(py) else { return call_next(routine) };
    let race = routine.owner::<Race>(py)?;
    let delay = race.delay.get_or_none(py);
    if !delay.is_none() && !future_like::is_done(&failed)? {
        let alarm =
            alarms::set_after(&race.event_loop.get_or_none(py), &delay, &failed, future_like::set_none)?;
        routine.third.put(alarm.into_any());
    }
    Ok(Step::Await(failed, |routine, waited| {
        let alarm = taken(routine.py(), &routine.third);
        if let Some(alarm) = Obj::<Alarm>::cast(&alarm) {
            alarms::cancel(alarm)?;
        }
        waited?;
        call_next(routine)
    }))
}

/// Calls the next function, if there is one, and lets the attempt after it get ready. From now on the second
/// slot has the future that says to that one when this one has failed.
fn call_next<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let race = routine.owner::<Race>(py)?;
    let Some(function) = race.functions.get_or_none(py).cast_into::<PyIterator>()?.next() else {
        return Ok(Step::Return(none(py)));
    };
    let function = function?;
    routine.number.set(race.count.get());
    race.count.set(race.count.get() + 1);
    let failed = create_future(&race.event_loop.get_or_none(py))?;
    routine.second.put(failed.clone());
    start_attempt(&race, Some(failed))?;
    race.exceptions.get_or_none(py).cast_into::<PyList>()?.append(none(py))?;
    match function.call0() {
        Ok(coroutine) => Ok(Step::Await(coroutine, ended)),
        Err(error) => ended(routine, Err(error)),
    }
}

/// The function's coroutine is over.
fn ended<'py>(routine: &Obj<'py, Routine>, outcome: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let race = routine.owner::<Race>(py)?;
    match outcome {
        Ok(result) => {
            race.result.put(result);
            race.winner.put(routine.number.get().into_pyobject(py)?.into_any());
            let this = current::running_task(&race.event_loop.get_or_none(py))?;
            for task in race.tasks(py)? {
                if !this.as_ref().is_some_and(|this| this.is(&task)) {
                    task.call_method0(names::cancel(py))?;
                }
            }
        }
        Err(error) => {
            let error = Raised::from_err(py, error);
            if error.is::<PySystemExit>() || error.is::<PyKeyboardInterrupt>() {
                return Err(error.into_err());
            }
            let number = usize::try_from(routine.number.get()).unwrap_or(usize::MAX);
            race.exceptions.get_or_none(py).set_item(number, error.as_any())?;
            future_like::set_none(&taken(py, &routine.second))?;
        }
    }
    Ok(Step::Return(none(py)))
}

impl Class for Race {
    const NAME: &'static CStr = c"yibu.StaggeredRace";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &STATE;

    fn table(t: &mut Table<Self>) {
        t.doc(c"What the attempts of a staggered_race() share.");
    }

    references! {
        event_loop, functions, delay, parent, running, completed, exceptions, unhandled, result, winner,
    }
}
