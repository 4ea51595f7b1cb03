//! Names and addresses: `getaddrinfo`, `getnameinfo`, and [`ensure_resolved`] for connecting and binding.
//!
//! Resolving blocks, so it is done by the default executor. Numeric addresses need no resolver, and are done
//! at once. Called by Python code, by [`super::sock`] and by what makes connections; calls the `socket`
//! module.

use std::net::{Ipv4Addr, Ipv6Addr};

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};
use rustix::net::{AddressFamily, SocketType, ipproto};

use super::{executor, numeric};
use crate::core::EventLoop;
use crate::coroutines::{self, Answer, GcRef, GcScope};
use crate::ffi::thread::attached;
use crate::ffi::{Args, Obj, Output, Signature, Table, make};
use crate::frames::Frame;
use crate::replaced::names::{BASE_EVENTS, sockets};
use crate::tasks::Awaited;
use crate::{names, stock};

const GETADDRINFO: Signature<6> =
    Signature::new("EventLoop.getaddrinfo", "host, port, *, family=0, type=0, proto=0, flags=0");
const GETADDRINFO_DEBUG: Signature<6> =
    Signature::new("EventLoop._getaddrinfo_debug", "host, port, family, type, proto, flags");
const GETNAMEINFO: Signature<2> = Signature::new("EventLoop.getnameinfo", "sockaddr, flags=0");
const ENSURE_RESOLVED: Signature<6> =
    Signature::new("EventLoop._ensure_resolved", "address, *, family=0, type=1, proto=0, flags=0, loop");

pub(super) const AF_UNSPEC: i32 = AddressFamily::UNSPEC.as_raw() as i32;
pub(super) const AF_INET: i32 = AddressFamily::INET.as_raw() as i32;
pub(super) const AF_INET6: i32 = AddressFamily::INET6.as_raw() as i32;
pub(super) const SOCK_STREAM: i32 = SocketType::STREAM.as_raw() as i32;
pub(super) const SOCK_DGRAM: i32 = SocketType::DGRAM.as_raw() as i32;
pub(super) const IPPROTO_TCP: i32 = ipproto::TCP.as_raw().get() as i32;
pub(super) const IPPROTO_UDP: i32 = ipproto::UDP.as_raw().get() as i32;

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(&GETADDRINFO, getaddrinfo, "Coroutine: socket.getaddrinfo() without blocking the loop.");
    t.method(&GETADDRINFO_DEBUG, getaddrinfo_debug, "socket.getaddrinfo(), logged and measured.");
    t.method(&GETNAMEINFO, getnameinfo, "Coroutine: socket.getnameinfo() without blocking the loop.");
    t.method(
        &ENSURE_RESOLVED,
        ensure_resolved_method,
        "Coroutine: what getaddrinfo() says of an address, without asking when it is numeric.",
    );
}

/// The argument, or 0 where it was left out.
fn or_zero<'py>(args: &Args<'_, 'py>, name: &str, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.is_none() && !args.keywords().any(|(keyword, _)| keyword == name) {
        return Ok(0_i32.into_pyobject(value.py())?.into_any());
    }
    Ok(value)
}

/// ValueError for a name with a null character in it: C code would take the part before that character for
/// the whole name.
fn refuse_null(name: &Bound<'_, PyAny>) -> PyResult<()> {
    let has_null = match name.cast::<PyString>() {
        Ok(text) => text.contains("\0")?,
        Err(_) if name.is_instance_of::<PyBytes>() || name.is_instance_of::<PyByteArray>() => {
            name.contains(0)?
        }
        Err(_) => false,
    };
    if has_null { Err(PyValueError::new_err("embedded null character")) } else { Ok(()) }
}

/// `BaseEventLoop.getaddrinfo`.
fn getaddrinfo<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [host, port, family, kind, protocol, flags] = args.parse(&GETADDRINFO)?;
    let family = or_zero(&args, "family", family)?;
    let kind = or_zero(&args, "type", kind)?;
    let protocol = or_zero(&args, "proto", protocol)?;
    let flags = or_zero(&args, "flags", flags)?;
    let gc_scope = GcScope::begin();
    let question = GcRef::new(PyTuple::new(event_loop.py(), [host, port, family, kind, protocol, flags])?);
    let me = GcRef::of(event_loop);
    coroutines::new(gc_scope, event_loop, GETADDRINFO.function, async move {
        let asked = attached(|py| {
            let (event_loop, question) = (me.obj(py), question.any(py).cast::<PyTuple>()?);
            refuse_null(&question.get_item(0)?)?;
            refuse_null(&question.get_item(1)?)?;
            if event_loop.debug.get() {
                let function = event_loop.as_any().getattr(name!("_getaddrinfo_debug"))?;
                return in_executor(&event_loop, function, question).map(Err);
            }
            let here = !sockets::GETADDRINFO.is_replaced(py) && executor::is_unwatched(&event_loop)?;
            if here && let Some(answer) = numeric::answer(question)? {
                return Ok(Ok(answer.unbind()));
            }
            let function = sockets::GETADDRINFO.current(py)?;
            if here && is_numeric_host(&question.get_item(0)?) && is_numeric_port(&question.get_item(1)?) {
                return Ok(Ok(function.call1(question)?.unbind()));
            }
            in_executor(&event_loop, function, question).map(Err)
        })?;
        match asked {
            Ok(answer) => Ok(answer),
            Err(awaited) => awaited.await,
        }
    })
}

/// `loop.run_in_executor(None, function, *args)`, to be awaited.
fn in_executor<'py>(
    event_loop: &Obj<'py, EventLoop>,
    function: Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
) -> PyResult<Awaited> {
    let py = event_loop.py();
    let mut call = vec![py.None().into_bound(py), function];
    call.extend(args.iter());
    let future = event_loop.as_any().call_method1(name!("run_in_executor"), PyTuple::new(py, call)?)?;
    Awaited::on(event_loop, &future)
}

/// `BaseEventLoop._getaddrinfo_debug`: runs in a thread of the executor.
fn getaddrinfo_debug<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let question = args.parse(&GETADDRINFO_DEBUG)?;
    refuse_null(&question[0])?;
    refuse_null(&question[1])?;
    let mut text = text!("{}:{}", question[0].str()?, question[1].repr()?)?;
    for (name, value) in ["family", "type", "proto", "flags"].into_iter().zip(&question[2..]) {
        if value.is_truthy()? {
            crate::texts::append(&mut text, format_args!(", {name}={}", value.repr()?))?;
        }
    }
    static FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop._getaddrinfo_debug");
    FRAME.log(py, "debug", ("Get address info %s", &text))?;
    let time = || -> PyResult<f64> { event_loop.as_any().call_method0(names::time(py))?.extract() };
    let began = time()?;
    let answer = sockets::GETADDRINFO.current(py)?.call1(PyTuple::new(py, question)?)?;
    let spent = time()? - began;
    let text = text!("Getting address info {text} took {:.3}ms: {}", spent * 1e3, answer.repr()?)?;
    let limit: f64 = event_loop.as_any().getattr(name!("slow_callback_duration"))?.extract()?;
    FRAME.log(py, if spent >= limit { "info" } else { "debug" }, (text,))?;
    Ok(answer)
}

/// `BaseEventLoop.getnameinfo`.
fn getnameinfo<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [address, flags] = args.parse(&GETNAMEINFO)?;
    let flags = if flags.is_none() && args.len() < 2 { or_zero(&args, "flags", flags)? } else { flags };
    let gc_scope = GcScope::begin();
    let question = GcRef::new(PyTuple::new(event_loop.py(), [address, flags])?);
    let me = GcRef::of(event_loop);
    coroutines::new(gc_scope, event_loop, GETNAMEINFO.function, async move {
        let asked = attached(|py| {
            let question = question.any(py).cast::<PyTuple>()?;
            if let Ok(address) = question.get_item(0)?.cast::<PyTuple>() {
                address.iter().try_for_each(|part| refuse_null(&part))?;
            }
            let function = sockets::GETNAMEINFO.current(py)?;
            let host: i32 = stock::ni_numerichost(py)?.extract()?;
            let service: i32 = stock::ni_numericserv(py)?.extract()?;
            let flags = question.get_item(1)?.extract::<i32>();
            let asks_nobody = flags.is_ok_and(|flags| flags & host != 0 && flags & service != 0);
            let event_loop = me.obj(py);
            if asks_nobody && !sockets::GETNAMEINFO.is_replaced(py) && executor::is_unwatched(&event_loop)? {
                return Ok(Ok(function.call1(question)?.unbind()));
            }
            in_executor(&event_loop, function, question).map(Err)
        })?;
        match asked {
            Ok(answer) => Ok(answer),
            Err(awaited) => awaited.await,
        }
    })
}

/// The family of a numeric address that `inet_pton` reads; scoped addresses (`fe80::1%eth0`) are not for it.
fn numeric_family(host: &str) -> Option<i32> {
    if host.parse::<Ipv4Addr>().is_ok() {
        return Some(AF_INET);
    }
    host.parse::<Ipv6Addr>().is_ok().then_some(AF_INET6)
}

/// The family of an address that a function in the place of `inet_pton` reads: the one asked for, `given`, or
/// where that is any family one of two.
fn family_by<'py>(
    inet_pton: &Bound<'py, PyAny>,
    host: &Bound<'py, PyString>,
    given: &Bound<'py, PyAny>,
    family: i32,
) -> PyResult<Option<i32>> {
    if host.contains("%")? {
        return Ok(None);
    }
    let py = host.py();
    let families = match family {
        AF_UNSPEC => vec![(AF_INET, stock::af_inet(py)?), (AF_INET6, stock::af_inet6(py)?)],
        _ => vec![(family, given)],
    };
    for (family, object) in families {
        match inet_pton.call1((object, host)) {
            Ok(_) => return Ok(Some(family)),
            Err(error) if error.is_instance_of::<PyOSError>(host.py()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn is_numeric_host(host: &Bound<'_, PyAny>) -> bool {
    host.cast_exact::<PyString>()
        .is_ok_and(|host| host.to_str().is_ok_and(|host| numeric_family(host).is_some()))
}

/// A port that is a number, not the name of a service.
fn is_numeric_port(port: &Bound<'_, PyAny>) -> bool {
    let digits = |text: &[u8]| text.len() < 6 && text.iter().all(u8::is_ascii_digit);
    if let Ok(text) = port.cast_exact::<PyString>() {
        return text.to_str().is_ok_and(|text| digits(text.as_bytes()));
    }
    if let Ok(text) = port.cast_exact::<PyBytes>() {
        return digits(text.as_bytes());
    }
    port.is_none() || port.is_exact_instance_of::<PyInt>()
}

/// The arguments of a lookup, and the loop whose `getaddrinfo` is called.
pub(super) struct Question {
    /// `(host, port, ...)`.
    pub(super) address: GcRef,
    /// The family, 0 for any.
    pub(super) family: GcRef,
    /// The type of the socket.
    pub(super) kind: GcRef,
    /// The protocol, 0 for any.
    pub(super) protocol: GcRef,
    /// Flags of `getaddrinfo`.
    pub(super) flags: GcRef,
    /// The loop, as Python code sees it: a program may have replaced its `getaddrinfo`.
    pub(super) asked: GcRef,
}

fn ensure_resolved_method<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [address, family, kind, protocol, flags, asked] = args.parse(&ENSURE_RESOLVED)?;
    let kind = if kind.is_none() { stock::sock_stream(event_loop.py())?.clone() } else { kind };
    let gc_scope = GcScope::begin();
    let question = Question {
        address: GcRef::new(address),
        family: GcRef::new(or_zero(&args, "family", family)?),
        kind: GcRef::new(kind),
        protocol: GcRef::new(or_zero(&args, "proto", protocol)?),
        flags: GcRef::new(or_zero(&args, "flags", flags)?),
        asked: GcRef::new(asked),
    };
    let me = GcRef::of(event_loop);
    coroutines::new(gc_scope, event_loop, ENSURE_RESOLVED.function, async move {
        ensure_resolved(&me, question).await
    })
}

/// `BaseEventLoop._ensure_resolved`: a list of address infos, with one entry for an address that is numeric
/// already.
pub(super) async fn ensure_resolved(event_loop: &GcRef<EventLoop>, question: Question) -> Answer {
    let asked = attached(|py| {
        let (host, port, rest) = parts(question.address.any(py))?;
        refuse_null(&host)?;
        refuse_null(&port)?;
        let info = match sockets::IPADDR_INFO.replacement(py)? {
            Some(function) => {
                let (family, kind, protocol) = (&question.family, &question.kind, &question.protocol);
                let mut call = vec![host.clone(), port.clone()];
                call.extend([family, kind, protocol].map(|number| number.any(py).clone()));
                call.extend(rest);
                Some(function.call1(PyTuple::new(py, call)?)?).filter(|info| !info.is_none())
            }
            None => numeric_info(&question, &host, &port, &rest, py)?.map(Bound::into_any),
        };
        if let Some(info) = info {
            return Ok(Ok(PyList::new(py, [info])?.into_any().unbind()));
        }
        let keywords = PyDict::new(py);
        keywords.set_item("family", question.family.any(py))?;
        keywords.set_item("type", question.kind.any(py))?;
        keywords.set_item("proto", question.protocol.any(py))?;
        keywords.set_item("flags", question.flags.any(py))?;
        let asking =
            question.asked.any(py).call_method(name!("getaddrinfo"), (host, port), Some(&keywords))?;
        Awaited::on(&event_loop.obj(py), &asking).map(Err)
    })?;
    match asked {
        Ok(answer) => Ok(answer),
        Err(awaited) => awaited.await,
    }
}

type Parts<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Vec<Bound<'py, PyAny>>);

/// `host, port = address[:2]`, and `address[2:]`.
fn parts<'py>(address: &Bound<'py, PyAny>) -> PyResult<Parts<'py>> {
    let py = address.py();
    let slice = |start: usize, stop: usize| -> PyResult<Vec<Bound<'py, PyAny>>> {
        address.get_item(make::slice(py, start, stop)?)?.try_iter()?.collect()
    };
    let mut first = slice(0, 2)?.into_iter();
    let given = first.len();
    let (Some(host), Some(port)) = (first.next(), first.next()) else {
        return Err(PyValueError::new_err(format!("not enough values to unpack (expected 2, got {given})")));
    };
    Ok((host, port, slice(2, isize::MAX.unsigned_abs())?))
}

/// `base_events._ipaddr_info`: the address info of a numeric address, `None` for a name that has to be
/// resolved.
fn numeric_info<'py>(
    question: &Question,
    host: &Bound<'py, PyAny>,
    port: &Bound<'py, PyAny>,
    rest: &[Bound<'py, PyAny>],
    py: Python<'py>,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    question.protocol.any(py).hash()?; // asyncio looks for it in a set
    let protocol = one_of(&question.protocol, [0, IPPROTO_TCP, IPPROTO_UDP], py)?;
    let kind = one_of(&question.kind, [SOCK_STREAM, SOCK_DGRAM], py)?;
    let protocol = match (protocol, kind) {
        (None, _) | (_, None) => return Ok(None),
        (_, Some(SOCK_STREAM)) => IPPROTO_TCP,
        _ => IPPROTO_UDP,
    };
    let Some(family) = one_of(&question.family, [AF_UNSPEC, AF_INET, AF_INET6], py)? else { return Ok(None) };
    let Some(port) = port_number(port)? else { return Ok(None) };
    let host = match host.cast::<PyBytes>() {
        Ok(bytes) => bytes.call_method1(name!("decode"), ("idna",))?,
        Err(_) => host.clone(),
    };
    let Ok(text) = host.cast::<PyString>() else {
        if !host.is_none() {
            // asyncio looks for the zone of an address, in whatever it was given.
            host.contains("%")?;
        }
        return Ok(None);
    };
    let found = match sockets::INET_PTON.replacement(py)? {
        Some(inet_pton) => family_by(&inet_pton, text, question.family.any(py), family)?,
        // A zone is not for `inet_pton`, which refuses what is not UTF-8.
        None if text.contains("%")? => None,
        None => numeric_family(text.to_str()?),
    };
    let Some(found) = found.filter(|found| family == AF_UNSPEC || family == *found) else { return Ok(None) };
    let mut address = vec![host, port];
    if found == AF_INET6 {
        address.extend_from_slice(rest);
        while address.len() < 4 {
            address.push(0_i32.into_pyobject(py)?.into_any());
        }
    }
    if rest.len() > 2 {
        return Err(PyTypeError::new_err(format!(
            "_ipaddr_info() takes from 5 to 7 positional arguments but {} were given",
            5 + rest.len()
        )));
    }
    let family = match (family, found) {
        (AF_UNSPEC, AF_INET) => stock::af_inet(py)?.clone(),
        (AF_UNSPEC, _) => stock::af_inet6(py)?.clone(),
        _ => question.family.any(py).clone(),
    };
    let info = (family, question.kind.any(py), protocol, "", PyTuple::new(py, address)?);
    Ok(Some(info.into_pyobject(py)?))
}

/// Which of these numbers an object is equal to; it may be a float.
fn one_of<const N: usize>(object: &GcRef, numbers: [i32; N], py: Python<'_>) -> PyResult<Option<i32>> {
    let object = object.any(py);
    if let Ok(number) = object.extract::<i32>() {
        return Ok(numbers.contains(&number).then_some(number));
    }
    for number in numbers {
        if object.eq(number)? {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// The port as a number; `None` for the name of a service.
fn port_number<'py>(port: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = port.py();
    if port.is_exact_instance_of::<PyInt>() {
        return Ok(Some(port.clone()));
    }
    let empty = port.cast::<PyString>().is_ok_and(|text| text.len().is_ok_and(|len| len == 0))
        || port.cast::<PyBytes>().is_ok_and(|bytes| bytes.as_bytes().is_empty());
    if port.is_none() || empty {
        return Ok(Some(0_i32.into_pyobject(py)?.into_any()));
    }
    match py.get_type::<PyInt>().call1((port,)) {
        Ok(number) => Ok(Some(number)),
        Err(error) if error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyValueError>(py) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
