//! Sending: `sendto`, and the flow control of what could not be sent at once.
//!
//! Calls the machine, and `receiving` with its answers; calls the socket object's own `send` and `sendto` for what is not
//! asked of the kernel directly.

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyOSError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};
use rustix::net::SocketAddrAny;
use yibu_engine::transport::{DEFAULT_HIGH, Destination, Handed, Outbound};

use super::ending::fatal_error;
use super::receiving::{self, Upcall};
use super::{DatagramTransport, act, context_of};
use crate::ffi::buffer::Buffer;
use crate::ffi::bytes::Bytes;
use crate::ffi::{Args, Obj, Output, Raised, Ref, Signature, Table, audit, boolean, call, context, none};
use crate::transports::{Chunk, unless_fatal, water_marks};
use crate::{addresses, names, stock};

const SENDTO: Signature<2> = Signature::new("DatagramSocketTransport.sendto", "data, addr=None");
const LIMITS: Signature<2> =
    Signature::new("DatagramSocketTransport.set_write_buffer_limits", "high=None, low=None");

const FATAL_WRITE_ERROR: &str = "Fatal write error on datagram transport";

/// A datagram that waits.
pub struct Queued {
    content: Chunk,
    route: Route,
}

enum Route {
    Connected,
    Kernel(SocketAddrAny),
    /// An address for the socket object; unused where that is connected.
    Object(Ref),
}

impl Queued {
    /// For the kernel: to an address, or to whom the socket is connected with.
    fn direct(content: Chunk, address: Option<&SocketAddrAny>) -> Self {
        let route = address.map_or(Route::Connected, |address| Route::Kernel(address.clone()));
        Self { content, route }
    }

    /// The object in here that may be part of a cycle.
    pub fn object(&self) -> Option<*mut ffi::PyObject> {
        match &self.route {
            Route::Object(address) => Some(address.as_ptr()),
            Route::Connected | Route::Kernel(_) => None,
        }
    }

    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        match &self.content {
            Chunk::Kept(bytes) => bytes.whole(py).unwrap_or_else(|| PyBytes::new(py, bytes.as_ref())),
            Chunk::Copied(bytes) => PyBytes::new(py, bytes),
        }
    }
}

impl Outbound for Queued {
    fn bytes(&self) -> &[u8] {
        self.content.as_ref()
    }

    fn destination(&self) -> Destination<'_> {
        match &self.route {
            Route::Connected => Destination::Connected,
            Route::Kernel(address) => Destination::To(address),
            Route::Object(_) => Destination::Embedder,
        }
    }
}

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
    t.noargs(
        c"get_write_buffer_limits",
        |transport| {
            let limits = transport.machine(|machine| machine.write_buffer_limits());
            Ok(limits.into_pyobject(transport.py())?.into_any())
        },
        "The low and the high limit.",
    );
    t.noargs(c"get_write_buffer_size", buffer_size, "What waits to be sent, in bytes.");
    t.noargs(
        c"_sendto_ready",
        |transport| {
            if !transport.is_intact(transport.py())? {
                receiving::closed_behind_our_back(transport)?;
                return Ok(none(transport.py()));
            }
            let upcall = act(transport, |machine, kernel| machine.flush(kernel))?;
            conclude(transport, upcall)
        },
        "Sends what waits, as far as the socket takes it.",
    );
    t.getter(c"_buffer_size", buffer_size);
    t.getter(c"_buffer", buffer);
    t.getter(c"_protocol_paused", |transport| {
        Ok(boolean(transport.py(), transport.machine(|machine| machine.is_writing_paused())))
    });
    t.getter(c"_low_water", |transport| {
        let (low, _) = transport.machine(|machine| machine.write_buffer_limits());
        Ok(low.into_pyobject(transport.py())?.into_any())
    });
    t.getter(c"_high_water", |transport| {
        let (_, high) = transport.machine(|machine| machine.write_buffer_limits());
        Ok(high.into_pyobject(transport.py())?.into_any())
    });
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
    let gone = transport.gone.get();
    if let Some(late) = transport.machine(|machine| machine.comes_too_late(gone)) {
        return conclude(transport, Some(late));
    }
    if let Ok(bytes) = data.cast::<PyBytes>() {
        let keep = || match Bytes::keep(bytes, 0) {
            Some(kept) => Chunk::Kept(kept),
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
            receiving::closed_behind_our_back(transport)?;
            return Ok(none(transport.py()));
        }
        act(transport, |machine, kernel_calls| {
            let to = kernel.as_ref();
            machine.send(kernel_calls, bytes, to, || Queued::direct(keep(), to))
        })?
    } else {
        let waiting = transport.machine(|machine| !machine.queue().is_empty());
        if !waiting && !matches!(by_object(transport, data, &address)?, Handed::Again(())) {
            return Ok(none(transport.py()));
        }
        let queued = Queued { content: keep(), route: Route::Object(Ref::new(address)) };
        act(transport, |machine, kernel| machine.keep(kernel, queued))?
    };
    conclude(transport, upcall)
}

/// Sends by the methods of the socket object.
fn by_object<'py>(
    transport: &Obj<'py, DatagramTransport>,
    data: &Bound<'py, PyAny>,
    address: &Bound<'py, PyAny>,
) -> PyResult<Handed<()>> {
    let py = transport.py();
    let socket = transport.connection.socket(py)?;
    // The other end of a pair has no name, but is there.
    let sent = if transport.connected.get() || (transport.paired.get() && address.is_none()) {
        call::method(names::send(py), [&socket, data])
    } else {
        call::method(names::sendto(py), [&socket, data, address])
    };
    let Err(error) = sent else { return Ok(Handed::Done) };
    let error = unless_fatal(py, error)?;
    if error.is::<PyBlockingIOError>() || error.is::<PyInterruptedError>() {
        return Ok(Handed::Again(()));
    }
    if error.is::<PyOSError>() {
        receiving::error_received(transport, &error)?;
    } else {
        fatal_error(transport, &error, FATAL_WRITE_ERROR)?;
    }
    Ok(Handed::Refused)
}

/// Sends what waited for the socket object, and tells the machine what came of it.
pub(super) fn hand_over(
    transport: &Obj<'_, DatagramTransport>,
    datagram: Queued,
) -> PyResult<Option<Upcall>> {
    let py = transport.py();
    let address = match &datagram.route {
        Route::Object(address) => address.copy(py).into_any(py),
        Route::Connected | Route::Kernel(_) => none(py),
    };
    let came_of_it = match by_object(transport, datagram.data(py).as_any(), &address)? {
        Handed::Done => Handed::Done,
        Handed::Again(()) => Handed::Again(datagram),
        Handed::Refused => Handed::Refused,
    };
    act(transport, |machine, kernel| machine.handed_over(kernel, came_of_it))
}

#[inline]
fn conclude<'py>(transport: &Obj<'py, DatagramTransport>, upcall: Option<Upcall>) -> Output<'py> {
    if let Some(upcall) = upcall {
        context::run_or_stay(&context_of(transport)?, |_| receiving::execute(transport, upcall))?;
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
