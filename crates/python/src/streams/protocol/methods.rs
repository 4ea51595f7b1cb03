//! What a [`StreamReaderProtocol`] does: for a new connection, for what arrives, and at the end.

use std::ffi::CStr;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyWeakrefReference};

use super::{StreamReaderProtocol, plain};
use crate::attributes::{flags, objects};
use crate::callbacks::{self, Reaction};
use crate::core::EventLoop;
use crate::core::current;
use crate::ffi::combined::Extended;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Signature, Slot, Table, Visitor, boolean, call,
    make, none, stands_for,
};
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::replaced::names::{ISCOROUTINE_OF_STREAMS, READER_PROTOCOL, WRITER};
use crate::streams::flow::{self, FlowControl};
use crate::streams::reader::{self, StreamReader};
use crate::streams::writer;
use crate::transports::receiver::{NotTaken, Received, Receiver};
use crate::{names, stock};

static STREAM_READER_PROTOCOL: ClassState = ClassState::new();
const INIT: Signature<3> = Signature::new_method(
    "StreamReaderProtocol.__init__",
    "stream_reader, client_connected_cb=None, loop=None",
);
const MADE: Signature<1> = Signature::new_method("StreamReaderProtocol.connection_made", "transport");
const LOST: Signature<1> = Signature::new_method("StreamReaderProtocol.connection_lost", "exc");
const DATA: Signature<1> = Signature::new_method("StreamReaderProtocol.data_received", "data");
const CLOSE_WAITER: Signature<1> = Signature::new_method("StreamReaderProtocol._get_close_waiter", "stream");
#[cfg(Py_3_13)]
const REPLACE: Signature<1> = Signature::new_method("StreamReaderProtocol._replace_transport", "transport");
#[cfg(not(Py_3_13))]
const REPLACE: Signature<1> = Signature::new_method("StreamReaderProtocol._replace_writer", "writer");

/// `StreamReaderProtocol(reader, connected, loop=event_loop)`. `connected` is None for a client.
pub fn made<'py>(
    reader: &Bound<'py, PyAny>,
    connected: &Bound<'py, PyAny>,
    event_loop: &Bound<'py, PyAny>,
) -> Output<'py> {
    let py = reader.py();
    if let Some(class) = READER_PROTOCOL.maker::<StreamReaderProtocol>(py)? {
        let keywords = PyDict::new(py);
        keywords.set_item("loop", event_loop)?;
        return if connected.is_none() {
            class.call((reader,), Some(&keywords))
        } else {
            class.call((reader, connected), Some(&keywords))
        };
    }
    let protocol = StreamReaderProtocol::create(py)?;
    init(&protocol, reader, connected, event_loop.clone())?;
    Ok(protocol.into_any())
}

fn init<'py>(
    protocol: &Obj<'py, StreamReaderProtocol>,
    reader: &Bound<'py, PyAny>,
    connected: &Bound<'py, PyAny>,
    event_loop: Bound<'py, PyAny>,
) -> PyResult<()> {
    let own = &protocol.own;
    flow::init_base(protocol, event_loop)?;
    for slot in own.slots() {
        slot.clear();
    }
    own.reject.set(false);
    own.over_tls.set(false);
    if !reader.is_none() {
        own.reader.put(PyWeakrefReference::new(reader)?);
        let source = reader.getattr(name!("_source_traceback"))?;
        if !source.is_none() {
            own.source_traceback.put(source);
        }
    }
    if !connected.is_none() {
        own.strong_reader.put(reader.clone());
        own.connected.put(connected.clone());
    }
    own.closed.put(create_future(&protocol.upcast::<FlowControl>().event_loop.get_or_none(protocol.py()))?);
    Ok(())
}

/// How a transport gives such a protocol what it received.
pub static RECEIVER: Receiver = Receiver {
    is: |protocol| Obj::<StreamReaderProtocol>::cast_exact(protocol).is_some(),
    received,
    failure: "Fatal error: protocol.data_received() call failed.",
};

fn received<'a, 'py>(
    protocol: &'a Bound<'py, PyAny>,
    data: Received<'a, 'py>,
) -> Result<(), NotTaken<'a, 'py>> {
    let Some(native) = plain(protocol) else { return Err(NotTaken::Declined(data)) };
    match joining(native, data.count()) {
        None => data_received(native, &data.copy())?,
        Some(reader) => {
            data.with_bytes(|bytes| reader::join(&reader, bytes))?;
            reader::fed(&reader)?;
        }
    }
    Ok(())
}

/// The reader that may have so many bytes without a `bytes` object made of them: see [`reader::joins`].
#[inline]
fn joining<'py>(protocol: &Obj<'py, StreamReaderProtocol>, count: usize) -> Option<Obj<'py, StreamReader>> {
    let reader = Obj::cast_into(protocol.own.reader(protocol.py())?)?;
    reader::joins(&reader, count).then_some(reader)
}

/// `data_received`.
#[inline]
pub fn data_received<'py>(
    protocol: &Obj<'py, StreamReaderProtocol>,
    data: &Bound<'py, PyBytes>,
) -> PyResult<()> {
    let Some(reader) = protocol.own.reader(protocol.py()) else { return Ok(()) };
    match Obj::<StreamReader>::cast(&reader) {
        Some(native) => reader::receive(native, data),
        None => call::method(names::feed_data(protocol.py()), [&reader, data.as_any()]).map(drop),
    }
}

/// `eof_received`: whether the transport shall stay open for writing. TLS has no half-open connections.
pub fn eof_received(protocol: &Obj<'_, StreamReaderProtocol>) -> PyResult<bool> {
    let py = protocol.py();
    if let Some(reader) = protocol.own.reader(py) {
        feed_eof(&reader)?;
    }
    Ok(!protocol.own.over_tls.get())
}

fn feed_eof(reader: &Bound<'_, PyAny>) -> PyResult<()> {
    match Obj::<StreamReader>::cast(reader) {
        Some(native) => reader::feed_eof(native),
        None => reader.call_method0(names::feed_eof(reader.py())).map(drop),
    }
}

/// `connection_made`.
fn connection_made<'py>(
    protocol: &Obj<'py, StreamReaderProtocol>,
    transport: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let (py, own) = (protocol.py(), &protocol.own);
    if own.reject.get() {
        return reject(protocol, transport);
    }
    own.transport.put(transport.clone());
    let reader = own.reader(py);
    if let Some(reader) = &reader {
        match Obj::<StreamReader>::cast(reader) {
            Some(native) => reader::set_transport(native, transport)?,
            None => drop(reader.call_method1(name!("set_transport"), (transport,))?),
        }
    }
    own.over_tls.set(is_tls(transport)?);
    if let Some(connected) = own.connected.get(py) {
        let reader = reader.unwrap_or_else(|| none(py));
        let connected = serve(protocol, transport, &connected, &reader);
        own.strong_reader.clear();
        connected?;
    }
    Ok(())
}

fn is_tls(transport: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name = names::get_extra_info(transport.py());
    Ok(!transport.call_method1(name, ("sslcontext",))?.is_none())
}

/// The reader was dropped before the connection was there.
#[cold]
fn reject(protocol: &Obj<'_, StreamReaderProtocol>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = protocol.py();
    let report = make::dict(py)?;
    let text = "An open stream was garbage collected prior to establishing network connection; call \"stream.close()\" explicitly.";
    report.set_item(names::message(py), text)?;
    if let Some(source) = protocol.own.source_traceback.get(py) {
        report.set_item(names::source_traceback(py), source)?;
    }
    let event_loop = protocol.upcast::<FlowControl>().event_loop.get_or_none(py);
    event_loop.call_method1(names::call_exception_handler(py), (report,))?;
    transport.call_method0(name!("abort")).map(drop)
}

/// Gives a new connection to the server's function, whose coroutine becomes a task.
fn serve<'py>(
    protocol: &Obj<'py, StreamReaderProtocol>,
    transport: &Bound<'py, PyAny>,
    connected: &Bound<'py, PyAny>,
    reader: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = protocol.py();
    let event_loop = protocol.upcast::<FlowControl>().event_loop.get_or_none(py);
    let writer = writer::made(&WRITER, [transport, protocol.as_any(), reader, &event_loop])?;
    #[cfg(not(Py_3_13))]
    protocol.own.writer.put(PyWeakrefReference::new(writer.as_any())?);
    let served = match call::call(connected, [reader, writer.as_any()]) {
        Ok(served) => served,
        Err(error) if error.is_instance_of::<PyException>(py) => {
            let error = Raised::from_err(py, error);
            report_failure(&event_loop, error.into_any(), transport)?;
            return transport.call_method0(names::close(py)).map(drop);
        }
        Err(error) => return Err(error),
    };
    if ISCOROUTINE_OF_STREAMS.current(py)?.call1((&served,))?.is_truthy()? {
        let task = event_loop.call_method1(names::create_task(py), (served,))?;
        protocol.own.task.put(task.clone());
        let owner = PyTuple::new(py, [&event_loop, transport])?;
        callbacks::react(&task, &SERVED, owner.as_any())?;
    }
    Ok(())
}

/// What happens when the task of a server's coroutine is done. The owner is the pair of loop and transport.
static SERVED: Reaction = Reaction {
    name: "StreamReaderProtocol.connection_made.<locals>.callback",
    run: served,
    waiter: |_| None,
    standard: None,
};

fn served<'py>(owner: &Bound<'py, PyAny>, task: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = owner.py();
    let (event_loop, transport) = (owner.get_item(0)?, owner.get_item(1)?);
    if let Some(native) = Obj::<EventLoop>::cast(&event_loop) {
        current::flush_leave(native)?;
    }
    if future_like::is_cancelled(task)? {
        return transport.call_method0(names::close(py)).map(drop);
    }
    let Some(exception) = future_like::exception(task)? else { return Ok(()) };
    report_failure(&event_loop, exception, &transport)?;
    transport.call_method0(names::close(py)).map(drop)
}

fn report_failure<'py>(
    event_loop: &Bound<'py, PyAny>,
    exception: Bound<'py, PyAny>,
    transport: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = event_loop.py();
    let report = make::dict(py)?;
    report.set_item(names::message(py), "Unhandled exception in client_connected_cb")?;
    report.set_item(names::exception(py), exception)?;
    report.set_item("transport", transport)?;
    event_loop.call_method1(names::call_exception_handler(py), (report,)).map(drop)
}

/// `connection_lost`.
pub fn connection_lost<'py>(
    protocol: &Obj<'py, StreamReaderProtocol>,
    exception: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let (py, own) = (protocol.py(), &protocol.own);
    if let Some(reader) = own.reader(py) {
        match Obj::<StreamReader>::cast(&reader) {
            _ if exception.is_none() => feed_eof(&reader)?,
            Some(native) => reader::set_exception(native, exception)?,
            None => drop(reader.call_method1(names::set_exception(py), (exception,))?),
        }
    }
    let closed = own.closed.get_or_none(py);
    if !closed.is_none() && !future_like::is_done(&closed)? {
        if exception.is_none() {
            future_like::set_result(&closed, none(py))?;
        } else {
            future_like::set_exception(&closed, exception)?;
        }
    }
    match protocol.replaced_super_method::<FlowControl>(names::connection_lost(py))? {
        None => flow::connection_lost(protocol.upcast(), exception)?,
        Some(lost) => drop(lost.call1((exception,))?),
    }
    own.reader.clear();
    own.task.clear();
    own.transport.clear();
    #[cfg(not(Py_3_13))]
    own.writer.clear();
    Ok(())
}

/// The transport was replaced, by one that speaks TLS.
fn replace_transport(protocol: &Obj<'_, StreamReaderProtocol>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(reader) = protocol.own.reader(protocol.py()) {
        match reader.getattr_opt(name!("_replace_transport"))? {
            Some(replace) => drop(replace.call1((transport,))?),
            // A reader of asyncio's own class, which has no such method before 3.14.
            None => reader.setattr(name!("_transport"), transport)?,
        }
    }
    protocol.own.transport.put(transport.clone());
    protocol.own.over_tls.set(is_tls(transport)?);
    Ok(())
}

fn replace<'py>(protocol: &Obj<'py, StreamReaderProtocol>, args: Args<'_, 'py>) -> Output<'py> {
    let [replacement] = args.parse(&REPLACE)?;
    // Before 3.13 it is the writer that is handed over.
    #[cfg(not(Py_3_13))]
    let transport = {
        protocol.own.writer.put(PyWeakrefReference::new(&replacement)?);
        replacement.getattr(name!("transport"))?
    };
    #[cfg(Py_3_13)]
    let transport = replacement;
    replace_transport(protocol, &transport)?;
    Ok(none(protocol.py()))
}

fn attributes(t: &mut Table<StreamReaderProtocol>) {
    t.getter(c"_stream_reader", |protocol| {
        let py = protocol.py();
        Ok(protocol.own.reader(py).unwrap_or_else(|| none(py)))
    });
    flags! { t:
        c"_reject_connection" => own.reject,
        c"_over_ssl" => own.over_tls,
    }
    objects! { t:
        c"_stream_reader_wr" => own.reader,
        c"_strong_reader" => own.strong_reader,
        c"_client_connected_cb" => own.connected,
        c"_task" => own.task,
        c"_transport" => own.transport,
        c"_closed" => own.closed,
        c"_source_traceback" => own.source_traceback,
    }
    #[cfg(not(Py_3_13))]
    t.property(
        c"_stream_writer",
        |protocol| {
            let py = protocol.py();
            let kept = protocol.own.writer.get_or_none(py);
            match kept.cast::<PyWeakrefReference>() {
                Ok(weak) => Ok(weak.upgrade().unwrap_or_else(|| none(py))),
                Err(_) => Ok(kept),
            }
        },
        |protocol, value| crate::attributes::write(&protocol.own.writer, value),
    );
}

impl Class for StreamReaderProtocol {
    const NAME: &'static CStr = c"yibu.StreamReaderProtocol";
    type Header = <FlowControl as Class>::Header;
    const FREELIST: usize = 64;
    const FUNCTIONS: bool = true;

    fn extended() -> Option<Extended<Self>> {
        Some(Extended::by::<FlowControl>())
    }

    const SHOWN: &'static [&'static str] = &[
        "_loop",
        "_paused",
        "_drain_waiters",
        "_connection_lost",
        "_stream_reader_wr",
        "_source_traceback",
        "_reject_connection",
        "_task",
        "_transport",
        "_client_connected_cb",
        "_over_ssl",
        "_closed",
    ];

    stands_for! { STREAM_READER_PROTOCOL, stock::stream_reader_protocol }

    fn table(t: &mut Table<Self>) {
        t.doc(c"StreamReaderProtocol(stream_reader, client_connected_cb=None, loop=None)\n--\n\nFeeds a StreamReader with what a transport receives. For each connection of a server, client_connected_cb(reader, writer) is called; its coroutine becomes a task.");
        t.init(|protocol, args, kwargs| {
            let [reader, connected, event_loop] = Args::parse_tuple(&INIT, args, kwargs)?;
            init(protocol, &reader, &connected, event_loop)
        });
        t.command(
            &MADE,
            |protocol, args| {
                let [transport] = args.parse(&MADE)?;
                connection_made(protocol, &transport)
            },
            "Tells the reader its transport, and a server's function of the connection.",
        );
        t.command(
            &LOST,
            |protocol, args| {
                let [exception] = args.parse(&LOST)?;
                connection_lost(protocol, &exception)
            },
            "Tells the reader that nothing more will come, and the tasks that wait for the end.",
        );
        t.method(
            &DATA,
            |protocol, args| {
                let [data] = args.parse(&DATA)?;
                if let Some(reader) = protocol.own.reader(protocol.py()) {
                    call::method(names::feed_data(protocol.py()), [&reader, &data])?;
                }
                Ok(none(protocol.py()))
            },
            "Feeds the reader.",
        );
        t.noargs(
            c"eof_received",
            |protocol| Ok(boolean(protocol.py(), eof_received(protocol)?)),
            "Tells the reader that nothing more will come. Whether the transport shall stay open for writing.",
        );
        t.method(
            &CLOSE_WAITER,
            |protocol, args| {
                let [_] = args.parse(&CLOSE_WAITER)?;
                Ok(protocol.own.closed.get_or_none(protocol.py()))
            },
            "The future that is done when the connection is closed.",
        );
        t.method(&REPLACE, replace, "Takes another transport, after start_tls().");
        attributes(t);
        // An exception that the connection was lost with need not have been looked at.
        t.finalize(|protocol| {
            let closed = protocol.own.closed.get_or_none(protocol.py());
            if closed.is_none() || !future_like::is_done(&closed)? {
                return Ok(());
            }
            future_like::mark_retrieved(&closed)
        });
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.base.traverse(visitor);
        self.own.slots().for_each(|slot| slot.traverse(visitor));
    }

    fn clear(&self) {
        self.base.clear();
        self.own.slots().for_each(Slot::clear);
    }

    fn wants_finalizer(&self) -> bool {
        !self.own.closed.is_empty()
    }
}
