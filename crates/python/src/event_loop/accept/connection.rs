//! What is done with an accepted connection: `_accept_connection2` of `asyncio.selector_events`.
//!
//! Makes the protocol and the transport, and waits for a handshake where there is TLS. Called by `accept`; calls the
//! protocol factory, [`crate::transports`] and [`crate::sslproto`].

use std::os::fd::OwnedFd;

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustix::net::SocketAddrAny;

use super::Acceptor;
use crate::core::{EventLoop, Overridable, Overrides};
use crate::coroutines::{self, GcRef, GcScope};
use crate::event_loop::connect::CloseUnlessDone;
use crate::ffi::thread::attached;
use crate::ffi::{Obj, call, context, none};
use crate::frames::Frame;
use crate::mixins::create_future;
use crate::names;
use crate::replaced::names::{SELECTOR_EVENTS, SOCKET_TRANSPORT, SSL_PROTOCOL, TRANSPORT_SOCKET};
use crate::sslproto::{self, SslProtocol};
use crate::tasks::{Awaited, numbering, spawner};
use crate::transports::{self, Accepted, Parts, SocketTransport};

/// A connection that was accepted, by the kernel or by the `accept` of a socket of the program's.
pub(super) enum Connection {
    Native(Accepted),
    Socket { socket: Py<PyAny>, peer: Py<PyAny> },
}

impl Connection {
    pub(super) fn native(acceptor: &Obj<'_, Acceptor>, fd: OwnedFd, peer: Option<SocketAddrAny>) -> Self {
        Self::Native(Accepted { fd, peer, family: acceptor.family.get(), protocol: acceptor.protocol.get() })
    }

    /// `_accept_connection2`, as far as it can be done at once: protocol and transport are made.
    fn begin<'py>(
        self,
        event_loop: &Obj<'py, EventLoop>,
        acceptor: &Obj<'py, Acceptor>,
        context: Bound<'py, PyAny>,
    ) -> Begun<'py> {
        let py = event_loop.py();
        match self {
            Self::Native(accepted) => begin(event_loop, acceptor, accepted, context),
            Self::Socket { socket, peer } => {
                begin_by_socket(event_loop, acceptor, socket.bind(py), peer.into_bound(py), context)
            }
        }
    }
}

/// A connection begins its life in a context of its own, the one that the program gave or a copy of the current one.
///
/// asyncio does it in a task. Here a task is made for a handshake only, or where the program makes the loop's tasks.
pub(super) fn connected(
    event_loop: &Obj<'_, EventLoop>,
    acceptor: &Obj<'_, Acceptor>,
    connection: Connection,
) -> PyResult<()> {
    let py = acceptor.py();
    let given = acceptor.given_context.get(py);
    let given = given.map(|context| context.call_method0(name!("copy"))).transpose()?;
    // A program makes the loop's tasks: by a factory, by a `create_task` or by a class of its own.
    if spawner(event_loop.as_any()).is_none() {
        return begin_in_task(event_loop, acceptor, connection, given);
    }
    if !acceptor.ssl_context.get_or_none(py).is_truthy()? {
        numbering::pass_over();
    }
    let context = given.clone().map_or_else(|| context::copy_current(py), Ok)?;
    context::run(&context, |_| {
        match connection.begin(event_loop, acceptor, given.unwrap_or_else(|| none(py)))? {
            Some(shaking) => shaking.wait_in_task(event_loop),
            None => Ok(()),
        }
    })
}

/// The whole of `_accept_connection2` in a task that the loop's factory makes.
fn begin_in_task<'py>(
    event_loop: &Obj<'py, EventLoop>,
    acceptor: &Obj<'py, Acceptor>,
    connection: Connection,
    given: Option<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let py = event_loop.py();
    let gc_scope = GcScope::begin();
    let (own, listening) = (GcRef::of(event_loop), GcRef::of(acceptor));
    let context = GcRef::or_none(py, given.clone());
    let body = async move {
        let shaking = attached(|py| {
            let event_loop = own.obj(py);
            let shaking = connection.begin(&event_loop, &listening.obj(py), context.to_bound(py))?;
            shaking.map(|shaking| shaking.awaited(&event_loop)).transpose()
        })?;
        match shaking {
            Some(handshake) => handshake.ended().await,
            None => Ok(attached(|py| py.None())),
        }
    };
    let coroutine = coroutines::new(gc_scope, event_loop, ACCEPT_CONNECTION, body)?;
    let keywords = PyDict::new(py);
    if let Some(given) = given {
        keywords.set_item("context", given)?;
    }
    event_loop.as_any().call_method(name!("create_task"), (coroutine,), Some(&keywords)).map(drop)
}

/// The name of the coroutine of a connection's task.
const ACCEPT_CONNECTION: &str = "EventLoop._accept_connection2";

/// What making a protocol and a transport leads to: a handshake where there is TLS.
type Begun<'py> = PyResult<Option<Shaking<'py>>>;

fn begin<'py>(
    event_loop: &Obj<'py, EventLoop>,
    acceptor: &Obj<'py, Acceptor>,
    accepted: Accepted,
    context: Bound<'py, PyAny>,
) -> Begun<'py> {
    let py = acceptor.py();
    let Some(factory) = acceptor.factory.get(py) else { return Ok(None) };
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
        return begin_by_socket(event_loop, acceptor, &socket, peer, context);
    }
    let protocol = match call::call0(&factory) {
        Ok(protocol) => protocol,
        Err(error) => return failed(event_loop, error, None, None).map(|()| None),
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
            Ok(_) => Ok(None),
            Err(error) => failed(event_loop, error, Some(protocol), None).map(|()| None),
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
        Ok(transport) => Ok(Some(Shaking { waiter, protocol, transport })),
        Err(error) => failed(event_loop, error, Some(protocol), None).map(|()| None),
    }
}

pub(super) fn log_connection<'py>(
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

/// The same through the socket object and the loop's methods: for the log of debug mode, and for programs that replace
/// sockets or transports.
fn begin_by_socket<'py>(
    event_loop: &Obj<'py, EventLoop>,
    acceptor: &Obj<'py, Acceptor>,
    socket: &Bound<'py, PyAny>,
    peer: Bound<'py, PyAny>,
    context: Bound<'py, PyAny>,
) -> Begun<'py> {
    let py = acceptor.py();
    let server = acceptor.server.get_or_none(py);
    let ssl_context = acceptor.ssl_context.get_or_none(py);
    let ssl_context = if ssl_context.is_truthy()? { Some(ssl_context) } else { None };
    let made = acceptor.factory.get_or_none(py).call0();
    let protocol = match made {
        Ok(protocol) => protocol,
        Err(error) => {
            socket.call_method0(names::close(py))?;
            return failed(event_loop, error, None, None).map(|()| None);
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
            Ok(_) => Ok(None),
            Err(error) => failed(event_loop, error, Some(protocol), None).map(|()| None),
        };
    };
    let waiter = create_future(event_loop.as_any())?;
    keywords.set_item("waiter", &waiter)?;
    keywords.set_item("server_side", true)?;
    keywords.set_item("ssl_handshake_timeout", acceptor.handshake_timeout.get_or_none(py))?;
    keywords.set_item("ssl_shutdown_timeout", acceptor.shutdown_timeout.get_or_none(py))?;
    let arguments = (socket, &protocol, ssl_context);
    match event_loop.as_any().call_method(name!("_make_ssl_transport"), arguments, Some(&keywords)) {
        Ok(transport) => Ok(Some(Shaking { waiter, protocol, transport })),
        Err(error) => failed(event_loop, error, Some(protocol), None).map(|()| None),
    }
}

/// A connection whose handshake goes on.
struct Shaking<'py> {
    waiter: Bound<'py, PyAny>,
    protocol: Bound<'py, PyAny>,
    transport: Bound<'py, PyAny>,
}

impl<'py> Shaking<'py> {
    /// Makes the task that waits for the end of the handshake.
    fn wait_in_task(self, event_loop: &Obj<'py, EventLoop>) -> PyResult<()> {
        let gc_scope = GcScope::begin();
        let handshake = self.awaited(event_loop)?;
        let coroutine = coroutines::new(gc_scope, event_loop, ACCEPT_CONNECTION, handshake.ended())?;
        event_loop.as_any().call_method1(name!("create_task"), (coroutine,)).map(drop)
    }

    fn awaited(self, event_loop: &Obj<'py, EventLoop>) -> PyResult<Handshake> {
        Ok(Handshake {
            over: Awaited::on(event_loop, &self.waiter)?,
            unless_done: CloseUnlessDone::new(self.transport.clone()),
            event_loop: GcRef::of(event_loop),
            protocol: GcRef::new(self.protocol),
            transport: GcRef::new(self.transport),
        })
    }
}

/// The same within a coroutine.
struct Handshake {
    over: Awaited,
    unless_done: CloseUnlessDone,
    event_loop: GcRef<EventLoop>,
    protocol: GcRef,
    transport: GcRef,
}

impl Handshake {
    /// Waits for the end: a connection whose handshake fails is closed.
    async fn ended(self) -> PyResult<Py<PyAny>> {
        let shaken = self.over.await;
        attached(|py| {
            match shaken {
                Ok(_) => self.unless_done.done(),
                Err(error) => {
                    drop(self.unless_done);
                    let own = self.event_loop.obj(py);
                    // asyncio is silent about this outside of debug mode: peers come and go.
                    if is_exit(py, &error) {
                        return Err(error);
                    }
                    if own.debug.get() {
                        let (protocol, transport) = (self.protocol.to_bound(py), self.transport.to_bound(py));
                        failed(&own, error, Some(protocol), Some(transport))?;
                    }
                }
            }
            Ok(py.None())
        })
    }
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
