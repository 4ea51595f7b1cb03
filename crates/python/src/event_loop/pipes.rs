//! Pipes: `connect_read_pipe` and `connect_write_pipe`. Called by Python code; calls [`crate::transports::pipes`].

use pyo3::prelude::*;

use super::connect::CloseUnlessDone;
use super::{EventLoop, create_future};
use crate::coroutines::{self, Awaited};
use crate::events::loop_debug;
use crate::ffi::thread::attached;
use crate::ffi::{Args, Class, Obj, Output, Ref, Signature, Table};
use crate::names;
use crate::replaced::names::BASE_EVENTS;
use crate::transports::pipes::{ReadPipeTransport, WritePipeTransport};

const CONNECT_READ: Signature<2> = Signature::new("EventLoop.connect_read_pipe", "protocol_factory, pipe");
const CONNECT_WRITE: Signature<2> = Signature::new("EventLoop.connect_write_pipe", "protocol_factory, pipe");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &CONNECT_READ,
        |event_loop, args| {
            let connected = "Read pipe %r connected: (%r, %r)";
            connect::<ReadPipeTransport>(event_loop, &args, &CONNECT_READ, connected)
        },
        "Coroutine: reads from the file, without blocking. Returns (transport, protocol).",
    );
    t.method(
        &CONNECT_WRITE,
        |event_loop, args| {
            let connected = "Write pipe %r connected: (%r, %r)";
            connect::<WritePipeTransport>(event_loop, &args, &CONNECT_WRITE, connected)
        },
        "Coroutine: writes to the file, without blocking. Returns (transport, protocol).",
    );
}

/// The coroutine that makes a transport of class `T`, and waits until its protocol has been told.
fn connect<'py, T: Class>(
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &'static Signature<2>,
    log: &'static str,
) -> Output<'py> {
    let own = Ref::of(event_loop.clone());
    let [factory, pipe] = args.parse(signature)?.map(Bound::unbind);
    coroutines::new(event_loop, signature.function, async move {
        let (transport, protocol, undo, made) = attached(|py| {
            let event_loop = own.obj(py);
            let protocol = factory.bind(py).call0()?;
            let waiter = create_future(&event_loop)?;
            let made = Awaited::on(&event_loop, waiter.as_any())?;
            let given = (event_loop.as_any(), pipe.bind(py), &protocol, waiter.as_any());
            let transport = T::class(py).call1(given)?;
            let undo = CloseUnlessDone::new(transport.clone());
            Ok::<_, PyErr>((transport.unbind(), protocol.unbind(), undo, made))
        })?;
        made.await?;
        undo.done();
        attached(|py| {
            if loop_debug(own.obj(py).as_any())? {
                let fd = pipe.bind(py).call_method0(names::fileno(py))?;
                BASE_EVENTS.logger(py)?.call_method1("debug", (log, fd, &transport, &protocol))?;
            }
            Ok((transport, protocol).into_pyobject(py)?.into_any().unbind())
        })
    })
}
