//! `StreamReader`: bytes that arrive, for tasks that read them. `asyncio.streams.StreamReader`, native.
//!
//! What has arrived is in [`Content`]; the methods that read are in `reading`, and what else Python code may
//! call in `methods`. A reader that waits says what it waits for ([`Wanted`]), so that the arrival of bytes
//! that are not enough wakes nobody. Fed by [`super::protocol`], by transports directly where both are the
//! native classes, and by Python code.

mod methods;

use std::cell::Cell;

use pyo3::exceptions::{PyAssertionError, PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt};
use yibu_engine::separators::{Found, Search};

use super::content::Content;
use crate::attributes::write;
use crate::events::{extract_stack, loop_debug};
use crate::ffi::raised::raise;
use crate::ffi::{Create, LoopCell, Obj, Output, Raised, Slot, call, none};
use crate::futures::future_like;
use crate::replaced::names::{EXTRACT_STACK_OF_STREAMS, Name};
use crate::{names, stock};

/// `_DEFAULT_LIMIT`: 64 KiB.
pub const DEFAULT_LIMIT: i64 = 1 << 16;

/// More bytes than this are copied into the reader from where they were received. As a `bytes` object, like
/// fewer, they would be quicker to hand out but take fresh memory from the allocator each time.
const LARGE: usize = 32 * 1024;

/// What the task that waits can make use of.
#[derive(Default)]
pub enum Wanted {
    /// Any byte.
    #[default]
    Anything,
    /// As many bytes.
    Count(usize),
    /// A separator, or so many bytes without one that the limit is exceeded.
    Separator(Search),
}

/// The data of a `StreamReader`.
#[derive(Default)]
pub struct StreamReader {
    pub(super) event_loop: Slot,
    pub(super) content: Content,
    /// `_limit` as a number of bytes.
    limit: Cell<i64>,
    /// `_limit` as it was given, unless that is the same.
    given_limit: Slot,
    pub(super) eof: Cell<bool>,
    paused: Cell<bool>,
    pub(super) waiter: Slot,
    wanted: LoopCell<Wanted>,
    pub(super) exception: Slot,
    transport: Slot,
    source_traceback: Slot,
}

/// `StreamReader(limit=limit, loop=event_loop)`, where `class` is that name as the caller's module has it.
pub fn made<'py, const N: usize>(
    class: &Name<N>,
    limit: &Bound<'py, PyAny>,
    event_loop: &Bound<'py, PyAny>,
) -> Output<'py> {
    let py = limit.py();
    if let Some(class) = class.maker::<StreamReader>(py)? {
        let keywords = PyDict::new(py);
        keywords.set_item("limit", limit)?;
        keywords.set_item("loop", event_loop)?;
        return class.call((), Some(&keywords));
    }
    let reader = StreamReader::create(py)?;
    init(&reader, limit, event_loop.clone())?;
    Ok(reader.into_any())
}

fn init<'py>(
    reader: &Obj<'py, StreamReader>,
    limit: &Bound<'py, PyAny>,
    event_loop: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = reader.py();
    if limit.le(0)? {
        return Err(PyValueError::new_err("Limit cannot be <= 0"));
    }
    reader.set_limit(limit)?;
    let event_loop = if event_loop.is_none() { stock::current_event_loop(py)? } else { event_loop };
    if loop_debug(&event_loop)? {
        reader.source_traceback.put(extract_stack(py, &EXTRACT_STACK_OF_STREAMS)?);
    }
    reader.event_loop.put(event_loop);
    Ok(())
}

impl StreamReader {
    fn set_limit(&self, limit: &Bound<'_, PyAny>) -> PyResult<()> {
        match limit.extract::<i64>() {
            Ok(bytes) if limit.is_exact_instance_of::<PyInt>() => {
                self.limit.set(bytes);
                self.given_limit.clear();
            }
            // A float, an integer of another class or beyond any memory.
            _ => {
                let bytes = crate::core::clock::on_the_clock(limit)?.floor();
                // Nothing is more than `nan`.
                self.limit.set(if bytes.is_nan() { i64::MAX } else { bytes as i64 });
                self.given_limit.put(limit.clone());
            }
        }
        Ok(())
    }

    pub(super) fn limit_object<'py>(&self, py: Python<'py>) -> Output<'py> {
        match self.given_limit.get(py) {
            Some(limit) => Ok(limit),
            None => Ok(self.limit.get().into_pyobject(py)?.into_any()),
        }
    }

    /// Whether this many bytes are more than the limit allows.
    #[inline]
    pub(super) fn exceeds_limit(&self, count: usize) -> bool {
        i64::try_from(count).unwrap_or(i64::MAX) > self.limit.get()
    }

    /// Says what the waiting task can make use of.
    pub(super) fn want(&self, wanted: Wanted) {
        self.wanted.with(|slot| *slot = wanted);
    }

    /// Gives back what the waiting task asked for.
    pub(super) fn was_wanted(&self) -> Wanted {
        self.wanted.with(std::mem::take)
    }

    /// Bytes were taken that the task which waits has looked at: it will look at what is left as if that were
    /// new.
    #[cold]
    fn search_from_the_start(&self) {
        self.wanted.with(|wanted| {
            if let Wanted::Separator(search) = wanted {
                search.restart();
            }
        });
    }

    /// Whether the task that waits, if one does, can make use of what is there.
    fn suffices(&self, py: Python<'_>) -> PyResult<bool> {
        let mut wanted = self.was_wanted();
        let suffices = match &mut wanted {
            Wanted::Anything => true,
            Wanted::Count(count) => self.content.len(py)? >= *count,
            Wanted::Separator(search) => match self.content.with(py, |bytes| search.search(bytes))? {
                Found::At { .. } => true,
                Found::Nothing(offset) => self.exceeds_limit(offset),
            },
        };
        self.want(wanted);
        Ok(suffices)
    }

    /// How many bytes there will be before they are read, as far as that is known.
    fn expected(&self) -> usize {
        self.wanted.with(|wanted| match wanted {
            Wanted::Count(count) => *count,
            Wanted::Anything | Wanted::Separator(_) => 0,
        })
    }
}

/// `self._wakeup_waiter()`.
#[inline]
fn wake(reader: &Obj<'_, StreamReader>) -> PyResult<()> {
    if reader.is_native() {
        return wake_waiter(reader);
    }
    reader.as_any().call_method0(name!("_wakeup_waiter")).map(drop)
}

/// `_wakeup_waiter`.
fn wake_waiter(reader: &Obj<'_, StreamReader>) -> PyResult<()> {
    let py = reader.py();
    let Some(waiter) = reader.waiter.take() else { return Ok(()) };
    let waiter = waiter.into_any(py);
    if future_like::is_cancelled(&waiter)? { Ok(()) } else { future_like::set_result(&waiter, none(py)) }
}

/// Whether a native protocol may [`join`] so many bytes: those that are worth it, to a reader of which
/// nothing was replaced.
#[inline]
pub fn joins(reader: &Obj<'_, StreamReader>, count: usize) -> bool {
    count > LARGE && reader.is_native() && !reader.content.is_shown() && !reader.eof.get()
}

/// Appends a copy of what arrived; [`fed`] has to follow. Calls no Python code.
pub fn join(reader: &StreamReader, data: &[u8]) -> PyResult<()> {
    reader.content.join(data, reader.expected())
}

/// What arrived, from a native protocol.
#[inline]
pub fn receive<'py>(reader: &Obj<'py, StreamReader>, data: &Bound<'py, PyBytes>) -> PyResult<()> {
    if !reader.is_native() {
        return call::method(names::feed_data(reader.py()), [reader.as_any(), data.as_any()]).map(drop);
    }
    if reader.content.is_shown() || reader.eof.get() {
        return feed_data(reader, data.as_any());
    }
    reader.content.receive(data, reader.expected())?;
    fed(reader)
}

/// `feed_data`.
fn feed_data<'py>(reader: &Obj<'py, StreamReader>, data: &Bound<'py, PyAny>) -> PyResult<()> {
    let own: &StreamReader = reader;
    if own.eof.get() {
        return Err(PyAssertionError::new_err("feed_data after feed_eof"));
    }
    if !data.is_truthy()? {
        return Ok(());
    }
    own.content.extend(data, own.expected())?;
    fed(reader)
}

/// Wakes the waiting task, if that is enough for it, and pauses the transport when it is too much.
#[inline]
pub fn fed(reader: &Obj<'_, StreamReader>) -> PyResult<()> {
    let (py, data): (_, &StreamReader) = (reader.py(), reader);
    if !data.waiter.is_empty() && !data.suffices(py)? {
        // The task would resume the transport only to wait on.
        return Ok(());
    }
    wake(reader)?;
    let Some(transport) = data.transport.get(py) else { return Ok(()) };
    let twice = data.limit.get().saturating_mul(2);
    if data.paused.get() || i64::try_from(data.content.len(py)?).unwrap_or(i64::MAX) <= twice {
        return Ok(());
    }
    pause_transport(reader, &transport)
}

/// Stops the transport for now.
fn pause_transport(reader: &Obj<'_, StreamReader>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = reader.py();
    match call::method(names::pause_reading(py), [transport]) {
        Ok(_) => reader.paused.set(true),
        Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {
            // It cannot be paused, and need not be asked again.
            drop(Raised::from_err(py, error));
            reader.transport.clear();
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// `feed_eof`.
pub fn feed_eof(reader: &Obj<'_, StreamReader>) -> PyResult<()> {
    if !reader.is_native() {
        return reader.as_any().call_method0(names::feed_eof(reader.py())).map(drop);
    }
    reader.eof.set(true);
    wake_waiter(reader)
}

/// `set_exception`.
pub fn set_exception(reader: &Obj<'_, StreamReader>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    if !reader.is_native() {
        return reader.as_any().call_method1(names::set_exception(reader.py()), (exception,)).map(drop);
    }
    fail(reader, exception)
}

fn fail(reader: &Obj<'_, StreamReader>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = reader.py();
    write(&reader.exception, Some(exception))?;
    let Some(waiter) = reader.waiter.take() else { return Ok(()) };
    let waiter = waiter.into_any(py);
    if future_like::is_cancelled(&waiter)? { Ok(()) } else { future_like::set_exception(&waiter, exception) }
}

/// `set_transport`.
pub fn set_transport(reader: &Obj<'_, StreamReader>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    if !reader.is_native() {
        return reader.as_any().call_method1(name!("set_transport"), (transport,)).map(drop);
    }
    adopt(reader, transport)
}

fn adopt(reader: &Obj<'_, StreamReader>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    if !reader.transport.is_empty() {
        return Err(PyAssertionError::new_err("Transport already set"));
    }
    reader.transport.put(transport.clone());
    Ok(())
}

/// `_replace_transport`.
///
/// What arrived with the end of the handshake may have paused the transport that is replaced. asyncio then
/// tells the new one to go on, which was never paused, and the connection hangs; here the pause moves along.
fn replace_transport(reader: &Obj<'_, StreamReader>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(replaced) = reader.transport.get(reader.py()) else {
        return Err(PyAssertionError::new_err("Transport not set"));
    };
    reader.transport.put(transport.clone());
    if reader.paused.replace(false) {
        pause_transport(reader, transport)?;
        call::method(names::resume_reading(reader.py()), [&replaced])?;
    }
    Ok(())
}

/// Lets the transport go on if it was paused.
pub(super) fn resume_transport(reader: &Obj<'_, StreamReader>) -> PyResult<()> {
    let py = reader.py();
    if !reader.paused.replace(false) {
        return Ok(());
    }
    let transport = reader.transport.get_or_none(py);
    call::method(names::resume_reading(py), [&transport]).map(drop)
}

/// `_maybe_resume_transport`.
#[inline]
fn maybe_resume_transport(reader: &Obj<'_, StreamReader>) -> PyResult<()> {
    if reader.paused.get() && !reader.exceeds_limit(reader.content.len(reader.py())?) {
        return resume_transport(reader);
    }
    Ok(())
}

/// What follows every taking of bytes.
#[inline(always)]
pub(super) fn has_taken(reader: &Obj<'_, StreamReader>) -> PyResult<()> {
    if reader.waiter.is_empty() && !reader.paused.get() && reader.is_native() {
        return Ok(());
    }
    see_to_transport(reader)
}

#[inline(never)]
fn see_to_transport(reader: &Obj<'_, StreamReader>) -> PyResult<()> {
    if !reader.waiter.is_empty() {
        reader.search_from_the_start();
    }
    if reader.is_native() {
        return maybe_resume_transport(reader);
    }
    reader.as_any().call_method0(name!("_maybe_resume_transport")).map(drop)
}

/// The exception to raise instead of reading, if there is one.
#[inline]
pub fn raise_exception(reader: &StreamReader, py: Python<'_>) -> PyResult<()> {
    match reader.exception.get(py) {
        None => Ok(()),
        Some(exception) => Err(raise(exception)),
    }
}

impl StreamReader {
    fn slots(&self) -> [&Slot; 7] {
        [
            &self.event_loop,
            &self.given_limit,
            &self.waiter,
            &self.exception,
            &self.transport,
            &self.source_traceback,
            self.content.slot(),
        ]
    }
}
