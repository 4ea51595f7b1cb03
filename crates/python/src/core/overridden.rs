//! Which of a loop's methods Python code has replaced: on the object, in a subclass, or in the classes of asyncio's for which it
//! stands (`asyncio.BaseEventLoop.create_task = traced`).
//!
//! asyncio's loop calls its own methods by name. So does this one, where it would otherwise take a native short cut, for each
//! name listed here; all others it calls by name in any case. The class is asked by [`crate::ffi::originals`]; what is set on the object is
//! noticed when it is set. A loop of which nothing is replaced, nor of what its turns go past, says so with one comparison
//! ([`Overrides::is_untouched`]). Called by whoever has a short cut.

use std::cell::Cell;

use pyo3::exceptions::{PyNotImplementedError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::EventLoop;
use crate::ffi::originals::Replaced;
use crate::ffi::versions::{self, Finding};
use crate::ffi::{Obj, Signature, Table};
use crate::names;
use crate::replaced::names::{CONTAINERS, MONOTONIC};

macro_rules! overridable {
    ($($(#[$doc:meta])* $method:ident = $name:literal;)*) => {
        /// A method whose replacement is honoured, as a bit of [`Replaced`].
        #[derive(Clone, Copy)]
        pub enum Overridable {
            $($(#[$doc])* $method,)*
            /// One of [`FIXED`].
            Fixed,
        }

        /// The names behind the bits.
        pub const HOOKS: &[&[&str]] = &[$(&[$name],)* FIXED];
    };
}

overridable! {
    /// `call_soon`
    CallSoon = "call_soon";
    /// `call_soon_threadsafe`
    CallSoonThreadsafe = "call_soon_threadsafe";
    /// `call_later`
    CallLater = "call_later";
    /// `call_at`
    CallAt = "call_at";
    /// `time`
    Time = "time";
    /// `get_debug`
    GetDebug = "get_debug";
    /// `create_task`
    CreateTask = "create_task";
    /// `create_future`
    CreateFuture = "create_future";
    /// `run_in_executor`
    RunInExecutor = "run_in_executor";
    /// `run_forever`
    RunForever = "run_forever";
    /// `is_running`
    IsRunning = "is_running";
    /// `_run_once`
    RunOnce = "_run_once";
    /// `_check_closed`
    CheckClosed = "_check_closed";
    /// `_check_running`
    CheckRunning = "_check_running";
    /// `_run_forever_setup`
    SetUp = "_run_forever_setup";
    /// `_run_forever_cleanup`
    CleanUp = "_run_forever_cleanup";
    /// `_call_soon`
    PushSoon = "_call_soon";
    /// `_timer_handle_cancelled`
    TimerHandleCancelled = "_timer_handle_cancelled";
    /// `_write_to_self`
    WriteToSelf = "_write_to_self";
    /// `_make_socket_transport`
    MakeSocketTransport = "_make_socket_transport";
    /// `_make_ssl_transport`
    MakeSslTransport = "_make_ssl_transport";
    /// `remove_signal_handler`
    RemoveSignalHandler = "remove_signal_handler";
    /// `_add_reader`
    AddReader = "_add_reader";
    /// `_add_writer`
    AddWriter = "_add_writer";
    /// `_remove_reader`
    RemoveReader = "_remove_reader";
    /// `_remove_writer`
    RemoveWriter = "_remove_writer";
}

macro_rules! fixed {
    ($($name:ident),* $(,)?) => {
        /// Steps of asyncio's loop that this one does not go through, because they are the engine's: nobody would call what
        /// replaces them, so replacing them is refused.
        const FIXED: &[&str] = &[$(stringify!($name)),*];

        /// Those steps as methods that refuse to be called. Without them asyncio's own would be found, behind the native class,
        /// and run on a loop that they do not know.
        pub fn table(t: &mut Table<EventLoop>) {
            $({
                const STEP: Signature<0> =
                    Signature::new_method(concat!("EventLoop.", stringify!($name)), "*args");
                t.method(&STEP, |_, _| Err(missing(STEP.function)), "A step that this loop does not have.");
            })*
        }
    };
}

fixed! {
    _accept_connection,
    _accept_connection2,
    _connect_sock,
    _create_connection_transport,
    _create_server_getaddrinfo,
    _process_self_data,
    _sendfile_fallback,
    _sock_accept,
    _sock_add_cancellation_callback,
    _sock_connect,
    _sock_connect_cb,
    _sock_read_done,
    _sock_recv,
    _sock_recv_into,
    _sock_recvfrom,
    _sock_recvfrom_into,
    _sock_sendall,
    _sock_sendfile_fallback,
    _sock_sendfile_native_impl,
    _sock_sendfile_update_filepos,
    _sock_sendto,
    _sock_write_done,
}

#[cold]
fn missing(function: &str) -> PyErr {
    let name = function.trim_start_matches("EventLoop.");
    PyNotImplementedError::new_err(format!("yibu's event loop does not go through {name}()"))
}

/// What is noticed of an entry when it is pushed.
const SCHEDULING: Replaced =
    bit(Overridable::CallSoon) | bit(Overridable::PushSoon) | bit(Overridable::CheckClosed);

/// What was replaced on one loop.
#[derive(Default)]
pub struct Overridden {
    /// The methods that were set on the object itself.
    own: Cell<Replaced>,
    /// That nothing is replaced of all that [`Overrides::is_untouched`] is about.
    untouched: Finding,
    /// That this was looked for, with whatever answer.
    looked: Finding,
}

/// What is asked of a loop before a short cut is taken.
pub trait Overrides {
    /// Whether Python code replaced a method.
    fn overrides(&self, method: Overridable) -> bool;
    /// All methods that Python code replaced.
    fn overridden_methods(&self) -> Replaced;
    /// Whether Python code has replaced no method of the loop, not the `_run` of handles, not asyncio's `Handle` and not
    /// `time.monotonic`: what every turn and every push would have to ask. When it says no, that is to be asked.
    fn is_untouched(&self) -> bool;
    /// Whether entries may be pushed although the loop is not untouched.
    fn lets_push(&self) -> bool;
    /// `self._check_closed()`: RuntimeError when the loop is closed.
    fn ensure_open(&self) -> PyResult<()>;
    /// `self.is_running()`
    fn says_it_runs(&self) -> PyResult<bool>;
    /// TypeError when Python code has replaced a method by which asyncio watches descriptors: transports, servers and socket methods
    /// do not call it here.
    fn refuse_other_watching(&self) -> PyResult<()>;

    /// TypeError when Python code has replaced what this loop does in its own way.
    fn refuse_overridden(&self) -> PyResult<()>;
}

impl Overrides for Obj<'_, EventLoop> {
    #[inline(always)]
    fn overrides(&self, method: Overridable) -> bool {
        self.overridden_methods() & bit(method) != 0
    }

    #[inline(always)]
    fn overridden_methods(&self) -> Replaced {
        if self.is_untouched() { 0 } else { look_at_methods(self) }
    }

    #[inline(always)]
    fn is_untouched(&self) -> bool {
        self.is_usual() && self.overridden.untouched.holds()
    }

    #[inline(never)]
    fn lets_push(&self) -> bool {
        self.overridden_methods() & SCHEDULING == 0 && !(self.services.handles_are_replaced)(self.py())
    }

    #[inline(always)]
    fn ensure_open(&self) -> PyResult<()> {
        if self.is_untouched() && !self.is_closed() { Ok(()) } else { ask_whether_open(self) }
    }

    fn says_it_runs(&self) -> PyResult<bool> {
        if self.overrides(Overridable::IsRunning) {
            return self.as_any().call_method0(names::is_running(self.py()))?.is_truthy();
        }
        Ok(self.is_running())
    }

    fn refuse_other_watching(&self) -> PyResult<()> {
        const WATCHING: Replaced = bit(Overridable::AddReader)
            | bit(Overridable::AddWriter)
            | bit(Overridable::RemoveReader)
            | bit(Overridable::RemoveWriter);
        let replaced = self.overridden_methods() & WATCHING;
        if replaced == 0 {
            return Ok(());
        }
        let name = HOOKS[replaced.trailing_zeros() as usize][0];
        Err(PyTypeError::new_err(format!(
            "{name}() is replaced, by which asyncio's transports watch descriptors and yibu's do not: put the original back, or run this program on asyncio",
        )))
    }

    fn refuse_overridden(&self) -> PyResult<()> {
        for name in &CONTAINERS {
            if name.is_replaced(self.py()) {
                return Err(PyTypeError::new_err(format!(
                    "{} is replaced, of which asyncio's event loop keeps its entries and yibu's does not",
                    name.text()
                )));
            }
        }
        if !self.overrides(Overridable::Fixed) {
            return Ok(());
        }
        let class = self.as_any().get_type();
        Err(PyTypeError::new_err(format!(
            "{} replaces a step of asyncio's event loop that yibu's does not have: one of {}",
            class.name()?,
            FIXED.join(", ")
        )))
    }
}

#[cold]
#[inline(never)]
fn look_at_methods(event_loop: &Obj<'_, EventLoop>) -> Replaced {
    let changes = versions::changes();
    let methods = event_loop.replaced() | event_loop.overridden.own.get();
    if event_loop.is_known() && !event_loop.overridden.looked.holds() {
        event_loop.overridden.looked.set(changes);
        let py = event_loop.py();
        if methods == 0
            && !(event_loop.services.handles_are_replaced)(py)
            && !MONOTONIC.is_replaced(py)
            && (event_loop.services.runs_are_replaced)(py) == Some(false)
        {
            event_loop.overridden.untouched.set(changes);
        }
    }
    methods
}

#[inline(never)]
fn ask_whether_open(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if event_loop.overrides(Overridable::CheckClosed) {
        return event_loop.as_any().call_method0(name!("_check_closed")).map(drop);
    }
    event_loop.check_open()
}

/// The bit of a method.
#[inline]
pub const fn bit(method: Overridable) -> Replaced {
    1 << method as u32
}

/// Keeps `overridden` true when an attribute of the object is set or deleted.
pub fn attribute_changed(
    event_loop: &Obj<'_, EventLoop>,
    name: &Bound<'_, PyAny>,
    set: bool,
) -> PyResult<()> {
    let name = name.cast::<PyString>()?.to_str()?;
    let Some(index) = HOOKS.iter().position(|names| names.contains(&name)) else { return Ok(()) };
    let overridden = &event_loop.overridden;
    let bits = overridden.own.get() & !(1 << index);
    overridden.own.set(if set { bits | 1 << index } else { bits });
    overridden.untouched.forget();
    overridden.looked.forget();
    Ok(())
}
