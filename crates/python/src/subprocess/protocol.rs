//! `SubprocessStreamProtocol`: between the transport of a child process and its streams.
//!
//! Called by [`crate::base_subprocess`] through the loop's queue; calls the readers, in Rust where they are
//! native.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::attributes::{flags, objects};
use crate::ffi::combined::{Combinable, Extended};
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Signature, Slot, Table, Visitor, call, derived, make, none,
    stands_for,
};
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::replaced::names::{SUBPROCESS_READER, SUBPROCESS_WRITER};
use crate::streams::{self, FlowControl, StreamReader};
use crate::{names, stock};

/// What a `SubprocessStreamProtocol` adds to a `FlowControlMixin`.
#[derive(Default)]
pub struct ProtocolState {
    limit: Slot,
    /// The streams, by the child's descriptor.
    streams: [Slot; 3],
    transport: Slot,
    exited: Cell<bool>,
    /// The descriptors of the outputs that are open, a list.
    open: Slot,
    /// The future of those in `wait_closed()` of standard input.
    stdin_closed: Slot,
}

derived! {
    /// The data of a `SubprocessStreamProtocol`.
    pub struct SubprocessStreamProtocol { base: FlowControl, own: ProtocolState }
}

static SUBPROCESS_STREAM_PROTOCOL: ClassState = ClassState::new();
const INIT: Signature<2> = Signature::new_method("SubprocessStreamProtocol.__init__", "limit, loop");
const MADE: Signature<1> = Signature::new_method("SubprocessStreamProtocol.connection_made", "transport");
const DATA: Signature<2> = Signature::new_method("SubprocessStreamProtocol.pipe_data_received", "fd, data");
const PIPE_LOST: Signature<2> =
    Signature::new_method("SubprocessStreamProtocol.pipe_connection_lost", "fd, exc");
const CLOSE_WAITER: Signature<1> =
    Signature::new_method("SubprocessStreamProtocol._get_close_waiter", "stream");

impl ProtocolState {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        [&self.limit, &self.transport, &self.open, &self.stdin_closed].into_iter().chain(&self.streams)
    }

    fn open<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        Ok(self.open.get_or_none(py).cast_into()?)
    }
}

fn init<'py>(
    protocol: &Obj<'py, SubprocessStreamProtocol>,
    [limit, event_loop]: [Bound<'py, PyAny>; 2],
) -> PyResult<()> {
    let py = protocol.py();
    let own = &protocol.own;
    streams::init_base(protocol, event_loop)?;
    own.slots().for_each(Slot::clear);
    own.exited.set(false);
    own.limit.put(limit);
    own.open.put(PyList::empty(py));
    own.stdin_closed.put(create_future(&protocol.upcast::<FlowControl>().event_loop.get_or_none(py))?);
    Ok(())
}

/// `connection_made`: makes a stream of each pipe.
fn connection_made<'py>(
    protocol: &Obj<'py, SubprocessStreamProtocol>,
    transport: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let (py, own) = (protocol.py(), &protocol.own);
    own.transport.put(transport.clone());
    let event_loop = protocol.upcast::<FlowControl>().event_loop.get_or_none(py);
    let pipe = |number: usize| transport.call_method1(name!("get_pipe_transport"), (number,));
    for number in [1, 2] {
        let pipe = pipe(number)?;
        if !pipe.is_none() {
            let reader = streams::new_reader(&SUBPROCESS_READER, &own.limit.get_or_none(py), &event_loop)?;
            own.streams[number].put(reader.clone());
            match Obj::cast_exact(&reader) {
                Some(native) => streams::set_transport(native, &pipe)?,
                None => drop(reader.call_method1(name!("set_transport"), (&pipe,))?),
            }
            own.open(py)?.append(number)?;
        }
    }
    let pipe = pipe(0)?;
    if !pipe.is_none() {
        let arguments = [&pipe, protocol.as_any(), &none(py), &event_loop];
        own.streams[0].put(streams::new_writer(&SUBPROCESS_WRITER, arguments)?);
    }
    Ok(())
}

/// The reader of an output, by the child's descriptor.
fn reader<'py>(
    protocol: &Obj<'py, SubprocessStreamProtocol>,
    number: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    for candidate in [1_usize, 2] {
        if number.eq(candidate)? {
            return Ok(protocol.own.streams[candidate].get(protocol.py()));
        }
    }
    Ok(None)
}

fn pipe_data_received<'py>(
    protocol: &Obj<'py, SubprocessStreamProtocol>,
    number: &Bound<'py, PyAny>,
    data: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let Some(reader) = reader(protocol, number)? else { return Ok(()) };
    match (Obj::<StreamReader>::cast(&reader), data.cast_exact::<PyBytes>()) {
        (Some(native), Ok(data)) => streams::receive(native, data),
        _ => call::method(names::feed_data(protocol.py()), [&reader, data]).map(drop),
    }
}

fn pipe_connection_lost<'py>(
    protocol: &Obj<'py, SubprocessStreamProtocol>,
    number: &Bound<'py, PyAny>,
    error: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let (py, own) = (protocol.py(), &protocol.own);
    if number.eq(0)? {
        return stdin_lost(protocol, error);
    }
    if let Some(reader) = reader(protocol, number)? {
        match (Obj::<StreamReader>::cast(&reader), error.is_none()) {
            (Some(native), true) => streams::feed_eof(native)?,
            (Some(native), false) => streams::set_exception(native, error)?,
            (None, true) => drop(reader.call_method0(names::feed_eof(py))?),
            (None, false) => drop(reader.call_method1(names::set_exception(py), (error,))?),
        }
    }
    let open = own.open(py)?;
    if open.contains(number)? {
        open.call_method1(names::remove(py), (number,))?;
    }
    maybe_close_by_name(protocol)
}

/// Standard input is closed: by us, or because the child has closed its end.
fn stdin_lost<'py>(protocol: &Obj<'py, SubprocessStreamProtocol>, error: &Bound<'py, PyAny>) -> PyResult<()> {
    let (py, own) = (protocol.py(), &protocol.own);
    if let Some(stdin) = own.streams[0].get(py) {
        stdin.call_method0(names::close(py))?;
    }
    protocol.as_any().call_method1(names::connection_lost(py), (error,))?;
    let closed = own.stdin_closed.get_or_none(py);
    if error.is_none() {
        return future_like::set_result(&closed, none(py));
    }
    future_like::set_exception(&closed, error)?;
    // Standard input has ended already, so nothing waits for its end.
    future_like::mark_retrieved(&closed)
}

fn maybe_close_by_name(protocol: &Obj<'_, SubprocessStreamProtocol>) -> PyResult<()> {
    protocol.as_any().call_method0(pyo3::intern!(protocol.py(), "_maybe_close_transport")).map(drop)
}

/// `_maybe_close_transport`: the child has exited and its outputs were read to the end.
fn maybe_close<'py>(protocol: &Obj<'py, SubprocessStreamProtocol>) -> Output<'py> {
    let (py, own) = (protocol.py(), &protocol.own);
    if own.exited.get() && own.open(py)?.is_empty() {
        own.transport.get_or_none(py).call_method0(names::close(py))?;
        own.transport.clear();
    }
    Ok(none(py))
}

fn repr<'py>(protocol: &Obj<'py, SubprocessStreamProtocol>) -> Output<'py> {
    let py = protocol.py();
    let mut text = text!("<{}", protocol.as_any().get_type().name()?)?;
    for (name, slot) in ["stdin", "stdout", "stderr"].into_iter().zip(&protocol.own.streams) {
        if let Some(stream) = slot.get(py) {
            crate::texts::append(&mut text, format_args!(" {name}={}", stream.repr()?))?;
        }
    }
    Ok(make::text(py, &text!("{text}>")?)?.into_any())
}

fn attributes(t: &mut Table<SubprocessStreamProtocol>) {
    objects! { t:
        c"stdin" => own.streams[0],
        c"stdout" => own.streams[1],
        c"stderr" => own.streams[2],
        c"_limit" => own.limit,
        c"_transport" => own.transport,
        c"_pipe_fds" => own.open,
        c"_stdin_closed" => own.stdin_closed,
    }
    flags! { t: c"_process_exited" => own.exited }
}

impl Class for SubprocessStreamProtocol {
    const NAME: &'static CStr = c"yibu.SubprocessStreamProtocol";
    type Header = Combinable;

    fn extended() -> Option<Extended<Self>> {
        Some(Extended::by::<FlowControl>())
    }

    const FUNCTIONS: bool = true;

    stands_for! { SUBPROCESS_STREAM_PROTOCOL, stock::subprocess_stream_protocol }

    fn table(t: &mut Table<Self>) {
        t.doc(c"SubprocessStreamProtocol(limit, loop)\n--\n\nMakes streams of the pipes of a child process.");
        t.init(|protocol, args, kwargs| init(protocol, Args::parse_tuple(&INIT, args, kwargs)?));
        t.repr(repr);
        t.command(
            &MADE,
            |protocol, args| {
                let [transport] = args.parse(&MADE)?;
                connection_made(protocol, &transport)
            },
            "Makes a stream of each pipe.",
        );
        t.command(
            &DATA,
            |protocol, args| {
                let [number, data] = args.parse(&DATA)?;
                pipe_data_received(protocol, &number, &data)
            },
            "Feeds a reader.",
        );
        t.command(
            &PIPE_LOST,
            |protocol, args| {
                let [number, error] = args.parse(&PIPE_LOST)?;
                pipe_connection_lost(protocol, &number, &error)
            },
            "A pipe is closed: its stream ends.",
        );
        t.action(
            c"process_exited",
            |protocol| {
                protocol.own.exited.set(true);
                maybe_close_by_name(protocol)
            },
            "The child has exited.",
        );
        t.noargs(
            c"_maybe_close_transport",
            maybe_close,
            "Closes the transport when the child has exited and its outputs have ended.",
        );
        t.method(
            &CLOSE_WAITER,
            |protocol, args| {
                let [stream] = args.parse(&CLOSE_WAITER)?;
                let (py, own) = (protocol.py(), &protocol.own);
                let is_stdin = stream.is(own.streams[0].get_or_none(py));
                Ok(if is_stdin { own.stdin_closed.get_or_none(py) } else { none(py) })
            },
            "The future that is done when standard input is closed.",
        );
        attributes(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.base.traverse(visitor);
        self.own.slots().for_each(|slot| slot.traverse(visitor));
    }

    fn clear(&self) {
        self.base.clear();
        self.own.slots().for_each(Slot::clear);
    }
}
