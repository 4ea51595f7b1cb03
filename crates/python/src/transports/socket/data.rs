//! The data of a [`SocketTransport`].

use std::cell::Cell;

use yibu_engine::Fd;
use yibu_engine::transport::{Socket, Stream};

use super::coalescing::Coalescing;
use crate::ffi::{Obj, Output, Slot, WeakMapEntry};
use crate::transports::chunk::Chunk;
use crate::transports::connection::Connection;
use crate::transports::link::Link;

/// The data of a `SocketTransport`.
#[derive(Default)]
#[repr(C)] // what every message looks at stands together
pub struct SocketTransport {
    /// Whether writes wait for others.
    pub(super) coalescing: Coalescing,
    /// Whether Python code may close the socket without the transport.
    pub(super) exposed: Cell<bool>,
    /// Whether the socket is of a class of the program's own.
    pub(super) by_methods: Cell<bool>,
    pub(crate) link: Link<Socket>,
    pub(super) server: Slot,
    /// Done when the buffer has drained, for sendfile and TLS, which use the socket directly then.
    pub(super) empty_waiter: Slot,
    /// Its place among the server's clients.
    pub(crate) client: WeakMapEntry,
    /// Its place among the loop's transports.
    pub(crate) listing: WeakMapEntry,
    pub(super) connection: Connection,
}

impl SocketTransport {
    /// Asks the machine something.
    #[inline]
    pub fn stream<R>(&self, ask: impl FnOnce(&mut Stream<Chunk>) -> R) -> R {
        self.link.stream(ask)
    }

    /// Whether Python code has the socket object, and may close it.
    #[inline]
    pub fn is_exposed(&self) -> bool {
        self.exposed.get()
    }

    /// The references beside those of the link.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        [&self.server, &self.empty_waiter].into_iter().chain(self.connection.slots())
    }
}

/// The number of the descriptor, as asyncio keeps it in `_sock_fd`.
pub fn descriptor(transport: &SocketTransport) -> Fd {
    transport.connection.fd()
}

/// The socket object, for native code that leaves it open.
pub fn socket<'py>(transport: &Obj<'py, SocketTransport>) -> Output<'py> {
    transport.connection.socket(transport.py())
}
