//! Opening datagram sockets: `create_datagram_endpoint`, and `_make_datagram_transport`.
//!
//! Names are resolved by `_ensure_resolved` and sockets connected by `sock_connect`, both through the loop
//! object, so that a program's own versions are used. Called by Python code; calls
//! [`crate::transports::datagram`] by the loop's method.

use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use rustix::net::{AddressFamily, SocketType};

use super::connect::{CloseUnlessDone, or_number};
use super::serve;
use crate::core::EventLoop;
use crate::coroutines::{self, GcRef, GcScope};
use crate::ffi::raised::raise;
use crate::ffi::thread::attached;
use crate::ffi::{Args, Class, Obj, Output, Raised, Signature, Table, none};
use crate::frames::Frame;
use crate::mixins::create_future;
use crate::replaced::names::{BASE_EVENTS, DATAGRAM_TRANSPORT, sockets};
use crate::stock;
use crate::tasks::Awaited;
use crate::texts::joined;
use crate::transports::{DatagramTransport, descriptors};

const CREATE: Signature<9> = Signature::new(
    "EventLoop.create_datagram_endpoint",
    "protocol_factory, local_addr=None, remote_addr=None, *, family=0, proto=0, flags=0, reuse_port=None, allow_broadcast=None, sock=None",
);
const MAKE_TRANSPORT: Signature<5> = Signature::new(
    "EventLoop._make_datagram_transport",
    "sock, protocol, address=None, waiter=None, extra=None",
);

const AF_UNIX: i32 = AddressFamily::UNIX.as_raw() as i32;
const SOCK_STREAM: i32 = SocketType::STREAM.as_raw() as i32;
const SOL_SOCKET: i32 = 1;
const SO_BROADCAST: i32 = 6;
/// The type of a file in its mode, and the type of sockets.
const S_IFMT: u32 = 0o170_000;
const S_IFSOCK: u32 = 0o140_000;

static FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.create_datagram_endpoint");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &CREATE,
        create_datagram_endpoint,
        "Coroutine: opens a datagram socket, or takes one. Returns (transport, protocol).",
    );
    t.method(&MAKE_TRANSPORT, make_datagram_transport, "A transport for a non-blocking datagram socket.");
}

fn make_datagram_transport<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let [sock, rest @ ..] = args.parse(&MAKE_TRANSPORT)?;
    descriptors::check(event_loop, &sock, descriptors::number_of(&sock)?)?;
    let given = [event_loop.as_any().clone(), sock].into_iter().chain(rest);
    let class = match DATAGRAM_TRANSPORT.replacement(py)? {
        Some(class) => class,
        None => DatagramTransport::class(py).into_any(),
    };
    class.call1(PyTuple::new(py, given.collect::<Vec<_>>())?)
}

/// The arguments of `create_datagram_endpoint` but for the factory.
struct Place {
    local: GcRef,
    remote: GcRef,
    family: GcRef,
    proto: GcRef,
    flags: GcRef,
    reuse_port: GcRef,
    allow_broadcast: GcRef,
    sock: GcRef,
}

/// A socket to make: family and protocol, the local and the remote address.
struct Plan {
    family: GcRef,
    proto: GcRef,
    local: GcRef,
    remote: GcRef,
}

/// A socket, and where all its datagrams go, or None.
struct Opened {
    socket: GcRef,
    remote: GcRef,
    /// The loop made it.
    own: bool,
}

fn create_datagram_endpoint<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let gc_scope = GcScope::begin();
    let me = GcRef::of(event_loop);
    let or_none = |value: Option<Bound<'py, PyAny>>| GcRef::or_none(py, value);
    let [factory, local, remote, family, proto, flags, reuse_port, allow_broadcast, sock] =
        args.parse_given(&CREATE)?;
    let factory = or_none(factory);
    let place = Place {
        local: or_none(local),
        remote: or_none(remote),
        family: or_number(py, family, 0),
        proto: or_number(py, proto, 0),
        flags: or_number(py, flags, 0),
        reuse_port: or_none(reuse_port),
        allow_broadcast: or_none(allow_broadcast),
        sock: or_none(sock),
    };
    coroutines::new(gc_scope, event_loop, CREATE.function, async move {
        let opened = if attached(|py| place.sock.is_none(py)) {
            open(&me, &place).await?
        } else {
            attached(|py| take(py, &place))?
        };
        let (pair, waiting, unless_done) = attached(|py| make(&me.obj(py), &place, &factory, opened))?;
        waiting.await?;
        unless_done.done();
        Ok(attached(|py| pair.to_bound(py).unbind()))
    })
}

/// The socket that was given, with which nothing else may be.
fn take(py: Python<'_>, place: &Place) -> PyResult<Opened> {
    let sock = place.sock.bind(py);
    let kind = sock.getattr(name!("type"))?;
    if kind.eq(SOCK_STREAM)? {
        let expected =
            if cfg!(Py_3_13) { "A datagram socket was expected" } else { "A UDP Socket was expected" };
        return Err(PyValueError::new_err(text!("{expected}, got {}", sock.repr()?)?));
    }
    let mut problems = Vec::new();
    for (name, value) in [
        ("local_addr", &place.local),
        ("remote_addr", &place.remote),
        ("family", &place.family),
        ("proto", &place.proto),
        ("flags", &place.flags),
        ("reuse_port", &place.reuse_port),
        ("allow_broadcast", &place.allow_broadcast),
    ] {
        let value = value.bind(py);
        if value.is_truthy()? {
            problems.push(text!("{name}={}", value.call_method1(name!("__format__"), ("",))?.str()?)?);
        }
    }
    if !problems.is_empty() {
        return Err(PyValueError::new_err(text!(
            "socket modifier keyword arguments can not be used when sock is specified. ({})",
            joined(&problems, ", ")?
        )?));
    }
    sock.call_method1(name!("setblocking"), (false,))?;
    Ok(Opened { socket: place.sock.clone_ref(py), remote: GcRef::or_none(py, None), own: false })
}

/// The first socket that can be made, bound and connected. The error of the first attempt when none can.
async fn open(event_loop: &GcRef<EventLoop>, place: &Place) -> PyResult<Opened> {
    let mut first_error = None;
    for plan in plans(event_loop, place).await? {
        match open_one(event_loop, place, plan).await {
            Ok(opened) => return Ok(opened),
            Err(error) if attached(|py| error.is_instance_of::<PyOSError>(py)) => {
                first_error.get_or_insert_with(|| attached(|py| GcRef::error(py, error)));
            }
            Err(error) => return Err(error),
        }
    }
    // There is always a plan.
    Err(match first_error {
        Some(error) => attached(|py| raise(error.to_bound(py))),
        None => PyValueError::new_err("can not get address information"),
    })
}

/// All sockets that fit the arguments.
async fn plans(event_loop: &GcRef<EventLoop>, place: &Place) -> PyResult<Vec<Plan>> {
    let known = attached(|py| {
        let (local, remote) = (place.local.bind(py), place.remote.bind(py));
        let family = place.family.bind(py);
        let plan = |local: &Bound<'_, PyAny>, remote: &Bound<'_, PyAny>| Plan {
            family: place.family.clone_ref(py),
            proto: place.proto.clone_ref(py),
            local: GcRef::new(local.clone()),
            remote: GcRef::new(remote.clone()),
        };
        if !local.is_truthy()? && !remote.is_truthy()? {
            if family.eq(0)? {
                return Err(PyValueError::new_err("unexpected address family"));
            }
            return Ok(Some(plan(&none(py), &none(py))));
        }
        if !family.eq(AF_UNIX)? {
            return Ok(None);
        }
        for address in [local, remote] {
            if !address.is_none() && !address.is_instance_of::<PyString>() {
                return Err(PyTypeError::new_err("string is expected"));
            }
        }
        remove_stale(local)?;
        Ok(Some(plan(local, remote)))
    })?;
    match known {
        Some(plan) => Ok(vec![plan]),
        None => resolve(event_loop, place).await,
    }
}

/// Removes a Unix socket that a program before this one left behind. Names without a path are not in the file
/// system.
fn remove_stale(local: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = local.py();
    if !local.is_truthy()? || local.get_item(0)?.eq("\0")? {
        return Ok(());
    }
    let os = stock::module(py, "os")?;
    let remove = || -> PyResult<()> {
        let mode: u32 = os.call_method1(name!("stat"), (local,))?.getattr(name!("st_mode"))?.extract()?;
        if mode & S_IFMT == S_IFSOCK {
            os.call_method1(name!("remove"), (local,))?;
        }
        Ok(())
    };
    let Err(error) = remove() else { return Ok(()) };
    let error = Raised::from_err(py, error);
    if error.is::<PyFileNotFoundError>() {
        return Ok(());
    }
    if !error.is::<PyOSError>() {
        return Err(error.into_err());
    }
    let format = "Unable to check or remove stale UNIX socket %r: %r";
    FRAME.log(py, "error", (format, local, error.as_any()))
}

/// Resolves both addresses, and pairs results of the same family and protocol.
async fn resolve(event_loop: &GcRef<EventLoop>, place: &Place) -> PyResult<Vec<Plan>> {
    let found = attached(|py| GcRef::new(PyDict::new(py)));
    for (index, address) in [&place.local, &place.remote].into_iter().enumerate() {
        let resolving = attached(|py| {
            let address = address.bind(py);
            if address.is_none() {
                return Ok(None);
            }
            if !address.cast::<PyTuple>().is_ok_and(|pair| pair.len() == 2) {
                return Err(PyTypeError::new_err("2-tuple is expected"));
            }
            let event_loop = event_loop.obj(py);
            let keywords = PyDict::new(py);
            keywords.set_item("family", &place.family)?;
            keywords.set_item("type", stock::sock_dgram(py)?)?;
            keywords.set_item("proto", &place.proto)?;
            keywords.set_item("flags", &place.flags)?;
            keywords.set_item("loop", event_loop.as_any())?;
            let resolving =
                event_loop.as_any().call_method(name!("_ensure_resolved"), (address,), Some(&keywords))?;
            Awaited::on(&event_loop, &resolving).map(Some)
        })?;
        let Some(resolving) = resolving else { continue };
        let infos = resolving.await?;
        attached(|py| {
            let infos = infos.into_bound(py);
            if !infos.is_truthy()? {
                return Err(PyOSError::new_err("getaddrinfo() returned empty list"));
            }
            for info in infos.try_iter()? {
                let info = info?;
                let key = (info.get_item(0)?, info.get_item(2)?).into_pyobject(py)?;
                let found = found.bind(py).cast::<PyDict>()?;
                let pair = match found.get_item(&key)? {
                    Some(pair) => pair,
                    None => {
                        let pair = PyList::new(py, [py.None(), py.None()])?.into_any();
                        found.set_item(&key, &pair)?;
                        pair
                    }
                };
                pair.set_item(index, info.get_item(4)?)?;
            }
            Ok(())
        })?;
    }
    attached(|py| {
        let needs_local = place.local.bind(py).is_truthy()?;
        let needs_remote = place.remote.bind(py).is_truthy()?;
        let mut plans = Vec::new();
        for (key, pair) in found.bind(py).cast::<PyDict>()? {
            let (local, remote) = (pair.get_item(0)?, pair.get_item(1)?);
            if (needs_local && local.is_none()) || (needs_remote && remote.is_none()) {
                continue;
            }
            plans.push(Plan {
                family: GcRef::new(key.get_item(0)?),
                proto: GcRef::new(key.get_item(1)?),
                local: GcRef::new(local),
                remote: GcRef::new(remote),
            });
        }
        if plans.is_empty() {
            return Err(PyValueError::new_err("can not get address information"));
        }
        Ok(plans)
    })
}

/// A socket as planned.
async fn open_one(event_loop: &GcRef<EventLoop>, place: &Place, plan: Plan) -> PyResult<Opened> {
    let (socket, unless_done, connecting) = attached(|py| {
        let keywords = PyDict::new(py);
        keywords.set_item("family", &plan.family)?;
        keywords.set_item("type", stock::sock_dgram(py)?)?;
        keywords.set_item("proto", &plan.proto)?;
        let socket = sockets::CLASS.current(py)?.call((), Some(&keywords))?;
        let unless_done = CloseUnlessDone::new(socket.clone());
        if place.reuse_port.bind(py).is_truthy()? {
            serve::set_reuse_port(&socket)?;
        }
        let broadcast = place.allow_broadcast.bind(py).is_truthy()?;
        if broadcast {
            socket.call_method1(name!("setsockopt"), (SOL_SOCKET, SO_BROADCAST, 1))?;
        }
        socket.call_method1(name!("setblocking"), (false,))?;
        if place.local.bind(py).is_truthy()? {
            socket.call_method1(name!("bind"), (&plan.local,))?;
        }
        let connecting = if place.remote.bind(py).is_truthy()? && !broadcast {
            let event_loop = event_loop.obj(py);
            let connecting =
                event_loop.as_any().call_method1(name!("sock_connect"), (&socket, &plan.remote))?;
            Some(Awaited::on(&event_loop, &connecting)?)
        } else {
            None
        };
        Ok::<_, PyErr>((GcRef::new(socket), unless_done, connecting))
    })?;
    if let Some(connecting) = connecting {
        connecting.await?;
    }
    unless_done.done();
    attached(|py| {
        let remote = if place.remote.bind(py).is_truthy()? { plan.remote } else { GcRef::or_none(py, None) };
        Ok(Opened { socket, remote, own: true })
    })
}

/// The pair of transport and protocol, to be returned once `connection_made` has been called.
fn make(
    event_loop: &Obj<'_, EventLoop>,
    place: &Place,
    factory: &GcRef,
    opened: Opened,
) -> PyResult<(GcRef, Awaited, CloseUnlessDone)> {
    let py = event_loop.py();
    let socket = opened.socket.bind(py);
    let socket_unless_done = opened.own.then(|| CloseUnlessDone::new(socket.clone()));
    let protocol = factory.bind(py).call0()?;
    let waiter = create_future(event_loop.as_any())?;
    let arguments = (socket, &protocol, &opened.remote, &waiter);
    let transport = event_loop.as_any().call_method1(name!("_make_datagram_transport"), arguments)?;
    if let Some(unless_done) = socket_unless_done {
        unless_done.done();
        if let Some(native) = Obj::<DatagramTransport>::cast(&transport) {
            native.keep_to_itself();
        }
    }
    let unless_done = CloseUnlessDone::new(transport.clone());
    if event_loop.debug.get() {
        let (local, remote) = (&place.local, &place.remote);
        if local.bind(py).is_truthy()? {
            let format = "Datagram endpoint local_addr=%r remote_addr=%r created: (%r, %r)";
            FRAME.log(py, "info", (format, local, remote, &transport, &protocol))?;
        } else {
            let format = "Datagram endpoint remote_addr=%r created: (%r, %r)";
            FRAME.log(py, "debug", (format, remote, &transport, &protocol))?;
        }
    }
    let waiting = Awaited::on(event_loop, &waiter)?;
    let pair = GcRef::new((transport, protocol).into_pyobject(py)?);
    Ok((pair, waiting, unless_done))
}
