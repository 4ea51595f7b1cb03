//! [`End`]: what both ends of a pipe have and do in the same way.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rustix::fs::FileType;
use yibu_engine::transport::{Pipe, Reading, Stream};
use yibu_engine::{Fd, OpId};

use crate::core::{EventLoop, Overrides, Owner, OwnerKind, ignore_replacement, typed};
use crate::ffi::{Args, Class, Obj, Raised, Ref, Signature, Slot, Table, Visitor, call, none};
use crate::frames::Frame;
use crate::replaced::names::{Name, OS, UNIX_EVENTS};
use crate::transports::attributes::GET_EXTRA_INFO;
use crate::transports::chunk::Chunk;
use crate::transports::endpoint::{Endpoint, Transport, native_loop};
use crate::transports::link::{self, Link, StreamTransport};
use crate::transports::reports::Frames;
use crate::transports::{attributes, by_methods, closing, reading, upcall};
use crate::{names, stock};

/// The data of both classes.
#[derive(Default)]
#[repr(C)]
pub struct End {
    pub(super) link: Link<Pipe>,
    /// The file, until it is closed.
    pub(super) pipe: Slot,
    extra: Slot,
}

impl End {
    pub(super) fn close_file(&self, py: Python<'_>) -> PyResult<()> {
        match self.pipe.take() {
            Some(pipe) => call::method(names::close(py), [pipe.any(py)]).map(drop),
            None => Ok(()),
        }
    }

    /// Whether the file still has the descriptor: Python code may have closed it, and the number may be
    /// another file's by now.
    pub(super) fn is_intact(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(pipe) = self.pipe.get(py) else { return Ok(true) };
        let fd = self.link.stream(|stream| stream.fd());
        match call::method(names::fileno(py), [&pipe]) {
            Ok(number) => Ok(number.extract::<Fd>()? == fd),
            // A closed file has no number.
            Err(error)
                if error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyOSError>(py) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn traverse(&self, visitor: &mut Visitor) {
        self.link.traverse(visitor);
        self.pipe.traverse(visitor);
        self.extra.traverse(visitor);
    }

    pub(super) fn clear(&self) {
        self.link.clear();
        self.pipe.clear();
        self.extra.clear();
    }
}

/// What one end does in another way than the other.
pub trait PipeEnd: Class {
    /// `__init__`.
    const NEW: &'static Signature<5>;
    /// `set_protocol`.
    const SETTER: &'static Signature<1>;
    /// Whether it is the end that is written.
    const WRITES: bool;
    /// What is said of a file of another kind.
    const REFUSAL: &'static str;

    /// The data.
    fn end(&self) -> &End;

    /// How a file of this kind is read, where it is of a kind that will do.
    fn reading(kind: FileType) -> Option<Reading>;

    /// The functions of asyncio that log and warn for this end.
    fn frames_of_end() -> &'static Frames;

    /// Whether an error of the system is ordinary: see [`Transport::is_expected`].
    fn expects(error: &Raised<'_>) -> bool;

    /// See [`Transport::closes_by_name`].
    fn closed_by_name(_transport: &Obj<'_, Self>) -> PyResult<bool> {
        Ok(false)
    }

    /// The other end was closed, and everything has been read.
    fn read_to_the_end(transport: &Obj<'_, Self>) -> PyResult<()>;
}

impl<T: PipeEnd> Transport for T {
    type Machine = Stream<Chunk, Pipe>;

    fn endpoint(&self) -> &Endpoint<Self::Machine> {
        &self.end().link.endpoint
    }

    fn owner(transport: &Obj<'_, Self>) -> Owner {
        let kind = const { &OwnerKind { ready: ready::<T>, replaced: ignore_replacement } };
        Owner::of(kind, transport.clone())
    }

    fn fatal_error_frame() -> &'static Frame {
        &T::frames_of_end().fatal_error
    }

    fn finalize_frame() -> &'static Frame {
        &T::frames_of_end().finalize
    }

    fn is_open(&self) -> bool {
        !self.end().pipe.is_empty()
    }

    fn close_file(transport: &Obj<'_, Self>) -> PyResult<()> {
        transport.end().close_file(transport.py())
    }

    fn is_expected(error: &Raised<'_>) -> bool {
        T::expects(error)
    }

    fn closes_by_name(transport: &Obj<'_, Self>) -> PyResult<bool> {
        T::closed_by_name(transport)
    }
}

impl<T: PipeEnd> StreamTransport for T {
    type Channel = Pipe;
    const SET_PROTOCOL: &'static Signature<1> = T::SETTER;
    const READS: bool = !T::WRITES;

    fn frames() -> &'static Frames {
        T::frames_of_end()
    }

    fn link(&self) -> &Link<Pipe> {
        &self.end().link
    }

    fn is_intact(&self, py: Python<'_>) -> PyResult<bool> {
        self.end().is_intact(py)
    }

    /// `os.read` and `os.write`, where a program has replaced one of them.
    fn own_methods<'py>(transport: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = transport.py();
        if !OS_READ.is_replaced(py) && !OS_WRITE.is_replaced(py) {
            return Ok(None);
        }
        let fd = transport.end().link.stream(|stream| stream.fd());
        stock::module(py, "yibu.pipe_calls")?.call_method1(name!("PipeCalls"), (fd,)).map(Some)
    }

    fn eof_received(transport: &Obj<'_, Self>) -> PyResult<()> {
        T::read_to_the_end(transport)
    }

    /// That is reported as any callback's failure, and changes nothing.
    fn protocol_failed(_transport: &Obj<'_, Self>, error: PyErr, _message: &str) -> PyResult<()> {
        Err(error)
    }
}

/// `os.read` as asyncio's pipes find it.
static OS_READ: Name<2> = Name::new([(&UNIX_EVENTS, "os"), (&OS, "read")]);
/// `os.write` as asyncio's pipes find it.
static OS_WRITE: Name<2> = Name::new([(&UNIX_EVENTS, "os"), (&OS, "write")]);

/// An operation of the pipe can be finished.
fn ready<T: PipeEnd>(event_loop: &Obj<'_, EventLoop>, transport: Ref, id: OpId) -> PyResult<()> {
    let transport: Obj<'_, T> = typed(transport, event_loop.py())?;
    // What the writing end watches on its reading side is whether the peer is there: nothing is read.
    let is_called = !T::WRITES || transport.end().link.stream(|stream| stream.read_op() != Some(id));
    match T::own_methods(&transport)?.filter(|_| is_called) {
        Some(calls) => by_methods::ready(event_loop, &transport, &calls, id),
        None => upcall::finish_carefully(event_loop, &transport, id),
    }
}

pub(super) fn table<T: PipeEnd>(t: &mut Table<T>) {
    t.init(init);
    t.finalize(closing::finalize);
    t.method(
        &GET_EXTRA_INFO,
        |transport, args| {
            let [name, default] = args.parse(&GET_EXTRA_INFO)?;
            transport.end().extra.get_or_none(transport.py()).call_method1(name!("get"), (name, default))
        },
        "What is known about the pipe: 'pipe'.",
    );
    t.property(
        c"_extra",
        |transport| Ok(transport.end().extra.get_or_none(transport.py())),
        |transport, extra| crate::attributes::write(&transport.end().extra, extra),
    );
    t.property(
        c"_pipe",
        |transport| Ok(transport.end().pipe.get_or_none(transport.py())),
        |transport, pipe| crate::attributes::write(&transport.end().pipe, pipe),
    );
    t.getter(c"_fileno", |transport| {
        let fd = transport.end().link.stream(|stream| stream.fd());
        Ok(if fd < 0 { none(transport.py()) } else { fd.into_pyobject(transport.py())?.into_any() })
    });
    reading::protocol_table(t);
    closing::common_table(t);
    attributes::common_table(t);
}

fn init<'py, T: PipeEnd>(
    transport: &Obj<'py, T>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<()> {
    let py = transport.py();
    let [event_loop, pipe, protocol, waiter, extra] = Args::parse_tuple(T::NEW, args, kwargs)?;
    let event_loop = native_loop::<T>(&event_loop)?;
    let extra = if extra.is_none() { PyDict::new(py).into_any() } else { extra };
    extra.set_item("pipe", &pipe)?;
    let fd: Fd = call::method(names::fileno(py), [&pipe])?.extract()?;
    let os = stock::module(py, "os")?;
    let mode = os.call_method1(name!("fstat"), (fd,))?.getattr(name!("st_mode"))?.extract()?;
    let Some(reading) = T::reading(FileType::from_raw_mode(mode)) else {
        return Err(PyValueError::new_err(T::REFUSAL));
    };
    os.call_method1(name!("set_blocking"), (fd, false))?;

    event_loop.refuse_other_watching()?;
    let end = transport.end();
    end.link.stream(|stream| *stream = Stream::new(fd, reading));
    end.link.endpoint.event_loop.set(Ref::of(event_loop.clone()));
    end.link.set_protocol(protocol.clone());
    end.pipe.put(pipe);
    end.extra.put(extra);
    let start = match reading {
        Reading::Nothing => None,
        _ => Some(transport.as_any().getattr(names::_add_reader(py))?),
    };
    link::introduce(transport, &protocol, start.as_ref(), &waiter)
}

/// The beginning of a `repr`: name, state, descriptor. Whether an open pipe's loop is open, too.
pub(super) fn describe<T: PipeEnd>(transport: &Obj<'_, T>) -> PyResult<(String, bool)> {
    let py = transport.py();
    let end = transport.end();
    let mut text = text!("<{}", transport.as_any().get_type().name()?)?;
    let (closing, fd) = end.link.stream(|stream| (stream.is_closing(), stream.fd()));
    if end.pipe.is_empty() {
        text.push_str(" closed");
    } else if closing {
        text.push_str(" closing");
    }
    text.push_str(&if fd < 0 { " fd=None".into() } else { format!(" fd={fd}") });
    let looping = end.link.endpoint.event_loop.obj(py).is_some_and(|event_loop| !event_loop.is_closed());
    if end.pipe.is_empty() {
        text.push_str(" closed");
    } else if !looping {
        text.push_str(" open");
    }
    Ok((text, looping && !end.pipe.is_empty()))
}
