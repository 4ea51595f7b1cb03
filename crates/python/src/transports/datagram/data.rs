//! The data of a [`DatagramTransport`], and how its machine gets to the kernel.

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use yibu_engine::transport::Datagrams;

use super::peers::Peers;
use super::queued::Queued;
use crate::core::{EventLoop, Kernel, Owner, OwnerKind};
use crate::errors;
use crate::ffi::{LoopCell, Obj, Output, Signature, Slot, WeakMapEntry, context};
use crate::replaced::names::SOCKET_METHODS;
use crate::transports::connection::Connection;
use crate::transports::on_socket::{self, Activity, OnSocket};

/// The data of a `DatagramTransport`.
#[repr(C)]
pub struct DatagramTransport {
    pub(super) event_loop: Slot<EventLoop>,
    pub(super) protocol: Slot,
    pub(super) machine: LoopCell<Datagrams<Queued>>,
    /// Whether Python code may close the socket without the transport.
    pub(super) exposed: Cell<bool>,
    /// Whether `connection_lost` has been called, and everything let go.
    pub(super) gone: Cell<bool>,
    /// Whether the kernel is asked directly.
    pub(super) direct: Cell<bool>,
    /// Whether datagrams go to whom the socket is connected with.
    pub(super) connected: Cell<bool>,
    /// Whether it is connected with a socket without a name: one of a pair.
    pub(super) paired: Cell<bool>,
    pub(super) family: Cell<i32>,
    /// Where all datagrams have to go, or nothing.
    pub(super) address: Slot,
    /// What the protocol is called in, whoever reads or writes.
    pub(super) context: Slot,
    pub(super) peers: Peers,
    /// Its place among the loop's transports.
    pub(super) listing: WeakMapEntry,
    pub(super) connection: Connection,
}

impl Default for DatagramTransport {
    fn default() -> Self {
        Self {
            event_loop: Slot::default(),
            protocol: Slot::default(),
            machine: LoopCell::new(Datagrams::new(-1, false, false, HEADER)),
            exposed: Cell::new(false),
            gone: Cell::new(false),
            direct: Cell::new(false),
            connected: Cell::new(false),
            paired: Cell::new(false),
            family: Cell::new(0),
            address: Slot::default(),
            context: Slot::default(),
            peers: Peers::default(),
            listing: WeakMapEntry::default(),
            connection: Connection::default(),
        }
    }
}

/// What each datagram that waits counts beside its bytes: asyncio's `_header_size`. So many empty ones fill a buffer, too,
/// since they are sent.
pub(super) const HEADER: usize = if cfg!(Py_3_13) { 8 } else { 0 };

/// `max_size`: what asyncio asks a socket for.
pub(super) const MAX_SIZE: usize = yibu_engine::MAX_RECEIVE;

impl DatagramTransport {
    /// The loop. RuntimeError for an object whose `__init__` has not run.
    pub(super) fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Obj<'py, EventLoop>> {
        self.event_loop
            .obj(py)
            .ok_or_else(|| PyRuntimeError::new_err("_SelectorDatagramTransport object is not initialized."))
    }

    /// Asks the machine something.
    #[inline]
    pub(super) fn machine<R>(&self, ask: impl FnOnce(&mut Datagrams<Queued>) -> R) -> R {
        self.machine.with(ask)
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

    /// The loop made the socket itself and shows it to nobody.
    pub fn keep_to_itself(&self) {
        self.exposed.set(false);
    }

    /// See the function.
    #[inline]
    pub(super) fn is_intact(&self, py: Python<'_>) -> PyResult<bool> {
        on_socket::is_intact(self, py)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        let own = [&self.protocol, &self.address, &self.context];
        own.into_iter().chain(self.connection.slots())
    }
}

impl OnSocket for DatagramTransport {
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

    fn loop_slot(&self) -> &Slot<EventLoop> {
        &self.event_loop
    }

    fn is_gone(&self) -> bool {
        self.gone.get()
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

/// Whoever gets the outcomes of its operations. `receiving` says what is done with them.
pub(super) trait Owned {
    /// The functions of the owner.
    const OWNER: &'static OwnerKind;
}

/// Lets the machine act on the kernel.
#[inline]
pub(super) fn act<R>(
    transport: &Obj<'_, DatagramTransport>,
    f: impl FnOnce(&mut Datagrams<Queued>, &mut Kernel<'_>) -> R,
) -> PyResult<R> {
    let event_loop = transport.event_loop(transport.py())?;
    let owner = || Owner::of(DatagramTransport::OWNER, transport.clone());
    Ok(Kernel::with(&event_loop, &owner, |kernel| transport.machine.with(|machine| f(machine, kernel))))
}

/// The exception for a kernel that refused: a closed loop refuses everything.
pub(super) fn refused(transport: &Obj<'_, DatagramTransport>, error: &std::io::Error) -> PyErr {
    match transport.event_loop(transport.py()).and_then(|event_loop| event_loop.check_open()) {
        Ok(()) => errors::os_error(error),
        Err(closed) => closed,
    }
}

/// What the protocol is called in.
pub(super) fn context_of<'py>(transport: &Obj<'py, DatagramTransport>) -> Output<'py> {
    let py = transport.py();
    transport.context.get(py).map_or_else(|| context::copy_current(py), Ok)
}
