//! A socket of the program's own, as the coroutines of the control plane use it: what may be done with it,
//! and how to wait for it.
//!
//! Used by [`super::sock`] and [`super::sendfile`]; calls [`crate::coroutines::Readiness`].

use std::io;

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyValueError};
use pyo3::prelude::*;
use yibu_engine::{Fd, Interest, is_again};

use super::connect;
use crate::core::EventLoop;
use crate::coroutines::{Answer, GcRef, Readiness};
use crate::errors;
use crate::ffi::Obj;
use crate::ffi::thread::attached;
use crate::replaced::names::CHECK_SSL_SOCKET;
use crate::replaced::sockets::{self, is_plain};
use crate::transports::descriptors;

/// What every method begins with: no TLS, and in debug mode no blocking socket.
pub(super) fn check(event_loop: &EventLoop, socket: &Bound<'_, PyAny>) -> PyResult<()> {
    if !is_plain(socket)? || CHECK_SSL_SOCKET.is_replaced(socket.py()) {
        connect::check_ssl_socket(socket)?;
    }
    if event_loop.debug.get() && socket.call_method0(name!("gettimeout"))?.ne(0)? {
        return Err(PyValueError::new_err("the socket must be non-blocking"));
    }
    Ok(())
}

/// The descriptor of a plain socket.
#[inline]
pub(super) fn plain(socket: &Bound<'_, PyAny>) -> PyResult<Option<Fd>> {
    if is_plain(socket)? { sockets::fileno(socket).map(Some) } else { Ok(None) }
}

/// "Not now" said by an exception.
pub(super) fn unless_blocked<T>(py: Python<'_>, result: PyResult<Option<T>>) -> PyResult<Option<T>> {
    match result {
        Err(error)
            if error.is_instance_of::<PyBlockingIOError>(py)
                || error.is_instance_of::<PyInterruptedError>(py) =>
        {
            Ok(None)
        }
        result => result,
    }
}

/// What a system call made here came to; `None` when the socket is not ready.
#[inline]
pub(super) fn completed<T>(result: io::Result<T>) -> PyResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_again(&error) => Ok(None),
        Err(error) => Err(errors::os_error(&error)),
    }
}

/// A socket as a program passed it, for Rust futures.
pub(super) struct Socket {
    event_loop: GcRef<EventLoop>,
    object: GcRef,
}

impl Socket {
    pub(super) fn new<'py>(event_loop: &Obj<'py, EventLoop>, object: Bound<'py, PyAny>) -> Self {
        Self { event_loop: GcRef::of(event_loop), object: GcRef::new(object) }
    }

    /// The object.
    pub(super) fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.object.any(py)
    }

    /// The loop whose method was called.
    pub(super) fn event_loop(&self) -> &GcRef<EventLoop> {
        &self.event_loop
    }

    /// See the function.
    pub(super) fn check(&self, py: Python<'_>) -> PyResult<()> {
        check(self.event_loop.data(), self.object(py))
    }

    /// Its descriptor; -1 when it is closed.
    pub(super) fn fileno(&self, py: Python<'_>) -> PyResult<Fd> {
        sockets::fileno(self.object(py))
    }

    /// Something to wait with, unless the descriptor belongs to a transport.
    pub(super) fn readiness(&self, py: Python<'_>, interest: Interest) -> PyResult<Readiness> {
        let event_loop = self.event_loop.obj(py);
        let fd = self.fileno(py)?;
        descriptors::check_number(&event_loop, fd)?;
        Ok(Readiness::of(&event_loop, fd, interest))
    }

    /// Tries until there is an answer, waiting in between. `None` says "not now", and so do BlockingIOError
    /// and InterruptedError.
    pub(super) async fn retry(
        &self,
        interest: Interest,
        mut attempt: impl FnMut(Python<'_>) -> PyResult<Option<Py<PyAny>>>,
    ) -> Answer {
        let mut readiness = None;
        loop {
            if let Some(answer) = attached(|py| unless_blocked(py, attempt(py)))? {
                return Ok(answer);
            }
            let readiness = match &mut readiness {
                Some(readiness) => readiness,
                none => none.insert(attached(|py| self.readiness(py, interest))?),
            };
            readiness.wait().await?;
        }
    }
}
