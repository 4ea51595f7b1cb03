//! `InnerCoroutine`: what a routine shows as the coroutine that it awaits, where the standard library's
//! function is made of several.
//!
//! `wait()` awaits `_wait()`, which awaits a future; the native one awaits the future itself. Call graphs and
//! debuggers, which follow `cr_await`, find what asyncio would show. Made by [`super::routine`] when asked;
//! it can be looked at only.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::details::{Details, code};
use super::protocol::{Advanced, Coroutine, protocol};
use super::routine::Routine;
use crate::ffi::class::Weak;
use crate::ffi::{Class, ClassState, Create, Obj, Output, Ref, Slot, Table, none, references};
use crate::stock::counterparts::function;

/// The data of an inner coroutine.
#[derive(Default)]
pub struct InnerCoroutine {
    outer: Slot<Routine>,
    /// Its own name, then those of the coroutines further within.
    names: Cell<&'static [&'static str]>,
    details: Details,
    started: Cell<bool>,
    iterated: Cell<bool>,
}

static INNER: ClassState = ClassState::new();

/// `async with` has one function for all classes of locks.
const ENTERING: &str = "_ContextManagerMixin.__aenter__";

/// Whose `acquire` a routine awaits that enters `async with`; of a program's class, the class of asyncio that
/// it derives from.
pub fn acquire_awaited(routine: &Obj<'_, Routine>) -> PyResult<Option<&'static str>> {
    if routine.name() != ENTERING {
        return Ok(None);
    }
    for class in routine.owner.get_or_none(routine.py()).get_type().mro() {
        match class.cast::<PyType>()?.name()?.to_str()? {
            "Lock" => return Ok(Some("Lock.acquire")),
            "Condition" => return Ok(Some("Condition.acquire")),
            "Semaphore" => return Ok(Some("Semaphore.acquire")),
            _ => {}
        }
    }
    Ok(None)
}

/// The coroutines that a routine shows between itself and the native future that it waits for, if it does.
pub fn names_shown(routine: &Obj<'_, Routine>) -> PyResult<&'static [&'static str]> {
    if routine.awaited_future(routine.py()).is_some() { within(routine) } else { Ok(&[]) }
}

/// The coroutines that stand between a routine and the future it waits for, by the names of asyncio's
/// functions.
fn within(routine: &Obj<'_, Routine>) -> PyResult<&'static [&'static str]> {
    Ok(match routine.name() {
        "wait" => &["_wait"],
        "TaskGroup.__aexit__" => &["TaskGroup._aexit"],
        "_AsCompletedIterator.__anext__" => &["_AsCompletedIterator._wait_for_one", "Queue.get"],
        "_AsCompletedIterator._wait_for_one" | "as_completed.<locals>._wait_for_one" => &["Queue.get"],
        "StreamReader.__anext__" => {
            &["StreamReader.readline", "StreamReader.readuntil", "StreamReader._wait_for_data"]
        }
        "StreamReader.readline" => &["StreamReader.readuntil", "StreamReader._wait_for_data"],
        "StreamReader.readuntil" | "StreamReader.readexactly" | "StreamReader.read" => {
            &["StreamReader._wait_for_data"]
        }
        "StreamWriter.drain" => &["FlowControlMixin._drain_helper"],
        "Queue.join" => &["Event.wait"],
        "Process.wait" => &["BaseSubprocessTransport._wait"],
        ENTERING => match acquire_awaited(routine)? {
            Some("Semaphore.acquire") => &["Semaphore.acquire"],
            _ => &["Lock.acquire"],
        },
        _ => &[],
    })
}

/// What a routine that waits for a future shows as `cr_await`: the future, or what stands between.
pub fn shown<'py>(routine: &Obj<'py, Routine>, future: Bound<'py, PyAny>) -> Output<'py> {
    let names = within(routine)?;
    if names.is_empty() { Ok(future) } else { next(routine, names, routine.details(), future) }
}

/// Around the coroutine that a routine awaits, likewise: which steps of asyncio's are between them.
pub fn around<'py>(routine: &Obj<'py, Routine>, coroutine: Bound<'py, PyAny>) -> Output<'py> {
    let waits_inside = Obj::<Routine>::cast(&coroutine).is_some_and(|inner| inner.name() == "Condition.wait");
    if routine.name() != "Barrier.wait" || !waits_inside {
        return Ok(coroutine);
    }
    let state = routine.owner.get_or_none(routine.py()).getattr(name!("_state"))?.getattr(name!("value"))?;
    let names: &[&str] = if state.eq(name!("filling"))? {
        &["Barrier._wait", "Condition.wait_for"]
    } else {
        &["Barrier._block", "Condition.wait_for"]
    };
    next(routine, names, routine.details(), coroutine)
}

/// What a routine shows that waits one turn: `sleep(0)` awaits a generator, which yields once.
pub fn of_a_turn<'py>(routine: &Obj<'py, Routine>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = routine.py();
    if routine.name() != "sleep" {
        return Ok(None);
    }
    let inner = &routine.details().knowing().inner;
    if inner.is_empty()
        && let Some(turn) = function(py, "__sleep0")?
    {
        let generator = turn.call0()?;
        generator.call_method1(name!("send"), (none(py),))?;
        inner.put(generator);
        routine.track();
    }
    Ok(inner.get(py))
}

/// The coroutine of the first name that this interpreter's asyncio has.
fn next<'py>(
    routine: &Obj<'py, Routine>,
    mut names: &'static [&'static str],
    details: &Details,
    future: Bound<'py, PyAny>,
) -> Output<'py> {
    let py = routine.py();
    if let Some(inner) = details.known().and_then(|known| known.inner.get(py)) {
        return Ok(inner);
    }
    while let [name, rest @ ..] = names {
        if code(py, name)?.is_some() {
            let inner = InnerCoroutine::create(py)?;
            inner.outer.set(Ref::of(routine.clone()));
            inner.names.set(names);
            inner.started.set(true);
            details.knowing().inner.put(inner.as_any().clone());
            routine.track();
            return Ok(inner.into_any());
        }
        names = rest;
    }
    Ok(future)
}

impl Coroutine for InnerCoroutine {
    fn advance<'py>(_: &Obj<'py, Self>) -> Advanced<'py> {
        Err(awaited_already())
    }

    fn throw<'py>(_: &Obj<'py, Self>, _: PyErr) -> Advanced<'py> {
        Err(awaited_already())
    }

    fn finish(_: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }

    fn name(&self) -> &'static str {
        self.names.get().first().copied().unwrap_or_default()
    }

    fn started(&self) -> &Cell<bool> {
        &self.started
    }

    fn iterated(&self) -> &Cell<bool> {
        &self.iterated
    }

    fn is_running(&self) -> bool {
        false
    }

    /// It is there while the routine waits.
    fn is_over(coroutine: &Obj<'_, Self>) -> bool {
        coroutine.outer.obj(coroutine.py()).is_none_or(|outer| outer.awaited(outer.py()).is_none())
    }

    fn details(&self) -> &Details {
        &self.details
    }

    fn awaiting<'py>(coroutine: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = coroutine.py();
        let Some(routine) = coroutine.outer.obj(py) else { return Ok(None) };
        let Some(future) = routine.awaited(py) else { return Ok(None) };
        let rest = coroutine.names.get().get(1..).unwrap_or_default();
        next(&routine, rest, &coroutine.details, future).map(Some)
    }

    fn parameter<'py>(coroutine: &Obj<'py, Self>, name: &str) -> Option<Bound<'py, PyAny>> {
        let py = coroutine.py();
        let routine = coroutine.outer.obj(py)?;
        let class = |name: &'static str| name.split_once('.').map(|(class, _)| class);
        if class(coroutine.name()) == class(routine.name()) {
            Routine::parameter(&routine, name)
        } else {
            None
        }
    }
}

#[cold]
fn awaited_already() -> PyErr {
    PyRuntimeError::new_err("coroutine is being awaited already")
}

impl Class for InnerCoroutine {
    const NAME: &'static CStr = c"builtins.coroutine";
    const BARE_NAME: bool = true;
    type Header = Weak;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &INNER;

    fn table(t: &mut Table<Self>) {
        protocol(t);
    }

    references! { outer, details }
}
