//! Opening connections: `create_connection`, and the making of a transport for any connected socket.
//!
//! Names are resolved by `_ensure_resolved` and sockets connected by `sock_connect`, both through the loop
//! object, so that a program's own versions are used. Called by Python code and by `serve`; calls
//! [`crate::transports`] by the loop's methods.

mod attempts;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt};

use crate::core::EventLoop;
use crate::coroutines::{self, GcRef, GcScope};
use crate::ffi::thread::attached;
use crate::ffi::{Args, Obj, Output, Signature, Table};
use crate::frames::Frame;
use crate::mixins::create_future;
use crate::replaced::names::{BASE_EVENTS, CHECK_SSL_SOCKET};
use crate::tasks::Awaited;
use crate::{names, stock};

use attempts::connect;
pub(super) use attempts::lowered;

/// `socket.SOCK_STREAM`
pub(super) const SOCK_STREAM: i32 = 1;

#[cfg(not(Py_3_12))]
const CREATE_CONNECTION: Signature<14> = Signature::new(
    "EventLoop.create_connection",
    "protocol_factory, host=None, port=None, *, ssl=None, family=0, proto=0, flags=0, sock=None, local_addr=None, server_hostname=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None, happy_eyeballs_delay=None, interleave=None",
);
#[cfg(Py_3_12)]
const CREATE_CONNECTION: Signature<15> = Signature::new(
    "EventLoop.create_connection",
    "protocol_factory, host=None, port=None, *, ssl=None, family=0, proto=0, flags=0, sock=None, local_addr=None, server_hostname=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None, happy_eyeballs_delay=None, interleave=None, all_errors=False",
);

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &CREATE_CONNECTION,
        create_connection,
        "Coroutine: connects to a TCP server, or takes a connected socket. Returns (transport, protocol).",
    );
}

/// Closes a socket or transport if the coroutine that opens it fails.
pub(super) struct CloseUnlessDone(Option<GcRef>);

impl CloseUnlessDone {
    /// Something with a `close` method.
    pub(super) fn new(object: Bound<'_, PyAny>) -> Self {
        Self(Some(GcRef::new(object)))
    }

    /// All went well.
    pub(super) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseUnlessDone {
    fn drop(&mut self) {
        let Some(object) = self.0.take() else { return };
        attached(|py| {
            let object = object.bind(py);
            if let Err(error) = object.call_method0(names::close(py)) {
                error.write_unraisable(py, Some(object));
            }
        });
    }
}

/// The arguments for TLS, which are errors for a plain connection.
pub(super) struct Security {
    /// True, or an `SSLContext`.
    pub(super) ssl: GcRef,
    /// A name, or empty, or None.
    pub(super) server_hostname: GcRef,
    /// Seconds, or None.
    pub(super) handshake_timeout: GcRef,
    /// Seconds, or None.
    pub(super) shutdown_timeout: GcRef,
}

impl Security {
    /// ValueError for a time-out without TLS.
    pub(super) fn check_timeouts(&self, py: Python<'_>, secure: bool) -> PyResult<()> {
        for (timeout, name) in [
            (&self.handshake_timeout, "ssl_handshake_timeout"),
            (&self.shutdown_timeout, "ssl_shutdown_timeout"),
        ] {
            if !timeout.is_none(py) && !secure {
                return Err(PyValueError::new_err(format!("{name} is only meaningful with ssl")));
            }
        }
        Ok(())
    }
}

/// TypeError for an `SSLSocket`, which does not work without blocking.
pub(super) fn check_ssl_socket(socket: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = socket.py();
    if let Some(check) = CHECK_SSL_SOCKET.replacement(py)? {
        return check.call1((socket,)).map(drop);
    }
    let modules = stock::module(py, "sys")?.getattr(name!("modules"))?;
    // A program that has an SSLSocket has imported the module.
    let ssl = modules.call_method1(name!("get"), ("ssl",))?;
    if !ssl.is_none() && socket.is_instance(&ssl.getattr(name!("SSLSocket"))?)? {
        return Err(PyTypeError::new_err("Socket cannot be of type SSLSocket"));
    }
    Ok(())
}

/// ValueError for a socket that is no stream.
pub(super) fn check_stream_socket(socket: &Bound<'_, PyAny>) -> PyResult<()> {
    if socket.getattr(name!("type"))?.eq(SOCK_STREAM)? {
        return Ok(());
    }
    Err(PyValueError::new_err(text!("A Stream Socket was expected, got {}", socket.repr()?)?))
}

/// `loop._ensure_resolved(address, family=..., type=SOCK_STREAM, ...)`, to be awaited.
pub(super) fn ensure_resolved<'py>(
    event_loop: &Obj<'py, EventLoop>,
    address: &Bound<'py, PyAny>,
    family: &Bound<'py, PyAny>,
    proto: Option<&Bound<'py, PyAny>>,
    flags: &Bound<'py, PyAny>,
) -> PyResult<Awaited> {
    let keywords = PyDict::new(event_loop.py());
    keywords.set_item("family", family)?;
    keywords.set_item("type", stock::sock_stream(event_loop.py())?)?;
    if let Some(proto) = proto {
        keywords.set_item("proto", proto)?;
    }
    keywords.set_item("flags", flags)?;
    keywords.set_item("loop", event_loop.as_any())?;
    let resolving =
        event_loop.as_any().call_method(name!("_ensure_resolved"), (address,), Some(&keywords))?;
    Awaited::on(event_loop, &resolving)
}

/// The arguments of `create_connection` that concern addresses.
struct Target {
    host: GcRef,
    port: GcRef,
    family: GcRef,
    proto: GcRef,
    flags: GcRef,
    local_addr: GcRef,
    happy_eyeballs_delay: GcRef,
    interleave: GcRef,
    all_errors: bool,
}

/// A number whose default is not None.
pub(super) fn or_number(py: Python<'_>, value: Option<Bound<'_, PyAny>>, default: i32) -> GcRef {
    GcRef::new(value.unwrap_or_else(|| PyInt::new(py, default).into_any()))
}

fn create_connection<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    #[cfg(not(Py_3_12))]
    let (arguments, all_errors) = (args.parse_given(&CREATE_CONNECTION)?, false);
    #[cfg(Py_3_12)]
    let (arguments, all_errors) = {
        let [arguments @ .., all_errors] = args.parse_given(&CREATE_CONNECTION)?;
        (arguments, all_errors.map_or(Ok(false), |value| value.is_truthy())?)
    };
    let [factory, host, port, ssl, family, proto, flags, sock, rest @ ..] = arguments;
    let [family, proto, flags] = [family, proto, flags].map(|number| or_number(py, number, 0));
    let [factory, host, port, ssl, sock] =
        [factory, host, port, ssl, sock].map(|value| GcRef::or_none(py, value));
    let [local_addr, server_hostname, handshake_timeout, shutdown_timeout, happy_eyeballs_delay, interleave] =
        rest.map(|value| GcRef::or_none(py, value));
    let mut security = Security { ssl, server_hostname, handshake_timeout, shutdown_timeout };
    let target =
        Target { host, port, family, proto, flags, local_addr, happy_eyeballs_delay, interleave, all_errors };
    coroutines::new(gc_scope, event_loop, "EventLoop.create_connection", async move {
        let connected = attached(|py| check_arguments(py, &target, &mut security, &sock))?;
        let sock = match connected {
            Some(sock) => sock,
            None => connect(&own, &target).await?,
        };
        let made = connection_transport(&own, sock, factory, security, false).await?;
        attached(|py| {
            let (transport, protocol) = made.bind(py);
            if own.data().debug.get() {
                // From the transport: a TLS transport may have another socket.
                let sock = transport.call_method1(name!("get_extra_info"), ("socket",))?;
                let format = "%r connected to %s:%r: (%r, %r)";
                let arguments = (format, sock, &target.host, &target.port, transport, protocol);
                static FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.create_connection");
                FRAME.log(py, "debug", arguments)?;
            }
            Ok((transport, protocol).into_pyobject(py)?.into_any().unbind())
        })
    })
}

/// Checks the arguments. Returns the `sock` argument, if there is one.
fn check_arguments(
    py: Python<'_>,
    target: &Target,
    security: &mut Security,
    sock: &GcRef,
) -> PyResult<Option<GcRef>> {
    let secure = security.ssl.bind(py).is_truthy()?;
    if !security.server_hostname.is_none(py) && !secure {
        return Err(PyValueError::new_err("server_hostname is only meaningful with ssl"));
    }
    if security.server_hostname.is_none(py) && secure {
        if !target.host.bind(py).is_truthy()? {
            return Err(PyValueError::new_err("You must set server_hostname when using ssl without a host"));
        }
        security.server_hostname = target.host.clone_ref(py);
    }
    security.check_timeouts(py, secure)?;
    let sock = (!sock.is_none(py)).then(|| sock.bind(py));
    if let Some(sock) = sock {
        check_ssl_socket(sock)?;
    }
    let addressed = !target.host.is_none(py) || !target.port.is_none(py);
    match sock {
        Some(_) if addressed => {
            Err(PyValueError::new_err("host/port and sock can not be specified at the same time"))
        }
        Some(sock) => {
            check_stream_socket(sock)?;
            Ok(Some(GcRef::new(sock.clone())))
        }
        None if addressed => Ok(None),
        None => Err(PyValueError::new_err("host and port was not specified and no sock specified")),
    }
}

/// A transport with its protocol.
pub(super) struct Made(GcRef, GcRef);

impl Made {
    /// Both.
    pub(super) fn bind<'a, 'py>(&'a self, py: Python<'py>) -> (&'a Bound<'py, PyAny>, &'a Bound<'py, PyAny>) {
        (self.0.bind(py), self.1.bind(py))
    }
}

/// `_create_connection_transport`: protocol and transport for a connected socket, once `connection_made` was
/// called.
pub(super) async fn connection_transport(
    event_loop: &GcRef<EventLoop>,
    socket: GcRef,
    factory: GcRef,
    security: Security,
    server_side: bool,
) -> PyResult<Made> {
    let (made, waiting, unless_done) = attached(|py| {
        let event_loop = event_loop.obj(py);
        let socket = socket.to_bound(py);
        let unless_done = CloseUnlessDone::new(socket.clone());
        socket.call_method1(name!("setblocking"), (false,))?;
        let protocol = factory.bind(py).call0()?;
        let waiter = create_future(event_loop.as_any())?;
        let keywords = PyDict::new(py);
        #[cfg(Py_3_15)]
        keywords.set_item("context", crate::ffi::context::copy_current(py)?)?;
        let ssl = security.ssl.bind(py);
        let transport = if ssl.is_truthy()? {
            keywords.set_item("server_side", server_side)?;
            keywords.set_item("server_hostname", &security.server_hostname)?;
            keywords.set_item("ssl_handshake_timeout", &security.handshake_timeout)?;
            keywords.set_item("ssl_shutdown_timeout", &security.shutdown_timeout)?;
            let context = (!ssl.is_instance_of::<PyBool>()).then_some(ssl);
            let arguments = (&socket, &protocol, context, &waiter);
            event_loop.as_any().call_method(name!("_make_ssl_transport"), arguments, Some(&keywords))?
        } else {
            let arguments = (&socket, &protocol, &waiter);
            event_loop.as_any().call_method(name!("_make_socket_transport"), arguments, Some(&keywords))?
        };
        unless_done.done();
        let unless_done = CloseUnlessDone::new(transport.clone());
        let waiting = Awaited::on(&event_loop, &waiter)?;
        Ok::<_, PyErr>((Made(GcRef::new(transport), GcRef::new(protocol)), waiting, unless_done))
    })?;
    waiting.await?;
    unless_done.done();
    Ok(made)
}
