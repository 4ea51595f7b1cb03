//! Unix sockets: `create_unix_connection` and `create_unix_server`, and the paths that servers leave behind.
//!
//! What a path is to the file system is asked and changed through `os`, for its errors name the path.
//! Connections and servers are those of `connect` and `serve`. Called by Python code.

#[cfg(Py_3_13)]
mod cleanup;
#[cfg(Py_3_13)]
pub(super) use cleanup::BoundPath;

use pyo3::exceptions::{PyAssertionError, PyFileNotFoundError, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::AddressFamily;

use super::connect::{self, CloseUnlessDone, SOCK_STREAM, Security};
use super::serve::{BoundSocket, Service};
use crate::core::EventLoop;
use crate::coroutines::{self, GcRef, GcScope};
use crate::ffi::thread::attached;
use crate::ffi::{Args, Obj, Output, Raised, Signature, Table};
use crate::frames::CREATE_UNIX_SERVER;
use crate::names::Interned;
use crate::replaced::names::sockets;
use crate::stock;
use crate::tasks::Awaited;

const CREATE_CONNECTION: Signature<7> = Signature::new(
    "EventLoop.create_unix_connection",
    "protocol_factory, path=None, *, ssl=None, sock=None, server_hostname=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None",
);
#[cfg(not(Py_3_13))]
const CREATE_SERVER: Signature<8> = Signature::new(
    "EventLoop.create_unix_server",
    "protocol_factory, path=None, *, sock=None, backlog=100, ssl=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None, start_serving=True",
);
#[cfg(Py_3_13)]
const CREATE_SERVER: Signature<9> = Signature::new(
    "EventLoop.create_unix_server",
    "protocol_factory, path=None, *, sock=None, backlog=100, ssl=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None, start_serving=True, cleanup_socket=True",
);

const AF_UNIX: i32 = AddressFamily::UNIX.as_raw() as i32;

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &CREATE_CONNECTION,
        create_unix_connection,
        "Coroutine: connects to a Unix socket, or takes a connected one. Returns (transport, protocol).",
    );
    t.method(
        &CREATE_SERVER,
        create_unix_server,
        "Coroutine: listens on a path, or on a bound Unix socket. Returns a Server.",
    );
    #[cfg(Py_3_13)]
    t.getter(c"_unix_server_sockets", |event_loop| Ok(cleanup::inodes(event_loop)?.into_any()));
}

fn create_unix_connection<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    let [factory, path, ssl, sock, server_hostname, handshake_timeout, shutdown_timeout] =
        args.parse(&CREATE_CONNECTION)?.map(GcRef::new);
    let security = Security { ssl, server_hostname, handshake_timeout, shutdown_timeout };
    coroutines::new(gc_scope, event_loop, CREATE_CONNECTION.function, async move {
        let (sock, connecting) = attached(|py| {
            check_connection(py, &security)?;
            let (path, sock) = (path.bind(py), sock.bind(py));
            if path.is_none() {
                let sock = given(sock, "no path and sock were specified")?;
                return Ok((GcRef::new(sock), None));
            }
            let path = alone(path, sock)?;
            let sock = new_socket(py, Some(0))?;
            let unless_done = CloseUnlessDone::new(sock.clone());
            sock.call_method1(name!("setblocking"), (false,))?;
            let event_loop = own.obj(py);
            let connecting = event_loop.as_any().call_method1(name!("sock_connect"), (&sock, path))?;
            let connecting = Awaited::on(&event_loop, &connecting)?;
            Ok::<_, PyErr>((GcRef::new(sock), Some((connecting, unless_done))))
        })?;
        if let Some((connecting, unless_done)) = connecting {
            connecting.await?;
            unless_done.done();
        }
        let made = connect::connection_transport(&own, sock, factory, security, false).await?;
        attached(|py| Ok(made.bind(py).into_pyobject(py)?.into_any().unbind()))
    })
}

/// What can be wrong with TLS where there is no host to take the name from.
fn check_connection(py: Python<'_>, security: &Security) -> PyResult<()> {
    let hostname = security.server_hostname.bind(py);
    if !hostname.is_none() && !hostname.is_instance_of::<PyString>() {
        return Err(PyAssertionError::new_err(()));
    }
    let secure = security.ssl.bind(py).is_truthy()?;
    match (secure, hostname.is_none()) {
        (true, true) => {
            return Err(PyValueError::new_err("you have to pass server_hostname when using ssl"));
        }
        (false, false) => {
            return Err(PyValueError::new_err("server_hostname is only meaningful with ssl"));
        }
        _ => {}
    }
    security.check_timeouts(py, secure)
}

/// The path as text or bytes; ValueError when there is a socket, too.
fn alone<'py>(path: &Bound<'py, PyAny>, sock: &Bound<'py, PyAny>) -> Output<'py> {
    if !sock.is_none() {
        return Err(PyValueError::new_err("path and sock can not be specified at the same time"));
    }
    path.py().import("os")?.call_method1(name!("fspath"), (path,))
}

/// The socket that has to be there when the path is not.
fn given<'py>(sock: &Bound<'py, PyAny>, missing: &'static str) -> Output<'py> {
    if sock.is_none() {
        return Err(PyValueError::new_err(missing));
    }
    if sock.getattr(name!("family"))?.eq(AF_UNIX)? && sock.getattr(name!("type"))?.eq(SOCK_STREAM)? {
        return Ok(sock.clone());
    }
    Err(PyValueError::new_err(text!("A UNIX Domain Stream Socket was expected, got {}", sock.repr()?)?))
}

/// With the protocol where asyncio gives it.
fn new_socket(py: Python<'_>, protocol: Option<i32>) -> Output<'_> {
    let (class, family, kind) =
        (sockets::CLASS_FOR_UNIX.current(py)?, stock::af_unix(py)?, stock::sock_stream(py)?);
    match protocol {
        Some(protocol) => class.call1((family, kind, protocol)),
        None => class.call1((family, kind)),
    }
}

fn create_unix_server<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    let or_none = |value: Option<Bound<'py, PyAny>>| GcRef::or_none(py, value);
    let is_true = |value: Option<Bound<'py, PyAny>>| value.map_or(Ok(true), |value| value.is_truthy());
    let [factory, path, sock, backlog, ssl, handshake_timeout, shutdown_timeout, start, rest @ ..] =
        args.parse_given(&CREATE_SERVER)?;
    let [path, sock] = [path, sock].map(or_none);
    let security = Security {
        ssl: or_none(ssl),
        server_hostname: or_none(None),
        handshake_timeout: or_none(handshake_timeout),
        shutdown_timeout: or_none(shutdown_timeout),
    };
    let backlog = connect::or_number(py, backlog, 100);
    let service = Service { factory: or_none(factory), backlog, security, start: is_true(start)? };
    #[cfg(not(Py_3_13))]
    let [] = rest;
    #[cfg(Py_3_13)]
    let cleanup_socket = {
        let [cleanup_socket] = rest;
        is_true(cleanup_socket)?
    };
    coroutines::new(gc_scope, event_loop, CREATE_SERVER.function, async move {
        let socket = attached(|py| {
            let ssl = service.security.ssl.bind(py);
            if ssl.is_instance_of::<PyBool>() {
                return Err(PyTypeError::new_err("ssl argument must be an SSLContext or None"));
            }
            service.security.check_timeouts(py, ssl.is_truthy()?)?;
            let (path, sock) = (path.bind(py), sock.bind(py));
            let socket = if path.is_none() {
                let sock = given(sock, "path was not specified, and no sock specified")?;
                BoundSocket::Given(GcRef::new(sock))
            } else {
                let path = alone(path, sock)?;
                let sock = new_socket(py, None)?;
                let unless_done = CloseUnlessDone::new(sock.clone());
                bind(&sock, &path)?;
                BoundSocket::Made(GcRef::new(sock), unless_done)
            };
            #[cfg(Py_3_13)]
            if cleanup_socket {
                let (BoundSocket::Given(sock) | BoundSocket::Made(sock, _)) = &socket;
                cleanup::arrange(&own.obj(py), sock.bind(py))?;
            }
            Ok(socket)
        })?;
        #[cfg(Py_3_13)]
        let (BoundSocket::Given(listening) | BoundSocket::Made(listening, _)) = &socket;
        #[cfg(Py_3_13)]
        let listening = attached(|py| listening.clone_ref(py));
        let opened = service.open(&own, vec![socket]).await;
        attached(|py| {
            #[cfg(Py_3_13)]
            if opened.is_err() {
                cleanup::forget(&own.obj(py), listening.bind(py))?;
            }
            Ok(opened?.to_bound(py).unbind())
        })
    })
}

/// Whether an address is a name in the kernel and no path.
fn is_abstract(path: &Bound<'_, PyAny>) -> PyResult<bool> {
    let first = path.get_item(0)?;
    Ok(first.eq(0)? || first.eq("\0")?)
}

/// Binds to a path, and first removes a socket that an earlier server has left there.
fn bind(socket: &Bound<'_, PyAny>, path: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = socket.py();
    if !is_abstract(path)?
        && let Err(error) = remove_stale(path)
    {
        let error = Raised::from_err(py, error);
        if !error.is::<PyOSError>() {
            return Err(error.into_err());
        }
        // The directory may let us make a socket, and nothing else.
        if !error.is::<PyFileNotFoundError>() {
            let format = "Unable to check or remove stale UNIX socket %r: %r";
            CREATE_UNIX_SERVER.log(py, "error", (format, path, error.as_any()))?;
        }
    }
    let Err(error) = socket.call_method1(name!("bind"), (path,)) else { return Ok(()) };
    let error = Raised::from_err(py, error);
    let in_use = Errno::ADDRINUSE.raw_os_error();
    if !error.is::<PyOSError>() || error.as_any().getattr(name!("errno"))?.ne(in_use)? {
        return Err(error.into_err());
    }
    let named = PyOSError::new_err((in_use, text!("Address {} is already in use", path.repr()?)?));
    // `from None`: what the system said is said better here.
    named.set_cause(py, None);
    Err(error.handling(|| Raised::from_err(py, named).raise()))
}

fn remove_stale(path: &Bound<'_, PyAny>) -> PyResult<()> {
    let os = path.py().import("os")?;
    let ask = |function: &'static Interned| CREATE_UNIX_SERVER.call_with(&os.getattr(function)?, path);
    let mode: u32 = ask(name!("stat"))?.getattr(name!("st_mode"))?.extract()?;
    if FileType::from_raw_mode(mode) == FileType::Socket {
        ask(name!("remove"))?;
    }
    Ok(())
}
