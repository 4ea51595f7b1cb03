//! The data of a [`DatagramTransport`].

use std::cell::Cell;
use std::collections::VecDeque;

use pyo3::prelude::*;
use yibu_engine::transport::Datagrams;

use super::peers::Peers;
use super::queued::Queued;
use crate::core::Kernel;
use crate::ffi::{Signature, Slot, WeakMapEntry};
use crate::replaced::names::SOCKET_METHODS;
use crate::transports::connection::Connection;
use crate::transports::endpoint::{Endpoint, Machine};
use crate::transports::on_socket::{self, Activity, OnSocket};

/// The data of a `DatagramTransport`.
#[repr(C)]
pub struct DatagramTransport {
    pub(super) endpoint: Endpoint<Datagrams<Queued>>,
    /// Whether Python code may close the socket without the transport.
    pub(super) exposed: Cell<bool>,
    /// Whether the kernel is asked directly.
    pub(super) direct: Cell<bool>,
    /// Whether datagrams go to the peer that the socket is connected with.
    pub(super) connected: Cell<bool>,
    /// Whether it is connected with a socket without a name: one of a pair.
    pub(super) paired: Cell<bool>,
    pub(super) family: Cell<i32>,
    /// Where all datagrams have to go, or nothing.
    pub(super) address: Slot,
    pub(super) peers: Peers,
    /// Its place among the loop's transports.
    pub(super) listing: WeakMapEntry,
    pub(super) connection: Connection,
}

impl Default for DatagramTransport {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::new(Datagrams::new(-1, false, false, HEADER)),
            exposed: Cell::new(false),
            direct: Cell::new(false),
            connected: Cell::new(false),
            paired: Cell::new(false),
            family: Cell::new(0),
            address: Slot::default(),
            peers: Peers::default(),
            listing: WeakMapEntry::default(),
            connection: Connection::default(),
        }
    }
}

/// What each datagram that waits counts beside its bytes: asyncio's `_header_size`. So many empty ones fill a
/// buffer, too, since they are sent.
pub(super) const HEADER: usize = if cfg!(Py_3_13) { 8 } else { 0 };

/// `max_size`: what asyncio asks a socket for.
pub(super) const MAX_SIZE: usize = yibu_engine::MAX_RECEIVE;

impl DatagramTransport {
    /// Asks the machine something.
    #[inline]
    pub(super) fn machine<R>(&self, ask: impl FnOnce(&mut Datagrams<Queued>) -> R) -> R {
        self.endpoint.machine(ask)
    }

    /// Whether Python code has the socket object, and may close it.
    #[inline]
    pub fn is_exposed(&self) -> bool {
        self.exposed.get()
    }

    /// Whether the methods of the socket object are to be used: they are the program's own.
    #[inline]
    pub(super) fn goes_by_methods(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!self.direct.get() || !SOCKET_METHODS.are_original(py)?)
    }

    /// The loop made the socket itself, and Python code does not have it.
    pub fn keep_to_itself(&self) {
        self.exposed.set(false);
    }

    /// See the function.
    #[inline]
    pub(super) fn is_intact(&self, py: Python<'_>) -> PyResult<bool> {
        on_socket::is_intact(self, py)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        [&self.address].into_iter().chain(self.connection.slots())
    }
}

impl OnSocket for DatagramTransport {
    const FATAL_ERROR: &'static Signature<2> =
        &Signature::new("_SelectorDatagramTransport._fatal_error", "exc, message='Fatal error on transport'");
    const GET_EXTRA_INFO: &'static Signature<2> =
        &Signature::new("_SelectorDatagramTransport.get_extra_info", "name, default=None");

    #[inline]
    fn connection(&self) -> &Connection {
        &self.connection
    }

    #[inline]
    fn exposed(&self) -> &Cell<bool> {
        &self.exposed
    }

    fn activity(&self) -> Activity {
        self.machine(|machine| Activity {
            closing: machine.is_closing(),
            reading: machine.read_op().is_some(),
            writing: machine.write_op().is_some(),
            unsent: machine.write_buffer_size(),
        })
    }
}

impl Machine for Datagrams<Queued> {
    type Unsent = VecDeque<Queued>;

    fn is_closing(&self) -> bool {
        Datagrams::is_closing(self)
    }

    fn close(&mut self, kernel: &mut Kernel<'_>) -> bool {
        Datagrams::close(self, kernel)
    }

    fn abort(&mut self, kernel: &mut Kernel<'_>) -> (bool, VecDeque<Queued>) {
        Datagrams::abort(self, kernel)
    }
}
