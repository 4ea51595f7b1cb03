//! The methods of a loop whose replacement is honoured, those whose replacement is refused, and what a loop
//! has found out about both. [`super::overridden`] asks.

use std::cell::Cell;

use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;

use crate::ffi::originals::Replaced;
use crate::ffi::versions::Finding;
use crate::ffi::{Class, Signature, Table};

macro_rules! overridable {
    ($($(#[$doc:meta])* $method:ident = $name:literal;)*) => {
        /// A method whose replacement is honoured, as a bit of [`Replaced`].
        #[derive(Clone, Copy)]
        pub enum Overridable {
            $($(#[$doc])* #[doc = concat!("`", $name, "`")] $method,)*
            /// One of [`FIXED`].
            Fixed,
        }

        /// The names behind the bits.
        pub const HOOKS: &[&[&str]] = &[$(&[$name],)* FIXED];
    };
}

overridable! {
    CallSoon = "call_soon";
    CallSoonThreadsafe = "call_soon_threadsafe";
    CallLater = "call_later";
    CallAt = "call_at";
    Time = "time";
    GetDebug = "get_debug";
    CreateTask = "create_task";
    CreateFuture = "create_future";
    RunInExecutor = "run_in_executor";
    RunForever = "run_forever";
    IsRunning = "is_running";
    RunOnce = "_run_once";
    CheckClosed = "_check_closed";
    CheckRunning = "_check_running";
    SetUp = "_run_forever_setup";
    CleanUp = "_run_forever_cleanup";
    PushSoon = "_call_soon";
    TimerHandleCancelled = "_timer_handle_cancelled";
    WriteToSelf = "_write_to_self";
    MakeSelfPipe = "_make_self_pipe";
    CloseSelfPipe = "_close_self_pipe";
    SetDebug = "set_debug";
    IsClosed = "is_closed";
    MakeSocketTransport = "_make_socket_transport";
    MakeSslTransport = "_make_ssl_transport";
    RemoveSignalHandler = "remove_signal_handler";
    AddReader = "_add_reader";
    AddWriter = "_add_writer";
    RemoveReader = "_remove_reader";
    RemoveWriter = "_remove_writer";
    TrackOrigins = "_set_coroutine_origin_tracking";
    EnsureResolved = "_ensure_resolved";
    EnsureNoTransport = "_ensure_fd_no_transport";
    /// `_check_default_executor`
    CheckDefaultExecutor = "_check_default_executor";
    /// `_check_sendfile_params`
    CheckSendfile = "_check_sendfile_params";
    /// A program has the list `_scheduled`.
    ShowTimers = "_show_timers";
}

macro_rules! fixed {
    ($($name:ident),* $(,)?) => {
        /// Steps of asyncio's loop that this one does not go through, because they are the engine's: nobody
        /// would call what replaces them, so replacing them is refused.
        pub const FIXED: &[&str] = &[$(stringify!($name)),*];

        /// Those steps as methods that refuse to be called. Without them asyncio's own would be found, behind
        /// the native class, and run on a loop that they do not know.
        pub fn table<T: Class>(t: &mut Table<T>) {
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

/// What was replaced on one loop.
#[derive(Default)]
pub struct Overridden {
    /// The methods that were set on the object itself.
    pub(super) own: Cell<Replaced>,
    /// That nothing is replaced of all that [`super::Overrides::is_untouched`] is about.
    pub(super) untouched: Finding,
    /// That this was looked for, with whatever answer.
    pub(super) looked: Finding,
}

/// The bit of a method.
#[inline]
pub const fn bit(method: Overridable) -> Replaced {
    1 << method as u32
}
