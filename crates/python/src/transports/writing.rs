//! The flow control of transports that write, and what follows from a write.
//!
//! Calls the stream machine, and [`super::upcall`] with its answers.

use std::cell::Cell;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use yibu_driver::memory::{self, MakeRoom};
use yibu_engine::transport::{Channel, DEFAULT_HIGH, During, Upcall, WriteError};

use super::chunk::Chunk;
use super::endpoint::{act, refused};
use super::link::StreamTransport;
use super::{closing, upcall};
use crate::errors;
use crate::ffi::bytes::Bytes;
use crate::ffi::{Args, Obj, Output, Raised, Signature, Table, boolean, none};

const LIMITS: Signature<2> =
    Signature::new("_FlowControlMixin.set_write_buffer_limits", "high=None, low=None");

/// The flow control of transports that write.
pub(super) fn flow_table<T: StreamTransport>(t: &mut Table<T>) {
    t.noargs(c"can_write_eof", |transport| Ok(boolean(transport.py(), true)), "True.");
    t.method(
        &LIMITS,
        set_write_buffer_limits,
        "Sets the amounts of unsent data, in bytes, at which the protocol is paused and resumed.",
    );
    t.answer(
        c"get_write_buffer_limits",
        |transport| transport.link().stream(|stream| stream.write_buffer_limits()),
        "The low and the high limit.",
    );
    t.noargs(
        c"get_write_buffer_size",
        |transport| {
            T::flush(transport)?;
            let size = transport.link().stream(|stream| stream.write_buffer_size());
            Ok(size.into_pyobject(transport.py())?.into_any())
        },
        "The number of bytes that wait to be sent.",
    );
}

/// What of an object of exactly this class has not been sent.
#[inline]
pub(super) fn kept(bytes: &Bound<'_, PyBytes>, sent: usize) -> Chunk {
    match Bytes::keep(bytes, sent) {
        Some(kept) => Chunk::GcRef(kept),
        // Callers copy instances of subclasses.
        None => Chunk::Copied(Box::default()),
    }
}

/// Data whose memory cannot be had in one piece. What is not contiguous the kernel would have refused; a
/// memoryview that was released has no truth: that is the caller's error, not the connection's.
#[cold]
pub(super) fn unreadable<T: StreamTransport>(
    transport: &Obj<'_, T>,
    data: &Bound<'_, PyAny>,
    error: PyErr,
) -> PyResult<()> {
    if !data.is_truthy()? {
        return Ok(());
    }
    T::flush(transport)?;
    fail(transport, error)
}

/// Does `write` with something that makes a chunk of `data[n..]`, for data that may change. MemoryError where
/// there is no memory for a chunk; what could be sent has been sent then.
pub(super) fn with_copies<R>(
    data: &[u8],
    write: impl FnOnce(&dyn Fn(usize) -> Chunk) -> PyResult<R>,
) -> PyResult<R> {
    let failed = Cell::new(false);
    let written = write(&|sent| {
        copied(data, sent).unwrap_or_else(|| {
            failed.set(true);
            Chunk::Copied(Box::default())
        })
    })?;
    if failed.get() { Err(errors::no_memory()) } else { Ok(written) }
}

/// What has not been sent of something that may change; nothing where there is no memory for it.
pub(super) fn copied(data: &[u8], sent: usize) -> Option<Chunk> {
    memory::copy(data.get(sent..).unwrap_or_default()).map(|copy| Chunk::Copied(copy.into()))
}

/// Copies of pieces that a transport has, or MemoryError.
pub(super) fn unsent<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> PyResult<Vec<Vec<u8>>> {
    let mut copies = Vec::new();
    for piece in pieces {
        errors::room(copies.make_room(1))?;
        copies.push(errors::copied(piece)?);
    }
    Ok(copies)
}

/// Sends what can be sent at once, and keeps the rest as `make_chunk(n)`, a chunk of `data[n..]`.
#[inline]
pub(super) fn send<T: StreamTransport>(
    transport: &Obj<'_, T>,
    data: &[u8],
    make_chunk: impl FnOnce(usize) -> Chunk,
) -> PyResult<()> {
    // Writing nothing touches no socket.
    if !data.is_empty() && !transport.is_intact(transport.py())? {
        return closed_by_the_program(transport);
    }
    let written = act(transport, |stream, kernel| stream.write(kernel, data, make_chunk))?;
    conclude(transport, written, "write")
}

/// There is no descriptor to write to. After the end of the connection the write is counted. Before it,
/// Python code closed the socket itself: as far as asyncio's transport can tell, sending fails.
#[cold]
pub(super) fn closed_by_the_program<T: StreamTransport>(transport: &Obj<'_, T>) -> PyResult<()> {
    fail(transport, errors::bad_descriptor())
}

/// A write that cannot be done ends the connection with an error, unless it comes too late: then it is
/// dropped like any other.
pub(super) fn fail<T: StreamTransport>(transport: &Obj<'_, T>, error: PyErr) -> PyResult<()> {
    if is_late(transport, "write")? {
        return Ok(());
    }
    let error = Raised::from_err(transport.py(), error);
    closing::fatal_error(transport, &error, T::Channel::failure(During::Writing))
}

/// Whether a write comes after the end of the connection; it is counted then.
pub(super) fn is_late<T: StreamTransport>(transport: &Obj<'_, T>, method: &str) -> PyResult<bool> {
    let nothing = transport.link().stream(|stream| stream.queue(std::iter::empty()));
    match nothing.map_err(|error| unwritable(transport, &error, method))? {
        Ok(_) => Ok(false),
        Err(late) => upcall::execute_in_context(transport, late).map(|()| true),
    }
}

/// Does what follows from a write.
#[inline]
pub(super) fn conclude<T: StreamTransport>(
    transport: &Obj<'_, T>,
    written: Result<Option<Upcall>, WriteError>,
    method: &str,
) -> PyResult<()> {
    match written {
        Ok(None) => Ok(()),
        Ok(Some(upcall)) => upcall::execute_in_context(transport, upcall),
        Err(error) => Err(unwritable(transport, &error, method)),
    }
}

#[cold]
pub(super) fn unwritable<T: StreamTransport>(
    transport: &Obj<'_, T>,
    error: &WriteError,
    method: &str,
) -> PyErr {
    match (error.text(method), error) {
        (Some(text), _) => PyRuntimeError::new_err(text),
        (None, WriteError::Unwatched(error)) => refused(transport, error),
        (None, WriteError::NoMemory) => errors::no_memory(),
        (None, error) => PyRuntimeError::new_err(error.to_string()),
    }
}

/// `_set_write_buffer_limits`: what is not given follows from what is, or from `default`. A limit is kept as
/// a whole number of bytes: a size is beyond a limit exactly when it is beyond its integral part.
pub fn water_marks<'py>(
    high: &Bound<'py, PyAny>,
    low: &Bound<'py, PyAny>,
    default: i64,
) -> PyResult<(i64, i64)> {
    let py = high.py();
    let number = |value: i64| value.into_pyobject(py).map(Bound::into_any);
    let high = match (high.is_none(), low.is_none()) {
        (false, _) => high.clone(),
        (true, false) => number(4)?.mul(low)?,
        (true, true) => number(default)?,
    };
    let low = if low.is_none() { high.floor_div(4)? } else { low.clone() };
    if !(high.ge(&low)? && low.ge(0)?) {
        let text = text!("high ({}) must be >= low ({}) must be >= 0", high.repr()?, low.repr()?)?;
        return Err(PyValueError::new_err(text));
    }
    let whole = |value: &Bound<'py, PyAny>| match value.extract::<i64>() {
        Ok(whole) => Ok(whole),
        Err(_) if value.gt(i64::MAX)? => Ok(i64::MAX),
        Err(_) => value.extract::<f64>().map(|value| value.floor() as i64),
    };
    Ok((whole(&high)?, whole(&low)?))
}

fn set_write_buffer_limits<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    args: Args<'_, 'py>,
) -> Output<'py> {
    let [high, low] = args.parse(&LIMITS)?;
    let (high, low) = water_marks(&high, &low, DEFAULT_HIGH)?;
    T::flush(transport)?;
    let upcall = transport
        .link()
        .stream(|stream| stream.set_write_buffer_limits(Some(high), Some(low)))
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    if let Some(upcall) = upcall {
        upcall::execute_in_context(transport, upcall)?;
    }
    Ok(none(transport.py()))
}
