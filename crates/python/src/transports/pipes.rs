//! `ReadPipeTransport` and `WritePipeTransport`: the two ends of pipes, FIFOs, terminals, and whatever else programs read and write
//! as files. `asyncio.unix_events._UnixReadPipeTransport` and `_UnixWritePipeTransport`, native.
//!
//! Both are a [`Link`] with the program's file object, [`End`]; the engine's [`Stream`] is told which of the two it is by how it
//! reads. What they do as sockets do is generic in the files beside this one, and listed in `table` here. Each write is a call of
//! its own where the kernel takes it: a write to a pipe may be a message, or be atomic among those of other processes.
//! Made by the loop's `connect_read_pipe` and `connect_write_pipe`.

mod read;
mod write;

pub use read::ReadPipeTransport;
pub use write::WritePipeTransport;

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rustix::fs::FileType;
use yibu_engine::Fd;
use yibu_engine::transport::{Pipe, Reading, Stream};

use super::bookkeeping::GET_EXTRA_INFO;
use super::{Link, StreamTransport, bookkeeping, closing, link, reading};
use crate::core::EventLoop;
use crate::core::Overrides;
use crate::ffi::{Args, Obj, Ref, Signature, Slot, Table, call, none, references};
use crate::{attributes, names, stock};

/// The data of both classes.
#[derive(Default)]
#[repr(C)]
pub struct End {
    link: Link<Pipe>,
    /// The file, until it is closed.
    pipe: Slot,
    extra: Slot,
}

impl End {
    fn close_file(&self, py: Python<'_>) -> PyResult<()> {
        match self.pipe.take() {
            Some(pipe) => call::method(names::close(py), [pipe.any(py)]).map(drop),
            None => Ok(()),
        }
    }

    /// Whether the file still has the descriptor: Python code may have closed it, and the number may be another file's by now.
    fn is_intact(&self, py: Python<'_>) -> PyResult<bool> {
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

    references! { link, pipe, extra }
}

/// What one end does in another way than the other.
pub trait PipeEnd: StreamTransport<Channel = Pipe> {
    /// `__init__`.
    const NEW: &'static Signature<5>;
    /// What is said of a file of another kind.
    const REFUSAL: &'static str;

    /// The data.
    fn end(&self) -> &End;

    /// How a file of this kind is read, where it is of a kind that will do.
    fn reading(kind: FileType) -> Option<Reading>;
}

/// Makes the classes.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    crate::classes::add_derived::<ReadPipeTransport>(module, stock::read_transport(py)?)?;
    crate::classes::add_derived::<WritePipeTransport>(module, stock::transport(py)?)?;
    read::complete(py)
}

fn table<T: PipeEnd>(t: &mut Table<T>) {
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
        |transport, extra| attributes::write(&transport.end().extra, extra),
    );
    t.property(
        c"_pipe",
        |transport| Ok(transport.end().pipe.get_or_none(transport.py())),
        |transport, pipe| attributes::write(&transport.end().pipe, pipe),
    );
    t.getter(c"_fileno", |transport| {
        let fd = transport.end().link.stream(|stream| stream.fd());
        Ok(if fd < 0 { none(transport.py()) } else { fd.into_pyobject(transport.py())?.into_any() })
    });
    reading::protocol_table(t);
    closing::common_table(t);
    bookkeeping::common_table(t);
}

fn init<'py, T: PipeEnd>(
    transport: &Obj<'py, T>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<()> {
    let py = transport.py();
    let [event_loop, pipe, protocol, waiter, extra] = Args::parse_tuple(T::NEW, args, kwargs)?;
    let Some(event_loop) = Obj::<EventLoop>::cast(&event_loop) else {
        return Err(PyTypeError::new_err(text!(
            "a {} needs a loop of yibu, got {}",
            link::class_name::<T>(),
            event_loop.repr()?
        )?));
    };
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
    end.link.event_loop.set(Ref::of(event_loop.clone()));
    end.link.protocol.put(protocol.clone());
    end.pipe.put(pipe);
    end.extra.put(extra);
    let start = match reading {
        Reading::Nothing => None,
        _ => Some(transport.as_any().getattr(names::_add_reader(py))?),
    };
    link::introduce(transport, &protocol, start.as_ref(), &waiter)
}

/// The beginning of a `repr`: name, state, descriptor. Whether an open pipe's loop is open, too.
fn describe<T: PipeEnd>(transport: &Obj<'_, T>) -> PyResult<(String, bool)> {
    let py = transport.py();
    let end = transport.end();
    let mut text = format!("<{}", transport.as_any().get_type().name()?);
    let (closing, fd) = end.link.stream(|stream| (stream.is_closing(), stream.fd()));
    if end.pipe.is_empty() {
        text.push_str(" closed");
    } else if closing {
        text.push_str(" closing");
    }
    text.push_str(&if fd < 0 { " fd=None".into() } else { format!(" fd={fd}") });
    let looping = end.link.event_loop.obj(py).is_some_and(|event_loop| !event_loop.is_closed());
    if end.pipe.is_empty() {
        text.push_str(" closed");
    } else if !looping {
        text.push_str(" open");
    }
    Ok((text, looping && !end.pipe.is_empty()))
}
