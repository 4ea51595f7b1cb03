//! The data of an [`SslProtocol`], and what every step of a connection asks and tells: its states, its
//! neighbours, its errors.

use std::cell::Cell;

use pyo3::exceptions::{PyAttributeError, PyException, PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use yibu_engine::backlog::Backlog;

use super::limits::Limits;
use super::tls::Tls;
use crate::alarms::{self, Alarm};
use crate::events::loop_debug;
use crate::ffi::{LoopCell, Obj, Output, Raised, Ref, Slot, none};
use crate::frames::Frame;
use crate::futures::future_like;
use crate::names::Interned;
use crate::replaced::names::SSLPROTO;
use crate::transports::SocketTransport;
use crate::{names, stock};

/// Where a connection is between plain text and plain text.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Unwrapped,
    DoHandshake,
    Wrapped,
    Flushing,
    Shutdown,
}

impl State {
    /// The name of the member of `asyncio.sslproto.SSLProtocolState`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unwrapped => "UNWRAPPED",
            Self::DoHandshake => "DO_HANDSHAKE",
            Self::Wrapped => "WRAPPED",
            Self::Flushing => "FLUSHING",
            Self::Shutdown => "SHUTDOWN",
        }
    }

    /// Whether the application's data is not taken any more.
    pub(super) fn is_ending(self) -> bool {
        matches!(self, Self::Unwrapped | Self::Flushing | Self::Shutdown)
    }

    fn leads_to(self, next: Self) -> bool {
        matches!(
            (self, next),
            (_, Self::Unwrapped)
                | (Self::Unwrapped, Self::DoHandshake)
                | (Self::DoHandshake, Self::Wrapped)
                | (Self::Wrapped, Self::Flushing)
                | (Self::Flushing, Self::Shutdown)
        )
    }
}

/// What the application's protocol has been told.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum AppState {
    #[default]
    Init,
    Made,
    Eof,
    Lost,
}

/// The data of an `SSLProtocol`.
#[derive(Default)]
pub struct SslProtocol {
    pub(super) tls: Tls,
    pub(super) state: Cell<State>,
    pub(super) app_state: Cell<AppState>,
    /// Whether the application's protocol is a `BufferedProtocol`.
    pub(super) app_buffered: Cell<bool>,
    pub(super) app_reading_paused: Cell<bool>,
    pub(super) app_writing_paused: Cell<bool>,
    pub(super) ssl_reading_paused: Cell<bool>,
    pub(super) ssl_writing_paused: Cell<bool>,
    pub(super) eof_received: Cell<bool>,
    pub(super) server_side: Cell<bool>,
    /// Writes since the end, and one for `connection_lost`.
    pub(super) conn_lost: Cell<u32>,
    pub(super) incoming_limits: Cell<Limits>,
    pub(super) outgoing_limits: Cell<Limits>,
    pub(super) backlog: LoopCell<Backlog<Ref>>,
    /// Something is being encrypted that comes before the backlog.
    pub(super) encrypting: Cell<bool>,
    pub(super) event_loop: Slot,
    pub(super) app_protocol: Slot,
    /// What the application writes to: an `SslTransport`, unless the program has put another class in the
    /// place of that.
    pub(super) app_transport: Slot,
    /// The transport below, from `connection_made` to `connection_lost`.
    pub(super) transport: Slot,
    pub(super) waiter: Slot,
    pub(super) context: Slot,
    pub(super) server_hostname: Slot,
    pub(super) extra: Slot,
    pub(super) handshake_timeout: Slot,
    pub(super) shutdown_timeout: Slot,
    pub(super) handshake_alarm: Slot<Alarm>,
    pub(super) shutdown_alarm: Slot<Alarm>,
    /// When the handshake began, in debug mode.
    pub(super) handshake_start: Cell<Option<f64>>,
    /// What a transport that wants to fill a buffer fills.
    pub(super) buffer: Slot,
}

pub(super) type Protocol<'a, 'py> = &'a Obj<'py, SslProtocol>;

impl SslProtocol {
    /// The transport below has been told to pause the protocol before this one, which is the application's.
    pub fn begin_paused(&self) {
        self.ssl_writing_paused.set(true);
        self.app_writing_paused.set(true);
    }

    /// `_app_transport`: what the application writes to; None when the connection was lost.
    pub fn app_transport<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.app_transport.get_or_none(py)
    }

    pub(super) fn slots(&self) -> [&Slot; 11] {
        [
            &self.event_loop,
            &self.app_protocol,
            &self.app_transport,
            &self.transport,
            &self.waiter,
            &self.context,
            &self.server_hostname,
            &self.extra,
            &self.handshake_timeout,
            &self.shutdown_timeout,
            &self.buffer,
        ]
    }
}

/// What the protocols of a connection are called in; None where it is not known.
pub(super) fn connection_context<'py>(protocol: Protocol<'_, 'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(transport) = protocol.transport.get(protocol.py()) else { return Ok(None) };
    match Obj::<SocketTransport>::cast_exact(&transport) {
        Some(native) => native.link.endpoint.upcall_context(protocol.py()).map(Some),
        None => Ok(None),
    }
}

/// Gives the plain text from now on to another protocol.
pub(super) fn set_app_protocol(protocol: Protocol<'_, '_>, app_protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = protocol.py();
    let buffered = Obj::<SslProtocol>::cast_exact(app_protocol).is_none()
        && app_protocol.hasattr(names::get_buffer(py))?
        && app_protocol.is_instance(stock::buffered_protocol(py)?)?;
    protocol.app_buffered.set(buffered);
    protocol.app_protocol.put(app_protocol.clone());
    Ok(())
}

/// Goes to another state; RuntimeError where there is no way.
pub(super) fn set_state(protocol: Protocol<'_, '_>, next: State) -> PyResult<()> {
    let state = protocol.state.get();
    if !state.leads_to(next) {
        let text = format!(
            "cannot switch state from SSLProtocolState.{} to SSLProtocolState.{}",
            state.name(),
            next.name()
        );
        return Err(PyRuntimeError::new_err(text));
    }
    protocol.state.set(next);
    Ok(())
}

/// What asyncio says where it finds None in the place of an object.
#[cold]
pub(super) fn nobody(attribute: &str) -> PyErr {
    PyAttributeError::new_err(format!("'NoneType' object has no attribute '{attribute}'"))
}

/// The transport below, of which `attribute` is wanted.
pub(super) fn below<'py>(protocol: Protocol<'_, 'py>, attribute: &str) -> Output<'py> {
    protocol.transport.get(protocol.py()).ok_or_else(|| nobody(attribute))
}

/// The loop.
pub(super) fn event_loop<'py>(protocol: Protocol<'_, 'py>) -> Output<'py> {
    let uninitialized = || PyRuntimeError::new_err("SSLProtocol object is not initialized.");
    protocol.event_loop.get(protocol.py()).ok_or_else(uninitialized)
}

pub(super) fn is_debugged(protocol: Protocol<'_, '_>) -> PyResult<bool> {
    loop_debug(&event_loop(protocol)?)
}

/// `loop.call_soon(self.name)`, in the connection's context.
pub(super) fn call_soon(protocol: Protocol<'_, '_>, name: &'static Interned) -> PyResult<()> {
    let py = protocol.py();
    let (method, event_loop) = (protocol.as_any().getattr(name)?, event_loop(protocol)?);
    let Some(context) = connection_context(protocol)? else {
        return event_loop.call_method1(names::call_soon(py), (method,)).map(drop);
    };
    let keywords = PyDict::new(py);
    keywords.set_item("context", context)?;
    event_loop.call_method(names::call_soon(py), (method,), Some(&keywords)).map(drop)
}

/// Cancels the alarm in a slot.
pub(super) fn cancel_alarm(py: Python<'_>, slot: &Slot<Alarm>) -> PyResult<()> {
    match slot.take() {
        Some(alarm) => alarms::cancel(&alarm.into_obj(py)),
        None => Ok(()),
    }
}

/// Completes the waiter, once.
pub(super) fn wake_waiter(protocol: Protocol<'_, '_>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let py = protocol.py();
    let Some(waiter) = protocol.waiter.get(py) else { return Ok(()) };
    if !future_like::is_cancelled(&waiter)? {
        match error {
            Some(error) => future_like::set_exception(&waiter, error)?,
            None => future_like::set_result(&waiter, none(py))?,
        }
    }
    protocol.waiter.clear();
    Ok(())
}

/// `_abort`: closes the transport below at once.
pub(super) fn abort(protocol: Protocol<'_, '_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = protocol.py();
    set_state(protocol, State::Unwrapped)?;
    match protocol.transport.get(py) {
        Some(transport) if error.is_none() && stock::tls_aborts_below(py) => {
            transport.call_method0(name!("abort")).map(drop)
        }
        Some(transport) => transport.call_method1(names::_force_close(py), (error,)).map(drop),
        None => Ok(()),
    }
}

/// `_fatal_error`: ends the connection. Errors of the network, to which those of TLS belong, are only told in
/// debug mode.
pub(super) fn fatal_error(
    protocol: Protocol<'_, '_>,
    error: &Bound<'_, PyAny>,
    message: &str,
) -> PyResult<()> {
    let py = protocol.py();
    if let Some(transport) = protocol.transport.get(py) {
        transport.call_method1(names::_force_close(py), (error,))?;
    }
    if error.is_instance_of::<PyOSError>() {
        if is_debugged(protocol)? {
            static FRAME: Frame = Frame::new(&SSLPROTO, "SSLProtocol._fatal_error");
            FRAME.log_error(py, "debug", ("%r: %s", protocol.as_any(), message), error)?;
        }
        return Ok(());
    }
    if error.is_instance(stock::cancelled_error(py)?)? {
        return Ok(());
    }
    tell_handler(protocol, error, message, &protocol.transport.get_or_none(py))
}

/// Tells the loop's exception handler.
pub(super) fn tell_handler(
    protocol: Protocol<'_, '_>,
    error: &Bound<'_, PyAny>,
    message: &str,
    transport: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = protocol.py();
    let report = PyDict::new(py);
    report.set_item(names::message(py), message)?;
    report.set_item(names::exception(py), error)?;
    report.set_item("transport", transport)?;
    report.set_item("protocol", protocol.as_any())?;
    event_loop(protocol)?.call_method1(names::call_exception_handler(py), (report,)).map(drop)
}

/// What an `except Exception` of asyncio does with an error; others pass.
pub(super) fn fail(protocol: Protocol<'_, '_>, error: PyErr, message: &str) -> PyResult<()> {
    let raised = Raised::from_err(protocol.py(), error);
    if !raised.is::<PyException>() {
        return Err(raised.into_err());
    }
    raised.handling(|| fatal_error(protocol, raised.as_any(), message))
}

/// `_get_extra_info`.
pub(super) fn extra_info<'py>(
    protocol: Protocol<'_, 'py>,
    name: Bound<'py, PyAny>,
    default: Bound<'py, PyAny>,
) -> Output<'py> {
    let py = protocol.py();
    let extra = protocol.extra.get_or_none(py);
    if let Ok(extra) = extra.cast::<PyDict>()
        && let Some(found) = extra.get_item(&name)?
    {
        return Ok(found);
    }
    match protocol.transport.get(py) {
        Some(transport) => transport.call_method1(names::get_extra_info(py), (name, default)),
        None => Ok(default),
    }
}
