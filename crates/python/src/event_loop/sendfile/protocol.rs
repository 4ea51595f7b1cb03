//! `SendfileProtocol`: stands in for a transport's protocol while a file is copied over it.
//! `asyncio.base_events._SendfileFallbackProtocol`, native. Called by transports and by `copying`.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use crate::core::EventLoop;
use crate::coroutines::GcRef;
use crate::ffi::class::{self, Plain};
use crate::ffi::thread::attached;
use crate::ffi::{Class, ClassState, Create, Obj, Output, Ref, Slot, Table, boolean, none, references};
use crate::mixins::{self, create_future};
use crate::tasks::Awaited;
use crate::{names, stock};

/// The data of a `SendfileProtocol`.
#[derive(Default)]
pub struct SendfileProtocol {
    event_loop: Slot<EventLoop>,
    transport: Slot,
    /// The protocol that it stands in for.
    protocol: Slot,
    /// While writing is paused: a future for the moment when it goes on.
    flowing: Slot,
    resume_reading: Cell<bool>,
    resume_writing: Cell<bool>,
}

static SENDFILE_PROTOCOL: ClassState = ClassState::new();

/// A transport under such a protocol, until the end or until it is dropped.
pub(super) struct Takeover {
    protocol: GcRef<SendfileProtocol>,
    over: bool,
}

impl Takeover {
    pub(super) fn begin<'py>(
        event_loop: &Obj<'py, EventLoop>,
        transport: &Bound<'py, PyAny>,
    ) -> PyResult<Self> {
        let py = transport.py();
        if !transport.is_instance(stock::transport(py)?)? {
            return Err(PyTypeError::new_err("transport should be _FlowControlMixin instance"));
        }
        let own = SendfileProtocol::create(py)?;
        own.event_loop.set(Ref::of(event_loop.clone()));
        own.transport.put(transport.clone());
        own.protocol.put(transport.call_method0(name!("get_protocol"))?);
        own.resume_reading.set(transport.call_method0(name!("is_reading"))?.is_truthy()?);
        own.resume_writing.set(transport.getattr(name!("_protocol_paused"))?.is_truthy()?);
        transport.call_method0(names::pause_reading(py))?;
        transport.call_method1(name!("set_protocol"), (own.as_any(),))?;
        let takeover = Self { protocol: GcRef::of(&own), over: false };
        if own.resume_writing.get() {
            pause_writing(&own)?;
        }
        Ok(takeover)
    }

    /// Waits while writing is paused. ConnectionError when the connection is gone.
    pub(super) async fn drain(&self) -> PyResult<()> {
        let waiting = attached(|py| {
            let own = self.protocol.obj(py);
            if own.transport.get_or_none(py).call_method0(names::is_closing(py))?.is_truthy()? {
                return Err(PyConnectionError::new_err("Connection closed by peer"));
            }
            match (own.flowing.get(py), own.event_loop.obj(py)) {
                (Some(flowing), Some(event_loop)) => Awaited::on(&event_loop, &flowing).map(Some),
                _ => Ok(None),
            }
        })?;
        match waiting {
            Some(waiting) => waiting.await.map(drop),
            None => Ok(()),
        }
    }

    /// The transport has its protocol again.
    pub(super) fn end(mut self, py: Python<'_>) -> PyResult<()> {
        self.restore(py)
    }

    fn restore(&mut self, py: Python<'_>) -> PyResult<()> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(());
        }
        let own = self.protocol.obj(py);
        let (transport, protocol) = (own.transport.get_or_none(py), own.protocol.get_or_none(py));
        transport.call_method1(name!("set_protocol"), (&protocol,))?;
        if own.resume_reading.get() {
            transport.call_method0(names::resume_reading(py))?;
        }
        if let Some(flowing) = own.flowing.take() {
            // The transport calls the other protocol from now on, so `resume_writing` would not come here.
            flowing.any(py).call_method0(names::cancel(py))?;
        }
        if own.resume_writing.get() {
            protocol.call_method0(names::resume_writing(py))?;
        }
        Ok(())
    }
}

impl Drop for Takeover {
    fn drop(&mut self) {
        attached(|py| {
            if let Err(error) = self.restore(py) {
                error.write_unraisable(py, Some(self.protocol.any(py)));
            }
        });
    }
}

fn pause_writing<'py>(own: &Obj<'py, SendfileProtocol>) -> Output<'py> {
    let py = own.py();
    if own.flowing.is_empty()
        && let Some(event_loop) = own.event_loop.get(py)
    {
        own.flowing.put(create_future(&event_loop)?);
    }
    Ok(none(py))
}

fn resume_writing<'py>(own: &Obj<'py, SendfileProtocol>) -> Output<'py> {
    let py = own.py();
    if let Some(flowing) = own.flowing.take() {
        mixins::set_result(flowing.any(py), boolean(py, false))?;
    }
    Ok(none(py))
}

/// The task that sends the file gets the error: the connection is gone. A file of which nothing is left to
/// send is not waited for.
fn connection_lost<'py>(own: &Obj<'py, SendfileProtocol>, exception: &Bound<'py, PyAny>) -> Output<'py> {
    let py = own.py();
    if let Some(flowing) = own.flowing.get(py) {
        let exception = if exception.is_none() {
            PyConnectionError::new_err("Connection is closed by peer")
                .into_value(py)
                .into_bound(py)
                .into_any()
        } else {
            exception.clone()
        };
        flowing.call_method1(names::set_exception(py), (exception,))?;
    }
    own.protocol.get_or_none(py).call_method1(names::connection_lost(py), (exception,))
}

fn reading_should_be_paused<T>() -> PyResult<T> {
    Err(PyRuntimeError::new_err("Invalid state: reading should be paused"))
}

impl Class for SendfileProtocol {
    const NAME: &'static CStr = c"yibu.SendfileProtocol";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &SENDFILE_PROTOCOL;

    fn table(t: &mut Table<Self>) {
        t.doc(c"Stands in for a protocol while a file is copied over its transport.");
        t.getter(c"__class__", |own| class::isinstance_class(own, stock::protocol));
        t.one(
            c"connection_made",
            "transport",
            |_, _| {
                let text = "Invalid state: connection should have been established already.";
                Err(PyRuntimeError::new_err(text))
            },
            "RuntimeError: the connection was there before.",
        );
        t.one(c"connection_lost", "exc", connection_lost, "Tells the waiting coroutine, and the protocol.");
        t.noargs(c"pause_writing", pause_writing, "From now on drain() waits.");
        t.noargs(c"resume_writing", resume_writing, "drain() goes on.");
        t.one(
            c"data_received",
            "data",
            |_, _| reading_should_be_paused(),
            "RuntimeError: reading is paused.",
        );
        t.noargs(c"eof_received", |_| reading_should_be_paused(), "RuntimeError: reading is paused.");
    }

    references! { event_loop, transport, protocol, flowing }
}
