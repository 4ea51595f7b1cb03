//! Rounds of accepting: `_accept_connection` of `asyncio.selector_events`.
//!
//! One round accepts the connections that wait, at most as many as the backlog. Where the system is out of descriptors
//! or memory, the acceptor pauses. Called by `accept` when the kernel reports the listening socket; calls `connection`.

use pyo3::exceptions::{PyBlockingIOError, PyConnectionAbortedError, PyInterruptedError, PyOSError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustix::io::Errno;
use yibu_engine::transport::{Accepting, OUT_OF_RESOURCES};
use yibu_engine::{OpId, Outcome};

use super::connection::{Connection, connected, log_connection};
use super::{Acceptor, act, is_intact, try_again};
use crate::core::{EventLoop, operation};
use crate::errors;
use crate::events::{self, Handle};
use crate::ffi::{Obj, Raised, context};
use crate::names;
use crate::replaced::names::{SELECTOR_EVENTS, TRANSPORT_SOCKET};

/// The kernel has reported that a connection waits.
pub(super) fn finish_carefully(
    event_loop: &Obj<'_, EventLoop>,
    acceptor: &Obj<'_, Acceptor>,
    id: OpId,
) -> PyResult<()> {
    finish(event_loop, acceptor, || match operation::finish(event_loop, id) {
        Some(outcome) => accept_round(event_loop, acceptor, outcome),
        None => Ok(()),
    })
}

/// Runs a round in its context, and reports what it raises.
fn finish(
    event_loop: &Obj<'_, EventLoop>,
    acceptor: &Obj<'_, Acceptor>,
    round: impl FnOnce() -> PyResult<()>,
) -> PyResult<()> {
    let py = acceptor.py();
    let Some(context) = acceptor.context.get(py) else { return Ok(()) };
    let accepted = context::run(&context, |_| {
        if !is_intact(acceptor)? {
            act(acceptor, |listener, kernel| listener.rest(kernel))?;
            return Err(errors::bad_descriptor());
        }
        round()
    });
    accepted.or_else(|error| {
        let callback = acceptor.as_any().getattr(name!("start"))?;
        events::report(&Handle::with_arg(event_loop.as_any(), callback, None, Some(context))?, error)
    })
}

/// `_accept_connection`.
fn accept_round(
    event_loop: &Obj<'_, EventLoop>,
    acceptor: &Obj<'_, Acceptor>,
    outcome: Outcome,
) -> PyResult<()> {
    let mut next = act(acceptor, |listener, kernel| listener.on_outcome(kernel, outcome))?;
    while let Some(accepting) = next {
        match accepting {
            Accepting::Connection(fd, peer) => {
                connected(event_loop, acceptor, Connection::native(acceptor, fd, peer))?;
            }
            Accepting::OutOfResources(error) => {
                let error = errors::os_error(&error).into_value(acceptor.py());
                rest(event_loop, acceptor, error.into_bound(acceptor.py()).into_any())?;
            }
            Accepting::Failed(error) => return Err(errors::os_error(&error)),
        }
        if !is_intact(acceptor)? {
            break;
        }
        next = act(acceptor, |listener, kernel| listener.accept_more(kernel))?;
    }
    Ok(())
}

/// The same for a socket whose methods are the program's own: a connection waits, and nothing has been done about it yet.
pub(super) fn accept_by_method(
    event_loop: &Obj<'_, EventLoop>,
    acceptor: &Obj<'_, Acceptor>,
) -> PyResult<()> {
    finish(event_loop, acceptor, || accept_round_by_method(event_loop, acceptor))
}

/// `_accept_connection`, by `socket.accept()`.
fn accept_round_by_method<'py>(
    event_loop: &Obj<'py, EventLoop>,
    acceptor: &Obj<'py, Acceptor>,
) -> PyResult<()> {
    let py = acceptor.py();
    for _ in 0..acceptor.per_round.get() {
        let Some(socket) = acceptor.socket.get(py) else { return Ok(()) };
        let accept = || -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
            let (connection, peer): (Bound<'py, PyAny>, Bound<'py, PyAny>) =
                socket.call_method0(name!("accept"))?.extract()?;
            log_connection(event_loop, acceptor, &connection, &peer)?;
            connection.call_method1(name!("setblocking"), (false,))?;
            Ok((connection, peer))
        };
        let (connection, peer) = match accept() {
            Ok(accepted) => accepted,
            Err(error) => {
                let error = Raised::from_err(py, error);
                if error.is::<PyBlockingIOError>()
                    || error.is::<PyInterruptedError>()
                    || error.is::<PyConnectionAbortedError>()
                {
                    return Ok(());
                }
                if !error.is::<PyOSError>() || !is_out_of_resources(error.as_any())? {
                    return Err(error.into_err());
                }
                act(acceptor, |listener, kernel| listener.rest(kernel))?;
                return rest(event_loop, acceptor, error.into_any());
            }
        };
        let connection = Connection::Socket { socket: connection.unbind(), peer: peer.unbind() };
        connected(event_loop, acceptor, connection)?;
    }
    Ok(())
}

fn is_out_of_resources(error: &Bound<'_, PyAny>) -> PyResult<bool> {
    let number: Option<i32> = error.getattr(name!("errno"))?.extract().ok();
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Ok(number.is_some_and(|number| shortages.iter().any(|shortage| shortage.raw_os_error() == number)))
}

/// The system is out of descriptors or memory: tells so, once in a while, and tries again later, or when a descriptor is closed.
fn rest<'py>(
    event_loop: &Obj<'py, EventLoop>,
    acceptor: &Obj<'py, Acceptor>,
    error: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = acceptor.py();
    event_loop.want_descriptor(try_again, acceptor.clone());
    let delay = SELECTOR_EVENTS.constant(py, "ACCEPT_RETRY_DELAY")?;
    if !acceptor.retrying.replace(true) {
        let again = acceptor.as_any().getattr(name!("start"))?;
        event_loop.as_any().call_method1(name!("call_later"), (&delay, again))?;
    }
    let now = event_loop.engine.with(|engine| engine.driver.now());
    if now - acceptor.told_at.get() < delay.extract()? {
        return Ok(());
    }
    acceptor.told_at.set(now);
    let report = PyDict::new(py);
    report.set_item(names::message(py), OUT_OF_RESOURCES)?;
    report.set_item(names::exception(py), error)?;
    let socket = acceptor.socket.get_or_none(py);
    report.set_item("socket", TRANSPORT_SOCKET.current(py)?.call1((socket,))?)?;
    event_loop.as_any().call_method1(names::call_exception_handler(py), (report,)).map(drop)
}
