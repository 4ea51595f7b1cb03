//! What a trace asks of tasks: their numbers, and what they wait for.
//!
//! A task gets its number when the trace first sees it. Called by `tracing/steps.rs`.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
use yibu_observing::trace::{Kind, NO_NAME, halves};

use super::state::{Task, name};
use crate::core::recording::Recording;
use crate::core::{EventLoop, tracing};
use crate::coroutines::protocol::Coroutine;
use crate::coroutines::{NativeCoroutine, Routine, acquire_awaited};
use crate::ffi::Obj;
use crate::futures::State;
use crate::stock;

static LAST: AtomicU32 = AtomicU32::new(0);

/// What the tasks of the trace that begins now have larger numbers than.
pub fn last_number() -> u32 {
    LAST.load(Ordering::Relaxed)
}

/// A task that awaits through more coroutines than this is said to wait for what its last future is.
const DEEPEST: usize = 100;

/// The number of a task, which is of an older trace unless it is larger than [`Recording::first_task`]; 0 if
/// no trace has seen it.
#[inline]
pub fn number(task: &Task) -> u32 {
    task.own.traced.get()
}

/// Gives a task that the trace has not seen a number, and tells its name; 0 where the ring has no room for
/// that.
pub fn begin(task: &Obj<'_, Task>, recording: &Recording, since: u64, thread: u32) -> PyResult<u32> {
    let py = task.py();
    let function = recording.name_of_code(&task.code(py))?;
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let head = [halves(number, function), since, thread.into()];
    let told = match task.own.number.get() {
        own if own != 0 && task.own.name.is_empty() => {
            recording.push_text(py, Kind::Task, head, &format!("Task-{own}"))
        }
        _ => recording.push_text(py, Kind::Task, head, &name(task).str()?.to_string_lossy()),
    };
    if !told {
        return Ok(0);
    }
    task.own.traced.set(number);
    Ok(number)
}

/// The name of what a task waits for: the function of asyncio, or else the innermost coroutine that it
/// awaits, or else the class of the future.
pub fn waits_for(task: &Obj<'_, Task>, event_loop: &EventLoop) -> PyResult<u32> {
    let py = task.py();
    let Some(waiter) = task.own.waiter.get(py).filter(|_| task.base.state() == State::Pending) else {
        return Ok(NO_NAME);
    };
    let (coroutine_class, generator_class) = (stock::coroutine(py)?, stock::generator(py)?);
    let mut coroutine = task.own.coroutine.get_or_none(py);
    for depth in 0..DEEPEST {
        if let Some(routine) = Obj::<Routine>::cast(&coroutine) {
            let name = acquire_awaited(routine)?.unwrap_or_else(|| Coroutine::name(&**routine));
            return Ok(static_name(event_loop, py, name));
        }
        if let Some(native) = Obj::<NativeCoroutine>::cast(&coroutine) {
            return Ok(static_name(event_loop, py, Coroutine::name(&**native)));
        }
        let class = coroutine.get_type();
        let (code, awaited) = if class.is(coroutine_class) {
            (name!("cr_code"), name!("cr_await"))
        } else if class.is(generator_class) {
            (name!("gi_code"), name!("gi_yieldfrom"))
        } else {
            break;
        };
        let awaited = coroutine.getattr(awaited)?;
        let goes_on = awaited.get_type().is(coroutine_class) || awaited.get_type().is(generator_class);
        if depth > 0 && !goes_on && !is_native_coroutine(&awaited) {
            return code_name(event_loop, &coroutine.getattr(code)?);
        }
        coroutine = awaited;
    }
    match Obj::<Task>::cast(&waiter) {
        Some(task) => code_name(event_loop, &task.code(py)),
        None => code_name(event_loop, waiter.get_type().as_any()),
    }
}

/// The number of a text of the program itself.
#[inline]
fn static_name(event_loop: &EventLoop, py: Python<'_>, text: &'static str) -> u32 {
    let address = text.as_ptr().addr();
    tracing::name_at(event_loop, address).unwrap_or_else(|| {
        let name = tracing::recording(event_loop).map_or(NO_NAME, |it| it.name_of_static(py, text));
        learn(event_loop, address, name)
    })
}

/// The number of the name of a code object or a class.
#[inline]
fn code_name(event_loop: &EventLoop, code: &Bound<'_, PyAny>) -> PyResult<u32> {
    let address = code.as_ptr().addr();
    if let Some(name) = tracing::name_at(event_loop, address) {
        return Ok(name);
    }
    let name =
        tracing::recording(event_loop).map_or(Ok(NO_NAME), |recording| recording.name_of_code(code))?;
    Ok(learn(event_loop, address, name))
}

/// The loop remembers only a name whose object the recording keeps alive: another one would get its address.
#[cold]
fn learn(event_loop: &EventLoop, address: usize, name: u32) -> u32 {
    if tracing::recording(event_loop).is_some_and(|recording| recording.known(address) == Some(name)) {
        tracing::learn_name(event_loop, address, name);
    }
    name
}

fn is_native_coroutine(object: &Bound<'_, PyAny>) -> bool {
    Obj::<Routine>::cast(object).is_some() || Obj::<NativeCoroutine>::cast(object).is_some()
}
