//! What every transport has and does, whatever goes through it: [`Endpoint`] holds the loop, the protocol and
//! the machine, and [`Transport`] says what each class does its own way.
//!
//! The end of a transport, which is the same for all, is in `closing`. Used by transports of streams (`link`)
//! and of datagrams; calls the machine and the loop.

use std::cell::Cell;
use std::io;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use super::reports;
use crate::core::{EventLoop, Kernel, Owner};
use crate::errors;
use crate::ffi::{Class, LoopCell, Obj, Output, Raised, Slot, Visitor, call, context, none};
use crate::frames::Frame;
use crate::names;

/// What a state machine of the engine does in the life of every transport.
pub trait Machine {
    /// What was written and will not be sent: dropped when the machine is not borrowed any more.
    type Unsent;

    /// `is_closing`.
    fn is_closing(&self) -> bool;

    /// `close`. True when `connection_lost` is to be called at the next turn.
    fn close(&mut self, kernel: &mut Kernel<'_>) -> bool;

    /// `abort`. Whether `connection_lost` is to be called at the next turn, and what is lost.
    fn abort(&mut self, kernel: &mut Kernel<'_>) -> (bool, Self::Unsent);
}

/// See the module. What every message looks at stands together.
#[repr(C)]
pub struct Endpoint<M> {
    pub(crate) event_loop: Slot<EventLoop>,
    pub(super) protocol: Slot,
    /// What the protocol is called in, whether the loop or Python code reads or writes.
    pub(super) own_context: Slot,
    /// Whether `connection_lost` has been called, and every reference was dropped.
    pub(super) gone: Cell<bool>,
    machine: LoopCell<M>,
}

impl<M> Endpoint<M> {
    /// Without a loop, until `__init__` has run.
    pub(super) fn new(machine: M) -> Self {
        Self {
            event_loop: Slot::default(),
            protocol: Slot::default(),
            own_context: Slot::default(),
            gone: Cell::new(false),
            machine: LoopCell::new(machine),
        }
    }

    /// Asks the machine something.
    #[inline]
    pub fn machine<R>(&self, ask: impl FnOnce(&mut M) -> R) -> R {
        self.machine.with(ask)
    }

    /// The same for the collector, which may come while the machine is borrowed.
    pub(super) fn try_machine(&self, ask: impl FnOnce(&mut M)) {
        self.machine.try_with(ask);
    }

    /// What the protocol is called in.
    #[inline]
    pub fn upcall_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.own_context.get(py).map_or_else(|| context::copy_current(py), Ok)
    }

    /// Shows every reference to the collector.
    pub(super) fn traverse(&self, visitor: &mut Visitor) {
        self.event_loop.traverse(visitor);
        self.protocol.traverse(visitor);
        self.own_context.traverse(visitor);
    }

    /// Releases every reference.
    pub(super) fn clear(&self) {
        self.event_loop.clear();
        self.protocol.clear();
        self.own_context.clear();
    }
}

/// A native transport.
pub trait Transport: Class {
    /// What decides what the transport does.
    type Machine: Machine;

    /// What it has in common with all others.
    fn endpoint(&self) -> &Endpoint<Self::Machine>;

    /// The owner of the operations: the transport, with the functions of its class.
    fn owner(transport: &Obj<'_, Self>) -> Owner;

    /// asyncio's `_fatal_error`, which logs for it.
    fn fatal_error_frame() -> &'static Frame;

    /// asyncio's `__del__`, which warns for it.
    fn finalize_frame() -> &'static Frame;

    /// Whether it has a file that it is going to close.
    fn is_open(&self) -> bool;

    /// Closes the file. Nothing is armed on it.
    fn close_file(transport: &Obj<'_, Self>) -> PyResult<()>;

    /// Whether an error of the system is ordinary, a connection reset for instance: such errors are only
    /// logged, in debug mode.
    fn is_expected(error: &Raised<'_>) -> bool;

    /// Whether `close()` was left to a method that the program may have replaced.
    fn closes_by_name(_transport: &Obj<'_, Self>) -> PyResult<bool> {
        Ok(false)
    }

    /// Sends what was kept for later.
    fn flush(_transport: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }

    /// The same before what is not sent is lost: asyncio would have sent it before this call.
    fn flush_before_abort(_transport: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }

    /// The transport closes: its descriptor is not listed as a transport's any more.
    fn leave(&self) {}

    /// `connection_lost` has been called and the file is closed.
    fn ended(_transport: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }

    /// The program has not closed it, and the collector does.
    fn dropped(_transport: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }

    /// The loop. RuntimeError for an object whose `__init__` has not run.
    #[inline]
    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Obj<'py, EventLoop>> {
        self.endpoint().event_loop.obj(py).ok_or_else(uninitialized::<Self>)
    }
}

#[cold]
fn uninitialized<T: Class>() -> PyErr {
    PyRuntimeError::new_err(format!("{} object is not initialized.", class_name::<T>()))
}

/// The name of a class without its module.
fn class_name<T: Class>() -> String {
    let name = T::NAME.to_string_lossy();
    name.rsplit('.').next().unwrap_or(&name).to_owned()
}

/// The loop that a transport is made for: TypeError for another one than yibu's.
pub(super) fn native_loop<'a, 'py, T: Class>(
    event_loop: &'a Bound<'py, PyAny>,
) -> PyResult<&'a Obj<'py, EventLoop>> {
    match Obj::<EventLoop>::cast(event_loop) {
        Some(event_loop) => Ok(event_loop),
        None => {
            let class = class_name::<T>();
            Err(PyTypeError::new_err(text!("a {class} needs a loop of yibu, got {}", event_loop.repr()?)?))
        }
    }
}

/// RuntimeError when `__init__` has run before.
pub(super) fn check_new<T: Transport>(transport: &Obj<'_, T>) -> PyResult<()> {
    if transport.endpoint().event_loop.is_empty() {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(format!("{} object is already initialized", class_name::<T>())))
}

/// Lets the machine act on the kernel.
#[inline]
pub fn act<T: Transport, R>(
    transport: &Obj<'_, T>,
    f: impl FnOnce(&mut T::Machine, &mut Kernel<'_>) -> R,
) -> PyResult<R> {
    let event_loop = transport.event_loop(transport.py())?;
    let owner = || T::owner(transport);
    Ok(Kernel::with(&event_loop, &owner, |kernel| transport.endpoint().machine(|machine| f(machine, kernel))))
}

/// The exception for a kernel that refused: a closed loop refuses everything.
pub(super) fn refused<T: Transport>(transport: &Obj<'_, T>, error: &io::Error) -> PyErr {
    match transport.event_loop(transport.py()).and_then(|event_loop| event_loop.check_open()) {
        Ok(()) => errors::os_error(error),
        Err(closed) => closed,
    }
}

/// An attribute that is None before the transport has begun and after it has ended.
pub(super) fn unless_gone<'py, T: Transport>(
    transport: &Obj<'py, T>,
    read: impl FnOnce() -> Output<'py>,
) -> Output<'py> {
    let endpoint = transport.endpoint();
    if endpoint.gone.get() || endpoint.event_loop.is_empty() { Ok(none(transport.py())) } else { read() }
}

/// `loop.call_soon(function, *args, context=...)` in the connection's own context.
pub(super) fn call_soon<'py, T: Transport, const N: usize>(
    transport: &Obj<'py, T>,
    function: &Bound<'py, PyAny>,
    args: [&Bound<'py, PyAny>; N],
) -> PyResult<()> {
    let context = transport.endpoint().own_context.get_or_none(transport.py());
    call_soon_in(transport, &context, function, args)
}

/// The same in a given context.
pub(super) fn call_soon_in<'py, T: Transport, const N: usize>(
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

/// `logger.debug(format, transport)`, or another method of the logger, in debug mode.
pub fn log_in_debug<T: Transport>(
    transport: &Obj<'_, T>,
    frame: &Frame,
    method: &str,
    format: &str,
) -> PyResult<()> {
    reports::log_in_debug(&transport.event_loop(transport.py())?, frame, transport.as_any(), method, format)
}
