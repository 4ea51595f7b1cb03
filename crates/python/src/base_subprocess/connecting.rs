//! `_connect_pipes`: the coroutine that connects a child's pipes to the loop, one after the other, and then
//! lets its protocol know.
//!
//! Run as a task, which [`super::transport`] makes; calls `connect_write_pipe` and `connect_read_pipe` of the
//! loop. The routine's owner is the transport.

use std::cell::Cell;

use pyo3::exceptions::{PyAssertionError, PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::data::BaseSubprocessTransport;
use super::pipes::{ReadPipe, WritePipe};
use crate::coroutines::{Routine, Step};
use crate::ffi::{Class, Obj, Output, Raised, Slot, call, none};
use crate::futures::future_like;
use crate::replaced::names::{READ_PIPE_PROTOCOL, WRITE_PIPE_PROTOCOL};
use crate::{names, stock};

/// The attributes of a Popen object that have the parent's ends, by the child's descriptor.
const FILES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// The routine keeps the future that waits for the connection,
pub(super) fn waiter_of(routine: &Routine) -> &Slot {
    &routine.first
}

/// the Popen object,
fn process_of(routine: &Routine) -> &Slot {
    &routine.second
}

/// and the child's descriptor of the pipe that is being connected.
fn descriptor_of(routine: &Routine) -> &Cell<u64> {
    &routine.number
}

/// The first piece.
pub(super) fn begin<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let transport = routine.owner::<BaseSubprocessTransport>(py)?;
    process_of(routine).put(transport.process.get_or_none(py));
    let step = connect(routine, &transport, 0);
    step.or_else(|error| tell_failure(routine, &transport, error))
}

/// Connects the next pipe, from descriptor `number` on; at the end, tells the protocol.
fn connect<'py>(
    routine: &Obj<'py, Routine>,
    transport: &Obj<'py, BaseSubprocessTransport>,
    number: usize,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    let process = process_of(routine).get_or_none(py);
    let event_loop = transport.event_loop.get_or_none(py);
    for (number, name) in FILES.into_iter().enumerate().skip(number) {
        let file = process.getattr(names::interned(py, name))?;
        if file.is_none() {
            continue;
        }
        let (method, class, replacement) = match number {
            0 => ("connect_write_pipe", WritePipe::class(py), WRITE_PIPE_PROTOCOL.replacement(py)?),
            _ => ("connect_read_pipe", ReadPipe::class(py), READ_PIPE_PROTOCOL.replacement(py)?),
        };
        let class = replacement.unwrap_or_else(|| class.into_any());
        let factory = stock::partial(py)?.call1((class, transport.as_any(), number))?;
        descriptor_of(routine).set(number as u64);
        return Ok(Step::Await(
            event_loop.call_method1(names::interned(py, method), (factory, file))?,
            connected,
        ));
    }
    tell_protocol(transport, &event_loop)?;
    transport.connecting.clear();
    let waiter = waiter_of(routine).get_or_none(py);
    if !waiter.is_none() && !future_like::is_cancelled(&waiter)? {
        future_like::set_result(&waiter, none(py))?;
    }
    Ok(Step::Return(none(py)))
}

/// Remembers a pipe's protocol, and goes on.
fn connected<'py>(routine: &Obj<'py, Routine>, outcome: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let transport = routine.owner::<BaseSubprocessTransport>(py)?;
    let number = descriptor_of(routine).get() as usize;
    let step = outcome.and_then(|outcome| {
        let (_, protocol): (Bound<'py, PyAny>, Bound<'py, PyAny>) = outcome.extract()?;
        transport.pipes(py)?.set_item(number, protocol)?;
        connect(routine, &transport, number + 1)
    });
    step.or_else(|error| tell_failure(routine, &transport, error))
}

/// `connection_made`, and what has happened since, at the next turn.
fn tell_protocol<'py>(
    transport: &Obj<'py, BaseSubprocessTransport>,
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = transport.py();
    let pending = transport.pending_calls.get(py).ok_or_else(|| PyAssertionError::new_err(()))?;
    let made = transport.protocol.get_or_none(py).getattr(names::connection_made(py))?;
    event_loop.call_method1(names::call_soon(py), (made, transport.as_any()))?;
    for entry in pending.try_iter()? {
        let (callback, data): (Bound<'py, PyAny>, Bound<'py, PyAny>) = entry?.extract()?;
        event_loop.call_method1(names::call_soon(py), call::joined(&[&callback], &data)?)?;
    }
    transport.pending_calls.clear();
    Ok(())
}

/// A pipe could not be connected, or the task was cancelled: the waiter's future gets the exception, unless
/// the loop is to end.
fn tell_failure<'py>(
    routine: &Obj<'py, Routine>,
    transport: &Obj<'py, BaseSubprocessTransport>,
    error: PyErr,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    let error = Raised::from_err(py, error);
    if error.is::<PySystemExit>() || error.is::<PyKeyboardInterrupt>() {
        return Err(error.into_err());
    }
    error.handling(|| {
        transport.connecting.clear();
        close_files(transport)?;
        let waiter = waiter_of(routine).get_or_none(py);
        if !waiter.is_none() && !future_like::is_cancelled(&waiter)? {
            future_like::set_exception(&waiter, error.as_any())?;
        }
        Ok(Step::Return(none(py)))
    })
}

/// Closes the pipes that are connected and those that are not.
pub fn close_files(transport: &Obj<'_, BaseSubprocessTransport>) -> PyResult<()> {
    let py = transport.py();
    let pipes: Bound<'_, PyDict> = transport.pipes(py)?;
    for protocol in pipes.values().iter().filter(|protocol| !protocol.is_none()) {
        protocol.getattr(pyo3::intern!(py, "pipe"))?.call_method0(names::close(py))?;
    }
    let Some(process) = transport.process.get(py) else { return Ok(()) };
    for name in FILES {
        let file = process.getattr(names::interned(py, name))?;
        if !file.is_none() {
            file.call_method0(names::close(py))?;
        }
    }
    Ok(())
}
