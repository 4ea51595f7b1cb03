//! Reading: `pause_reading`, `resume_reading`, `set_protocol`.
//!
//! What arrives is taken by the loop's turn and given to the protocol by [`crate::upcall`]. Calls the stream machine.

use std::io;

use pyo3::prelude::*;
use yibu_engine::Interest;
use yibu_engine::transport::{Reading, Stream};

use super::{Chunk, SocketTransport, act, log_debug, refused};
use crate::attributes::assigned;
use crate::event_loop::{Kernel, watch};
use crate::ffi::{Obj, Output, Signature, Table, boolean, none};
use crate::sslproto::SslProtocol;
use crate::stock;

const SET_PROTOCOL: Signature<1> = Signature::new("SocketTransport.set_protocol", "protocol");

pub(super) fn table(t: &mut Table<SocketTransport>) {
    t.noargs(c"pause_reading", pause_reading, "Stops calling the protocol with data.");
    t.noargs(c"resume_reading", resume_reading, "Goes on reading after pause_reading().");
    t.noargs(
        c"is_reading",
        |transport| Ok(boolean(transport.py(), transport.stream(|stream| stream.is_reading()))),
        "Whether the transport is neither closing nor paused.",
    );
    t.method(
        &SET_PROTOCOL,
        |transport, args| {
            let [protocol] = args.parse(&SET_PROTOCOL)?;
            set_protocol(transport, &protocol)
        },
        "Gives what is read from now on to another protocol.",
    );
    t.noargs(c"get_protocol", get_protocol, "The protocol; None when the connection was lost.");
    t.property(c"_protocol", get_protocol, |transport, protocol| {
        set_protocol(transport, assigned(protocol)?).map(drop)
    });
    t.one(
        c"_add_reader",
        "fd",
        |transport, _fd| {
            start_reading(transport)?;
            Ok(none(transport.py()))
        },
        "Starts reading, unless paused or closing: connection_made() has been called.",
    );
}

/// How a protocol wants its data.
pub(super) fn kind(protocol: &Bound<'_, PyAny>) -> PyResult<Reading> {
    // TLS takes bytes, too, and without a buffer of its own.
    let buffered = Obj::<SslProtocol>::cast_exact(protocol).is_none()
        && protocol.is_instance(stock::buffered_protocol(protocol.py())?)?;
    Ok(if buffered { Reading::Buffered } else { Reading::Lent })
}

fn get_protocol<'py>(transport: &Obj<'py, SocketTransport>) -> Output<'py> {
    Ok(transport.protocol.get_or_none(transport.py()))
}

fn set_protocol<'py>(transport: &Obj<'py, SocketTransport>, protocol: &Bound<'py, PyAny>) -> Output<'py> {
    let reading = kind(protocol)?;
    act(transport, |stream, kernel| stream.set_reading(kernel, reading))?
        .map_err(|error| refused(transport, &error))?;
    transport.protocol.put(protocol.clone());
    Ok(none(transport.py()))
}

/// Arms reading. Upcalls will run in the context of this moment, as callbacks of a reader added now.
fn arm<'py>(
    transport: &Obj<'py, SocketTransport>,
    arm: impl Fn(&mut Stream<Chunk>, &mut Kernel<'_>) -> io::Result<()>,
) -> PyResult<()> {
    let py = transport.py();
    let event_loop = transport.event_loop(py)?;
    event_loop.check_open()?;
    transport.read_context.put(transport.callback_context(py)?);
    let armed = match act(transport, &arm)? {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A reader that was there before gives way.
            watch::unwatch(&event_loop, transport.connection.fd(), Interest::Read)?;
            act(transport, arm)?
        }
        armed => armed,
    };
    armed.map_err(|error| refused(transport, &error))
}

fn start_reading(transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    if transport.stream(|stream| stream.is_reading()) {
        arm(transport, |stream, kernel| stream.start_reading(kernel))
    } else {
        Ok(())
    }
}

fn pause_reading<'py>(transport: &Obj<'py, SocketTransport>) -> Output<'py> {
    if transport.stream(|stream| stream.is_reading()) {
        act(transport, |stream, kernel| stream.pause_reading(kernel))?;
        log_debug(transport, "%r pauses reading")?;
    }
    Ok(none(transport.py()))
}

fn resume_reading<'py>(transport: &Obj<'py, SocketTransport>) -> Output<'py> {
    if transport.stream(|stream| !stream.is_closing() && stream.is_reading_paused()) {
        arm(transport, |stream, kernel| stream.resume_reading(kernel))?;
        log_debug(transport, "%r resumes reading")?;
    }
    Ok(none(transport.py()))
}
