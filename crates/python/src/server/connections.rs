//! The connections of a server: transports attach themselves when they are made and detach themselves when
//! they have ended.
//!
//! Native transports do so by [`CLASS`], all others by `_attach` and `_detach`. Completes the futures of
//! `wait_closed()`.

use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;

use super::Server;
use crate::ffi::{Args, Obj, Output, none};
#[cfg(Py_3_12)]
use crate::names::Interned;
use crate::stock;
use crate::transports::{self, ServerClass, SocketTransport};

/// How native transports attach and detach themselves.
pub(super) static CLASS: ServerClass = ServerClass {
    attach: |server, transport| native(server).map(|server| attach(server, transport)),
    detach: |server, transport| native(server).map(|server| detach(server, transport)),
};

/// The server behind an object none of whose methods are replaced.
fn native<'a, 'py>(server: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Server>> {
    Obj::<Server>::cast(server).filter(|server| server.is_native())
}

/// `_attach`, for a native transport.
fn attach(server: &Obj<'_, Server>, transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    check_open(server)?;
    if let Ok(number) = usize::try_from(transports::descriptor(transport)) {
        transport.client.enter(&server.clients, number, transport);
    }
    server.connected.set(server.connected.get() + 1);
    Ok(())
}

/// `_detach`, for a native transport.
fn detach(server: &Obj<'_, Server>, transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    transport.client.leave();
    connection_ended(server)
}

fn check_open(server: &Obj<'_, Server>) -> PyResult<()> {
    // An assertion in asyncio: only a transport that a program makes itself, for a closed server, can come
    // here.
    if server.sockets.is_empty() { Err(PyAssertionError::new_err(())) } else { Ok(()) }
}

fn connection_ended(server: &Obj<'_, Server>) -> PyResult<()> {
    server.connected.set(server.connected.get().saturating_sub(1));
    wake_if_over(server)
}

pub(super) fn wake_if_over(server: &Obj<'_, Server>) -> PyResult<()> {
    let connected = match server.foreign.get(server.py()) {
        Some(foreign) => server.connected.get() + foreign.len()?,
        None => server.connected.get(),
    };
    if connected != 0 || !server.sockets.is_empty() {
        return Ok(());
    }
    if server.is_native() {
        wake_up(server)
    } else {
        server.as_any().call_method0(name!("_wakeup")).map(drop)
    }
}

/// `_wakeup`: closed, and no connection left.
pub(super) fn wake_up(server: &Obj<'_, Server>) -> PyResult<()> {
    let py = server.py();
    let Some(waiters) = server.waiters.take() else { return Ok(()) };
    for waiter in waiters.into_any(py).try_iter()? {
        let waiter = waiter?;
        if !waiter.call_method0(name!("done"))?.is_truthy()? {
            waiter.call_method1(name!("set_result"), (none(py),))?;
        }
    }
    Ok(())
}

/// The set of connections that are not native transports.
fn foreign<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    let py = server.py();
    if let Some(set) = server.foreign.get(py) {
        return Ok(set);
    }
    let set = stock::module(py, "weakref")?.getattr(name!("WeakSet"))?.call0()?;
    server.foreign.put(set.clone());
    Ok(set)
}

/// `_attach` as Python code calls it: with the transport since 3.13, before that without.
pub(super) fn attach_any<'py>(server: &Obj<'py, Server>, args: Args<'_, 'py>) -> Output<'py> {
    let py = server.py();
    match args.get(0) {
        Some(transport) => match Obj::<SocketTransport>::cast(&transport) {
            Some(native) => attach(server, native)?,
            None => {
                check_open(server)?;
                foreign(server)?.call_method1(name!("add"), (transport,))?;
            }
        },
        None => {
            check_open(server)?;
            server.connected.set(server.connected.get() + 1);
        }
    }
    Ok(none(py))
}

/// `_detach` as Python code calls it.
pub(super) fn detach_any<'py>(server: &Obj<'py, Server>, args: Args<'_, 'py>) -> Output<'py> {
    let py = server.py();
    match args.get(0) {
        Some(transport) => match Obj::<SocketTransport>::cast(&transport) {
            Some(native) => detach(server, native)?,
            None => {
                foreign(server)?.call_method1(name!("discard"), (transport,))?;
                wake_if_over(server)?;
            }
        },
        None => connection_ended(server)?,
    }
    Ok(none(py))
}

/// Calls a method of every connection.
#[cfg(Py_3_12)]
pub(super) fn each_client<'py>(server: &Obj<'py, Server>, method: &'static Interned) -> Output<'py> {
    let py = server.py();
    for (_, transport) in server.clients.living(py) {
        transport.call_method0(method)?;
    }
    if let Some(foreign) = server.foreign.get(py) {
        for transport in foreign.call_method0(name!("copy"))?.try_iter()? {
            transport?.call_method0(method)?;
        }
    }
    Ok(none(py))
}

/// The connections, in a set of their own.
#[cfg(Py_3_13)]
pub(super) fn clients<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    let py = server.py();
    let set = stock::module(py, "weakref")?.getattr(name!("WeakSet"))?.call0()?;
    for (_, transport) in server.clients.living(py) {
        set.call_method1(name!("add"), (transport,))?;
    }
    if let Some(foreign) = server.foreign.get(py) {
        set.call_method1(name!("update"), (foreign,))?;
    }
    Ok(set)
}
