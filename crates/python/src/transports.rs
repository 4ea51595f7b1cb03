//! `SocketTransport`: a connected stream socket. `asyncio.selector_events._SelectorSocketTransport`, native.
//!
//! What a connection does is decided by the engine's [`Stream`]; this type holds one, with what is Python's: the protocol,
//! the socket object, extra information, contexts. What the machine answers is executed by [`crate::upcall`]. The methods
//! live in the files of `transports/`, one concern each, and each file lists its own in a `table` function.
//! Made by the loop's connecting and accepting methods, and by Python code that calls the class as asyncio calls its own.

mod bookkeeping;
mod closing;
mod connection;
mod corks;
mod reading;
mod writing;

pub use closing::{connection_lost, fatal_error, lose_soon, report, tell_handler};
pub use corks::Corks;
use writing::Habit;
pub use writing::{drained, limit, write, write_copied};

use std::cell::Cell;
use std::ffi::CStr;
use std::io;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use yibu_engine::transport::{Reading, Stream};
use yibu_engine::{Fd, OpId};

use crate::errors;
use crate::event_loop::{EventLoop, Kernel, Owner, occupied};
use crate::ffi::bytes::Bytes;
use crate::ffi::class::BehindTransport;
use crate::ffi::{Args, Class, ClassState, Listing, LoopCell, Obj, Ref, Signature, Slot, Table, Visitor};
use crate::ffi::{call, context, none};
use crate::futures::bridge::result_setter;
use crate::server::{self, Server};
use crate::{names, stock};
pub use connection::{Accepted, Connection};

/// Something written that could not be sent at once. Dropping it runs no Python code, as the machine demands.
pub enum Chunk {
    /// An immutable object, kept by reference.
    Kept(Bytes),
    /// A copy of what may change.
    Copied(Box<[u8]>),
}

impl AsRef<[u8]> for Chunk {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Kept(bytes) => bytes.as_ref(),
            Self::Copied(bytes) => bytes,
        }
    }
}

/// The data of a `SocketTransport`.
#[repr(C)]
pub struct SocketTransport {
    pub(crate) event_loop: Slot<EventLoop>,
    pub(crate) protocol: Slot,
    read_context: Slot,
    habit: Habit,
    /// Whether Python code may close the socket without the transport.
    exposed: Cell<bool>,
    /// Whether `connection_lost` has been called, and everything let go.
    gone: Cell<bool>,
    stream: LoopCell<Stream<Chunk>>,
    write_context: Slot,
    /// What callbacks run in, where it was given; otherwise they run in copies of what was current when they were arranged.
    context: Slot,
    server: Slot,
    /// The future of whoever waits for the buffer to drain, to use the socket directly.
    empty_waiter: Slot,
    /// Its place among the server's clients.
    pub(crate) client: Listing,
    /// Its place among the loop's transports.
    pub(crate) listing: Listing,
    connection: Connection,
}

impl Default for SocketTransport {
    fn default() -> Self {
        Self {
            stream: LoopCell::new(Stream::new(-1, Reading::Lent)),
            event_loop: Slot::default(),
            protocol: Slot::default(),
            connection: Connection::default(),
            server: Slot::default(),
            client: Listing::default(),
            listing: Listing::default(),
            context: Slot::default(),
            read_context: Slot::default(),
            write_context: Slot::default(),
            empty_waiter: Slot::default(),
            exposed: Cell::new(false),
            gone: Cell::new(false),
            habit: Habit::default(),
        }
    }
}

static SOCKET_TRANSPORT: ClassState = ClassState::new();

#[cfg(not(Py_3_15))]
const NEW: Signature<6> =
    Signature::new("SocketTransport.__init__", "loop, sock, protocol, waiter=None, extra=None, server=None");
#[cfg(not(Py_3_15))]
const DOC: &CStr = c"SocketTransport(loop, sock, protocol, waiter=None, extra=None, server=None)\n--\n\nA connected stream socket.";
#[cfg(Py_3_15)]
const DOC: &CStr = c"SocketTransport(loop, sock, protocol, waiter=None, extra=None, server=None, context=None)\n--\n\nA connected stream socket.";
#[cfg(Py_3_15)]
const NEW: Signature<7> = Signature::new(
    "SocketTransport.__init__",
    "loop, sock, protocol, waiter=None, extra=None, server=None, context=None",
);

impl SocketTransport {
    /// The loop. RuntimeError for an object whose `__init__` has not run.
    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Obj<'py, EventLoop>> {
        self.event_loop
            .obj(py)
            .ok_or_else(|| PyRuntimeError::new_err("SocketTransport object is not initialized."))
    }

    /// Asks the machine something.
    #[inline]
    pub fn stream<R>(&self, ask: impl FnOnce(&mut Stream<Chunk>) -> R) -> R {
        self.stream.with(ask)
    }

    /// The context of callbacks: the given one, or a copy of what is current.
    fn callback_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.context.get(py).map_or_else(|| context::copy_current(py), Ok)
    }

    /// Where upcalls of reading, or of writing, run.
    pub fn upcall_context<'py>(&self, py: Python<'py>, reading: bool) -> PyResult<Bound<'py, PyAny>> {
        let slot = if reading { &self.read_context } else { &self.write_context };
        slot.get(py).map_or_else(|| self.callback_context(py), Ok)
    }

    /// Whether Python code has the socket object, and may close it.
    #[inline]
    pub fn is_exposed(&self) -> bool {
        self.exposed.get()
    }

    /// Whether the descriptor may still be used: Python code that holds the socket object may have closed it, and the
    /// number may be another file's by now.
    #[inline]
    pub fn is_intact(&self, py: Python<'_>) -> PyResult<bool> {
        if self.exposed.get() { self.connection.is_intact(py) } else { Ok(true) }
    }
}

/// Lets the machine act on the kernel.
#[inline]
pub fn act<R>(
    transport: &Obj<'_, SocketTransport>,
    f: impl FnOnce(&mut Stream<Chunk>, &mut Kernel<'_>) -> R,
) -> PyResult<R> {
    let event_loop = transport.event_loop(transport.py())?;
    let owner = || Owner::Transport(Ref::of(transport.clone()));
    Ok(Kernel::with(&event_loop, &owner, |kernel| transport.stream.with(|stream| f(stream, kernel))))
}

/// The exception for a kernel that refused: a closed loop refuses everything.
fn refused(transport: &Obj<'_, SocketTransport>, error: &io::Error) -> PyErr {
    match transport.event_loop(transport.py()).and_then(|event_loop| event_loop.check_open()) {
        Ok(()) => errors::os_error(error),
        Err(closed) => closed,
    }
}

/// `loop.call_soon(function, *args, context=...)` in the transport's context.
fn call_soon<'py, const N: usize>(
    transport: &Obj<'py, SocketTransport>,
    function: &Bound<'py, PyAny>,
    args: [&Bound<'py, PyAny>; N],
) -> PyResult<()> {
    let py = transport.py();
    let event_loop = transport.event_loop(py)?.into_any();
    let context = transport.context.get_or_none(py);
    let keywords = names::context_keyword(py);
    match args.as_slice() {
        [one] => {
            call::method_with_keyword(names::call_soon(py), [&event_loop, function, one, &context], keywords)?
        }
        [one, two] => call::method_with_keyword(
            names::call_soon(py),
            [&event_loop, function, one, two, &context],
            keywords,
        )?,
        _ => return Err(PyRuntimeError::new_err("a callback of a transport has one or two arguments")),
    };
    Ok(())
}

/// `logger.debug(format, transport)` in debug mode.
pub fn log_debug(transport: &Obj<'_, SocketTransport>, format: &str) -> PyResult<()> {
    let py = transport.py();
    if crate::events::loop_debug(transport.event_loop(py)?.as_any())? {
        stock::logger(py)?.call_method1("debug", (format, transport.as_any()))?;
    }
    Ok(())
}

/// What a transport needs besides its connection.
pub struct Parts<'py> {
    /// The loop.
    pub event_loop: Obj<'py, EventLoop>,
    /// The protocol.
    pub protocol: Bound<'py, PyAny>,
    /// A future to complete after `connection_made`, or None.
    pub waiter: Bound<'py, PyAny>,
    /// The server that accepted the connection, or None.
    pub server: Bound<'py, PyAny>,
    /// The context for callbacks, or None.
    pub context: Bound<'py, PyAny>,
}

/// A transport for a connection that was just accepted.
pub fn accept<'py>(parts: Parts<'py>, accepted: Accepted) -> PyResult<Obj<'py, SocketTransport>> {
    let transport = SocketTransport::create(parts.event_loop.py())?;
    let nodelay = transport.connection.take_over(transport.py(), accepted)?;
    begin(&transport, parts, nodelay)?;
    Ok(transport)
}

/// The part of `__init__` that follows the socket: protocol, server, and the three callbacks of the next turn.
fn begin<'py>(transport: &Obj<'py, SocketTransport>, parts: Parts<'py>, nodelay: bool) -> PyResult<()> {
    let py = transport.py();
    let fd = transport.connection.fd();
    let Parts { event_loop, protocol, waiter, server, context } = parts;
    let reading = reading::kind(&protocol)?;
    transport.stream(|stream| *stream = Stream::new(fd, reading));
    transport.event_loop.set(Ref::of(event_loop.clone()));
    transport.protocol.put(protocol.clone());
    if !context.is_none() {
        transport.context.put(context);
    }
    if !server.is_none() {
        attach(transport, &server)?;
        transport.server.put(server);
    }
    occupied::enter(&event_loop, fd, transport)?;
    if nodelay {
        transport.connection.set_nodelay(py)?;
    }
    let made = protocol.getattr(names::connection_made(py))?;
    call_soon(transport, &made, [transport.as_any()])?;
    let start = transport.as_any().getattr(names::_add_reader(py))?;
    call_soon(transport, &start, [fd.into_pyobject(py)?.as_any()])?;
    if !waiter.is_none() {
        call_soon(transport, &result_setter(py)?, [&waiter, &none(py)])?;
    }
    Ok(())
}

/// `Server._attach`, which got an argument in 3.13.
fn attach<'py>(transport: &Obj<'py, SocketTransport>, to: &Bound<'py, PyAny>) -> PyResult<()> {
    match Obj::<Server>::cast_exact(to) {
        Some(native) => server::attach(native, transport),
        None if cfg!(Py_3_13) => to.call_method1("_attach", (transport.as_any(),)).map(drop),
        None => to.call_method0("_attach").map(drop),
    }
}

/// `Server._detach`.
fn detach(transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    let py = transport.py();
    let Some(from) = transport.server.take() else { return Ok(()) };
    let from = from.into_any(py);
    match Obj::<Server>::cast_exact(&from) {
        Some(native) => server::detach(native, transport),
        None if cfg!(Py_3_13) => from.call_method1("_detach", (transport.as_any(),)).map(drop),
        None => from.call_method0("_detach").map(drop),
    }
}

/// `SocketTransport(loop, sock, protocol, ...)`.
fn init<'py>(
    transport: &Obj<'py, SocketTransport>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, pyo3::types::PyDict>>,
) -> PyResult<()> {
    #[cfg(not(Py_3_15))]
    let ([event_loop, socket, protocol, waiter, extra, server], context) =
        (Args::parse_tuple(&NEW, args, kwargs)?, none(transport.py()));
    #[cfg(Py_3_15)]
    let [event_loop, socket, protocol, waiter, extra, server, context] =
        Args::parse_tuple(&NEW, args, kwargs)?;
    let Some(event_loop) = Obj::<EventLoop>::cast(&event_loop) else {
        return Err(pyo3::exceptions::PyTypeError::new_err(format!(
            "a SocketTransport needs a loop of yibu, got {}",
            event_loop.repr()?
        )));
    };
    if !transport.event_loop.is_empty() {
        return Err(PyRuntimeError::new_err("SocketTransport object is already initialized"));
    }
    transport.connection.adopt(&socket, extra)?;
    transport.exposed.set(true);
    let nodelay = connection::wants_nodelay(&socket)?;
    let event_loop = event_loop.clone();
    begin(transport, Parts { event_loop, protocol, waiter, server, context }, nodelay)
}

fn repr<'py>(transport: &Obj<'py, SocketTransport>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let mut text = format!("<{}", transport.as_any().get_type().name()?);
    let open = match transport.event_loop.obj(py) {
        Some(event_loop) => !event_loop.is_closed() && !transport.gone.get(),
        None => false,
    };
    transport.stream(|stream| {
        if transport.gone.get() {
            text.push_str(" closed");
        } else if stream.is_closing() {
            text.push_str(" closing");
        }
        text.push_str(&format!(" fd={}", transport.connection.fd()));
        if open {
            let state = |op: Option<OpId>| if op.is_some() { "polling" } else { "idle" };
            let (read, write) = (state(stream.read_op()), state(stream.write_op()));
            let size = stream.write_buffer_size();
            text.push_str(&format!(" read={read} write=<{write}, bufsize={size}>"));
        }
    });
    text.push('>');
    Ok(PyString::new(py, &text).into_any())
}

/// Attributes of the class that are not methods: libraries and borrowed methods of the loop read them.
pub fn complete(class: &Bound<'_, pyo3::types::PyType>) -> PyResult<()> {
    let py = class.py();
    class.setattr("_start_tls_compatible", true)?;
    let modes = py.import("asyncio.constants")?.getattr("_SendfileMode")?;
    class.setattr("_sendfile_compatible", modes.getattr("TRY_NATIVE")?)
}

impl Class for SocketTransport {
    const NAME: &'static CStr = c"yibu.SocketTransport";
    type Header = BehindTransport;
    const FREELIST: usize = 256;

    fn state() -> &'static ClassState {
        &SOCKET_TRANSPORT
    }

    fn table(t: &mut Table<Self>) {
        t.doc(DOC);
        t.init(init);
        t.repr(repr);
        t.finalize(closing::finalize);
        reading::table(t);
        writing::table(t);
        closing::table(t);
        bookkeeping::table(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.event_loop.traverse(visitor);
        self.slots().for_each(|slot| slot.traverse(visitor));
    }

    fn clear(&self) {
        self.event_loop.clear();
        self.slots().for_each(Slot::clear);
    }

    fn wants_finalizer(&self) -> bool {
        self.connection.is_open()
    }
}

impl SocketTransport {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        let own = [
            &self.protocol,
            &self.server,
            &self.context,
            &self.read_context,
            &self.write_context,
            &self.empty_waiter,
        ];
        own.into_iter().chain(self.connection.slots())
    }
}

/// The number of the descriptor, as asyncio keeps it in `_sock_fd`.
pub fn descriptor(transport: &SocketTransport) -> Fd {
    transport.connection.fd()
}
