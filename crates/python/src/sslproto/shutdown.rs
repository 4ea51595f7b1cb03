//! The end: what was written is sent, then both sides say `close_notify`, then the transport below is closed.

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit, PyTimeoutError};
use pyo3::prelude::*;

use super::tls::{self, Progress};
use super::{
    AppState, Protocol, SslProtocol, State, abort, below, cancel_alarm, event_loop, fatal_error, nobody,
    reading, set_state, transport, writing,
};
use crate::alarms;
use crate::ffi::{Obj, Raised, Ref, Table, call, none};
use crate::frames::Frame;
use crate::names;
use crate::replaced::names::SSLPROTO;

pub(super) fn table(t: &mut Table<SslProtocol>) {
    t.noargs(
        c"_start_shutdown",
        |protocol| {
            start(protocol)?;
            Ok(none(protocol.py()))
        },
        "Ends the connection when everything written has been sent.",
    );
    t.one(
        c"_abort",
        "exc",
        |protocol, error| {
            abort(protocol, error)?;
            Ok(none(protocol.py()))
        },
        "Closes the transport below at once.",
    );
}

/// `_start_shutdown`.
pub fn start(protocol: Protocol<'_, '_>) -> PyResult<()> {
    let py = protocol.py();
    if protocol.state.get().is_ending() {
        return Ok(());
    }
    transport::mark_closed(protocol)?;
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
    reading::read(protocol)?;
    set_state(protocol, State::Shutdown)?;
    step(protocol)
}

/// `_do_shutdown`: as far as it goes with what has arrived.
pub fn step(protocol: Protocol<'_, '_>) -> PyResult<()> {
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
            stop_clock(protocol)?;
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

fn stop_clock(protocol: Protocol<'_, '_>) -> PyResult<()> {
    cancel_alarm(protocol.py(), &protocol.shutdown_alarm)
}

/// `_call_eof_received`.
pub fn tell_eof(protocol: Protocol<'_, '_>) -> PyResult<()> {
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
