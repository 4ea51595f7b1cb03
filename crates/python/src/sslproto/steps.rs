//! Reading and the end of a connection. Reading may find that the peer has ended the connection, and the end
//! of a connection reads what has arrived first: asyncio's functions call each other, so they are in one file
//! here.
//!
//! At the end what was written is sent, then both sides say `close_notify`, then the transport below is
//! closed.

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit, PyTimeoutError};
use pyo3::prelude::*;

use super::data::{
    AppState, Protocol, SslProtocol, State, abort, below, cancel_alarm, event_loop, fail, fatal_error,
    nobody, set_state,
};
use super::tls::{self, Progress};
use super::{app_transport, flow, plain_text, writing};
use crate::alarms;
use crate::ffi::{Obj, Raised, Ref, Table, call, none};
use crate::frames::Frame;
use crate::names;
use crate::replaced::names::SSLPROTO;

pub(super) fn table(t: &mut Table<SslProtocol>) {
    t.action(
        c"_start_shutdown",
        start_shutdown,
        "Ends the connection when everything written has been sent.",
    );
    t.action_on(c"_abort", "exc", abort, "Closes the transport below at once.");
}

/// `_do_read`: the application gets what can be decrypted, and what that led to is sent.
#[inline]
pub fn read(protocol: Protocol<'_, '_>) -> PyResult<()> {
    if !matches!(protocol.state.get(), State::Wrapped | State::Flushing) {
        return Ok(());
    }
    decrypt_and_send(protocol).or_else(|error| fail(protocol, error, "Fatal error on SSL protocol"))
}

#[inline]
fn decrypt_and_send(protocol: Protocol<'_, '_>) -> PyResult<()> {
    if !protocol.app_reading_paused.get() {
        let closed = if protocol.app_buffered.get() {
            plain_text::deliver_into_buffer(protocol)?
        } else {
            plain_text::deliver_bytes(protocol)?
        };
        if closed {
            tell_eof(protocol)?;
            start_shutdown(protocol)?;
        }
        if protocol.backlog.with(|backlog| backlog.is_empty()) {
            writing::flush(protocol)?;
        } else {
            writing::send_backlog(protocol)?;
        }
    }
    flow::control_ssl_reading(protocol)
}

/// `_start_shutdown`.
pub fn start_shutdown(protocol: Protocol<'_, '_>) -> PyResult<()> {
    let py = protocol.py();
    if protocol.state.get().is_ending() {
        return Ok(());
    }
    app_transport::mark_closed(protocol)?;
    if protocol.state.get() == State::DoHandshake {
        return abort(protocol, &none(py));
    }
    set_state(protocol, State::Flushing)?;
    limit_time(protocol)?;
    flush(protocol)
}

fn limit_time(protocol: Protocol<'_, '_>) -> PyResult<()> {
    let limit = protocol.shutdown_timeout.get_or_none(protocol.py());
    let alarm = alarms::set_after(&event_loop(protocol)?, &limit, protocol.as_any(), check_timeout)?;
    protocol.shutdown_alarm.set(Ref::of(alarm));
    Ok(())
}

/// `_check_shutdown_timeout`.
fn check_timeout(protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(protocol) = Obj::<SslProtocol>::cast(protocol) else { return Ok(()) };
    if !matches!(protocol.state.get(), State::Flushing | State::Shutdown) {
        return Ok(());
    }
    let error = PyTimeoutError::new_err("SSL shutdown timed out").into_value(protocol.py());
    below(protocol, "_force_close")?.call_method1(names::_force_close(protocol.py()), (error,)).map(drop)
}

/// `_do_flush`: what has arrived is read, what waits is sent.
pub fn flush(protocol: Protocol<'_, '_>) -> PyResult<()> {
    read(protocol)?;
    set_state(protocol, State::Shutdown)?;
    shut_down(protocol)
}

/// `_do_shutdown`: as far as it goes with what has arrived.
pub fn shut_down(protocol: Protocol<'_, '_>) -> PyResult<()> {
    let py = protocol.py();
    let unwrapped = if protocol.eof_received.get() { Ok(Progress::Done) } else { protocol.tls.unwrap(py) };
    match unwrapped {
        Ok(Progress::Waits) => writing::flush(protocol),
        Ok(Progress::Done) => {
            writing::flush(protocol)?;
            tell_eof(protocol)?;
            complete(protocol)
        }
        Err(error) if tls::is_ssl_error(py, &error)? => {
            let raised = Raised::from_err(py, error);
            stop_time_limit(protocol)?;
            raised.handling(|| fatal_error(protocol, raised.as_any(), "Fatal error on transport"))
        }
        Err(error) => Err(error),
    }
}

/// Both sides have said that they are done.
fn complete(protocol: Protocol<'_, '_>) -> PyResult<()> {
    let py = protocol.py();
    let close = below(protocol, "close")?.getattr(names::close(py))?;
    event_loop(protocol)?.call_method1(names::call_soon(py), (close,))?;
    // A peer that does not read can keep the transport below from closing.
    if protocol.shutdown_alarm.is_empty() {
        limit_time(protocol)?;
    }
    Ok(())
}

fn stop_time_limit(protocol: Protocol<'_, '_>) -> PyResult<()> {
    cancel_alarm(protocol.py(), &protocol.shutdown_alarm)
}

/// `_call_eof_received`.
fn tell_eof(protocol: Protocol<'_, '_>) -> PyResult<()> {
    let py = protocol.py();
    if protocol.app_state.get() != AppState::Made {
        return Ok(());
    }
    protocol.app_state.set(AppState::Eof);
    let tell = || {
        let app_protocol = protocol.app_protocol.get(py).ok_or_else(|| nobody("eof_received"))?;
        if call::method(names::eof_received(py), [&app_protocol])?.is_truthy()? {
            let warning = "returning true from eof_received() has no effect when using ssl";
            static FRAME: Frame = Frame::new(&SSLPROTO, "SSLProtocol._call_eof_received");
            FRAME.log(py, "warning", (warning,))?;
        }
        Ok(())
    };
    let Err(error) = tell() else { return Ok(()) };
    let raised = Raised::from_err(py, error);
    if raised.is::<PyKeyboardInterrupt>() || raised.is::<PySystemExit>() {
        return Err(raised.into_err());
    }
    raised.handling(|| fatal_error(protocol, raised.as_any(), "Error calling eof_received()"))
}
