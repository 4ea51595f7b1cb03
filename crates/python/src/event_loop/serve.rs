//! Opening servers: `create_server`, `connect_accepted_socket`, and `_make_socket_transport`, by which all connections that have
//! a socket object get their transport.
//!
//! Called by Python code, and by `unix` for the server; calls [`crate::server`] and [`crate::transports`].

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PySet, PyString, PyTuple};
use rustix::io::Errno;
use yibu_engine::Together;

use super::connect::{self, CloseUnlessDone, Security};
use crate::core::EventLoop;
use crate::coroutines::{self, GcRef, GcScope};
use crate::ffi::thread::attached;
use crate::ffi::{Args, Class, Obj, Output, Signature, Table};
use crate::frames::{self, Frame};
use crate::replaced::names::{BASE_EVENTS, SERVER, SET_REUSE_PORT, SOCKET_TRANSPORT, sockets};
use crate::server::{self, Server, Settings};
use crate::stock;
use crate::tasks::{Awaited, numbering, spawner, yield_once};
use crate::transports::{SocketTransport, descriptors};

#[cfg(not(Py_3_13))]
const CREATE_SERVER: Signature<13> = Signature::new(
    "EventLoop.create_server",
    "protocol_factory, host=None, port=None, *, family=0, flags=1, sock=None, backlog=100, ssl=None, reuse_address=None, reuse_port=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None, start_serving=True",
);
#[cfg(Py_3_13)]
const CREATE_SERVER: Signature<14> = Signature::new(
    "EventLoop.create_server",
    "protocol_factory, host=None, port=None, *, family=0, flags=1, sock=None, backlog=100, ssl=None, reuse_address=None, reuse_port=None, keep_alive=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None, start_serving=True",
);
const CONNECT_ACCEPTED: Signature<5> = Signature::new(
    "EventLoop.connect_accepted_socket",
    "protocol_factory, sock, *, ssl=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None",
);
#[cfg(not(Py_3_15))]
const MAKE_TRANSPORT: Signature<5> = Signature::new(
    "EventLoop._make_socket_transport",
    "sock, protocol, waiter=None, *, extra=None, server=None",
);
#[cfg(Py_3_15)]
const MAKE_TRANSPORT: Signature<6> = Signature::new(
    "EventLoop._make_socket_transport",
    "sock, protocol, waiter=None, *, extra=None, server=None, context=None",
);

const SOL_SOCKET: i32 = 1;
const SO_REUSEADDR: i32 = 2;
const SO_KEEPALIVE: i32 = 9;
const SO_REUSEPORT: i32 = 15;
const IPPROTO_IPV6: i32 = 41;
const IPV6_V6ONLY: i32 = 26;
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &CREATE_SERVER,
        create_server,
        "Coroutine: listens on host and port, or on a bound socket. Returns a Server.",
    );
    t.method(
        &CONNECT_ACCEPTED,
        connect_accepted_socket,
        "Coroutine: takes a connection that was accepted outside of the loop. Returns (transport, protocol).",
    );
    t.method(&MAKE_TRANSPORT, make_socket_transport, "A transport for a connected, non-blocking socket.");
}

fn make_socket_transport<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let [sock, protocol, waiter, rest @ ..] = args.parse(&MAKE_TRANSPORT)?;
    descriptors::check(event_loop, &sock, descriptors::number_of(&sock)?)?;
    let given = [event_loop.as_any().clone(), sock, protocol, waiter].into_iter().chain(rest);
    let given = given.collect::<Vec<_>>();
    match SOCKET_TRANSPORT.replacement(py)? {
        None => SocketTransport::class(py).call1(PyTuple::new(py, given)?),
        Some(class) => {
            let keywords = PyDict::new(py);
            for (name, value) in ["extra", "server", "context"].into_iter().zip(&given[4..]) {
                keywords.set_item(name, value)?;
            }
            class.call(PyTuple::new(py, &given[..4])?, Some(&keywords))
        }
    }
}

/// The arguments of `create_server` that concern sockets.
struct Place {
    host: GcRef,
    port: GcRef,
    family: GcRef,
    flags: GcRef,
    sock: GcRef,
    reuse_address: GcRef,
    reuse_port: bool,
    keep_alive: bool,
}

fn create_server<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    let or_none = |value: Option<Bound<'py, PyAny>>| GcRef::or_none(py, value);
    let is_true =
        |value: Option<Bound<'py, PyAny>>, default| value.map_or(Ok(default), |value| value.is_truthy());
    let [factory, host, port, family, flags, sock, backlog, ssl, reuse_address, reuse_port, rest @ ..] =
        args.parse_given(&CREATE_SERVER)?;
    #[cfg(not(Py_3_13))]
    let (keep_alive, rest) = (None, rest);
    #[cfg(Py_3_13)]
    let [keep_alive, rest @ ..] = rest;
    let [handshake_timeout, shutdown_timeout, start_serving] = rest;
    let backlog = connect::or_number(py, backlog, 100);
    let start_serving = is_true(start_serving, true)?;
    let place = Place {
        host: or_none(host),
        port: or_none(port),
        family: GcRef::new(family.map_or_else(|| stock::af_unspec(py).cloned(), Ok)?),
        flags: GcRef::new(flags.map_or_else(|| stock::ai_passive(py).cloned(), Ok)?),
        sock: or_none(sock),
        reuse_address: or_none(reuse_address),
        reuse_port: is_true(reuse_port, false)?,
        keep_alive: is_true(keep_alive, false)?,
    };
    let security = Security {
        ssl: or_none(ssl),
        server_hostname: or_none(None),
        handshake_timeout: or_none(handshake_timeout),
        shutdown_timeout: or_none(shutdown_timeout),
    };
    let service = Service { factory: or_none(factory), backlog, security, start: start_serving };
    coroutines::new(gc_scope, event_loop, "EventLoop.create_server", async move {
        let given = attached(|py| check_arguments(py, &place, &service.security))?;
        let sockets = match given {
            Some(sock) => vec![BoundSocket::Given(sock)],
            None => listening_sockets(&own, &place).await?,
        };
        let server = service.open(&own, sockets).await?;
        attached(|py| {
            let server = server.to_bound(py);
            if own.data().debug.get() {
                frames::CREATE_SERVER.log(py, "info", ("%r is serving", &server))?;
            }
            Ok(server.unbind())
        })
    })
}

/// A socket for a server to listen on.
pub(super) enum BoundSocket {
    /// The program's.
    Given(GcRef),
    /// Made for the server: closed unless there is one in the end.
    Made(GcRef, CloseUnlessDone),
}

/// The options of a server that do not concern its sockets.
pub(super) struct Service {
    pub(super) factory: GcRef,
    pub(super) backlog: GcRef,
    pub(super) security: Security,
    /// Whether it begins at once.
    pub(super) start: bool,
}

impl Service {
    /// The server.
    pub(super) async fn open(
        self,
        event_loop: &GcRef<EventLoop>,
        sockets: Vec<BoundSocket>,
    ) -> PyResult<GcRef> {
        let start = self.start;
        let server = attached(|py| {
            let (mut listening, mut unless_done) = (Vec::new(), Vec::new());
            for socket in sockets {
                let socket = match socket {
                    BoundSocket::Given(socket) => socket,
                    BoundSocket::Made(socket, guard) => {
                        unless_done.push(guard);
                        socket
                    }
                };
                socket.bind(py).call_method1(name!("setblocking"), (false,))?;
                listening.push(socket.to_bound(py));
            }
            let server = self.server(&event_loop.obj(py), PyList::new(py, listening)?)?;
            unless_done.into_iter().for_each(CloseUnlessDone::done);
            Ok::<_, PyErr>(GcRef::new(server))
        })?;
        if start {
            yield_once().await?;
        }
        Ok(server)
    }

    /// Makes the server of the sockets, and starts it if `start_serving` is set.
    fn server<'py>(self, event_loop: &Obj<'py, EventLoop>, sockets: Bound<'py, PyList>) -> Output<'py> {
        let py = event_loop.py();
        if let Some(class) = SERVER.maker::<Server>(py)? {
            let Security { ssl, handshake_timeout, shutdown_timeout, .. } = self.security;
            let (own, factory, backlog) = (event_loop.as_any(), &self.factory, &self.backlog);
            let settings = (own, sockets, factory, &ssl, backlog, &handshake_timeout, &shutdown_timeout);
            let server = class.call1(settings)?;
            if self.start {
                server.call_method0(name!("_start_serving"))?;
            }
            return Ok(server);
        }
        let server = server::new(
            event_loop,
            Settings {
                sockets,
                factory: self.factory.to_bound(py),
                ssl_context: self.security.ssl.to_bound(py),
                backlog: self.backlog.to_bound(py),
                handshake_timeout: self.security.handshake_timeout.to_bound(py),
                shutdown_timeout: self.security.shutdown_timeout.to_bound(py),
            },
        )?;
        if self.start {
            server::start(&server)?;
        }
        Ok(server.into_any())
    }
}

/// Checks the arguments. Returns the `sock` argument, if there is one.
fn check_arguments(py: Python<'_>, place: &Place, security: &Security) -> PyResult<Option<GcRef>> {
    let ssl = security.ssl.bind(py);
    if ssl.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err("ssl argument must be an SSLContext or None"));
    }
    security.check_timeouts(py, !ssl.is_none())?;
    let sock = (!place.sock.is_none(py)).then(|| place.sock.bind(py));
    if let Some(sock) = sock {
        connect::check_ssl_socket(sock)?;
    }
    let addressed = !place.host.is_none(py) || !place.port.is_none(py);
    match sock {
        Some(_) if addressed => {
            Err(PyValueError::new_err("host/port and sock can not be specified at the same time"))
        }
        Some(sock) => {
            connect::check_stream_socket(sock)?;
            Ok(Some(GcRef::new(sock.clone())))
        }
        None if addressed => Ok(None),
        None => Err(PyValueError::new_err("Neither host/port nor sock were specified")),
    }
}

/// The hosts to listen on: one, several, or all interfaces.
fn hosts<'py>(host: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = host.py();
    if let Ok(name) = host.cast::<PyString>() {
        let everywhere = name.to_str()?.is_empty();
        return Ok(vec![if everywhere { crate::ffi::none(py) } else { host.clone() }]);
    }
    let iterable = stock::module(py, "collections.abc")?.getattr(name!("Iterable"))?;
    if host.is_instance(&iterable)? { host.try_iter()?.collect() } else { Ok(vec![host.clone()]) }
}

/// Resolves a host in a task that the program makes: each is a task of its own on asyncio.
fn resolve_in_task(
    event_loop: &Obj<'_, EventLoop>,
    resolve: impl FnOnce() -> PyResult<Awaited>,
) -> PyResult<Awaited> {
    let gc_scope = GcScope::begin();
    let resolving = resolve()?;
    let coroutine = coroutines::new(gc_scope, event_loop, "EventLoop._create_server_getaddrinfo", resolving)?;
    let task = event_loop.as_any().call_method1(name!("create_task"), (coroutine,))?;
    Awaited::on(event_loop, &task)
}

/// Sockets bound to all addresses of the hosts.
async fn listening_sockets(event_loop: &GcRef<EventLoop>, place: &Place) -> PyResult<Vec<BoundSocket>> {
    let (hosts, mut resolving) = attached(|py| {
        let own = event_loop.obj(py);
        let hosts = hosts(place.host.bind(py))?;
        let resolve = |host: &Bound<'_, PyAny>| -> PyResult<Awaited> {
            let address = (host, &place.port).into_pyobject(py)?.into_any();
            let resolve = || {
                connect::ensure_resolved(&own, &address, place.family.bind(py), None, place.flags.bind(py))
            };
            // Where a program makes the loop's tasks, it gets to see these, too.
            if spawner(own.as_any()).is_none() {
                return resolve_in_task(&own, resolve);
            }
            numbering::pass_over();
            resolve()
        };
        let mut resolving = Together::default();
        for (place, host) in hosts.iter().enumerate() {
            let host = resolve(host)?;
            resolving.push(async move { (place, host.await) });
        }
        let hosts: Vec<GcRef> = hosts.into_iter().map(GcRef::new).collect();
        Ok::<_, PyErr>((hosts, resolving))
    })?;
    let mut resolved: Vec<Option<GcRef>> = hosts.iter().map(|_| None).collect();
    while let Some((place, found)) = resolving.next().await {
        let found = found?;
        resolved[place] = Some(attached(|py| GcRef::new(found.into_bound(py))));
    }
    attached(|py| {
        let (seen, mut infos) = (PySet::empty(py)?, Vec::new());
        for (host, found) in hosts.iter().zip(resolved.iter().flatten()) {
            let found = found.bind(py);
            if !found.is_truthy()? {
                let host = host.bind(py).repr()?;
                return Err(PyOSError::new_err(text!("getaddrinfo({host}) returned empty list")?));
            }
            for info in found.try_iter()? {
                let info = info?;
                if !seen.contains(&info)? {
                    seen.add(&info)?;
                    infos.push(info);
                }
            }
        }
        bind_all(&event_loop.obj(py), place, &infos)
    })
}

/// A bound socket for each address; if one fails, all are closed.
fn bind_all<'py>(
    event_loop: &Obj<'py, EventLoop>,
    place: &Place,
    infos: &[Bound<'py, PyAny>],
) -> PyResult<Vec<BoundSocket>> {
    let py = event_loop.py();
    let mut sockets = Vec::new();
    for info in infos {
        if let Some(socket) = bind(event_loop, place, info)? {
            sockets.push(BoundSocket::Made(GcRef::new(socket.clone()), CloseUnlessDone::new(socket)));
        }
    }
    if sockets.is_empty() {
        let addresses =
            infos.iter().map(|info| info.get_item(4)).collect::<PyResult<Vec<Bound<'py, PyAny>>>>()?;
        let addresses = PyList::new(py, addresses)?.repr()?;
        return Err(PyOSError::new_err(text!("could not bind on any address out of {addresses}")?));
    }
    Ok(sockets)
}

/// Lets several sockets have the same address. ValueError where this system does not.
pub(super) fn set_reuse_port(socket: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(set) = SET_REUSE_PORT.replacement(socket.py())? {
        return set.call1((socket,)).map(drop);
    }
    match socket.call_method1(name!("setsockopt"), (SOL_SOCKET, SO_REUSEPORT, 1)) {
        Err(error) if error.is_instance_of::<PyOSError>(socket.py()) => Err(PyValueError::new_err(
            "reuse_port not supported by socket module, SO_REUSEPORT defined but not implemented.",
        )),
        set => set.map(drop),
    }
}

/// A socket bound to an address; none when this system does not know its kind, or (since 3.13) does not have the address.
fn bind<'py>(
    event_loop: &Obj<'py, EventLoop>,
    place: &Place,
    info: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = event_loop.py();
    let (family, kind, proto) = (info.get_item(0)?, info.get_item(1)?, info.get_item(2)?);
    let warn = |format: &str, arguments: &[&Bound<'py, PyAny>], error: Option<PyErr>| {
        if !event_loop.debug.get() {
            return Ok(());
        }
        let format = PyString::new(py, format).into_any();
        let values = std::iter::once(&format).chain(arguments.iter().copied());
        let values = PyTuple::new(py, values.collect::<Vec<_>>())?;
        match error {
            Some(error) => {
                frames::CREATE_SERVER.log_error(py, "warning", values, error.into_value(py).bind(py))
            }
            None => frames::CREATE_SERVER.log(py, "warning", values),
        }
    };
    let socket = match sockets::CLASS.current(py)?.call1((&family, &kind, &proto)) {
        Ok(socket) => socket,
        Err(error) if error.is_instance_of::<PyOSError>(py) => {
            let format = "create_server() failed to create socket.socket(%r, %r, %r)";
            warn(format, &[&family, &kind, &proto], Some(error))?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let unless_done = CloseUnlessDone::new(socket.clone());
    let set =
        |level: i32, option: i32| socket.call_method1(name!("setsockopt"), (level, option, true)).map(drop);
    let family: i32 = family.extract()?;
    // On POSIX systems addresses are taken over from connections that linger.
    if place.reuse_address.is_none(py) || place.reuse_address.bind(py).is_truthy()? {
        set(SOL_SOCKET, SO_REUSEADDR)?;
    }
    // Linux refuses it for other families.
    if place.reuse_port && matches!(family, AF_INET | AF_INET6) {
        set_reuse_port(&socket)?;
    }
    if place.keep_alive {
        set(SOL_SOCKET, SO_KEEPALIVE)?;
    }
    if family == AF_INET6 {
        // Each family has a socket of its own.
        set(IPPROTO_IPV6, IPV6_V6ONLY)?;
    }
    let address = info.get_item(4)?;
    let Err(error) = socket.call_method1(name!("bind"), (&address,)) else {
        unless_done.done();
        return Ok(Some(socket));
    };
    if !error.is_instance_of::<PyOSError>(py) {
        return Err(error);
    }
    let error = error.into_value(py).into_bound(py).into_any();
    let errno = error.getattr(name!("errno"))?;
    let text = text!(
        "error while attempting to bind on address {}: {}",
        address.repr()?,
        connect::lowered(&error)?
    )?;
    if errno.eq(Errno::ADDRNOTAVAIL.raw_os_error())? {
        // Its family may not be enabled.
        warn(&text, &[], None)?;
        return Ok(None);
    }
    Err(PyOSError::new_err((errno.unbind(), text)))
}

fn connect_accepted_socket<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    let [factory, sock, ssl, handshake_timeout, shutdown_timeout] =
        args.parse(&CONNECT_ACCEPTED)?.map(GcRef::new);
    coroutines::new(gc_scope, event_loop, "EventLoop.connect_accepted_socket", async move {
        let security = attached(|py| {
            connect::check_stream_socket(sock.bind(py))?;
            let server_hostname = GcRef::new(PyString::new(py, ""));
            let secure = ssl.bind(py).is_truthy()?;
            let security = Security { ssl, server_hostname, handshake_timeout, shutdown_timeout };
            security.check_timeouts(py, secure)?;
            connect::check_ssl_socket(sock.bind(py))?;
            Ok::<_, PyErr>(security)
        })?;
        let made = connect::connection_transport(&own, sock, factory, security, true).await?;
        attached(|py| {
            let (transport, protocol) = made.bind(py);
            if own.data().debug.get() {
                let sock = transport.call_method1(name!("get_extra_info"), ("socket",))?;
                let arguments = ("%r handled: (%r, %r)", sock, transport, protocol);
                static FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.connect_accepted_socket");
                FRAME.log(py, "debug", arguments)?;
            }
            Ok((transport, protocol).into_pyobject(py)?.into_any().unbind())
        })
    })
}
