//! Opening connections: `create_connection`, and the making of a transport for any connected socket.
//!
//! Names are resolved by `_ensure_resolved` and sockets connected by `sock_connect`, both through the loop object, so that
//! a program's own versions are used. Called by Python code and by `serve`; calls [`crate::transports`] by the loop's methods.

use futures_util::future::{Either, select};
use pyo3::exceptions::{PyOSError, PyOverflowError, PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList};

use super::together::Together;
use crate::core::EventLoop;
use crate::core::event_loop::descriptor_closed;
use crate::coroutines::{self, GcRef, GcScope};
use crate::errors;
use crate::ffi::thread::attached;
use crate::ffi::{Args, Obj, Output, Signature, Table};
use crate::frames::Frame;
use crate::mixins::create_future;
use crate::replaced::names::sockets;
use crate::replaced::names::{BASE_EVENTS, CHECK_SSL_SOCKET, INTERLEAVE};
use crate::tasks::Awaited;
use crate::tasks::Delay;
use crate::{names, stock};

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
    // Who has an SSLSocket has imported the module.
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

/// A list with something in it.
fn not_empty(infos: Bound<'_, PyAny>) -> PyResult<Vec<GcRef>> {
    let infos: Vec<GcRef> = errors::collected(infos.try_iter()?.map(|info| info.map(GcRef::new)))?;
    if infos.is_empty() {
        return Err(PyOSError::new_err("getaddrinfo() returned empty list"));
    }
    Ok(infos)
}

/// A connected socket: the addresses are tried one after the other, or overlapping (happy eyeballs).
async fn connect(event_loop: &GcRef<EventLoop>, target: &Target) -> PyResult<GcRef> {
    let resolve = |address: Bound<'_, PyAny>| {
        let py = address.py();
        let (family, proto) = (target.family.bind(py), target.proto.bind(py));
        ensure_resolved(&event_loop.obj(py), &address, family, Some(proto), target.flags.bind(py))
    };
    let resolving =
        attached(|py| resolve((&target.host, &target.port).into_pyobject(py)?.into_any()))?.await?;
    let mut infos = attached(|py| not_empty(resolving.into_bound(py)))?;
    let local = attached(|py| {
        let local = target.local_addr.bind(py);
        if local.is_none() { Ok(None) } else { resolve(local.clone()).map(Some) }
    })?;
    let local = match local {
        Some(resolving) => {
            let resolved = resolving.await?;
            Some(attached(|py| not_empty(resolved.into_bound(py)))?)
        }
        None => None,
    };
    let delay = attached(|py| {
        let delay = target.happy_eyeballs_delay.bind(py);
        let interleave = target.interleave.bind(py);
        // Happy eyeballs alternate between the families unless they are told otherwise.
        let first = match (interleave.is_none(), delay.is_none()) {
            (true, false) => 1,
            (true, true) => 0,
            (false, _) => first_of_family(interleave)?,
        };
        if first != 0 {
            infos = interleaved(py, std::mem::take(&mut infos), first)?;
        }
        if delay.is_none() { Ok(None) } else { seconds_to_wait(delay).map(Some) }
    })?;
    let mut failures: Failures = infos.iter().map(|_| Vec::new()).collect();
    let attempts = Attempts { event_loop, infos: &infos, local: local.as_deref() };
    let connected = match delay {
        None => attempts.in_order(&mut failures).await?,
        Some(delay) => attempts.staggered(delay, &mut failures).await?,
    };
    let failures = failures.into_iter().flatten();
    connected.ok_or_else(|| attached(|py| all_failed(py, failures.collect(), target.all_errors)))
}

/// How many addresses of the first family come first; 0 to leave the order as it is.
fn first_of_family(interleave: &Bound<'_, PyAny>) -> PyResult<usize> {
    if !interleave.is_truthy()? {
        return Ok(0);
    }
    if !interleave.gt(1)? {
        return Ok(1);
    }
    match interleave.extract::<usize>() {
        Ok(first) => Ok(first),
        Err(error) if error.is_instance_of::<PyOverflowError>(interleave.py()) => Ok(usize::MAX),
        // asyncio uses it in a slice.
        Err(_) => {
            Err(PyTypeError::new_err("slice indices must be integers or None or have an __index__ method"))
        }
    }
}

/// A time limit, as `wait_for()` takes it: it compares it with 0, and adds it to a time.
fn seconds_to_wait(delay: &Bound<'_, PyAny>) -> PyResult<f64> {
    if delay.le(0)? {
        return Ok(0.0);
    }
    PyFloat::new(delay.py(), 0.0).add(delay)?.extract()
}

/// `base_events._interleave_addrinfos`: families take turns, after `first - 1` addresses of the first family.
fn interleaved(py: Python<'_>, infos: Vec<GcRef>, first: usize) -> PyResult<Vec<GcRef>> {
    if let Some(interleave) = INTERLEAVE.replacement(py)? {
        let infos = PyList::new(py, infos.into_iter().map(|info| info.to_bound(py)))?;
        return interleave.call1((infos, first))?.try_iter()?.map(|info| Ok(GcRef::new(info?))).collect();
    }
    let mut families: Vec<(i32, std::collections::VecDeque<GcRef>)> = Vec::new();
    for info in infos {
        let family: i32 = info.bind(py).get_item(0)?.extract()?;
        match families.iter_mut().find(|(known, _)| *known == family) {
            Some((_, members)) => members.push_back(info),
            None => families.push((family, [info].into())),
        }
    }
    let mut reordered = Vec::new();
    if let Some((_, members)) = families.first_mut() {
        let head = first.saturating_sub(1).min(members.len());
        reordered.extend(members.drain(..head));
    }
    while families.iter().any(|(_, members)| !members.is_empty()) {
        reordered.extend(families.iter_mut().filter_map(|(_, members)| members.pop_front()));
    }
    Ok(reordered)
}

/// The exception if no address could be connected.
fn all_failed(py: Python<'_>, errors: Vec<GcRef>, all_errors: bool) -> PyErr {
    let tell = || -> PyResult<PyErr> {
        let errors: Vec<Bound<'_, PyAny>> = errors.into_iter().map(|error| error.to_bound(py)).collect();
        if all_errors {
            let group = stock::module(py, "builtins")?.getattr(name!("ExceptionGroup"))?;
            let group = group.call1(("create_connection failed", PyList::new(py, errors)?))?;
            return Ok(PyErr::from_value(group));
        }
        let texts: Vec<String> =
            errors.iter().map(|error| error.str().map(|text| text.to_string())).collect::<PyResult<_>>()?;
        Ok(match errors.into_iter().next() {
            None => PyTimeoutError::new_err("create_connection failed"),
            Some(first) if texts.iter().all(|text| *text == texts[0]) => PyErr::from_value(first),
            Some(_) => PyOSError::new_err(format!("Multiple exceptions: {}", texts.join(", "))),
        })
    };
    tell().unwrap_or_else(|error| error)
}

/// The remote and the local addresses.
struct Attempts<'a> {
    event_loop: &'a GcRef<EventLoop>,
    infos: &'a [GcRef],
    local: Option<&'a [GcRef]>,
}

type Failures = Vec<Vec<GcRef>>;

impl Attempts<'_> {
    /// One address after the other.
    async fn in_order(&self, failures: &mut Failures) -> PyResult<Option<GcRef>> {
        for (info, failures) in self.infos.iter().zip(failures) {
            match self.one(info, failures).await {
                Ok(socket) => return Ok(Some(socket)),
                Err(error) if attached(|py| error.is_instance_of::<PyOSError>(py)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// `staggered.staggered_race`: the next attempt starts when the one before it fails, or `delay` seconds after it.
    async fn staggered(&self, delay: f64, failures: &mut Failures) -> PyResult<Option<GcRef>> {
        let mut waiting = self.infos.iter().zip(failures).enumerate();
        let mut running = Together::new();
        let mut latest = None;
        let mut timer = None;
        let mut start = true;
        loop {
            if start && let Some((index, (info, failures))) = waiting.next() {
                latest = Some(index);
                running.push(async move { (index, self.one(info, failures).await) });
                timer = match waiting.len() {
                    0 => None,
                    _ => Some(attached(|py| Delay::new(&self.event_loop.obj(py), delay))?),
                };
            }
            let ended = match timer.as_mut() {
                Some(timer) => match select(Box::pin(running.next()), timer).await {
                    Either::Left((ended, _)) => ended,
                    Either::Right((slept, _)) => {
                        slept?;
                        start = true;
                        continue;
                    }
                },
                None => running.next().await,
            };
            match ended {
                None => return Ok(None),
                Some((_, Ok(socket))) => return Ok(Some(socket)),
                Some((index, Err(error))) => {
                    attached(|py| if is_exit(py, &error) { Err(error) } else { Ok(()) })?;
                    start = latest == Some(index);
                }
            }
        }
    }

    /// `_connect_sock`.
    async fn one(&self, info: &GcRef, failures: &mut Vec<GcRef>) -> PyResult<GcRef> {
        let connected = self.try_one(info, failures).await;
        if let Err(error) = &connected {
            attached(|py| {
                descriptor_closed(&self.event_loop.obj(py));
                if error.is_instance_of::<PyOSError>(py) {
                    failures.push(GcRef::error(py, error.clone_ref(py)));
                }
            });
        }
        connected
    }

    async fn try_one(&self, info: &GcRef, failures: &mut Vec<GcRef>) -> PyResult<GcRef> {
        let (socket, unless_done, connecting) = attached(|py| {
            let info = info.bind(py);
            let (family, kind, proto) = (info.get_item(0)?, info.get_item(1)?, info.get_item(2)?);
            let keywords = PyDict::new(py);
            keywords.set_item("family", &family)?;
            keywords.set_item("type", kind)?;
            keywords.set_item("proto", proto)?;
            let socket = sockets::CLASS.current(py)?.call((), Some(&keywords))?;
            let unless_done = CloseUnlessDone::new(socket.clone());
            socket.call_method1(name!("setblocking"), (false,))?;
            if let Some(local) = self.local {
                bind(&socket, &family, local, failures)?;
            }
            let event_loop = self.event_loop.obj(py);
            let connecting =
                event_loop.as_any().call_method1(name!("sock_connect"), (&socket, info.get_item(4)?))?;
            let connecting = Awaited::on(&event_loop, &connecting)?;
            Ok::<_, PyErr>((GcRef::new(socket), unless_done, connecting))
        })?;
        connecting.await?;
        unless_done.done();
        Ok(socket)
    }
}

fn is_exit(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<pyo3::exceptions::PySystemExit>(py)
        || error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py)
}

/// The text of an error of `bind` within another text.
pub(super) fn lowered<'py>(error: &Bound<'py, PyAny>) -> PyResult<String> {
    let strerror = error.getattr(name!("strerror"))?;
    // An error that a program raised may have none.
    let text = if cfg!(Py_3_13) || strerror.is_none() { error.str()? } else { strerror.str()? };
    Ok(text.to_string().to_lowercase())
}

/// Binds to the first local address of the family for which `bind` succeeds.
fn bind(
    socket: &Bound<'_, PyAny>,
    family: &Bound<'_, PyAny>,
    local: &[GcRef],
    failures: &mut Vec<GcRef>,
) -> PyResult<()> {
    let py = socket.py();
    for info in local {
        let info = info.bind(py);
        if !info.get_item(0)?.eq(family)? {
            continue;
        }
        let address = info.get_item(4)?;
        let Err(error) = socket.call_method1(name!("bind"), (&address,)) else { return Ok(()) };
        if !error.is_instance_of::<PyOSError>(py) {
            return Err(error);
        }
        let error = error.into_value(py).into_bound(py).into_any();
        let text =
            text!("error while attempting to bind on address {}: {}", address.repr()?, lowered(&error)?)?;
        let error = PyOSError::new_err((error.getattr(name!("errno"))?.unbind(), text));
        failures.push(GcRef::error(py, error));
    }
    Err(match failures.pop() {
        Some(last) => last.into_error(py),
        None => PyOSError::new_err(text!("no matching local address with family={} found", family.repr()?)?),
    })
}

/// A transport with its protocol.
pub(super) struct Made(GcRef, GcRef);

impl Made {
    /// Both.
    pub(super) fn bind<'a, 'py>(&'a self, py: Python<'py>) -> (&'a Bound<'py, PyAny>, &'a Bound<'py, PyAny>) {
        (self.0.bind(py), self.1.bind(py))
    }
}

/// `_create_connection_transport`: protocol and transport for a connected socket, once `connection_made` was called.
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
