//! `SocketTransport`: a connected stream socket. `asyncio.selector_events._SelectorSocketTransport`, native.
//!
//! What a connection does is decided by the engine's [`Stream`](yibu_engine::transport::Stream); this file holds one with what
//! is Python's. Made by the loop's connecting and accepting methods.

use std::ffi::CStr;

use crate::ffi::class::BehindTransport;
use crate::ffi::{Class, ClassState, Listing, Slot, Table, Visitor};

/// The data of a `SocketTransport`.
#[derive(Default)]
pub struct SocketTransport {
    protocol: Slot,
    /// Its place among the loop's transports.
    pub(crate) listing: Listing,
}

static SOCKET_TRANSPORT: ClassState = ClassState::new();

impl Class for SocketTransport {
    const NAME: &'static CStr = c"yibu.SocketTransport";
    type Header = BehindTransport;

    fn state() -> &'static ClassState {
        &SOCKET_TRANSPORT
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"A connected stream socket.");
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.protocol.traverse(visitor);
    }

    fn clear(&self) {
        self.protocol.clear();
    }
}
