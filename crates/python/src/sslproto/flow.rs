//! Flow control: how much may wait in each direction before a side is told to pause.
//!
//! Called by `reading` and `writing` whenever an amount has changed; tells the application's protocol, or the
//! transport below.

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::data::{Protocol, SslProtocol, below, connection_context, nobody, tell_handler};
use crate::ffi::{Obj, Raised, call, context};
use crate::names;

fn amount(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// `_get_write_buffer_size`: what is encrypted and not yet written, and what is not encrypted.
pub fn write_buffer_size(protocol: Protocol<'_, '_>) -> PyResult<usize> {
    let waiting = protocol.backlog.with(|backlog| backlog.size());
    Ok(protocol.tls.outgoing_size(protocol.py())? + waiting)
}

/// `_control_app_writing`.
#[inline]
pub fn control_app_writing(protocol: Protocol<'_, '_>) -> PyResult<()> {
    let py = protocol.py();
    let (size, limits) = (amount(write_buffer_size(protocol)?), protocol.outgoing_limits.get());
    let paused = protocol.app_writing_paused.get();
    if size >= limits.high && !paused {
        protocol.app_writing_paused.set(true);
        tell(protocol, names::pause_writing(py), "protocol.pause_writing() failed")
    } else if size <= limits.low && paused {
        protocol.app_writing_paused.set(false);
        tell(protocol, names::resume_writing(py), "protocol.resume_writing() failed")
    } else {
        Ok(())
    }
}

/// A method of the application's protocol whose failure is reported and changes nothing.
fn tell<'py>(protocol: Protocol<'_, 'py>, method: &Bound<'py, PyString>, message: &str) -> PyResult<()> {
    let py = protocol.py();
    let app_protocol = protocol.app_protocol.get(py);
    let told = match &app_protocol {
        Some(app_protocol) => match connection_context(protocol)? {
            Some(context) => context::run_or_stay(&context, |_| call::method(method, [app_protocol])),
            None => call::method(method, [app_protocol]),
        }
        .map(drop),
        None => Err(nobody(method.to_str()?)),
    };
    let Err(error) = told else { return Ok(()) };
    let raised = Raised::from_err(py, error);
    if raised.is::<PyKeyboardInterrupt>() || raised.is::<PySystemExit>() {
        return Err(raised.into_err());
    }
    let transport = protocol.app_transport(py);
    tell_handler(protocol, raised.as_any(), message, &transport)
}

/// `_control_ssl_reading`.
#[inline]
pub fn control_ssl_reading(protocol: &Obj<'_, SslProtocol>) -> PyResult<()> {
    let py = protocol.py();
    let (size, limits) = (amount(protocol.tls.incoming_size(py)?), protocol.incoming_limits.get());
    let paused = protocol.ssl_reading_paused.get();
    if size >= limits.high && !paused {
        protocol.ssl_reading_paused.set(true);
        let name = names::pause_reading(py);
        call::method(name, [&below(protocol, "pause_reading")?]).map(drop)
    } else if size <= limits.low && paused {
        protocol.ssl_reading_paused.set(false);
        let name = names::resume_reading(py);
        call::method(name, [&below(protocol, "resume_reading")?]).map(drop)
    } else {
        Ok(())
    }
}
