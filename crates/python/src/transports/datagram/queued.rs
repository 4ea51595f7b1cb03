//! [`Queued`]: a datagram that waits to be sent.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::net::SocketAddrAny;
use yibu_engine::transport::{Destination, Outbound};

use crate::ffi::Ref;
use crate::transports::chunk::Chunk;

/// A datagram that waits.
pub struct Queued {
    pub(super) content: Chunk,
    pub(super) route: Route,
}

/// Where a datagram goes, and what sends it.
pub(super) enum Route {
    /// To the peer that the socket is connected with.
    Connected,
    /// The kernel's.
    Kernel(SocketAddrAny),
    /// An address for the socket object; unused where that is connected.
    Object(Ref),
}

impl Queued {
    /// For the kernel: to an address, or to the peer that the socket is connected with.
    pub(super) fn direct(content: Chunk, address: Option<&SocketAddrAny>) -> Self {
        let route = address.map_or(Route::Connected, |address| Route::Kernel(address.clone()));
        Self { content, route }
    }

    /// The object in here that may be part of a cycle.
    pub fn object(&self) -> Option<*mut ffi::PyObject> {
        match &self.route {
            Route::Object(address) => Some(address.as_ptr()),
            Route::Connected | Route::Kernel(_) => None,
        }
    }

    /// The content.
    pub(super) fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        match &self.content {
            Chunk::GcRef(bytes) => bytes.whole(py).unwrap_or_else(|| PyBytes::new(py, bytes.as_ref())),
            Chunk::Copied(bytes) => PyBytes::new(py, bytes),
        }
    }
}

impl Outbound for Queued {
    fn bytes(&self) -> &[u8] {
        self.content.as_ref()
    }

    fn destination(&self) -> Destination<'_> {
        match &self.route {
            Route::Connected => Destination::Connected,
            Route::Kernel(address) => Destination::To(address),
            Route::Object(_) => Destination::Embedder,
        }
    }
}
