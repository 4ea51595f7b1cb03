//! Reading: `pause_reading`, `resume_reading`, `set_protocol`.
//!
//! What arrives is taken by the loop's turn and given to the protocol by [`super::upcall`]. Calls the stream
//! machine.

use std::io;

use pyo3::prelude::*;
use yibu_engine::Interest;
use yibu_engine::transport::Stream;

use super::chunk::Chunk;
use super::endpoint::{act, log_in_debug, refused};
use super::link::StreamTransport;
use crate::attributes::assigned;
use crate::core::{Kernel, watched};
use crate::errors;
use crate::ffi::{Obj, Output, Table, none};

/// What transports have that read.
pub(super) fn table<T: StreamTransport>(t: &mut Table<T>) {
    t.noargs(c"pause_reading", pause_reading, "Stops calling the protocol with data.");
    t.noargs(c"resume_reading", resume_reading, "Goes on reading after pause_reading().");
    t.answer(
        c"is_reading",
        |transport| transport.link().stream(|stream| stream.is_reading()),
        "Whether the transport is neither closing nor paused.",
    );
    t.value(c"_paused", |transport| transport.link().stream(|stream| stream.is_reading_paused()));
}

/// What all transports have: a protocol, and something that is watched for it.
pub(super) fn protocol_table<T: StreamTransport>(t: &mut Table<T>) {
    t.method(
        T::SET_PROTOCOL,
        |transport, args| {
            let [protocol] = args.parse(T::SET_PROTOCOL)?;
            set_protocol(transport, &protocol)
        },
        "Gives what is read from now on to another protocol.",
    );
    t.noargs(c"get_protocol", get_protocol, "The protocol; None when the connection was lost.");
    t.property(c"_protocol", get_protocol, |transport, protocol| {
        set_protocol(transport, assigned(protocol)?).map(drop)
    });
    t.action_on(
        c"_add_reader",
        "fd",
        |transport, _fd| start_reading(transport),
        "Starts reading, unless paused or closing: connection_made() has been called.",
    );
}

/// The call of `set_protocol` in `_SelectorTransport.__init__`.
pub(super) fn begin_with<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    protocol: &Bound<'py, PyAny>,
) -> PyResult<()> {
    if transport.replaced() != 0 {
        return transport.as_any().call_method1(name!("set_protocol"), (protocol,)).map(drop);
    }
    transport.link().set_protocol(protocol.clone());
    Ok(())
}

/// `self.is_reading()`
fn is_reading<T: StreamTransport>(transport: &Obj<'_, T>) -> PyResult<bool> {
    if T::READS && transport.replaced() != 0 {
        return transport.as_any().call_method0(name!("is_reading"))?.is_truthy();
    }
    Ok(transport.link().stream(|stream| stream.is_reading()))
}

fn get_protocol<'py, T: StreamTransport>(transport: &Obj<'py, T>) -> Output<'py> {
    Ok(transport.endpoint().protocol.get_or_none(transport.py()))
}

fn set_protocol<'py, T: StreamTransport>(
    transport: &Obj<'py, T>,
    protocol: &Bound<'py, PyAny>,
) -> Output<'py> {
    T::follow(transport, protocol)?;
    transport.link().set_protocol(protocol.clone());
    Ok(none(transport.py()))
}

/// Arms reading.
fn arm<T: StreamTransport>(
    transport: &Obj<'_, T>,
    arm: impl Fn(&mut Stream<Chunk, T::Channel>, &mut Kernel<'_>) -> io::Result<()>,
) -> PyResult<()> {
    let (py, link) = (transport.py(), transport.link());
    let event_loop = transport.event_loop(py)?;
    event_loop.check_open()?;
    if !transport.is_intact(py)? {
        return Err(errors::bad_descriptor());
    }
    let armed = match act(transport, &arm)? {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // add_reader() has watched the descriptor before: the transport takes that watcher's place.
            watched::unwatch(&event_loop, link.stream(|stream| stream.fd()), Interest::Read)?;
            act(transport, arm)?
        }
        armed => armed,
    };
    armed.map_err(|error| refused(transport, &error))
}

fn start_reading<T: StreamTransport>(transport: &Obj<'_, T>) -> PyResult<()> {
    if is_reading(transport)? {
        arm(transport, |stream, kernel| stream.start_reading(kernel))
    } else {
        Ok(())
    }
}

fn pause_reading<'py, T: StreamTransport>(transport: &Obj<'py, T>) -> Output<'py> {
    if is_reading(transport)? {
        act(transport, |stream, kernel| stream.pause_reading(kernel))?;
        log_in_debug(transport, &T::frames().pause_reading, "debug", "%r pauses reading")?;
    }
    Ok(none(transport.py()))
}

fn resume_reading<'py, T: StreamTransport>(transport: &Obj<'py, T>) -> Output<'py> {
    if transport.link().stream(|stream| !stream.is_closing() && stream.is_reading_paused()) {
        arm(transport, |stream, kernel| stream.resume_reading(kernel))?;
        log_in_debug(transport, &T::frames().resume_reading, "debug", "%r resumes reading")?;
    }
    Ok(none(transport.py()))
}
