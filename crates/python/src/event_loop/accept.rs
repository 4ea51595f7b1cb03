//! Accepting connections: `_start_serving`, `_accept_connection` and `_accept_connection2` of `asyncio.selector_events`.
//!
//! An [`Acceptor`] holds the engine's [`Listener`] of one listening socket with what is done with its connections. Made by
//! `Server._start_serving` (through the loop's method); run by the loop's turn; calls `rounds`.

mod connection;
mod rounds;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use yibu_engine::transport::Listener;

use self::rounds::{accept_by_method, finish_carefully};
use crate::core::event_loop::descriptor_closed;
use crate::core::{EventLoop, Kernel, Overrides, Owner, OwnerKind, Part, ignore_replacement, typed};
use crate::ffi::class::Plain;
use crate::ffi::{
    Args, Class, ClassState, Create, LoopCell, Obj, Output, Ref, Signature, Slot, Table, Visitor, audit,
    references,
};
use crate::ffi::{context, none};
use crate::replaced::sockets;
use crate::replaced::sockets::{fileno, is_plain};
use crate::{errors, names};

/// The data of an `Acceptor`.
pub struct Acceptor {
    listener: LoopCell<Listener>,
    event_loop: Slot<EventLoop>,
    socket: Slot,
    factory: Slot,
    ssl_context: Slot,
    server: Slot,
    handshake_timeout: Slot,
    shutdown_timeout: Slot,
    /// What accepting runs in: a copy of what was current when it was arranged.
    context: Slot,
    /// What connections get copies of, where it was given (3.15).
    given_context: Slot,
    family: Cell<i32>,
    protocol: Cell<i32>,
    /// How many connections are accepted between two looks at everything else.
    per_round: Cell<usize>,
    /// Whether the socket is of a class of the program's own, whose `accept` accepts.
    by_method: Cell<bool>,
    /// A timer will start it again.
    retrying: Cell<bool>,
    /// When the system was last said to be out of something, on the clock of the driver.
    told_at: Cell<f64>,
}

impl Default for Acceptor {
    fn default() -> Self {
        Self {
            listener: LoopCell::new(Listener::new(-1, 0)),
            event_loop: Slot::default(),
            socket: Slot::default(),
            factory: Slot::default(),
            ssl_context: Slot::default(),
            server: Slot::default(),
            handshake_timeout: Slot::default(),
            shutdown_timeout: Slot::default(),
            context: Slot::default(),
            given_context: Slot::default(),
            family: Cell::new(0),
            protocol: Cell::new(0),
            per_round: Cell::new(0),
            by_method: Cell::new(false),
            retrying: Cell::new(false),
            told_at: Cell::new(f64::NEG_INFINITY),
        }
    }
}

static ACCEPTOR: ClassState = ClassState::new();

/// A loop's acceptors.
#[derive(Default)]
pub(super) struct Acceptors(Vec<Ref<Acceptor>>);

impl Part for Acceptors {
    fn traverse(&self, visitor: &mut Visitor) {
        self.0.iter().for_each(|acceptor| visitor.visit(acceptor.as_ptr()));
    }
}

/// The owner of a listening socket's operations.
static LISTENER: OwnerKind = OwnerKind {
    ready: |event_loop, acceptor, id| {
        let py = event_loop.py();
        let acceptor: Obj<'_, Acceptor> = typed(acceptor, py)?;
        if acceptor.by_method.get() || !sockets::are_original(py)? || audit::is_watched(py) {
            return accept_by_method(event_loop, &acceptor);
        }
        finish_carefully(event_loop, &acceptor, id)
    },
    replaced: ignore_replacement,
};

#[cfg(not(Py_3_15))]
const START_SERVING: Signature<7> = Signature::new(
    "EventLoop._start_serving",
    "protocol_factory, sock, sslcontext=None, server=None, backlog=100, ssl_handshake_timeout=60.0, ssl_shutdown_timeout=30.0",
);
#[cfg(Py_3_15)]
const START_SERVING: Signature<8> = Signature::new(
    "EventLoop._start_serving",
    "protocol_factory, sock, sslcontext=None, server=None, backlog=100, ssl_handshake_timeout=60.0, ssl_shutdown_timeout=30.0, context=None",
);

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &START_SERVING,
        start_serving,
        "Accepts connections from a listening socket and gives each to a protocol of the factory.",
    );
    t.action_on(
        c"_stop_serving",
        "sock",
        stop_serving,
        "Closes a listening socket, and removes its path where that was arranged.",
    );
}

fn start_serving<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    event_loop.check_open()?;
    event_loop.refuse_other_watching()?;
    #[cfg(not(Py_3_15))]
    let ([factory, socket, ssl_context, server, backlog, handshake_timeout, shutdown_timeout], given_context) =
        (args.parse(&START_SERVING)?, none(py));
    #[cfg(Py_3_15)]
    let [factory, socket, ssl_context, server, backlog, handshake_timeout, shutdown_timeout, given_context] =
        args.parse(&START_SERVING)?;
    let backlog: i64 = if backlog.is_none() { 100 } else { backlog.extract()? };
    // The kernel keeps one more than the backlog: a full one is emptied in one round.
    let per_round = usize::try_from(backlog).unwrap_or(0) + 1;
    let by_method = !is_plain(&socket)?;
    let fd = socket.call_method0(names::fileno(py))?.extract()?;
    stop(event_loop, &socket)?;
    let acceptor = Acceptor::create(py)?;
    acceptor.listener.with(|listener| *listener = Listener::new(fd, per_round));
    acceptor.per_round.set(per_round);
    acceptor.by_method.set(by_method);
    acceptor.event_loop.set(Ref::of(event_loop.clone()));
    acceptor.family.set(socket.getattr(name!("family"))?.extract()?);
    acceptor.protocol.set(socket.getattr(name!("proto"))?.extract()?);
    acceptor.socket.put(socket);
    acceptor.factory.put(factory);
    acceptor.ssl_context.put(ssl_context);
    acceptor.server.put(server);
    acceptor.handshake_timeout.put(handshake_timeout);
    acceptor.shutdown_timeout.put(shutdown_timeout);
    acceptor.context.put(context::copy_current(py)?);
    if !given_context.is_none() {
        acceptor.given_context.put(given_context);
    }
    start(&acceptor)?;
    event_loop.parts.with(|all: &mut Acceptors| all.0.push(Ref::of(acceptor)));
    Ok(none(py))
}

fn stop_serving(event_loop: &Obj<'_, EventLoop>, socket: &Bound<'_, PyAny>) -> PyResult<()> {
    #[cfg(Py_3_13)]
    let bound = super::unix::BoundPath::of(event_loop, socket)?;
    stop(event_loop, socket)?;
    socket.call_method0(names::close(event_loop.py()))?;
    descriptor_closed(event_loop);
    #[cfg(Py_3_13)]
    if let Some(bound) = bound {
        bound.remove()?;
    }
    Ok(())
}

/// Accepts no more from a socket.
fn stop(event_loop: &Obj<'_, EventLoop>, socket: &Bound<'_, PyAny>) -> PyResult<()> {
    let found = event_loop.parts.with(|Acceptors(all): &mut Acceptors| {
        let position = all.iter().position(|acceptor| acceptor.data().socket.is(socket))?;
        Some(all.swap_remove(position))
    });
    let Some(acceptor) = found else { return Ok(()) };
    act(&acceptor.into_obj(event_loop.py()), |listener, kernel| listener.stop(kernel))
}

/// Lets the listener act on the kernel.
fn act<R>(acceptor: &Obj<'_, Acceptor>, f: impl FnOnce(&mut Listener, &mut Kernel<'_>) -> R) -> PyResult<R> {
    let event_loop = event_loop(acceptor)?;
    let owner = || Owner::of(&LISTENER, acceptor.clone());
    Ok(Kernel::with(&event_loop, &owner, |kernel| acceptor.listener.with(|listener| f(listener, kernel))))
}

fn event_loop<'py>(acceptor: &Obj<'py, Acceptor>) -> PyResult<Obj<'py, EventLoop>> {
    let uninitialized = || PyRuntimeError::new_err("Acceptor object is not initialized.");
    acceptor.event_loop.obj(acceptor.py()).ok_or_else(uninitialized)
}

fn start(acceptor: &Obj<'_, Acceptor>) -> PyResult<()> {
    event_loop(acceptor)?.check_open()?;
    act(acceptor, |listener, kernel| listener.start(kernel))?.map_err(|error| errors::os_error(&error))
}

/// A descriptor was closed: the acceptor, which lacked one, accepts again. Where the kernel refuses, the timer tries again.
fn try_again(event_loop: &Obj<'_, EventLoop>, acceptor: Ref) {
    let serves = event_loop
        .parts
        .with(|Acceptors(all): &mut Acceptors| all.iter().any(|listed| listed.as_ptr() == acceptor.as_ptr()));
    if serves && let Ok(acceptor) = typed(acceptor, event_loop.py()) {
        drop(act(&acceptor, |listener, kernel| listener.start(kernel)));
    }
}

/// Whether the socket object still has the descriptor: Python code may have closed it, and the number may be another file's by now.
fn is_intact(acceptor: &Obj<'_, Acceptor>) -> PyResult<bool> {
    let Some(socket) = acceptor.socket.get(acceptor.py()) else { return Ok(false) };
    Ok(acceptor.listener.with(|listener| listener.fd()) == fileno(&socket)?)
}

impl Class for Acceptor {
    const NAME: &'static CStr = c"yibu.Acceptor";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &ACCEPTOR;

    fn table(t: &mut Table<Self>) {
        t.doc(c"Accepts the connections of one listening socket.");
        t.action(
            c"start",
            |acceptor| {
                acceptor.retrying.set(false);
                // Stopped, or its loop closed, while it rested: then nothing is left to do.
                if !event_loop(acceptor)?.is_closed() {
                    start(acceptor)?;
                }
                Ok(())
            },
            "Starts accepting, or does so again after a rest.",
        );
    }

    references! {
        event_loop, socket, factory, ssl_context, server, handshake_timeout, shutdown_timeout, context,
        given_context,
    }
}
