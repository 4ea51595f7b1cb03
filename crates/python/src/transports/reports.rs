//! What transports of all kinds tell the loop's exception handler and the log. Called by their classes; calls
//! the loop and the logger.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::core::EventLoop;
use crate::events::loop_debug;
use crate::ffi::{Obj, Raised, call};
use crate::frames::Frame;
use crate::names;

/// The functions of asyncio's transport in which one is logged or warned of.
pub struct Frames {
    pub write: Frame,
    pub pause_reading: Frame,
    pub resume_reading: Frame,
    /// The other end has been closed.
    pub end_of_stream: Frame,
    pub fatal_error: Frame,
    pub finalize: Frame,
}

/// Tells the exception handler about an exception that has to do with a transport and its protocol.
pub fn tell_handler<'py>(
    event_loop: &Obj<'py, EventLoop>,
    transport: &Bound<'py, PyAny>,
    protocol: &Bound<'py, PyAny>,
    error: &Raised<'py>,
    message: &str,
) -> PyResult<()> {
    let py = event_loop.py();
    let report = PyDict::new(py);
    report.set_item(names::message(py), message)?;
    report.set_item(names::exception(py), error.as_any())?;
    report.set_item("transport", transport)?;
    report.set_item("protocol", protocol)?;
    call::method(names::call_exception_handler(py), [event_loop.as_any(), report.as_any()]).map(drop)
}

/// Logs an error that ends transports in ordinary use, a connection reset for instance, in debug mode: by the
/// logger of `module`.
pub fn log_error(
    event_loop: &Obj<'_, EventLoop>,
    frame: &Frame,
    transport: &Bound<'_, PyAny>,
    error: &Raised<'_>,
    message: &str,
) -> PyResult<()> {
    if loop_debug(event_loop.as_any())? {
        let py = event_loop.py();
        frame.log_error(py, "debug", ("%r: %s", transport, message), error.as_any())?;
    }
    Ok(())
}

/// `logger.debug(format, transport)`, or another method of the logger of `module`, in debug mode.
pub fn log_in_debug(
    event_loop: &Obj<'_, EventLoop>,
    frame: &Frame,
    transport: &Bound<'_, PyAny>,
    method: &str,
    format: &str,
) -> PyResult<()> {
    if loop_debug(event_loop.as_any())? {
        frame.log(event_loop.py(), method, (format, transport))?;
    }
    Ok(())
}
