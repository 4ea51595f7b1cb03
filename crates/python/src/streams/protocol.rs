//! `StreamReaderProtocol`: between a transport and a `StreamReader`. `asyncio.streams.StreamReaderProtocol`,
//! native.
//!
//! Called by transports: by the native ones directly (by [`RECEIVER`]), as long as nobody replaced any of it.
//! Calls the reader and, for a server, the function that takes the connection.

mod methods;

pub use methods::{RECEIVER, data_received, made};

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use super::flow::FlowControl;
use crate::ffi::{Obj, Slot, derived};

/// What a `StreamReaderProtocol` adds.
#[derive(Default)]
pub struct ProtocolState {
    /// A weak reference: the reader is freed when the program has dropped it.
    reader: Slot,
    /// The reader of a server's connection, until the function of the server has it.
    strong_reader: Slot,
    /// A server's function for new connections.
    connected: Slot,
    reject: Cell<bool>,
    /// The task of a server's coroutine; perhaps the only reference to it.
    task: Slot,
    transport: Slot,
    /// `_stream_writer`, before 3.13: a weak reference, so that a writer that a server's function drops is
    /// closed.
    #[cfg(not(Py_3_13))]
    writer: Slot,
    over_tls: Cell<bool>,
    closed: Slot,
    source_traceback: Slot,
}

derived! {
    /// The data of a `StreamReaderProtocol`.
    pub struct StreamReaderProtocol { base: FlowControl, own: ProtocolState }
}

impl ProtocolState {
    /// `_stream_reader`.
    #[inline]
    fn reader<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.reader.get(py)?.cast::<PyWeakrefReference>().ok()?.upgrade()
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        let slots = [
            &self.reader,
            &self.strong_reader,
            &self.connected,
            &self.task,
            &self.transport,
            &self.closed,
            &self.source_traceback,
        ];
        #[cfg(not(Py_3_13))]
        let slots = slots.into_iter().chain([&self.writer]);
        slots.into_iter()
    }
}

/// The protocol behind an object none of whose methods can have been replaced.
#[inline]
pub fn plain<'a, 'py>(protocol: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, StreamReaderProtocol>> {
    Obj::<StreamReaderProtocol>::cast_exact(protocol).filter(|protocol| protocol.is_native())
}

/// The future that is done when the connection is closed.
pub(super) fn close_waiter<'py>(protocol: &Obj<'py, StreamReaderProtocol>) -> Bound<'py, PyAny> {
    protocol.own.closed.get_or_none(protocol.py())
}

/// Whether it belongs to a server.
pub(super) fn is_server_side(protocol: &Obj<'_, StreamReaderProtocol>) -> bool {
    !protocol.own.connected.is_empty()
}
