//! Which descriptors belong to transports: `_transports` and `_ensure_fd_no_transport` of
//! `asyncio.selector_events`.
//!
//! Native transports are listed in a [`WeakMap`](crate::ffi::WeakMap). The mapping of the standard library
//! (descriptor to transport, weakly) is made when Python code first asks for `_transports`, and from then on
//! it is what counts. Called by transports and by everything that is not to touch a transport's descriptor.

use pyo3::exceptions::{PyAttributeError, PyKeyError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};
use yibu_engine::Fd;

use crate::core::{EventLoop, Overridable, Overrides};
use crate::ffi::{Class, Obj, Output, WeakMapEntry};
use crate::stock;

/// The number of a descriptor, or of an object with `fileno()`; ValueError for anything else. -1 for a number
/// that no descriptor can have.
pub fn number_of(file: &Bound<'_, PyAny>) -> PyResult<Fd> {
    let py = file.py();
    if file.is_instance_of::<PyInt>() {
        return Ok(file.extract().unwrap_or(-1));
    }
    let number = file
        .call_method0(name!("fileno"))
        .and_then(|number| py.get_type::<PyInt>().call1((number,)))
        .or_else(|error| {
            let foreseen = error.is_instance_of::<PyAttributeError>(py)
                || error.is_instance_of::<PyTypeError>(py)
                || error.is_instance_of::<PyValueError>(py);
            let text = text!("Invalid file object: {}", file.repr()?)?;
            Err(if foreseen { PyValueError::new_err(text) } else { error })
        })?;
    Ok(number.extract().unwrap_or(-1))
}

/// The mapping, once there is one.
#[inline]
fn known_mapping<'py>(event_loop: &Obj<'py, EventLoop>) -> Option<Bound<'py, PyAny>> {
    event_loop.transport_mapping.get(event_loop.py())
}

/// `_transports`: the mapping as Python code sees it.
pub fn mapping<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    let py = event_loop.py();
    if let Some(mapping) = known_mapping(event_loop) {
        return Ok(mapping);
    }
    let mapping = stock::module(py, "weakref")?.getattr(name!("WeakValueDictionary"))?.call0()?;
    for (fd, transport) in all_native(event_loop) {
        mapping.set_item(fd, transport)?;
    }
    event_loop.transport_mapping.put(mapping.clone());
    Ok(mapping)
}

/// The native transports with their descriptors.
fn all_native<'py>(event_loop: &Obj<'py, EventLoop>) -> Vec<(usize, Bound<'py, PyAny>)> {
    event_loop.transports.living(event_loop.py())
}

/// A list of pairs: a descriptor, and the transport to which it belongs.
pub fn all<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    let py = event_loop.py();
    match known_mapping(event_loop) {
        Some(mapping) => Ok(py.get_type::<PyList>().call1((mapping.call_method0(name!("items"))?,))?),
        None => Ok(PyList::new(py, all_native(event_loop))?.into_any()),
    }
}

/// The native transport of a descriptor.
#[inline]
fn native<'py>(event_loop: &Obj<'py, EventLoop>, fd: Fd) -> Option<Bound<'py, PyAny>> {
    let number = usize::try_from(fd).ok()?;
    event_loop.transports.get(event_loop.py(), number)
}

/// Lists a transport as the owner of a descriptor until it closes or goes, by its own `listing`.
pub fn enter<T: Class>(
    event_loop: &Obj<'_, EventLoop>,
    fd: Fd,
    transport: &Obj<'_, T>,
    listing: &WeakMapEntry,
) -> PyResult<()> {
    if let Some(mapping) = known_mapping(event_loop) {
        return mapping.set_item(fd, transport.as_any());
    }
    if let Ok(number) = usize::try_from(fd) {
        listing.enter(&event_loop.transports, number, transport);
    }
    Ok(())
}

/// Takes a transport off the list, for sendfile and TLS, which use its descriptor meanwhile; KeyError when it
/// is not there.
pub fn leave(
    event_loop: &Obj<'_, EventLoop>,
    fd: Fd,
    transport: &Bound<'_, PyAny>,
    listing: &WeakMapEntry,
) -> PyResult<()> {
    if let Some(mapping) = known_mapping(event_loop) {
        return mapping.del_item(fd);
    }
    let listed = native(event_loop, fd);
    if !listed.is_some_and(|listed| listed.is(transport)) {
        return Err(PyKeyError::new_err(fd));
    }
    listing.leave();
    Ok(())
}

/// `self._ensure_fd_no_transport(file)`, of descriptor `fd`.
#[inline]
pub fn check(event_loop: &Obj<'_, EventLoop>, file: &Bound<'_, PyAny>, fd: Fd) -> PyResult<()> {
    if event_loop.overrides(Overridable::EnsureNoTransport) {
        return event_loop.as_any().call_method1(name!("_ensure_fd_no_transport"), (file,)).map(drop);
    }
    ensure_free(event_loop, file, fd)
}

/// The same where the number is all that is known.
#[inline]
pub fn check_number(event_loop: &Obj<'_, EventLoop>, fd: Fd) -> PyResult<()> {
    let is_free = !event_loop.overrides(Overridable::EnsureNoTransport)
        && known_mapping(event_loop).is_none()
        && native(event_loop, fd).is_none();
    if is_free {
        return Ok(());
    }
    check(event_loop, fd.into_pyobject(event_loop.py())?.as_any(), fd)
}

/// RuntimeError when descriptor `fd`, that Python code calls `file`, belongs to a transport that is not
/// closing.
#[inline]
pub fn ensure_free(event_loop: &Obj<'_, EventLoop>, file: &Bound<'_, PyAny>, fd: Fd) -> PyResult<()> {
    let transport = match known_mapping(event_loop) {
        Some(mapping) => {
            let transport = mapping.call_method1(name!("get"), (fd,))?;
            if !transport.is_truthy()? || transport.call_method0(name!("is_closing"))?.is_truthy()? {
                return Ok(());
            }
            transport
        }
        // Closing transports have left.
        None => match native(event_loop, fd) {
            Some(transport) => transport,
            None => return Ok(()),
        },
    };
    Err(PyRuntimeError::new_err(text!(
        "File descriptor {} is used by transport {}",
        file.repr()?,
        transport.repr()?
    )?))
}
