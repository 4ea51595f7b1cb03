//! Sending: `sendto`, and the flow control of what could not be sent at once.
//!
//! Calls the machine and, with its answers, [`super::upcall`]; what is not asked of the kernel directly goes
//! by [`super::by_methods`].

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};
use rustix::net::SocketAddrAny;
use yibu_engine::transport::{DEFAULT_HIGH, Handed};

use super::by_methods::{FATAL_WRITE_ERROR, Upcall, send_by_object};
use super::data::DatagramTransport;
use super::protocol;
use super::queued::{Queued, Route};
use super::upcall::execute;
use crate::ffi::buffer::Buffer;
use crate::ffi::bytes::Bytes;
use crate::ffi::{Args, Obj, Output, Raised, Ref, Signature, Table, audit, context, none};
use crate::transports::chunk::Chunk;
use crate::transports::closing::fatal_error;
use crate::transports::endpoint::act;
use crate::transports::writing::water_marks;
use crate::{addresses, names, stock};

const SENDTO: Signature<2> = Signature::new("_SelectorDatagramTransport.sendto", "data, addr=None");
const LIMITS: Signature<2> =
    Signature::new("_SelectorDatagramTransport.set_write_buffer_limits", "high=None, low=None");

pub(super) fn table(t: &mut Table<DatagramTransport>) {
    t.method(
        &SENDTO,
        |transport, args| {
            let [data, address] = match args.only() {
                Some(data) => [data, none(transport.py())],
                None => args.parse(&SENDTO)?,
            };
            sendto(transport, &data, address)
        },
        "Sends a datagram, or keeps it if it cannot be sent at once. Does not block.",
    );
    t.method(
        &LIMITS,
        set_write_buffer_limits,
        "Sets the amounts of unsent data, in bytes, at which the protocol is paused and resumed.",
    );
    t.answer(
        c"get_write_buffer_limits",
        |transport| transport.machine(|machine| machine.write_buffer_limits()),
        "The low and the high limit.",
    );
    t.noargs(c"get_write_buffer_size", buffer_size, "What waits to be sent, in bytes.");
    t.noargs(
        c"_sendto_ready",
        |transport| {
            if !transport.is_intact(transport.py())? {
                protocol::closed_by_the_program(transport)?;
                return Ok(none(transport.py()));
            }
            let upcall = act(transport, |machine, kernel| machine.flush(kernel))?;
            conclude(transport, upcall)
        },
        "Sends what waits, as far as the socket takes it.",
    );
    t.getter(c"_buffer_size", buffer_size);
    t.getter(c"_buffer", buffer);
    t.value(c"_protocol_paused", |transport| transport.machine(|machine| machine.is_writing_paused()));
    t.value(c"_low_water", |transport| transport.machine(|machine| machine.write_buffer_limits()).0);
    t.value(c"_high_water", |transport| transport.machine(|machine| machine.write_buffer_limits()).1);
}

fn buffer_size<'py>(transport: &Obj<'py, DatagramTransport>) -> Output<'py> {
    let size = transport.machine(|machine| machine.write_buffer_size());
    Ok(size.into_pyobject(transport.py())?.into_any())
}

/// What waits, as asyncio keeps it: a deque of pairs of data and address.
fn buffer<'py>(transport: &Obj<'py, DatagramTransport>) -> Output<'py> {
    let py = transport.py();
    let waiting: Vec<(Bound<'py, PyBytes>, Address)> = transport.machine(|machine| {
        let address = |route: &Route| match route {
            Route::Connected => Address::Fixed,
            Route::Kernel(address) => Address::Kernel(address.clone()),
            Route::Object(address) => Address::Object(address.copy(py)),
        };
        machine.queue().iter().map(|queued| (queued.data(py), address(&queued.route))).collect()
    });
    let deque = stock::deque(py)?.call0()?;
    for (data, address) in waiting {
        let address = match address {
            Address::Fixed => transport.address.get_or_none(py),
            Address::Kernel(address) => addresses::from_kernel(py, Some(&address))?,
            Address::Object(address) => address.into_any(py),
        };
        deque.call_method1(names::append(py), ((data, address),))?;
    }
    Ok(deque)
}

/// Where something in `_buffer` goes.
enum Address {
    Fixed,
    Kernel(SocketAddrAny),
    Object(Ref),
}

/// `sendto`. The common case is a `bytes` object for the address of a datagram that was received.
#[inline]
fn sendto<'py>(
    transport: &Obj<'py, DatagramTransport>,
    data: &Bound<'py, PyAny>,
    address: Bound<'py, PyAny>,
) -> Output<'py> {
    let py = transport.py();
    if !data.is_instance_of::<PyBytes>()
        && !data.is_instance_of::<PyByteArray>()
        && !data.is_instance_of::<PyMemoryView>()
    {
        let class = data.get_type();
        let name = class.name()?;
        let text = text!("data argument must be a bytes-like object, not {}", name.repr()?)?;
        return Err(PyTypeError::new_err(text));
    }
    // Empty datagrams are sent since 3.13.
    if cfg!(not(Py_3_13)) && !data.is_truthy()? {
        return Ok(none(py));
    }
    let address = transport.where_to(address)?;
    let gone = transport.endpoint.gone.get();
    if let Some(late) = transport.machine(|machine| machine.comes_too_late(gone)) {
        return conclude(transport, Some(late));
    }
    if let Ok(bytes) = data.cast::<PyBytes>() {
        let keep = || match Bytes::keep(bytes, 0) {
            Some(kept) => Chunk::GcRef(kept),
            None => Chunk::Copied(bytes.as_bytes().into()),
        };
        return send(transport, data, bytes.as_bytes(), address, keep);
    }
    match Buffer::get(data, false) {
        // What may change is copied if it has to wait.
        Ok(buffer) => {
            let bytes = buffer.bytes();
            send(transport, data, bytes, address, || Chunk::Copied(bytes.into()))
        }
        // Not contiguous: the socket would have refused it.
        Err(error) => {
            fatal_error(transport, &Raised::from_err(py, error), FATAL_WRITE_ERROR)?;
            Ok(none(py))
        }
    }
}

impl DatagramTransport {
    /// The address that counts: the transport's own, where it has one. ValueError for another one then.
    fn where_to<'py>(&self, given: Bound<'py, PyAny>) -> Output<'py> {
        let py = given.py();
        if !self.machine(|machine| machine.is_fixed()) {
            return Ok(given);
        }
        let own = self.address.get_or_none(py);
        if !given.is_none() && !given.is(&own) && !own.eq(&given)? {
            let text = text!("Invalid address: must be None or {}", own.str()?)?;
            return Err(PyValueError::new_err(text));
        }
        Ok(own)
    }
}

/// Sends the datagram, whose content is `bytes`, or keeps it.
#[inline]
fn send<'py>(
    transport: &Obj<'py, DatagramTransport>,
    data: &Bound<'py, PyAny>,
    bytes: &[u8],
    address: Bound<'py, PyAny>,
    keep: impl FnOnce() -> Chunk,
) -> Output<'py> {
    let connected = transport.connected.get() || (transport.paired.get() && address.is_none());
    let kernel = if connected { None } else { transport.peers.destination(&address, transport.family.get()) };
    let py = transport.py();
    // A datagram to an address is an event.
    let direct = !transport.goes_by_methods(py)? && (connected || !audit::is_watched(py));
    let upcall = if direct && (connected || kernel.is_some()) {
        if !transport.is_intact(transport.py())? {
            protocol::closed_by_the_program(transport)?;
            return Ok(none(transport.py()));
        }
        act(transport, |machine, kernel_calls| {
            let to = kernel.as_ref();
            machine.send(kernel_calls, bytes, to, || Queued::direct(keep(), to))
        })?
    } else {
        let waiting = transport.machine(|machine| !machine.queue().is_empty());
        if !waiting && !matches!(send_by_object(transport, data, &address)?, Handed::Again(())) {
            return Ok(none(transport.py()));
        }
        let queued = Queued { content: keep(), route: Route::Object(Ref::new(address)) };
        act(transport, |machine, kernel| machine.keep(kernel, queued))?
    };
    conclude(transport, upcall)
}

#[inline]
fn conclude<'py>(transport: &Obj<'py, DatagramTransport>, upcall: Option<Upcall>) -> Output<'py> {
    if let Some(upcall) = upcall {
        context::run_or_stay(&transport.endpoint.upcall_context(transport.py())?, |_| {
            execute(transport, upcall)
        })?;
    }
    Ok(none(transport.py()))
}

fn set_write_buffer_limits<'py>(transport: &Obj<'py, DatagramTransport>, args: Args<'_, 'py>) -> Output<'py> {
    let [high, low] = args.parse(&LIMITS)?;
    let (high, low) = water_marks(&high, &low, DEFAULT_HIGH)?;
    let upcall = transport
        .machine(|machine| machine.set_write_buffer_limits(Some(high), Some(low)))
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    conclude(transport, upcall)
}
