//! `SocketTransport`: a connected stream socket. `asyncio.selector_events._SelectorSocketTransport`, native.
//!
//! What a connection does is decided by the engine's [`Stream`]; this type holds one, with what is Python's:
//! the protocol, the socket object, extra information, contexts. The methods live in the files of `socket/`,
//! one concern each, and each file lists its own in a `table` function. What pipes do in the same way is
//! generic in the files beside this one ([`StreamTransport`]). Made by the loop's connecting and accepting
//! methods, and by Python code that calls the class as asyncio calls its own.

mod attributes;
mod coalescing;
mod data;
mod reading;
mod server;
mod writing;

pub use data::{SocketTransport, descriptor, socket};
pub use server::{ServerClass, register as register_server};
pub use writing::{watch_for_loss, write, write_copied};

use std::ffi::CStr;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use yibu_engine::transport::{Socket, Stream};
use yibu_engine::{OpId, Outcome};

use super::chunk::Chunk;
use super::closing::NOT_CALLED;
use super::connection::{self, Accepted};
use super::endpoint::{Endpoint, Transport, check_new, native_loop};
use super::link::{self, Link, StreamTransport};
use super::reading::begin_with;
use super::reports::Frames;
use super::{by_methods, descriptors, on_socket, upcall};
use crate::core::{EventLoop, Overrides, Owner, OwnerKind, finish, ignore_replacement, typed};
use crate::ffi::class::AfterSlots;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Raised, Ref, Signature, Slot, Table, Visitor, audit, stands_for,
};
use crate::frames::Frame;
use crate::replaced::names::{SELECTOR_EVENTS, SET_NODELAY, SOCKET_METHODS};
use crate::replaced::sockets::{self, is_plain};
use crate::{classes, names, stock};

static SOCKET_TRANSPORT: ClassState = ClassState::new();

#[cfg(not(Py_3_15))]
const NEW: Signature<6> = Signature::new_method(
    "_SelectorSocketTransport.__init__",
    "loop, sock, protocol, waiter=None, extra=None, server=None",
);
#[cfg(not(Py_3_15))]
const DOC: &CStr = c"_SelectorSocketTransport(loop, sock, protocol, waiter=None, extra=None, server=None)\n--\n\nA connected stream socket.";
#[cfg(Py_3_15)]
const DOC: &CStr = c"_SelectorSocketTransport(loop, sock, protocol, waiter=None, extra=None, server=None, context=None)\n--\n\nA connected stream socket.";
#[cfg(Py_3_15)]
const NEW: Signature<7> = Signature::new_method(
    "_SelectorSocketTransport.__init__",
    "loop, sock, protocol, waiter=None, extra=None, server=None, context=None",
);

/// The owner of a connection's operations.
static CONNECTION: OwnerKind = OwnerKind { ready, replaced: ignore_replacement };

/// An operation can be finished: natively, unless Python code may have closed the socket, or wants its
/// methods called.
fn ready(event_loop: &Obj<'_, EventLoop>, transport: Ref, id: OpId) -> PyResult<()> {
    let py = event_loop.py();
    let transport: Obj<'_, SocketTransport> = typed(transport, py)?;
    if transport.is_exposed() || !sockets::are_original(py)? {
        return match SocketTransport::own_methods(&transport)? {
            // What the kernel has received already, no method of the socket gives.
            Some(_) if event_loop.engine.with(|engine| engine.driver.holds_bytes(id)) => {
                upcall::finish_carefully(event_loop, &transport, id)
            }
            Some(socket) => by_methods::ready(event_loop, &transport, &socket, id),
            None => upcall::finish_carefully(event_loop, &transport, id),
        };
    }
    match finish(event_loop, id) {
        // Several pieces sent at once are an event.
        Some(Outcome::Ready) if audit::is_watched(py) => {
            by_methods::ready(event_loop, &transport, &socket(&transport)?, id)
        }
        Some(outcome) => upcall::finished(event_loop, &transport, id, outcome),
        None => Ok(()),
    }
}

impl Transport for SocketTransport {
    type Machine = Stream<Chunk>;

    #[inline]
    fn endpoint(&self) -> &Endpoint<Stream<Chunk>> {
        &self.link.endpoint
    }

    #[inline]
    fn owner(transport: &Obj<'_, Self>) -> Owner {
        Owner::of(&CONNECTION, transport.clone())
    }

    fn fatal_error_frame() -> &'static Frame {
        &Self::frames().fatal_error
    }

    fn finalize_frame() -> &'static Frame {
        &Self::frames().finalize
    }

    fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    fn close_file(transport: &Obj<'_, Self>) -> PyResult<()> {
        on_socket::close(transport)
    }

    fn is_expected(error: &Raised<'_>) -> bool {
        error.is::<PyOSError>()
    }

    fn flush(transport: &Obj<'_, Self>) -> PyResult<()> {
        writing::flush(transport)
    }

    /// Only what the kernel does not take is lost.
    fn flush_before_abort(transport: &Obj<'_, Self>) -> PyResult<()> {
        if on_socket::is_intact(&**transport, transport.py())? { writing::flush(transport) } else { Ok(()) }
    }

    fn leave(&self) {
        self.listing.leave();
    }

    fn ended(transport: &Obj<'_, Self>) -> PyResult<()> {
        let detached = server::detach(transport);
        detached.and(writing::never_drained(transport))
    }

    fn dropped(transport: &Obj<'_, Self>) -> PyResult<()> {
        server::detach(transport)
    }
}

impl StreamTransport for SocketTransport {
    type Channel = Socket;
    const SET_PROTOCOL: &'static Signature<1> =
        &Signature::new("_SelectorSocketTransport.set_protocol", "protocol");
    const READS: bool = true;

    fn frames() -> &'static Frames {
        static FRAMES: Frames = Frames {
            write: Frame::new(&SELECTOR_EVENTS, "_SelectorSocketTransport.write"),
            pause_reading: Frame::new(&SELECTOR_EVENTS, "_SelectorTransport.pause_reading"),
            resume_reading: Frame::new(&SELECTOR_EVENTS, "_SelectorTransport.resume_reading"),
            end_of_stream: Frame::new(&SELECTOR_EVENTS, "_SelectorSocketTransport._read_ready__on_eof"),
            fatal_error: Frame::new(&SELECTOR_EVENTS, "_SelectorTransport._fatal_error"),
            finalize: Frame::new(&SELECTOR_EVENTS, "_SelectorTransport.__del__"),
        };
        &FRAMES
    }

    #[inline]
    fn link(&self) -> &Link<Socket> {
        &self.link
    }

    fn eof_received(transport: &Obj<'_, Self>) -> PyResult<()> {
        reading::eof_received(transport)
    }

    fn protocol_failed(transport: &Obj<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        super::closing::protocol_failed(transport, error, message)
    }

    #[inline]
    fn is_intact(&self, py: Python<'_>) -> PyResult<bool> {
        on_socket::is_intact(self, py)
    }

    fn socket_object<'py>(transport: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        on_socket::expose(transport);
        transport.connection.socket(transport.py()).map(Some)
    }

    #[inline]
    fn own_methods<'py>(transport: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !transport.by_methods.get() && SOCKET_METHODS.are_original(transport.py())? {
            return Ok(None);
        }
        Self::socket_object(transport)
    }

    fn follow(transport: &Obj<'_, Self>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        reading::follow(transport, protocol)
    }

    fn drained(transport: &Obj<'_, Self>, error: Option<&Raised<'_>>) -> PyResult<()> {
        writing::drained(transport, error)
    }
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
    parts.event_loop.refuse_other_watching()?;
    let transport = SocketTransport::create(parts.event_loop.py())?;
    let nodelay = transport.connection.take_over(transport.py(), accepted)?;
    let event_loop = parts.event_loop.clone();
    begin(&transport, parts, nodelay)?;
    if transport.connection.is_bare() {
        event_loop.engine.with(|engine| engine.driver.entrust(transport.connection.fd()));
    }
    Ok(transport)
}

/// The part of `__init__` that follows the socket: protocol, server, and the three callbacks of the next
/// turn.
fn begin<'py>(transport: &Obj<'py, SocketTransport>, parts: Parts<'py>, nodelay: bool) -> PyResult<()> {
    let py = transport.py();
    let fd = transport.connection.fd();
    let Parts { event_loop, protocol, waiter, server, context } = parts;
    let reading = reading::kind(&protocol)?;
    transport.stream(|stream| *stream = Stream::new(fd, reading));
    transport.endpoint().event_loop.set(Ref::of(event_loop.clone()));
    begin_with(transport, &protocol)?;
    if !context.is_none() {
        transport.link.context.put(context);
    }
    if !server.is_none() {
        server::attach(transport, &server)?;
        transport.server.put(server);
    }
    descriptors::enter(&event_loop, fd, transport, &transport.listing)?;
    if let Some(set) = SET_NODELAY.replacement(py)? {
        set.call1((transport.connection.socket(py)?,))?;
    } else if nodelay {
        transport.connection.set_nodelay(py)?;
    }
    let start = transport.as_any().getattr(names::_add_reader(py))?;
    link::introduce(transport, &protocol, Some(&start), &waiter)
}

/// `SocketTransport(loop, sock, protocol, ...)`.
fn init<'py>(
    transport: &Obj<'py, SocketTransport>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<()> {
    #[cfg(not(Py_3_15))]
    let ([event_loop, socket, protocol, waiter, extra, server], context) =
        (Args::parse_tuple(&NEW, args, kwargs)?, crate::ffi::none(transport.py()));
    #[cfg(Py_3_15)]
    let [event_loop, socket, protocol, waiter, extra, server, context] =
        Args::parse_tuple(&NEW, args, kwargs)?;
    let event_loop = native_loop::<SocketTransport>(&event_loop)?;
    check_new(transport)?;
    event_loop.refuse_other_watching()?;
    transport.connection.adopt(&socket, extra)?;
    transport.exposed.set(true);
    transport.by_methods.set(!is_plain(&socket)?);
    let nodelay = connection::wants_nodelay(&socket)?;
    let event_loop = event_loop.clone();
    // A connection of the loop's own may have had the number.
    event_loop.engine.with(|engine| engine.driver.share(transport.connection.fd()));
    begin(transport, Parts { event_loop, protocol, waiter, server, context }, nodelay)
}

/// Attributes of the class that are not methods: libraries and borrowed methods of the loop read them.
fn complete(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    class.setattr(name!("_start_tls_compatible"), true)?;
    let modes = stock::module(py, "asyncio.constants")?.getattr(name!("_SendfileMode"))?;
    class.setattr(name!("_sendfile_compatible"), modes.getattr(name!("TRY_NATIVE"))?)
}

impl Class for SocketTransport {
    const NAME: &'static CStr = c"yibu._SelectorSocketTransport";
    // `_extra`, `_loop`, `_protocol_paused`, `_high_water` and `_low_water` of `_FlowControlMixin`.
    type Header = AfterSlots<5>;
    const FREELIST: usize = 256;
    const STANDS_FOR_STOCK: bool = true;
    const NOT_CALLED: &'static [&'static str] = NOT_CALLED;
    const FUNCTIONS: bool = true;

    stands_for! { SOCKET_TRANSPORT, stock::socket_transport }

    fn table(t: &mut Table<Self>) {
        t.doc(DOC);
        t.init(init);
        t.finalize(super::closing::finalize);
        super::reading::table(t);
        super::reading::protocol_table(t);
        writing::table(t);
        on_socket::closing_table(t);
        attributes::table(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.link.traverse(visitor);
        self.slots().for_each(|slot| slot.traverse(visitor));
    }

    fn clear(&self) {
        self.link.clear();
        self.slots().for_each(Slot::clear);
    }

    fn wants_finalizer(&self) -> bool {
        self.is_open()
    }
}

/// Makes the class.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    classes::add_derived::<SocketTransport>(module, stock::transport(py)?)?;
    complete(&SocketTransport::class(py))
}
