//! Whether the methods of a class of the standard library are still its own: those that native code stands in
//! for.
//!
//! Asked before native code does something without a call of such a method. Calls [`crate::stock`] for the
//! classes.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::ffi::versions::{self, Finding};
use crate::stock;

/// Methods of a class of the standard library that native code stands in for.
pub struct Methods {
    class: fn(Python<'_>) -> PyResult<&Bound<'_, PyType>>,
    names: &'static [&'static str],
    originals: PyOnceLock<Vec<Py<PyAny>>>,
    /// The version of the class in which all were found to be the original ones; 0 for none.
    verified: AtomicU32,
    /// The same while nothing has changed anywhere.
    found_original: Finding,
}

impl Methods {
    const fn new(
        class: fn(Python<'_>) -> PyResult<&Bound<'_, PyType>>,
        names: &'static [&'static str],
    ) -> Self {
        Self {
            class,
            names,
            originals: PyOnceLock::new(),
            verified: AtomicU32::new(0),
            found_original: Finding::new(),
        }
    }

    fn found(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let class = (self.class)(py)?;
        self.names.iter().map(|name| class.getattr(*name).map(Bound::unbind)).collect()
    }

    /// Whether the class has all of them as the standard library defined them.
    #[inline(always)]
    pub fn are_original(&self, py: Python<'_>) -> PyResult<bool> {
        if self.found_original.holds() { Ok(true) } else { self.verify(py) }
    }

    #[inline(never)]
    fn verify(&self, py: Python<'_>) -> PyResult<bool> {
        let changes = versions::changes();
        let original = self.compare_versions(py)?;
        if original {
            let mut bases = (self.class)(py)?.mro().iter();
            if bases.all(|base| base.cast::<PyType>().is_ok_and(versions::watch_class)) {
                self.found_original.set(changes);
            }
        }
        Ok(original)
    }

    fn compare_versions(&self, py: Python<'_>) -> PyResult<bool> {
        let version = versions::class_version((self.class)(py)?);
        match version {
            Some(version) if version == self.verified.load(Ordering::Relaxed) => Ok(true),
            _ => self.compare(py),
        }
    }

    #[cold]
    fn compare(&self, py: Python<'_>) -> PyResult<bool> {
        let found = self.found(py)?;
        let originals = self.originals.get(py).map(Vec::as_slice).unwrap_or_default();
        let same = found.len() == originals.len() && found.iter().zip(originals).all(|(a, b)| a.is(b));
        // The lookups have given the class a version.
        let version = versions::class_version((self.class)(py)?).filter(|_| same);
        self.verified.store(version.unwrap_or(0), Ordering::Relaxed);
        Ok(same)
    }
}

/// What connections and the loop's `sock_` methods do with a socket without asking its methods.
pub static SOCKET_METHODS: Methods = Methods::new(
    stock::socket,
    &[
        "accept",
        "close",
        "detach",
        "fileno",
        "getsockopt",
        "recv",
        "recv_into",
        "recvfrom",
        "recvfrom_into",
        "recvmsg",
        "send",
        "sendall",
        "sendmsg",
        "sendto",
        "setsockopt",
        "shutdown",
    ],
);

/// What a TLS connection does without asking the methods of its `ssl.SSLObject`.
pub static TLS_METHODS: Methods = Methods::new(stock::ssl_object, &["read", "write", "pending"]);

/// What the loop does in place of a selector.
pub static SELECTOR_METHODS: Methods = Methods::new(
    stock::default_selector,
    &["__init__", "close", "modify", "register", "select", "unregister"],
);
/// What the loop does with what a selector gives.
pub static PROCESS_EVENTS: Methods = Methods::new(stock::event_loop, &["_process_events"]);

/// What the native pool does in place of a `ThreadPoolExecutor`.
pub static EXECUTOR_METHODS: Methods =
    Methods::new(stock::thread_pool_executor, &["__init__", "submit", "_adjust_thread_count", "shutdown"]);

/// What a worker of the native pool does in place of a `_WorkItem`.
pub static WORK_METHODS: Methods = Methods::new(stock::work_item, &["__init__", "run"]);

/// Remembers the methods that the classes have.
pub(super) fn capture(py: Python<'_>) -> PyResult<()> {
    for methods in [&SOCKET_METHODS, &SELECTOR_METHODS, &PROCESS_EVENTS, &EXECUTOR_METHODS, &WORK_METHODS] {
        let originals = methods.found(py)?;
        methods.originals.get_or_init(py, || originals);
    }
    // A Python may have been built without `ssl`.
    if let Ok(originals) = TLS_METHODS.found(py) {
        TLS_METHODS.originals.get_or_init(py, || originals);
    }
    Ok(())
}
