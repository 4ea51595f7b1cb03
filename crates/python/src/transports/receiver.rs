//! [`Receiver`]: native protocols that take what a transport received without a call into Python.
//!
//! A class of such protocols declares a static table in its own file, and registers the table when the class
//! is made: readers of streams and TLS do. A transport looks for the table when it gets its protocol, and
//! [`super::upcall`] uses it for every piece that arrives.

use std::sync::OnceLock;

use pyo3::exceptions::PySystemError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use yibu_engine::Lease;

use crate::core::EventLoop;
use crate::ffi::Obj;

/// The functions of a class of protocols.
pub struct Receiver {
    /// Whether an object is of this class, and not of a class derived from it.
    pub is: for<'a, 'py> fn(&'a Bound<'py, PyAny>) -> bool,
    /// Takes what was received, unless something of the protocol was replaced: then its method is called.
    pub received: for<'a, 'py> fn(&'a Bound<'py, PyAny>, Received<'a, 'py>) -> Result<(), NotTaken<'a, 'py>>,
    /// What the exception handler is told of a protocol that raised.
    pub failure: &'static str,
}

/// Why a [`Receiver`] has not taken what was received.
pub enum NotTaken<'a, 'py> {
    /// The protocol's method is to be called with it.
    Declined(Received<'a, 'py>),
    /// The protocol raised.
    Failed(PyErr),
}

impl From<PyErr> for NotTaken<'_, '_> {
    fn from(error: PyErr) -> Self {
        Self::Failed(error)
    }
}

/// What was received, in a buffer of the driver's.
pub struct Received<'a, 'py> {
    event_loop: &'a Obj<'py, EventLoop>,
    lease: Lease,
}

impl<'a, 'py> Received<'a, 'py> {
    /// The buffer of the driver.
    #[inline]
    pub(super) fn new(event_loop: &'a Obj<'py, EventLoop>, lease: Lease) -> Self {
        Self { event_loop, lease }
    }

    /// How many bytes there are.
    #[inline]
    pub fn count(&self) -> usize {
        self.lease.len()
    }

    /// A copy; the driver has its buffer back.
    #[inline]
    pub fn copy(self) -> Bound<'py, PyBytes> {
        let Self { event_loop, lease } = self;
        event_loop.engine.with(|engine| {
            let bytes = PyBytes::new(event_loop.py(), engine.driver.bytes(&lease));
            engine.driver.recycle(lease);
            bytes
        })
    }

    /// Lends the bytes to `take`, which must not call Python; the driver has its buffer back then.
    #[inline]
    pub fn with_bytes<R>(self, take: impl FnOnce(&[u8]) -> R) -> R {
        let Self { event_loop, lease } = self;
        event_loop.engine.with(|engine| {
            let result = take(engine.driver.bytes(&lease));
            engine.driver.recycle(lease);
            result
        })
    }

    /// Lends the bytes to `take`, which must not call Python and may refuse them.
    #[inline]
    pub fn offer(self, take: impl FnOnce(&[u8]) -> bool) -> Result<(), Self> {
        let Self { event_loop, lease } = self;
        let refused = event_loop.engine.with(|engine| {
            if take(engine.driver.bytes(&lease)) {
                engine.driver.recycle(lease);
                None
            } else {
                Some(lease)
            }
        });
        refused.map_or(Ok(()), |lease| Err(Self { event_loop, lease }))
    }
}

/// The registered tables.
static RECEIVERS: [OnceLock<&'static Receiver>; 2] = [const { OnceLock::new() }; 2];

/// Registers a class, when it is made.
pub fn register(receiver: &'static Receiver) -> PyResult<()> {
    if RECEIVERS.iter().any(|place| place.set(receiver).is_ok()) {
        return Ok(());
    }
    Err(PySystemError::new_err(
        "yibu: there are more native receivers than places for them (a bug, please report it)",
    ))
}

/// The table of a protocol's class.
pub(super) fn find(protocol: &Bound<'_, PyAny>) -> Option<&'static Receiver> {
    RECEIVERS.iter().filter_map(OnceLock::get).copied().find(|receiver| (receiver.is)(protocol))
}
