//! `DatagramTransport`: a datagram socket. `asyncio.selector_events._SelectorDatagramTransport`, native.
//!
//! What a datagram socket does is decided by the engine's [`Datagrams`]; this type holds one, with what is
//! Python's: the protocol, the socket object, extra information, contexts. The kernel is asked directly where
//! the socket is an ordinary one and addresses are numeric; for anything else (names to be resolved, other
//! families, sockets of a class of their own) the methods of the socket object are called, as asyncio calls
//! them. The methods live in the files of `datagram/`, one concern each, and each file lists its own in a
//! `table` function. Made by the loop's `_make_datagram_transport`, and by Python code that calls the class
//! as asyncio calls its own.

mod by_methods;
mod data;
mod peers;
mod protocol;
mod queued;
mod receiving;
mod sending;
mod upcall;

pub use data::DatagramTransport;

use std::collections::VecDeque;
use std::ffi::CStr;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use yibu_engine::transport::Datagrams;

use super::closing::{NOT_CALLED, finalize};
use super::endpoint::{Endpoint, Transport, check_new, native_loop};
use super::{descriptors, on_socket};
use crate::core::{EventLoop, Overrides, Owner};
use crate::ffi::class::AfterSlots;
use crate::ffi::{Args, Class, ClassState, Obj, Raised, Ref, Signature, Slot, Table, Visitor, stands_for};
use crate::ffi::{call, context, none};
use crate::frames::Frame;
use crate::futures::bridge::result_setter;
use crate::replaced::names::SELECTOR_EVENTS;
use crate::replaced::sockets::is_plain;
use crate::{addresses, names, stock};
use data::{HEADER, MAX_SIZE};
use queued::Queued;

static DATAGRAM_TRANSPORT: ClassState = ClassState::new();

const NEW: Signature<6> = Signature::new_method(
    "_SelectorDatagramTransport.__init__",
    "loop, sock, protocol, address=None, waiter=None, extra=None",
);

impl Transport for DatagramTransport {
    type Machine = Datagrams<Queued>;

    #[inline]
    fn endpoint(&self) -> &Endpoint<Datagrams<Queued>> {
        &self.endpoint
    }

    #[inline]
    fn owner(transport: &Obj<'_, Self>) -> Owner {
        Owner::of(&receiving::SOCKET, transport.clone())
    }

    fn fatal_error_frame() -> &'static Frame {
        static FRAME: Frame = Frame::new(&SELECTOR_EVENTS, "_SelectorTransport._fatal_error");
        &FRAME
    }

    fn finalize_frame() -> &'static Frame {
        static FRAME: Frame = Frame::new(&SELECTOR_EVENTS, "_SelectorTransport.__del__");
        &FRAME
    }

    fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    fn close_file(transport: &Obj<'_, Self>) -> PyResult<()> {
        on_socket::close(transport)
    }

    /// Errors of the network.
    fn is_expected(error: &Raised<'_>) -> bool {
        error.is::<PyOSError>()
    }

    fn leave(&self) {
        self.listing.leave();
    }
}

/// `loop.call_soon(function, *args)`, all of it in `call`.
fn call_soon<'py, const N: usize>(
    event_loop: &Obj<'py, EventLoop>,
    call: [&Bound<'py, PyAny>; N],
) -> PyResult<()> {
    call::call(&event_loop.as_any().getattr(names::call_soon(event_loop.py()))?, call).map(drop)
}

/// `DatagramTransport(loop, sock, protocol, ...)`.
fn init<'py>(
    transport: &Obj<'py, DatagramTransport>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, pyo3::types::PyDict>>,
) -> PyResult<()> {
    let py = transport.py();
    let [event_loop, socket, protocol, address, waiter, extra] = Args::parse_tuple(&NEW, args, kwargs)?;
    let event_loop = native_loop::<DatagramTransport>(&event_loop)?;
    check_new(transport)?;
    event_loop.refuse_other_watching()?;
    transport.connection.adopt(&socket, extra)?;
    transport.exposed.set(true);
    let family = socket.getattr(name!("family"))?.extract().unwrap_or_default();
    transport.family.set(family);
    // A class of its own may do anything in its methods.
    let direct = is_plain(&socket)? && addresses::knows(family);
    transport.direct.set(direct);
    let peer = transport.connection.extra(py)?.get_item("peername")?;
    transport.connected.set(peer.is_truthy()?);
    transport.paired.set(!peer.is_none() && !peer.is_truthy()?);
    let fixed = address.is_truthy()?;
    let fd = transport.connection.fd();
    transport.machine(|machine| *machine = Datagrams::new(fd, direct, fixed, HEADER));
    transport.address.put(address);
    transport.endpoint.event_loop.set(Ref::of(event_loop.clone()));
    if transport.replaced() == 0 {
        transport.endpoint.protocol.put(protocol.clone());
    } else {
        transport.as_any().call_method1(name!("set_protocol"), (&protocol,))?;
    }
    descriptors::enter(event_loop, fd, transport, &transport.listing)?;
    transport.endpoint.own_context.put(context::copy_current(py)?);
    let made = protocol.getattr(names::connection_made(py))?;
    call_soon(event_loop, [&made, transport.as_any()])?;
    // Reading starts when connection_made() has been called.
    let start = transport.as_any().getattr(names::_add_reader(py))?;
    call_soon(event_loop, [&start, fd.into_pyobject(py)?.as_any()])?;
    if !waiter.is_none() {
        call_soon(event_loop, [&result_setter(py)?, &waiter, &none(py)])?;
    }
    Ok(())
}

/// Extra information, and the attributes of asyncio's transport that libraries read although they are
/// private.
fn attributes(t: &mut Table<DatagramTransport>) {
    on_socket::table(t);
    t.getter(c"_server", |transport| Ok(none(transport.py())));
    #[cfg(Py_3_15)]
    t.getter(c"_context", |transport| Ok(none(transport.py())));
    t.getter(c"_address", |transport| Ok(transport.address.get_or_none(transport.py())));
    t.value(c"_paused", |transport| transport.machine(|machine| machine.is_reading_paused()));
    t.value(c"_conn_lost", |transport| transport.machine(|machine| machine.lost_count()));
}

/// Makes the class, which libraries recognise as `asyncio.DatagramTransport`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let bases = PyTuple::new(py, [stock::transport(py)?, stock::datagram_transport(py)?])?;
    let class: Bound<'_, PyType> = Table::<DatagramTransport>::build_with_bases(&bases)?;
    class.setattr(name!("max_size"), MAX_SIZE)?;
    #[cfg(Py_3_13)]
    class.setattr(name!("_header_size"), HEADER)?;
    module.add(class.name()?, class)
}

impl Class for DatagramTransport {
    // Not `DatagramTransport`: that is the name of asyncio's abstract class.
    const NAME: &'static CStr = c"yibu._SelectorDatagramTransport";
    // `_extra`, `_loop`, `_protocol_paused`, `_high_water` and `_low_water` of `_FlowControlMixin`.
    type Header = AfterSlots<5>;
    const STANDS_FOR_STOCK: bool = true;
    const NOT_CALLED: &'static [&'static str] = NOT_CALLED;
    const FUNCTIONS: bool = true;

    stands_for! { DATAGRAM_TRANSPORT, stock::selector_datagram_transport }

    fn table(t: &mut Table<Self>) {
        t.doc(c"_SelectorDatagramTransport(loop, sock, protocol, address=None, waiter=None, extra=None)\n--\n\nA datagram socket.");
        t.init(init);
        t.finalize(finalize);
        receiving::table(t);
        sending::table(t);
        on_socket::closing_table(t);
        attributes(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.endpoint.traverse(visitor);
        self.slots().for_each(|slot| slot.traverse(visitor));
        self.endpoint.try_machine(|machine| {
            machine.queue().iter().filter_map(Queued::object).for_each(|object| visitor.visit(object));
        });
    }

    fn clear(&self) {
        self.endpoint.clear();
        let unsent: VecDeque<Queued> = self.machine(Datagrams::forget);
        drop(unsent);
        self.slots().for_each(Slot::clear);
    }

    fn wants_finalizer(&self) -> bool {
        self.connection.is_open()
    }
}
