//! What happens to a child: its pipes deliver and end, it exits, and when all of that has happened its
//! transport does.
//!
//! Everything the protocol is told goes through the loop's queue, and until the pipes are connected through a
//! queue of the transport's own, so that it comes in the order in which it happened. Called by
//! [`super::pipes`] and by the watcher of the child.

use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::data::BaseSubprocessTransport;
use crate::coroutines::{Routine, Step};
use crate::events::loop_debug;
use crate::ffi::{Args, Obj, Output, Raised, Signature, Table, none};
use crate::frames::Frame;
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::names;
use crate::replaced::names::BASE_SUBPROCESS;

const CALL: Signature<1> = Signature::new_method("BaseSubprocessTransport._call", "cb, *data");
const PIPE_LOST: Signature<2> =
    Signature::new_method("BaseSubprocessTransport._pipe_connection_lost", "fd, exc");
const PIPE_DATA: Signature<2> =
    Signature::new_method("BaseSubprocessTransport._pipe_data_received", "fd, data");
const EXITED: Signature<1> = Signature::new_method("BaseSubprocessTransport._process_exited", "returncode");
const LOST: Signature<1> = Signature::new_method("BaseSubprocessTransport._call_connection_lost", "exc");

pub(super) fn table(t: &mut Table<BaseSubprocessTransport>) {
    t.method(&CALL, call, "Calls cb(*data) at the next turn of the loop, once the pipes are connected.");
    t.method(
        &PIPE_LOST,
        |transport, args| {
            let [number, error] = args.parse(&PIPE_LOST)?;
            tell(transport, "pipe_connection_lost", &[&number, &error])?;
            try_finish_by_name(transport)
        },
        "A pipe is closed.",
    );
    t.command(
        &PIPE_DATA,
        |transport, args| {
            let [number, data] = args.parse(&PIPE_DATA)?;
            tell(transport, "pipe_data_received", &[&number, &data])
        },
        "A pipe has delivered something.",
    );
    t.method(
        &EXITED,
        |transport, args| {
            let [code] = args.parse(&EXITED)?;
            process_exited(transport, &code)
        },
        "The child has exited.",
    );
    t.noargs(
        c"_try_finish",
        try_finish,
        "Ends the transport when the child has exited and all pipes are closed.",
    );
    t.method(
        &LOST,
        |transport, args| {
            let [error] = args.parse(&LOST)?;
            connection_lost(transport, &error)
        },
        "Tells the protocol that all is over, and lets go of everything.",
    );
    t.noargs(
        c"_wait",
        |transport| Ok(Routine::begin(transport.as_any(), "BaseSubprocessTransport._wait", wait)?.into_any()),
        "Coroutine that waits until the child has exited, and returns its return code.",
    );
}

/// `_call`.
fn call<'py>(transport: &Obj<'py, BaseSubprocessTransport>, args: Args<'_, 'py>) -> Output<'py> {
    let py = transport.py();
    let [callback] = args.parse(&CALL)?;
    match transport.pending_calls.get(py) {
        Some(pending) => pending.call_method1(name!("append"), ((callback, args.rest(&CALL)?),)),
        None => {
            let event_loop = transport.event_loop.get_or_none(py);
            event_loop.call_method1(names::call_soon(py), args.tuple_from(0)?)
        }
    }?;
    Ok(none(py))
}

/// Has a method of the protocol called, by way of `_call`.
fn tell<'py>(
    transport: &Obj<'py, BaseSubprocessTransport>,
    method: &str,
    data: &[&Bound<'py, PyAny>],
) -> PyResult<()> {
    let py = transport.py();
    let method = transport.protocol.get_or_none(py).getattr(names::interned(py, method))?;
    let mut arguments = vec![&method];
    arguments.extend(data);
    let arguments = PyTuple::new(py, arguments)?;
    transport.as_any().call_method1(pyo3::intern!(py, "_call"), arguments).map(drop)
}

fn try_finish_by_name<'py>(transport: &Obj<'py, BaseSubprocessTransport>) -> Output<'py> {
    transport.as_any().call_method0(pyo3::intern!(transport.py(), "_try_finish"))
}

fn process_exited<'py>(
    transport: &Obj<'py, BaseSubprocessTransport>,
    code: &Bound<'py, PyAny>,
) -> Output<'py> {
    let py = transport.py();
    if code.is_none() {
        return Err(PyAssertionError::new_err((none(py).unbind(),)));
    }
    if let Some(known) = transport.returncode.get(py) {
        return Err(PyAssertionError::new_err((known.unbind(),)));
    }
    if loop_debug(&transport.event_loop.get_or_none(py))? {
        let text = "%r exited with return code %r";
        static FRAME: Frame = Frame::new(&BASE_SUBPROCESS, "BaseSubprocessTransport._process_exited");
        FRAME.log(py, "info", (text, transport.as_any(), code))?;
    }
    transport.returncode.put(code.clone());
    let process = transport.process.get_or_none(py);
    let returncode = pyo3::intern!(py, "returncode");
    if process.getattr(returncode)?.is_none() {
        // Popen has not waited for the child and never will.
        process.setattr(returncode, code)?;
    }
    tell(transport, "process_exited", &[])?;
    try_finish_by_name(transport)?;
    // Not when the pipes are closed: a child of the child may hold them open.
    wake_all(transport)?;
    Ok(none(py))
}

/// Gives the return code to all coroutines in `_wait`.
fn wake_all(transport: &Obj<'_, BaseSubprocessTransport>) -> PyResult<()> {
    let py = transport.py();
    let code = transport.returncode.get_or_none(py);
    for waiter in transport.exit_waiters.get_or_none(py).try_iter()? {
        let waiter = waiter?;
        if !future_like::is_done(&waiter)? {
            future_like::set_result(&waiter, code.clone())?;
        }
    }
    transport.exit_waiters.clear();
    Ok(())
}

fn try_finish<'py>(transport: &Obj<'py, BaseSubprocessTransport>) -> Output<'py> {
    let py = transport.py();
    if transport.finished.get() {
        return Err(PyAssertionError::new_err(()));
    }
    if transport.returncode.is_empty() {
        return Ok(none(py));
    }
    for protocol in transport.pipes(py)?.values() {
        if protocol.is_none() || !protocol.getattr(pyo3::intern!(py, "disconnected"))?.is_truthy()? {
            return Ok(none(py));
        }
    }
    transport.finished.set(true);
    let last = transport.as_any().getattr(names::_call_connection_lost(py))?;
    transport.as_any().call_method1(pyo3::intern!(py, "_call"), (last, none(py)))
}

fn connection_lost<'py>(
    transport: &Obj<'py, BaseSubprocessTransport>,
    error: &Bound<'py, PyAny>,
) -> Output<'py> {
    let py = transport.py();
    let told = transport.protocol.get_or_none(py).call_method1(names::connection_lost(py), (error,));
    let finish = || {
        for slot in [&transport.event_loop, &transport.process, &transport.protocol] {
            slot.clear();
        }
        Ok(none(py))
    };
    match told {
        Ok(_) => finish(),
        Err(error) => {
            let error = Raised::from_err(py, error);
            error.handling(finish)?;
            Err(error.into_err())
        }
    }
}

/// `_wait`. The routine's first slot is the future.
fn wait<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let transport = routine.owner::<BaseSubprocessTransport>(py)?;
    if let Some(code) = transport.returncode.get(py) {
        if transport.finished.get() && !transport.process.is_empty() {
            // The loop has the end of the transport in hand. Afterwards no process can be sent a signal,
            // which on asyncio holds of every child that was waited for.
            return Ok(Step::GiveWay(|routine, turned| {
                turned?;
                let transport = routine.owner::<BaseSubprocessTransport>(routine.py())?;
                Ok(Step::Return(transport.returncode.get_or_none(routine.py())))
            }));
        }
        return Ok(Step::Return(code));
    }
    let waiter = create_future(&transport.event_loop.get_or_none(py))?;
    transport.exit_waiters.get_or_none(py).call_method1(name!("add"), (&waiter,))?;
    routine.first.put(waiter.clone());
    Ok(Step::Await(waiter, |routine, waited| {
        let py = routine.py();
        let transport = routine.owner::<BaseSubprocessTransport>(py)?;
        if let Some(waiters) = transport.exit_waiters.get(py) {
            waiters.call_method1(name!("discard"), (routine.first.get_or_none(py),))?;
        }
        waited.map(Step::Return)
    }))
}
