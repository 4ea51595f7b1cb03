//! What every transport around a stream machine has and does, written once: [`Link`] holds it,
//! [`StreamTransport`] says what each class does its own way, and the functions here and in `reading`,
//! `writing` and `upcall` are compiled for each class by itself. Calls the machine and the loop.

use std::cell::Cell;

use pyo3::prelude::*;
use yibu_engine::transport::{Channel, Reading, Stream};

use super::chunk::Chunk;
use super::endpoint::{Endpoint, Machine, Transport, call_soon_in};
use super::receiver::{self, Receiver};
use super::reports::Frames;
use crate::core::Kernel;
use crate::ffi::{Obj, Raised, Signature, Slot, Visitor, context, none};
use crate::futures::bridge::result_setter;
use crate::names;

/// See the module. The receiver is first, because every message that arrives asks for it.
#[repr(C)]
pub struct Link<K: Channel> {
    /// How the protocol takes data without a call into Python.
    pub(super) receiver: Cell<Option<&'static Receiver>>,
    pub(crate) endpoint: Endpoint<Stream<Chunk, K>>,
    /// The context, where it was given: then `connection_made` is called in it, too.
    pub(super) context: Slot,
}

impl<K: Channel> Default for Link<K> {
    fn default() -> Self {
        Self {
            receiver: Cell::new(None),
            endpoint: Endpoint::new(Stream::new(-1, Reading::Leased)),
            context: Slot::default(),
        }
    }
}

impl<K: Channel> Link<K> {
    /// Asks the machine something.
    #[inline]
    pub fn stream<R>(&self, ask: impl FnOnce(&mut Stream<Chunk, K>) -> R) -> R {
        self.endpoint.machine(ask)
    }

    /// What is read from now on is this protocol's.
    pub(super) fn set_protocol(&self, protocol: Bound<'_, PyAny>) {
        self.receiver.set(receiver::find(&protocol));
        self.endpoint.protocol.put(protocol);
    }

    /// The connection begins: it has the given context, or a copy of what is current.
    pub(super) fn begin_context(&self, py: Python<'_>) -> PyResult<()> {
        let own = self.context.get(py).map_or_else(|| context::copy_current(py), Ok)?;
        self.endpoint.own_context.put(own);
        Ok(())
    }

    /// Shows every reference to the collector.
    pub(super) fn traverse(&self, visitor: &mut Visitor) {
        self.endpoint.traverse(visitor);
        self.context.traverse(visitor);
    }

    /// Releases every reference.
    pub(super) fn clear(&self) {
        self.endpoint.clear();
        self.context.clear();
    }
}

impl<K: Channel> Machine for Stream<Chunk, K> {
    type Unsent = ();

    fn is_closing(&self) -> bool {
        Stream::is_closing(self)
    }

    fn close(&mut self, kernel: &mut Kernel<'_>) -> bool {
        Stream::close(self, kernel)
    }

    fn abort(&mut self, kernel: &mut Kernel<'_>) -> (bool, ()) {
        (Stream::abort(self, kernel), ())
    }
}

/// A native transport around a stream machine.
pub trait StreamTransport: Transport<Machine = Stream<Chunk, <Self as StreamTransport>::Channel>> {
    /// What its bytes go through.
    type Channel: Channel;
    /// `set_protocol`.
    const SET_PROTOCOL: &'static Signature<1>;
    /// Whether it has `is_reading`. The end of a pipe that is written is watched for the end of its peer, and
    /// reads nothing.
    const READS: bool;

    /// The functions of asyncio that log and warn for it.
    fn frames() -> &'static Frames;

    /// What it has in common with the others.
    fn link(&self) -> &Link<Self::Channel>;

    /// Tells the protocol that nothing more will be received.
    fn eof_received(transport: &Obj<'_, Self>) -> PyResult<()>;

    /// The protocol raised. `message` is for the exception handler.
    fn protocol_failed(transport: &Obj<'_, Self>, error: PyErr, message: &str) -> PyResult<()>;

    /// Whether the descriptor may still be used.
    fn is_intact(&self, _py: Python<'_>) -> PyResult<bool> {
        Ok(true)
    }

    /// The socket object, where there is one.
    fn socket_object<'py>(_transport: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(None)
    }

    /// The socket object if its methods are the program's own: then they are used.
    fn own_methods<'py>(_transport: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(None)
    }

    /// The protocol is about to become another.
    fn follow(_transport: &Obj<'_, Self>, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Ok(())
    }

    /// Everything has been sent, or never will be.
    fn drained(_transport: &Obj<'_, Self>, _error: Option<&Raised<'_>>) -> PyResult<()> {
        Ok(())
    }
}

/// `loop.call_soon(function, *args, context=...)` in the context that the transport was given, if it was.
fn call_soon_at_first<'py, T: StreamTransport, const N: usize>(
    transport: &Obj<'py, T>,
    function: &Bound<'py, PyAny>,
    args: [&Bound<'py, PyAny>; N],
) -> PyResult<()> {
    let context = transport.link().context.get_or_none(transport.py());
    call_soon_in(transport, &context, function, args)
}

/// The three callbacks of the next turn with which every transport begins: `connection_made`, `start` (with
/// the descriptor), and the waiter's.
pub(super) fn introduce<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    protocol: &Bound<'py, PyAny>,
    start: Option<&Bound<'py, PyAny>>,
    waiter: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = transport.py();
    transport.link().begin_context(py)?;
    let made = protocol.getattr(names::connection_made(py))?;
    call_soon_at_first(transport, &made, [transport.as_any()])?;
    if let Some(start) = start {
        let fd = transport.link().stream(|stream| stream.fd());
        call_soon_at_first(transport, start, [fd.into_pyobject(py)?.as_any()])?;
    }
    if !waiter.is_none() {
        call_soon_at_first(transport, &result_setter(py)?, [waiter, &none(py)])?;
    }
    Ok(())
}
