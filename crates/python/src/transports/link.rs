//! What every transport around a stream machine has and does, written once: [`Link`] holds it, [`StreamTransport`] says what each
//! class does its own way, and the functions here and in `reading`, `writing`, `closing` and `upcall` are compiled for
//! each class by itself. Calls the machine and the loop.

use std::cell::Cell;
use std::io;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use yibu_engine::transport::{Channel, Reading, Stream};

use super::chunk::Chunk;
use super::receiver::{self, Receiver};
use super::reports::{self, Frames};
use crate::core::{EventLoop, Kernel, Owner};
use crate::ffi::{Class, LoopCell, Obj, Raised, Signature, Slot, Visitor, call, context, none};
use crate::frames::Frame;
use crate::futures::bridge::result_setter;
use crate::{errors, names};

/// See the module.
#[repr(C)]
pub struct Link<K: Channel> {
    pub(crate) event_loop: Slot<EventLoop>,
    pub(super) protocol: Slot,
    /// How the protocol takes data without a call into Python.
    pub(super) receiver: Cell<Option<&'static Receiver>>,
    /// What the protocol is called in, whoever reads or writes.
    pub(super) own_context: Slot,
    /// Whether `connection_lost` has been called, and everything let go.
    pub(super) gone: Cell<bool>,
    stream: LoopCell<Stream<Chunk, K>>,
    /// The same, where it was given: then `connection_made` is called in it, too.
    pub(super) context: Slot,
}

impl<K: Channel> Default for Link<K> {
    fn default() -> Self {
        Self {
            event_loop: Slot::default(),
            protocol: Slot::default(),
            receiver: Cell::new(None),
            own_context: Slot::default(),
            gone: Cell::new(false),
            stream: LoopCell::new(Stream::new(-1, Reading::Lent)),
            context: Slot::default(),
        }
    }
}

impl<K: Channel> Link<K> {
    /// Asks the machine something.
    #[inline]
    pub fn stream<R>(&self, ask: impl FnOnce(&mut Stream<Chunk, K>) -> R) -> R {
        self.stream.with(ask)
    }

    /// What is read from now on is this protocol's.
    pub(super) fn set_protocol(&self, protocol: Bound<'_, PyAny>) {
        self.receiver.set(receiver::find(&protocol));
        self.protocol.put(protocol);
    }

    /// The connection begins: it has the given context, or a copy of what is current.
    pub(super) fn begin_context(&self, py: Python<'_>) -> PyResult<()> {
        let own = self.context.get(py).map_or_else(|| context::copy_current(py), Ok)?;
        self.own_context.put(own);
        Ok(())
    }

    /// What the protocol is called in.
    #[inline]
    pub fn upcall_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.own_context.get(py).map_or_else(|| context::copy_current(py), Ok)
    }

    /// Shows every reference to the collector.
    pub(super) fn traverse(&self, visitor: &mut Visitor) {
        self.event_loop.traverse(visitor);
        self.slots().into_iter().for_each(|slot| slot.traverse(visitor));
    }

    /// Releases every reference.
    pub(super) fn clear(&self) {
        self.event_loop.clear();
        self.slots().into_iter().for_each(Slot::clear);
    }

    fn slots(&self) -> [&Slot; 3] {
        [&self.protocol, &self.own_context, &self.context]
    }
}

/// A native transport around a stream machine.
pub trait StreamTransport: Class {
    /// What its bytes go through.
    type Channel: Channel;
    /// `set_protocol`.
    const SET_PROTOCOL: &'static Signature<1>;

    /// The functions of asyncio that log and warn for it.
    fn frames() -> &'static Frames;

    /// What it has in common with the others.
    fn link(&self) -> &Link<Self::Channel>;

    /// The transport, as one who gets the outcomes of operations.
    fn owner(transport: &Obj<'_, Self>) -> Owner;

    /// Whether it has a file that it is going to close.
    fn is_open(&self) -> bool;

    /// Closes the file. Nothing is armed on it.
    fn close_file(transport: &Obj<'_, Self>) -> PyResult<()>;

    /// Whether an error of the system is ordinary, a connection reset for instance: such errors are only logged, in debug mode.
    fn is_expected(error: &Raised<'_>) -> bool;

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

    /// Sends what was kept for later.
    fn flush(_transport: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }

    /// The transport closes: its descriptor is not listed as a transport's any more.
    fn leave(&self) {}

    /// `connection_lost` has been called and the file is closed.
    fn ended(_transport: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }

    /// Nobody has closed it, and the collector does.
    fn dropped(_transport: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }

    /// Everything has been sent, or never will be.
    fn drained(_transport: &Obj<'_, Self>, _error: Option<&Raised<'_>>) -> PyResult<()> {
        Ok(())
    }

    /// The loop. RuntimeError for an object whose `__init__` has not run.
    #[inline]
    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Obj<'py, EventLoop>> {
        self.link().event_loop.obj(py).ok_or_else(uninitialized::<Self>)
    }
}

#[cold]
fn uninitialized<T: Class>() -> PyErr {
    PyRuntimeError::new_err(format!("{} object is not initialized.", class_name::<T>()))
}

/// The name of a class without its module.
pub(super) fn class_name<T: Class>() -> String {
    let name = T::NAME.to_string_lossy();
    name.rsplit('.').next().unwrap_or(&name).to_owned()
}

/// Lets the machine act on the kernel.
#[inline]
pub fn act<T: StreamTransport, R>(
    transport: &Obj<'_, T>,
    f: impl FnOnce(&mut Stream<Chunk, T::Channel>, &mut Kernel<'_>) -> R,
) -> PyResult<R> {
    let event_loop = transport.event_loop(transport.py())?;
    let owner = || T::owner(transport);
    Ok(Kernel::with(&event_loop, &owner, |kernel| transport.link().stream(|stream| f(stream, kernel))))
}

/// The exception for a kernel that refused: a closed loop refuses everything.
pub(super) fn refused<T: StreamTransport>(transport: &Obj<'_, T>, error: &io::Error) -> PyErr {
    match transport.event_loop(transport.py()).and_then(|event_loop| event_loop.check_open()) {
        Ok(()) => errors::os_error(error),
        Err(closed) => closed,
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

/// The same in the connection's own context.
pub(super) fn call_soon<'py, T: StreamTransport, const N: usize>(
    transport: &Obj<'py, T>,
    function: &Bound<'py, PyAny>,
    args: [&Bound<'py, PyAny>; N],
) -> PyResult<()> {
    let context = transport.link().own_context.get_or_none(transport.py());
    call_soon_in(transport, &context, function, args)
}

fn call_soon_in<'py, T: StreamTransport, const N: usize>(
    transport: &Obj<'py, T>,
    context: &Bound<'py, PyAny>,
    function: &Bound<'py, PyAny>,
    args: [&Bound<'py, PyAny>; N],
) -> PyResult<()> {
    let py = transport.py();
    let event_loop = transport.event_loop(py)?.into_any();
    let (method, keywords) = (names::call_soon(py), names::context_keyword(py));
    match args.as_slice() {
        [] => call::method_with_keyword(method, [&event_loop, function, context], keywords)?,
        [one] => call::method_with_keyword(method, [&event_loop, function, one, context], keywords)?,
        [one, two] => {
            call::method_with_keyword(method, [&event_loop, function, one, two, context], keywords)?
        }
        _ => return Err(PyRuntimeError::new_err("a callback of a transport has at most two arguments")),
    };
    Ok(())
}

/// The three callbacks of the next turn with which every transport begins: `connection_made`, `start` (with the descriptor), and
/// the waiter's.
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

/// `logger.debug(format, transport)`, or another method of the logger, in debug mode.
pub fn log_in_debug<T: StreamTransport>(
    transport: &Obj<'_, T>,
    frame: &Frame,
    method: &str,
    format: &str,
) -> PyResult<()> {
    reports::log_in_debug(&transport.event_loop(transport.py())?, frame, transport.as_any(), method, format)
}
