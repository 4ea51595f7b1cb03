//! The handshake: from `connection_made` of the transport below to that of the application.

use pyo3::exceptions::PyConnectionAbortedError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::data::{
    AppState, Protocol, SslProtocol, State, cancel_alarm, event_loop, fatal_error, is_debugged, set_state,
    wake_waiter,
};
use super::tls::{self, Progress};
use super::{steps, writing};
use crate::alarms;
use crate::ffi::{Obj, Raised, Ref, call};
use crate::frames::Frame;
use crate::names;
use crate::replaced::names::SSLPROTO;

/// `_start_handshake`.
pub fn start(protocol: Protocol<'_, '_>) -> PyResult<()> {
    let py = protocol.py();
    let event_loop = event_loop(protocol)?;
    protocol.handshake_start.set(None);
    if is_debugged(protocol)? {
        static FRAME: Frame = Frame::new(&SSLPROTO, "SSLProtocol._start_handshake");
        FRAME.log(py, "debug", ("%r starts SSL handshake", protocol.as_any()))?;
        let now = event_loop.call_method0(names::time(py))?.extract()?;
        protocol.handshake_start.set(Some(now));
    }
    set_state(protocol, State::DoHandshake)?;
    let limit = protocol.handshake_timeout.get_or_none(py);
    let alarm = alarms::set_after(&event_loop, &limit, protocol.as_any(), check_timeout)?;
    protocol.handshake_alarm.set(Ref::of(alarm));
    step(protocol)
}

/// `_check_handshake_timeout`.
fn check_timeout(protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(protocol) = Obj::<SslProtocol>::cast(protocol) else { return Ok(()) };
    if protocol.state.get() != State::DoHandshake {
        return Ok(());
    }
    let limit = protocol.handshake_timeout.get_or_none(protocol.py());
    let text =
        text!("SSL handshake is taking longer than {} seconds: aborting the connection", limit.str()?)?;
    let error = PyConnectionAbortedError::new_err(text).into_value(protocol.py());
    fatal_error(protocol, error.bind(protocol.py()).as_any(), "Fatal error on transport")
}

/// `_do_handshake`: as far as it goes with what has arrived.
pub fn step(protocol: Protocol<'_, '_>) -> PyResult<()> {
    match protocol.tls.handshake(protocol.py()) {
        Ok(Progress::Waits) => writing::flush(protocol),
        Ok(Progress::Done) => complete(protocol, None),
        Err(error) if tls::is_ssl_error(protocol.py(), &error)? => complete(protocol, Some(error)),
        Err(error) => Err(error),
    }
}

/// `_on_handshake_complete`.
pub fn complete(protocol: Protocol<'_, '_>, error: Option<PyErr>) -> PyResult<()> {
    let py = protocol.py();
    cancel_alarm(py, &protocol.handshake_alarm)?;
    let succeeded = match error {
        Some(error) => Err(error),
        None => set_state(protocol, State::Wrapped)
            .and_then(|()| protocol.tls.start_engine(py))
            .and_then(|()| protocol.tls.call0(py, name!("getpeercert"))),
    };
    let certificate = match succeeded {
        Ok(certificate) => certificate,
        Err(error) => return failed(protocol, error),
    };
    if let Some(start) = protocol.handshake_start.get()
        && is_debugged(protocol)?
    {
        let now: f64 = event_loop(protocol)?.call_method0(names::time(py))?.extract()?;
        let format = "%r: SSL handshake took %.1f ms";
        static FRAME: Frame = Frame::new(&SSLPROTO, "SSLProtocol._on_handshake_complete");
        FRAME.log(py, "debug", (format, protocol.as_any(), (now - start) * 1e3))?;
    }
    let extra = protocol.extra.get_or_none(py);
    if let Ok(extra) = extra.cast::<PyDict>() {
        extra.set_item("peercert", certificate)?;
        extra.set_item("cipher", protocol.tls.call0(py, name!("cipher"))?)?;
        extra.set_item("compression", protocol.tls.call0(py, name!("compression"))?)?;
        extra.set_item("ssl_object", protocol.tls.object(py))?;
    }
    if protocol.app_state.get() == AppState::Init {
        protocol.app_state.set(AppState::Made);
        if let (Some(app_protocol), Some(transport)) =
            (protocol.app_protocol.get(py), protocol.app_transport.get(py))
        {
            call::method(names::connection_made(py), [&app_protocol, &transport])?;
        }
    }
    wake_waiter(protocol, None)?;
    steps::read(protocol)
}

fn failed(protocol: Protocol<'_, '_>, error: PyErr) -> PyResult<()> {
    let raised = Raised::from_err(protocol.py(), error);
    if !raised.is::<pyo3::exceptions::PyException>() {
        return Err(raised.into_err());
    }
    set_state(protocol, State::Unwrapped)?;
    let message = if tls::is_certificate_error(&raised)? {
        "SSL handshake failed on verifying the certificate"
    } else {
        "SSL handshake failed"
    };
    raised.handling(|| fatal_error(protocol, raised.as_any(), message))?;
    wake_waiter(protocol, Some(raised.as_any()))
}
