//! Pipes: `connect_read_pipe` and `connect_write_pipe`. Called by Python code; calls
//! [`crate::transports::pipes`].

use pyo3::prelude::*;

use super::connect::CloseUnlessDone;
use crate::core::EventLoop;
use crate::coroutines::{self, GcRef, GcScope};
use crate::ffi::thread::attached;
use crate::ffi::{Args, Class, Obj, Output, Signature, Table};
use crate::frames::Frame;
use crate::mixins::create_future;
use crate::names;
use crate::replaced::names::{BASE_EVENTS, Name, READ_PIPE, WRITE_PIPE};
use crate::tasks::Awaited;
use crate::transports::pipes::{ReadPipeTransport, WritePipeTransport};

const CONNECT_READ: Signature<2> = Signature::new("EventLoop.connect_read_pipe", "protocol_factory, pipe");
const CONNECT_WRITE: Signature<2> = Signature::new("EventLoop.connect_write_pipe", "protocol_factory, pipe");

const MAKE_READ: Signature<4> =
    Signature::new_method("EventLoop._make_read_pipe_transport", "pipe, protocol, waiter=None, extra=None");
const MAKE_WRITE: Signature<4> =
    Signature::new_method("EventLoop._make_write_pipe_transport", "pipe, protocol, waiter=None, extra=None");

static READ_FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.connect_read_pipe");
static WRITE_FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.connect_write_pipe");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &CONNECT_READ,
        |event_loop, args| {
            let connected = "Read pipe %r connected: (%r, %r)";
            connect(event_loop, &args, &CONNECT_READ, "_make_read_pipe_transport", &READ_FRAME, connected)
        },
        "Coroutine: reads from the file, without blocking. Returns (transport, protocol).",
    );
    t.method(
        &CONNECT_WRITE,
        |event_loop, args| {
            let connected = "Write pipe %r connected: (%r, %r)";
            connect(event_loop, &args, &CONNECT_WRITE, "_make_write_pipe_transport", &WRITE_FRAME, connected)
        },
        "Coroutine: writes to the file, without blocking. Returns (transport, protocol).",
    );
    t.method(
        &MAKE_READ,
        |event_loop, args| make::<ReadPipeTransport>(event_loop, &args, &MAKE_READ, &READ_PIPE),
        "The transport of connect_read_pipe().",
    );
    t.method(
        &MAKE_WRITE,
        |event_loop, args| make::<WritePipeTransport>(event_loop, &args, &MAKE_WRITE, &WRITE_PIPE),
        "The transport of connect_write_pipe().",
    );
}

/// `_make_read_pipe_transport` and `_make_write_pipe_transport`.
fn make<'py, T: Class>(
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &Signature<4>,
    name: &Name<1>,
) -> Output<'py> {
    let py = event_loop.py();
    let [pipe, protocol, waiter, extra] = args.parse(signature)?;
    let class = name.replacement(py)?.unwrap_or_else(|| T::class(py).into_any());
    class.call1((event_loop.as_any(), pipe, protocol, waiter, extra))
}

/// The coroutine that has the loop's method make a transport, and waits until its protocol has been told.
fn connect<'py>(
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &'static Signature<2>,
    method: &'static str,
    frame: &'static Frame,
    log: &'static str,
) -> Output<'py> {
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    let [factory, pipe] = args.parse(signature)?.map(GcRef::new);
    coroutines::new(gc_scope, event_loop, signature.function, async move {
        let (transport, protocol, undo, made) = attached(|py| {
            let event_loop = own.obj(py);
            let protocol = factory.bind(py).call0()?;
            let waiter = create_future(event_loop.as_any())?;
            let made = Awaited::on(&event_loop, &waiter)?;
            let transport = event_loop
                .as_any()
                .call_method1(names::interned(py, method), (pipe.bind(py), &protocol, &waiter))?;
            let undo = CloseUnlessDone::new(transport.clone());
            Ok::<_, PyErr>((GcRef::new(transport), GcRef::new(protocol), undo, made))
        })?;
        made.await?;
        undo.done();
        attached(|py| {
            if own.data().debug.get() {
                let fd = pipe.bind(py).call_method0(names::fileno(py))?;
                frame.log(py, "debug", (log, fd, &transport, &protocol))?;
            }
            Ok((&transport, &protocol).into_pyobject(py)?.into_any().unbind())
        })
    })
}
