//! `StreamWriter`: a transport for tasks. `asyncio.streams.StreamWriter`, native.
//!
//! `drain()` on a transport that has room returns at once. Called by Python code; calls the transport, in
//! Rust where it is the native one.

use std::ffi::CStr;

use pyo3::exceptions::{PyAssertionError, PyResourceWarning};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::flow::{self, FlowControl};
use super::protocol::{self, StreamReaderProtocol};
use super::reader::{self, StreamReader};
use crate::attributes::objects;
use crate::coroutines::{Routine, Step};
use crate::ffi::combined::Combinable;
use crate::ffi::raised::raise;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Ref, Signature, Slot, Table, call, make, none, references,
    stands_for,
};
use crate::frames::Frame;
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::replaced::names::Name;
use crate::replaced::names::STREAMS;
use crate::transports::{self, SocketTransport};
use crate::{attributes, names, stock};

/// The data of a `StreamWriter`.
#[derive(Default)]
pub struct StreamWriter {
    transport: Slot,
    protocol: Slot,
    reader: Slot,
    event_loop: Slot,
    /// `_complete_fut`, which nobody but subclasses uses; made when it is asked for.
    complete: Slot,
}

static STREAM_WRITER: ClassState = ClassState::new();
const INIT: Signature<4> =
    Signature::new_method("StreamWriter.__init__", "transport, protocol, reader, loop");
const WRITE: Signature<1> = Signature::new_method("StreamWriter.write", "data");
const WRITELINES: Signature<1> = Signature::new_method("StreamWriter.writelines", "data");
const GET_EXTRA_INFO: Signature<2> =
    Signature::new_method("StreamWriter.get_extra_info", "name, default=None");
#[cfg(not(Py_3_12))]
const START_TLS: Signature<3> = Signature::new_method(
    "StreamWriter.start_tls",
    "sslcontext, *, server_hostname=None, ssl_handshake_timeout=None",
);
#[cfg(Py_3_12)]
const START_TLS: Signature<4> = Signature::new_method(
    "StreamWriter.start_tls",
    "sslcontext, *, server_hostname=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None",
);

/// `StreamWriter(transport, protocol, reader, loop)`, where `class` is that name as the caller's module has
/// it.
pub fn made<'py, const N: usize>(class: &Name<N>, arguments: [&Bound<'py, PyAny>; 4]) -> Output<'py> {
    let py = arguments[0].py();
    match class.maker::<StreamWriter>(py)? {
        Some(class) => call::call(&class, arguments),
        None => {
            let writer = StreamWriter::create(py)?;
            init(&writer, arguments.map(Clone::clone))?;
            Ok(writer.into_any())
        }
    }
}

fn init<'py>(
    writer: &Obj<'py, StreamWriter>,
    [transport, protocol, reader, event_loop]: [Bound<'py, PyAny>; 4],
) -> PyResult<()> {
    let is_reader = || -> PyResult<bool> {
        Ok(Obj::<StreamReader>::cast(&reader).is_some()
            || reader.is_instance(stock::stream_reader(writer.py())?)?)
    };
    if !reader.is_none() && !is_reader()? {
        return Err(PyAssertionError::new_err(()));
    }
    writer.transport.put(transport);
    writer.protocol.put(protocol);
    attributes::write(&writer.reader, Some(&reader))?;
    writer.event_loop.put(event_loop);
    writer.complete.clear();
    Ok(())
}

impl StreamWriter {
    fn transport<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.transport.get_or_none(py)
    }
}

/// `write`.
#[inline]
fn write<'py>(writer: &Obj<'py, StreamWriter>, args: Args<'_, 'py>) -> Output<'py> {
    let data = match args.only() {
        Some(data) => data,
        None => {
            let [data] = args.parse(&WRITE)?;
            data
        }
    };
    let transport = writer.transport(writer.py());
    match Obj::<SocketTransport>::cast_exact(&transport) {
        Some(native) if native.is_native() => transports::write(native, &data)?,
        _ => call::method(names::write(writer.py()), [&transport, &data])?,
    };
    Ok(none(writer.py()))
}

/// `drain`: raises what the reader was told, and waits while the transport wants a rest.
fn drain<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let writer = routine.owner::<StreamWriter>(py)?;
    if let Some(reader) = writer.reader.get(py) {
        match Obj::<StreamReader>::cast(&reader) {
            Some(native) if native.is_native() => reader::raise_exception(native, py)?,
            _ => {
                let exception = reader.call_method0(names::exception(py))?;
                if !exception.is_none() {
                    return Err(raise(exception));
                }
            }
        }
    }
    let transport = writer.transport(py);
    let closing = match Obj::<SocketTransport>::cast_exact(&transport) {
        Some(native) if native.is_native() => native.stream(|stream| stream.is_closing()),
        _ => transport.call_method0(names::is_closing(py))?.is_truthy()?,
    };
    if closing {
        // connection_lost() shall have its turn, or a loop of write() and drain() would never see the
        // connection end.
        return Ok(Step::GiveWay(|routine, gave_way| {
            gave_way?;
            wait_for_flow(routine)
        }));
    }
    wait_for_flow(routine)
}

fn wait_for_flow<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let protocol = routine.owner::<StreamWriter>(py)?.protocol.get_or_none(py);
    if let Some(native) = protocol::plain(&protocol) {
        let flow: &Obj<'py, FlowControl> = native.upcast();
        return if flow.is_flowing() { Ok(Step::Return(none(py))) } else { flow::drain_later(routine, flow) };
    }
    let waiting = protocol.call_method0(name!("_drain_helper"))?;
    Ok(Step::Await(waiting, |routine, waited| waited.map(|_| Step::Return(none(routine.py())))))
}

/// `wait_closed`.
fn wait_closed<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let writer = routine.owner::<StreamWriter>(py)?;
    let protocol = writer.protocol.get_or_none(py);
    let closed = match protocol::plain(&protocol) {
        Some(native) => protocol::close_waiter(native),
        None => protocol.call_method1(name!("_get_close_waiter"), (writer.as_any(),))?,
    };
    Ok(Step::Await(closed, |routine, waited| waited.map(|_| Step::Return(none(routine.py())))))
}

/// `start_tls`: the keywords are in the first slot.
fn start_tls<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let writer = routine.owner::<StreamWriter>(py)?;
    let drained = writer.as_any().call_method0(name!("drain"))?;
    Ok(Step::Await(drained, |routine, drained| {
        drained?;
        let py = routine.py();
        let writer = routine.owner::<StreamWriter>(py)?;
        let protocol = writer.protocol.get_or_none(py);
        let server_side = match Obj::<StreamReaderProtocol>::cast(&protocol) {
            Some(native) => protocol::is_server_side(native),
            None => !protocol.getattr(name!("_client_connected_cb"))?.is_none(),
        };
        let keywords = routine.first.get_or_none(py).cast_into::<PyDict>()?;
        keywords.set_item("server_side", server_side)?;
        let context = routine.second.get_or_none(py);
        let event_loop = writer.event_loop.get_or_none(py);
        let upgraded = event_loop.call_method(
            "start_tls",
            (writer.transport(py), protocol, context),
            Some(&keywords),
        )?;
        Ok(Step::Await(upgraded, upgraded_to))
    }))
}

fn upgraded_to<'py>(routine: &Obj<'py, Routine>, transport: Output<'py>) -> PyResult<Step<'py>> {
    let (py, transport) = (routine.py(), transport?);
    let writer = routine.owner::<StreamWriter>(py)?;
    writer.transport.put(transport.clone());
    let protocol = writer.protocol.get_or_none(py);
    if cfg!(Py_3_13) {
        protocol.call_method1(name!("_replace_transport"), (transport,))?;
    } else {
        protocol.call_method1(name!("_replace_writer"), (writer.as_any(),))?;
    }
    Ok(Step::Return(none(py)))
}

fn begin_start_tls<'py>(writer: &Obj<'py, StreamWriter>, args: Args<'_, 'py>) -> Output<'py> {
    let keywords = make::dict(writer.py())?;
    #[cfg(not(Py_3_12))]
    let [context, hostname, handshake] = args.parse(&START_TLS)?;
    #[cfg(Py_3_12)]
    let [context, hostname, handshake, shutdown] = args.parse(&START_TLS)?;
    keywords.set_item("server_hostname", hostname)?;
    keywords.set_item("ssl_handshake_timeout", handshake)?;
    #[cfg(Py_3_12)]
    keywords.set_item("ssl_shutdown_timeout", shutdown)?;
    let routine = Routine::begin(writer.as_any(), START_TLS.function, start_tls)?;
    routine.first.put(keywords);
    routine.second.put(context);
    Ok(routine.into_any())
}

/// A method without arguments that is the transport's.
fn pass_on<'py>(writer: &Obj<'py, StreamWriter>, method: &Bound<'py, PyString>) -> Output<'py> {
    call::method(method, [&writer.transport(writer.py())])
}

/// `__del__`: a transport that nobody closed is closed, with a ResourceWarning.
fn finalize(writer: &Obj<'_, StreamWriter>) -> PyResult<()> {
    let py = writer.py();
    if writer.transport.is_empty() || pass_on(writer, names::is_closing(py))?.is_truthy()? {
        return Ok(());
    }
    static FRAME: Frame = Frame::new(&STREAMS, "StreamWriter.__del__");
    let category = py.get_type::<PyResourceWarning>();
    if writer.event_loop.get_or_none(py).call_method0(name!("is_closed"))?.is_truthy()? {
        return FRAME.warn("loop is closed", &category, None);
    }
    writer.as_any().call_method0(names::close(py))?;
    FRAME.warn(&text!("unclosed {}", writer.as_any().repr()?)?, &category, None)
}

fn repr<'py>(writer: &Obj<'py, StreamWriter>) -> Output<'py> {
    let py = writer.py();
    let mut text =
        text!("<{} transport={}", writer.as_any().get_type().name()?, writer.transport(py).repr()?)?;
    if let Some(reader) = writer.reader.get(py) {
        crate::texts::append(&mut text, format_args!(" reader={}", reader.repr()?))?;
    }
    text.push('>');
    Ok(make::text(py, &text)?.into_any())
}

/// `_complete_fut`: a future that is done.
fn complete<'py>(writer: &Obj<'py, StreamWriter>) -> Output<'py> {
    let py = writer.py();
    if let Some(complete) = writer.complete.get(py) {
        return Ok(complete);
    }
    let complete = create_future(&writer.event_loop.get_or_none(py))?;
    future_like::set_result(&complete, none(py))?;
    writer.complete.set(Ref::new(complete.clone()));
    Ok(complete)
}

fn methods(t: &mut Table<StreamWriter>) {
    t.method(&WRITE, write, "Sends data, or keeps what cannot be sent at once; drain() waits for that.");
    t.command(
        &WRITELINES,
        |writer, args| {
            let [data] = args.parse(&WRITELINES)?;
            writer.transport(writer.py()).call_method1(name!("writelines"), (data,)).map(drop)
        },
        "Sends several pieces of data as one.",
    );
    t.noargs(
        c"write_eof",
        |writer| pass_on(writer, names::write_eof(writer.py())),
        "Closes the writing half when everything has been sent.",
    );
    t.noargs(
        c"can_write_eof",
        |writer| pass_on(writer, names::can_write_eof(writer.py())),
        "Whether the transport has write_eof().",
    );
    t.noargs(
        c"close",
        |writer| pass_on(writer, names::close(writer.py())),
        "Closes the connection when everything has been sent; wait_closed() waits for that.",
    );
    t.noargs(
        c"is_closing",
        |writer| pass_on(writer, names::is_closing(writer.py())),
        "Whether the connection is closing, or closed.",
    );
    t.noargs(
        c"wait_closed",
        |writer| Ok(Routine::begin(writer.as_any(), "StreamWriter.wait_closed", wait_closed)?.into_any()),
        "Coroutine that waits until the connection is closed.",
    );
    t.method(
        &GET_EXTRA_INFO,
        |writer, args| {
            let [name, default] = args.parse(&GET_EXTRA_INFO)?;
            let py = writer.py();
            call::method(names::get_extra_info(py), [&writer.transport(py), &name, &default])
        },
        "What the transport knows of the connection.",
    );
    t.noargs(
        c"drain",
        |writer| Ok(Routine::begin(writer.as_any(), "StreamWriter.drain", drain)?.into_any()),
        "Coroutine that waits until the transport's buffer is at its low-water mark. Raises the exception that ended the connection.",
    );
    t.method(&START_TLS, begin_start_tls, "Coroutine that continues the connection with TLS.");
}

impl Class for StreamWriter {
    const NAME: &'static CStr = c"yibu.StreamWriter";
    type Header = Combinable;
    const FREELIST: usize = 64;
    const FUNCTIONS: bool = true;

    const SHOWN: &'static [&'static str] = &["_transport", "_protocol", "_reader", "_loop", "_complete_fut"];

    stands_for! { STREAM_WRITER, stock::stream_writer }

    fn table(t: &mut Table<Self>) {
        t.doc(c"StreamWriter(transport, protocol, reader, loop)\n--\n\nA transport for tasks.");
        t.init(|writer, args, kwargs| init(writer, Args::parse_tuple(&INIT, args, kwargs)?));
        methods(t);
        t.getter(c"transport", |writer| Ok(writer.transport(writer.py())));
        t.property(
            c"_transport",
            |writer| Ok(writer.transport(writer.py())),
            |writer, value| attributes::write(&writer.transport, value),
        );
        objects! { t:
            c"_protocol" => protocol,
            c"_reader" => reader,
            c"_loop" => event_loop,
        }
        t.property(c"_complete_fut", complete, |writer, value| attributes::write(&writer.complete, value));
        t.repr(repr);
        t.finalize(finalize);
    }

    references! { transport, protocol, reader, event_loop, complete }

    fn wants_finalizer(&self) -> bool {
        // Asking anything but the native transport may run Python code.
        !self.transport.is_empty()
    }
}
