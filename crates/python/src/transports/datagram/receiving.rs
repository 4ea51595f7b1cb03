//! Receiving: `pause_reading`, `resume_reading`, `set_protocol`, and the operations of the socket that can be
//! finished.
//!
//! Called by Python code and by the loop's turn; calls the machine and, with its answers, [`super::upcall`].

use pyo3::prelude::*;
use yibu_engine::transport::Datagrams;
use yibu_engine::{Interest, OpId, Outcome};

use super::by_methods::receive;
use super::data::DatagramTransport;
use super::protocol::closed_by_the_program;
use super::queued::Queued;
use super::upcall::execute;
use crate::core::{
    Entry, EntryKind, EventLoop, Kernel, OwnerKind, current, finish, ignore_replacement, typed, watched,
};
use crate::events::{self, Handle};
use crate::ffi::{Obj, Output, Signature, Table, context, none};
use crate::frames::Frame;
use crate::replaced::names::SELECTOR_EVENTS;
use crate::replaced::sockets;
use crate::transports::endpoint::{Transport, act, log_in_debug, refused};
use crate::{attributes, errors, names};

const SET_PROTOCOL: Signature<1> = Signature::new("_SelectorDatagramTransport.set_protocol", "protocol");

pub(super) fn table(t: &mut Table<DatagramTransport>) {
    t.noargs(c"pause_reading", pause_reading, "Stops calling the protocol with datagrams.");
    t.noargs(c"resume_reading", resume_reading, "Goes on receiving after pause_reading().");
    t.answer(
        c"is_reading",
        |transport| transport.machine(|machine| machine.is_reading()),
        "Whether the transport is neither closing nor paused.",
    );
    t.method(
        &SET_PROTOCOL,
        |transport, args| {
            let [protocol] = args.parse(&SET_PROTOCOL)?;
            transport.endpoint.protocol.put(protocol);
            Ok(none(transport.py()))
        },
        "Gives what is received from now on to another protocol.",
    );
    t.noargs(c"get_protocol", get_protocol, "The protocol; None when connection_lost() was called.");
    t.property(c"_protocol", get_protocol, |transport, protocol| {
        attributes::write(&transport.endpoint.protocol, protocol)
    });
    t.action_on(
        c"_add_reader",
        "fd",
        |transport, _fd| {
            if is_reading(transport)? {
                arm(transport, |machine, kernel| machine.start_reading(kernel))?;
            }
            Ok(())
        },
        "Starts reading, unless paused or closing: connection_made() has been called.",
    );
    t.action(c"_read_ready", receive, "Receives one datagram with the methods of the socket object.");
}

fn get_protocol<'py>(transport: &Obj<'py, DatagramTransport>) -> Output<'py> {
    Ok(transport.endpoint.protocol.get_or_none(transport.py()))
}

/// `self.is_reading()`
fn is_reading(transport: &Obj<'_, DatagramTransport>) -> PyResult<bool> {
    if transport.replaced() != 0 {
        return transport.as_any().call_method0(name!("is_reading"))?.is_truthy();
    }
    Ok(transport.machine(|machine| machine.is_reading()))
}

/// Arms reading.
fn arm<'py>(
    transport: &Obj<'py, DatagramTransport>,
    arm: impl Fn(&mut Datagrams<Queued>, &mut Kernel<'_>) -> std::io::Result<()>,
) -> PyResult<()> {
    let py = transport.py();
    let event_loop = transport.event_loop(py)?;
    event_loop.check_open()?;
    if !transport.is_intact(py)? {
        return Err(errors::bad_descriptor());
    }
    let armed = match act(transport, &arm)? {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // add_reader() has watched the descriptor before: the transport takes that watcher's place.
            watched::unwatch(&event_loop, transport.connection.fd(), Interest::Read)?;
            act(transport, arm)?
        }
        armed => armed,
    };
    armed.map_err(|error| refused(transport, &error))
}

static PAUSE_READING: Frame = Frame::new(&SELECTOR_EVENTS, "_SelectorTransport.pause_reading");
static RESUME_READING: Frame = Frame::new(&SELECTOR_EVENTS, "_SelectorTransport.resume_reading");

fn pause_reading<'py>(transport: &Obj<'py, DatagramTransport>) -> Output<'py> {
    if is_reading(transport)? {
        act(transport, |machine, kernel| machine.pause_reading(kernel))?;
        log_in_debug(transport, &PAUSE_READING, "debug", "%r pauses reading")?;
    }
    Ok(none(transport.py()))
}

fn resume_reading<'py>(transport: &Obj<'py, DatagramTransport>) -> Output<'py> {
    if transport.machine(|machine| !machine.is_closing() && machine.is_reading_paused()) {
        arm(transport, |machine, kernel| machine.resume_reading(kernel))?;
        log_in_debug(transport, &RESUME_READING, "debug", "%r resumes reading")?;
    }
    Ok(none(transport.py()))
}

/// The owner of a datagram socket's operations.
pub(super) static SOCKET: OwnerKind = OwnerKind {
    ready: |event_loop, transport, id| {
        let py = event_loop.py();
        let transport: Obj<'_, DatagramTransport> = typed(transport, py)?;
        if transport.is_exposed() || !sockets::are_original(py)? {
            return finish_carefully(event_loop, &transport, id);
        }
        finish(event_loop, id).map_or(Ok(()), |outcome| finished(event_loop, &transport, id, outcome))
    },
    replaced: ignore_replacement,
};

/// A datagram socket may have more than the kernel has reported: the next datagram is taken, reported or not.
static READ_AGAIN: EntryKind = EntryKind::new(|event_loop, runnable| {
    current::flush_leave(event_loop)?;
    read_again(event_loop, &runnable.object(event_loop.py())?)
});

/// Tells the protocol what came of a transport's operation.
#[inline]
fn finished(
    event_loop: &Obj<'_, EventLoop>,
    transport: &Obj<'_, DatagramTransport>,
    id: OpId,
    outcome: Outcome,
) -> PyResult<()> {
    let (reading, upcall) = act(transport, |machine, kernel| {
        (machine.read_op() == Some(id), machine.on_outcome(kernel, id, outcome))
    })?;
    let Some(upcall) = upcall else { return Ok(()) };
    let told =
        context::run(&transport.endpoint.upcall_context(transport.py())?, |_| execute(transport, upcall))
            .or_else(|error| report(event_loop, transport, reading, error));
    if transport.machine(Datagrams::expects_more) {
        event_loop.push(Entry::of(&READ_AGAIN, transport.clone()))?;
    }
    told
}

/// Takes the next datagram, reported or not.
fn read_again(event_loop: &Obj<'_, EventLoop>, transport: &Obj<'_, DatagramTransport>) -> PyResult<()> {
    match transport.machine(Datagrams::begin_read_again) {
        Some(id) => finish_carefully(event_loop, transport, id),
        None => Ok(()),
    }
}

/// The same for a transport whose socket Python code may have closed since the report: the number may be
/// another file's.
fn finish_carefully(
    event_loop: &Obj<'_, EventLoop>,
    transport: &Obj<'_, DatagramTransport>,
    id: OpId,
) -> PyResult<()> {
    let py = transport.py();
    if transport.goes_by_methods(py)? && transport.machine(|machine| machine.read_op() == Some(id)) {
        let context = transport.endpoint.upcall_context(transport.py())?;
        return context::run(&context, |_| receive(transport))
            .or_else(|error| report(event_loop, transport, true, error));
    }
    if transport.is_intact(py)? {
        return match event_loop.engine.with(|engine| engine.finish(id, |_| ())) {
            Some(((), outcome)) => finished(event_loop, transport, id, outcome),
            None => Ok(()),
        };
    }
    closed_by_the_program(transport).or_else(|error| report(event_loop, transport, true, error))
}

/// Reports what a callback of the loop raised: `Handle._run` would have.
#[cold]
fn report(
    event_loop: &Obj<'_, EventLoop>,
    transport: &Obj<'_, DatagramTransport>,
    reading: bool,
    error: PyErr,
) -> PyResult<()> {
    let py = transport.py();
    let name = if reading { names::_read_ready(py) } else { names::_sendto_ready(py) };
    let function = transport.as_any().getattr(name)?;
    events::report(&Handle::with_arg(event_loop.as_any(), function, None, None)?, error)
}
