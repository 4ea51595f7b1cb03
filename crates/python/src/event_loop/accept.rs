//! Accepting connections: `_start_serving`, `_accept_connection` and `_accept_connection2` of `asyncio.selector_events`.
//!
//! An [`Acceptor`] holds the engine's [`Listener`] of one listening socket with what is done with its connections. Made by
//! `Server._start_serving` (through the loop's method); run by the loop's turn; calls protocol factories and makes transports.

use std::cell::Cell;
use std::ffi::CStr;
use std::os::fd::OwnedFd;

use pyo3::exceptions::{
    PyBlockingIOError, PyConnectionAbortedError, PyInterruptedError, PyKeyboardInterrupt, PyOSError,
    PyRuntimeError, PySystemExit,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustix::io::Errno;
use rustix::net::SocketAddrAny;
use yibu_engine::transport::{Accepting, Listener, OUT_OF_RESOURCES};
use yibu_engine::{OpId, Outcome};

use super::connect::CloseUnlessDone;
use crate::core::Overrides;
use crate::core::event_loop::descriptor_closed;
use crate::core::{
    EventLoop, Kernel, Overridable, Owner, OwnerKind, Part, ignore_replacement, operation, typed,
};
use crate::coroutines::{self, GcRef, GcScope};
use crate::events::{self, Handle};
use crate::ffi::class::Plain;
use crate::ffi::thread::attached;
use crate::ffi::{
    Args, Class, ClassState, Create, LoopCell, Obj, Output, Raised, Ref, Signature, Slot, Table, Visitor,
    audit,
};
use crate::ffi::{call, context, none};
use crate::frames::Frame;
use crate::mixins::create_future;
use crate::replaced::names::{SELECTOR_EVENTS, SOCKET_TRANSPORT, SSL_PROTOCOL, TRANSPORT_SOCKET};
use crate::replaced::sockets;
use crate::replaced::sockets::is_plain;
use crate::sslproto::SslProtocol;
use crate::tasks::Awaited;
use crate::transports::{self, Accepted, Parts, SocketTransport};
use crate::{errors, names, sslproto};

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
    t.one(
        c"_stop_serving",
        "sock",
        |event_loop, socket| {
            stop_serving(event_loop, socket)?;
            Ok(none(event_loop.py()))
        },
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
    let fd = call::method(names::fileno(acceptor.py()), [&socket])?.extract::<yibu_engine::Fd>()?;
    Ok(acceptor.listener.with(|listener| listener.fd()) == fd)
}

/// The kernel says that somebody knocks.
fn finish_carefully(event_loop: &Obj<'_, EventLoop>, acceptor: &Obj<'_, Acceptor>, id: OpId) -> PyResult<()> {
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
            Accepting::Connection(fd, peer) => connected(event_loop, acceptor, fd, peer)?,
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
fn accept_by_method(event_loop: &Obj<'_, EventLoop>, acceptor: &Obj<'_, Acceptor>) -> PyResult<()> {
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
        in_own_context(acceptor, |context| welcome_socket(event_loop, acceptor, &connection, peer, context))?;
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

/// A connection begins its life in a context of its own.
fn connected(
    event_loop: &Obj<'_, EventLoop>,
    acceptor: &Obj<'_, Acceptor>,
    fd: OwnedFd,
    peer: Option<SocketAddrAny>,
) -> PyResult<()> {
    let accepted = Accepted { fd, peer, family: acceptor.family.get(), protocol: acceptor.protocol.get() };
    in_own_context(acceptor, |context| welcome(event_loop, acceptor, accepted, context))
}

/// Runs the beginning of a connection in a context of its own, and tells it which one was given, if one was.
fn in_own_context<'py>(
    acceptor: &Obj<'py, Acceptor>,
    begin: impl FnOnce(Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let py = acceptor.py();
    match acceptor.given_context.get(py) {
        Some(given) => {
            let own = given.call_method0(name!("copy"))?;
            context::run(&own, |_| begin(own.clone()))
        }
        None => context::run(&context::copy_current(py)?, |_| begin(none(py))),
    }
}

/// `_accept_connection2`, as far as it can be done at once: protocol and transport are made.
fn welcome<'py>(
    event_loop: &Obj<'py, EventLoop>,
    acceptor: &Obj<'py, Acceptor>,
    accepted: Accepted,
    context: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = acceptor.py();
    let Some(factory) = acceptor.factory.get(py) else { return Ok(()) };
    let ssl_context = acceptor.ssl_context.get_or_none(py);
    let secure = ssl_context.is_truthy()?;
    let maker = if secure { Overridable::MakeSslTransport } else { Overridable::MakeSocketTransport };
    if event_loop.debug.get()
        || event_loop.overrides(Overridable::MakeSocketTransport)
        || event_loop.overrides(maker)
        || SOCKET_TRANSPORT.has_maker::<SocketTransport>(py)
        || TRANSPORT_SOCKET.is_replaced(py)
        || secure && SSL_PROTOCOL.has_maker::<SslProtocol>(py)
    {
        let (socket, peer) = accepted.into_socket(py)?;
        log_connection(event_loop, acceptor, &socket, &peer)?;
        return welcome_socket(event_loop, acceptor, &socket, peer, context);
    }
    let protocol = match call::call0(&factory) {
        Ok(protocol) => protocol,
        Err(error) => return failed(event_loop, error, None, None),
    };
    let parts = |protocol| Parts {
        event_loop: event_loop.clone(),
        protocol,
        waiter: none(py),
        server: acceptor.server.get_or_none(py),
        context,
    };
    if !secure {
        return match transports::accept(parts(protocol.clone()), accepted) {
            Ok(_) => Ok(()),
            Err(error) => failed(event_loop, error, Some(protocol), None),
        };
    }
    let waiter = create_future(event_loop.as_any())?;
    let encrypted = sslproto::new(sslproto::Parts {
        event_loop: event_loop.as_any().clone(),
        app_protocol: protocol.clone(),
        context: ssl_context,
        waiter: waiter.clone(),
        server_side: true,
        server_hostname: none(py),
        call_connection_made: true,
        handshake_timeout: acceptor.handshake_timeout.get_or_none(py),
        shutdown_timeout: acceptor.shutdown_timeout.get_or_none(py),
    });
    let made = encrypted.and_then(|encrypted| {
        transports::accept(parts(encrypted.as_any().clone()), accepted)?;
        Ok(encrypted.app_transport(py))
    });
    match made {
        Ok(transport) => await_handshake(event_loop, &waiter, protocol, transport),
        Err(error) => failed(event_loop, error, Some(protocol), None),
    }
}

fn log_connection<'py>(
    event_loop: &Obj<'py, EventLoop>,
    acceptor: &Obj<'py, Acceptor>,
    socket: &Bound<'py, PyAny>,
    peer: &Bound<'py, PyAny>,
) -> PyResult<()> {
    if event_loop.debug.get() {
        let py = event_loop.py();
        let format = "%r got a new connection from %r: %r";
        let arguments = (format, acceptor.server.get_or_none(py), peer, socket);
        static FRAME: Frame = Frame::new(&SELECTOR_EVENTS, "BaseSelectorEventLoop._accept_connection");
        FRAME.log(py, "debug", arguments)?;
    }
    Ok(())
}

/// The same through the socket object and the loop's methods: for the log of debug mode, and for programs that have a hand in
/// sockets or transports.
fn welcome_socket<'py>(
    event_loop: &Obj<'py, EventLoop>,
    acceptor: &Obj<'py, Acceptor>,
    socket: &Bound<'py, PyAny>,
    peer: Bound<'py, PyAny>,
    context: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = acceptor.py();
    let server = acceptor.server.get_or_none(py);
    let ssl_context = acceptor.ssl_context.get_or_none(py);
    let ssl_context = if ssl_context.is_truthy()? { Some(ssl_context) } else { None };
    let made = acceptor.factory.get_or_none(py).call0();
    let protocol = match made {
        Ok(protocol) => protocol,
        Err(error) => {
            socket.call_method0(names::close(py))?;
            return failed(event_loop, error, None, None);
        }
    };
    let extra = PyDict::new(py);
    extra.set_item("peername", peer)?;
    let keywords = PyDict::new(py);
    keywords.set_item("extra", extra)?;
    keywords.set_item("server", server)?;
    if cfg!(Py_3_15) {
        keywords.set_item("context", context)?;
    }
    let Some(ssl_context) = ssl_context else {
        let made = event_loop.as_any().call_method(
            name!("_make_socket_transport"),
            (socket, &protocol),
            Some(&keywords),
        );
        return match made {
            Ok(_) => Ok(()),
            Err(error) => failed(event_loop, error, Some(protocol), None),
        };
    };
    let waiter = create_future(event_loop.as_any())?;
    keywords.set_item("waiter", &waiter)?;
    keywords.set_item("server_side", true)?;
    keywords.set_item("ssl_handshake_timeout", acceptor.handshake_timeout.get_or_none(py))?;
    keywords.set_item("ssl_shutdown_timeout", acceptor.shutdown_timeout.get_or_none(py))?;
    let arguments = (socket, &protocol, ssl_context);
    match event_loop.as_any().call_method(name!("_make_ssl_transport"), arguments, Some(&keywords)) {
        Ok(transport) => await_handshake(event_loop, &waiter, protocol, transport),
        Err(error) => failed(event_loop, error, Some(protocol), None),
    }
}

/// A task that waits for the end of a handshake: a connection whose handshake fails is closed.
fn await_handshake<'py>(
    event_loop: &Obj<'py, EventLoop>,
    waiter: &Bound<'py, PyAny>,
    protocol: Bound<'py, PyAny>,
    transport: Bound<'py, PyAny>,
) -> PyResult<()> {
    let gc_scope = GcScope::begin();
    let handshake = Awaited::on(event_loop, waiter)?;
    let unless_done = CloseUnlessDone::new(transport.clone());
    let (own, protocol, transport) = (GcRef::of(event_loop), GcRef::new(protocol), GcRef::new(transport));
    let body = async move {
        let shaken = handshake.await;
        attached(|py| {
            match shaken {
                Ok(_) => unless_done.done(),
                Err(error) => {
                    drop(unless_done);
                    let own = own.obj(py);
                    // asyncio is silent about this outside of debug mode: peers come and go.
                    if is_exit(py, &error) {
                        return Err(error);
                    }
                    if own.debug.get() {
                        failed(&own, error, Some(protocol.to_bound(py)), Some(transport.to_bound(py)))?;
                    }
                }
            }
            Ok(py.None())
        })
    };
    let coroutine = coroutines::new(gc_scope, event_loop, "EventLoop._accept_connection2", body)?;
    event_loop.as_any().call_method1(name!("create_task"), (coroutine,)).map(drop)
}

fn is_exit(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}

/// No protocol, or no transport, could be made for a connection. It is closed already; the server lives on.
fn failed<'py>(
    event_loop: &Obj<'py, EventLoop>,
    error: PyErr,
    protocol: Option<Bound<'py, PyAny>>,
    transport: Option<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let py = event_loop.py();
    if is_exit(py, &error) {
        return Err(error);
    }
    let report = PyDict::new(py);
    report.set_item(names::message(py), "Error on transport creation for incoming connection")?;
    report.set_item(names::exception(py), error.into_value(py))?;
    if let Some(protocol) = protocol {
        report.set_item("protocol", protocol)?;
    }
    if let Some(transport) = transport {
        report.set_item("transport", transport)?;
    }
    event_loop.as_any().call_method1(names::call_exception_handler(py), (report,)).map(drop)
}

impl Class for Acceptor {
    const NAME: &'static CStr = c"yibu.Acceptor";
    type Header = Plain;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;

    fn state() -> &'static ClassState {
        &ACCEPTOR
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Accepts the connections of one listening socket.");
        t.noargs(
            c"start",
            |acceptor| {
                acceptor.retrying.set(false);
                // Stopped, or its loop closed, while it rested: then nothing is left to do.
                if !event_loop(acceptor)?.is_closed() {
                    start(acceptor)?;
                }
                Ok(none(acceptor.py()))
            },
            "Starts accepting, or does so again after a rest.",
        );
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.event_loop.traverse(visitor);
        self.slots().iter().for_each(|slot| slot.traverse(visitor));
    }

    fn clear(&self) {
        self.event_loop.clear();
        self.slots().iter().for_each(|slot| slot.clear());
    }
}

impl Acceptor {
    /// Whether the socket's own `accept` accepts.
    #[inline]
    fn slots(&self) -> [&Slot; 8] {
        [
            &self.socket,
            &self.factory,
            &self.ssl_context,
            &self.server,
            &self.handshake_timeout,
            &self.shutdown_timeout,
            &self.context,
            &self.given_context,
        ]
    }
}
