//! The attempts to connect to one of several addresses: one after the other, or overlapping (happy eyeballs).
//!
//! `_connect_sock`, `_interleave_addrinfos` and `staggered_race` as `create_connection` uses them. Called by
//! `connect`; calls `sock_connect` by the loop's method.

use futures_util::future::{Either, select};
use pyo3::exceptions::{PyOSError, PyOverflowError, PyTimeoutError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList};
use yibu_engine::Together;

use super::{CloseUnlessDone, Target, ensure_resolved};
use crate::core::EventLoop;
use crate::core::event_loop::descriptor_closed;
use crate::coroutines::GcRef;
use crate::errors;
use crate::ffi::raised::raise;
use crate::ffi::thread::attached;
use crate::replaced::names::INTERLEAVE;
use crate::replaced::names::sockets;
use crate::stock;
use crate::tasks::{Awaited, Delay};
use crate::texts::joined;

/// A list with something in it.
fn not_empty(infos: Bound<'_, PyAny>) -> PyResult<Vec<GcRef>> {
    let infos: Vec<GcRef> = errors::collected(infos.try_iter()?.map(|info| info.map(GcRef::new)))?;
    if infos.is_empty() {
        return Err(PyOSError::new_err("getaddrinfo() returned empty list"));
    }
    Ok(infos)
}

/// A connected socket: the addresses are tried one after the other, or overlapping (happy eyeballs).
pub(super) async fn connect(event_loop: &GcRef<EventLoop>, target: &Target) -> PyResult<GcRef> {
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
        if delay.is_none() {
            return Ok(None);
        }
        seconds_to_wait(delay).map(Some).map_err(|error| race_failed(py, error))
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

/// What the race of connections raises when the delay is no delay: since 3.14 `staggered_race` puts what its
/// tasks raise into a group.
fn race_failed(py: Python<'_>, error: PyErr) -> PyErr {
    if !cfg!(Py_3_14) {
        return error;
    }
    let group = || -> PyResult<PyErr> {
        let errors = PyList::new(py, [error.into_value(py)])?;
        Ok(raise(exception_group(py)?.call1(("staggered race failed", errors))?))
    };
    group().unwrap_or_else(|error| error)
}

fn exception_group(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    stock::module(py, "builtins")?.getattr(name!("ExceptionGroup"))
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
            let group = exception_group(py)?.call1(("create_connection failed", PyList::new(py, errors)?))?;
            return Ok(raise(group));
        }
        let texts: Vec<String> =
            errors.iter().map(|error| text!("{}", error.str()?)).collect::<PyResult<_>>()?;
        Ok(match errors.into_iter().next() {
            None => PyTimeoutError::new_err("create_connection failed"),
            Some(first) if texts.iter().all(|text| *text == texts[0]) => raise(first),
            Some(_) => PyOSError::new_err(text!("Multiple exceptions: {}", joined(&texts, ", ")?)?),
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

    /// `staggered.staggered_race`: the next attempt starts when the one before it fails, or `delay` seconds
    /// after it.
    async fn staggered(&self, delay: f64, failures: &mut Failures) -> PyResult<Option<GcRef>> {
        let mut waiting = self.infos.iter().zip(failures).enumerate();
        let mut running = Together::default();
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
pub(in crate::event_loop) fn lowered<'py>(error: &Bound<'py, PyAny>) -> PyResult<String> {
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
        Some(last) => raise(last.to_bound(py)),
        None => PyOSError::new_err(text!("no matching local address with family={} found", family.repr()?)?),
    })
}
