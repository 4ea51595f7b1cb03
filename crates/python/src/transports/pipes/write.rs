//! [`WritePipeTransport`]: the end that is written. Calls the stream machine.

use std::ffi::CStr;

use pyo3::exceptions::{PyAssertionError, PyOSError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};
use rustix::fs::FileType;
use yibu_engine::transport::Reading;

use super::end::{self, End, PipeEnd, describe};
use crate::ffi::buffer::Buffer;
use crate::ffi::class::AfterSlots;
use crate::ffi::{Class, ClassState, Obj, Output, Raised, Signature, Table, none, references, stands_for};
use crate::frames::Frame;
use crate::replaced::names::UNIX_EVENTS;
use crate::stock;
use crate::transports::by_methods;
use crate::transports::endpoint::Transport;
use crate::transports::link::StreamTransport;
use crate::transports::reports::Frames;
use crate::transports::writing::{self, kept, send, unreadable, with_copies};
use crate::transports::{attributes, closing};

/// The data of a `WritePipeTransport`.
#[derive(Default)]
pub struct WritePipeTransport(End);

static WRITE_PIPE_TRANSPORT: ClassState = ClassState::new();

const WRITE: Signature<1> = Signature::new("_UnixWritePipeTransport.write", "data");
const CLOSE: Signature<1> = Signature::new("_UnixWritePipeTransport._close", "exc=None");
const FATAL_ERROR: Signature<2> =
    Signature::new("_UnixWritePipeTransport._fatal_error", "exc, message='Fatal error on pipe transport'");

impl PipeEnd for WritePipeTransport {
    const NEW: &'static Signature<5> = &Signature::new_method(
        "_UnixWritePipeTransport.__init__",
        "loop, pipe, protocol, waiter=None, extra=None",
    );
    const SETTER: &'static Signature<1> = &Signature::new("_UnixWritePipeTransport.set_protocol", "protocol");
    const WRITES: bool = true;
    const REFUSAL: &'static str = "Pipe transport is only for pipes, sockets and character devices";

    fn end(&self) -> &End {
        &self.0
    }

    /// A writing end of a pipe or of a socket shows by being readable that its reader has gone. A character
    /// device may be readable for other reasons.
    fn reading(kind: FileType) -> Option<Reading> {
        match kind {
            FileType::Fifo | FileType::Socket => Some(Reading::PeerWatched),
            FileType::CharacterDevice => Some(Reading::Nothing),
            _ => None,
        }
    }

    fn frames_of_end() -> &'static Frames {
        static FRAMES: Frames = Frames {
            write: Frame::new(&UNIX_EVENTS, "_UnixWritePipeTransport.write"),
            pause_reading: Frame::new(&UNIX_EVENTS, "_UnixReadPipeTransport.pause_reading"),
            resume_reading: Frame::new(&UNIX_EVENTS, "_UnixReadPipeTransport.resume_reading"),
            end_of_stream: Frame::new(&UNIX_EVENTS, "_UnixWritePipeTransport._read_ready"),
            fatal_error: Frame::new(&UNIX_EVENTS, "_UnixWritePipeTransport._fatal_error"),
            finalize: Frame::new(&UNIX_EVENTS, "_UnixWritePipeTransport.__del__"),
        };
        &FRAMES
    }

    fn expects(error: &Raised<'_>) -> bool {
        error.is::<PyOSError>()
    }

    /// `close()` of asyncio's class calls `write_eof()`.
    fn closed_by_name(transport: &Obj<'_, Self>) -> PyResult<bool> {
        let is_closing = || transport.0.link.stream(|stream| stream.is_closing());
        if transport.is_native() || is_closing() {
            return Ok(false);
        }
        transport.as_any().call_method0(name!("write_eof"))?;
        Ok(true)
    }

    /// Nothing is read: there is no end of it.
    fn read_to_the_end(_transport: &Obj<'_, Self>) -> PyResult<()> {
        Ok(())
    }
}

fn write<'py>(transport: &Obj<'py, WritePipeTransport>, data: &Bound<'py, PyAny>) -> Output<'py> {
    let py = transport.py();
    let is_data = data.is_instance_of::<PyBytes>()
        || data.is_instance_of::<PyByteArray>()
        || data.is_instance_of::<PyMemoryView>();
    if let Some(calls) = WritePipeTransport::own_methods(transport)?.filter(|_| is_data) {
        by_methods::write(transport, &calls, data)?;
    } else if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        send(transport, bytes.as_bytes(), |sent| kept(bytes, sent))?;
    } else if is_data {
        match Buffer::get(data, false) {
            Ok(buffer) => with_copies(buffer.bytes(), |copied| send(transport, buffer.bytes(), copied))?,
            Err(error) => unreadable(transport, data, error)?,
        }
    } else {
        return Err(PyAssertionError::new_err(data.repr()?.unbind()));
    }
    Ok(none(py))
}

fn repr<'py>(transport: &Obj<'py, WritePipeTransport>) -> Output<'py> {
    let (mut text, working) = describe(transport)?;
    if working {
        transport.0.link.stream(|stream| {
            let state = if stream.write_op().is_some() { "polling" } else { "idle" };
            text.push_str(&format!(" {state} bufsize={}", stream.write_buffer_size()));
        });
    }
    text.push('>');
    Ok(PyString::new(transport.py(), &text).into_any())
}

/// `write_eof`
fn write_eof<'py>(transport: &Obj<'py, WritePipeTransport>) -> Output<'py> {
    closing::close(transport)
}

impl Class for WritePipeTransport {
    const NAME: &'static CStr = c"yibu._UnixWritePipeTransport";
    // `_extra`, `_loop`, `_protocol_paused`, `_high_water` and `_low_water` of `_FlowControlMixin`.
    type Header = AfterSlots<5>;
    const NOT_CALLED: &'static [&'static str] = &["__init__", "_close", "_set_write_buffer_limits"];
    const STANDS_FOR_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    stands_for! { WRITE_PIPE_TRANSPORT, stock::write_pipe_transport }

    fn table(t: &mut Table<Self>) {
        t.doc(c"_UnixWritePipeTransport(loop, pipe, protocol, waiter=None, extra=None)\n--\n\nThe writing end of a pipe.");
        t.repr(repr);
        end::table(t);
        writing::flow_table(t);
        closing::abort_table(t);
        attributes::flow_table(t);
        t.method(
            &WRITE,
            |transport, args| write(transport, &args.single(&WRITE)?),
            "Writes data, or keeps what cannot be written at once. Does not block.",
        );
        t.noargs(c"write_eof", write_eof, "Closes when everything has been written.");
        t.getter(c"_buffer", |transport| {
            let unsent = transport.0.link.stream(|stream| stream.unsent().collect::<Vec<_>>().concat());
            Ok(PyByteArray::new(transport.py(), &unsent).into_any())
        });
        t.command(
            &CLOSE,
            |transport, args| {
                let [error] = args.parse(&CLOSE)?;
                closing::force_close(transport, &error)
            },
            "Closes at once; connection_lost() gets the exception.",
        );
        t.method(
            &FATAL_ERROR,
            |transport, args| {
                let [error, message] = args.parse(&FATAL_ERROR)?;
                closing::fail(transport, error, &message, "Fatal error on pipe transport")
            },
            "Reports an exception, unless it is an OSError, and closes at once.",
        );
    }

    references! { 0 }

    fn wants_finalizer(&self) -> bool {
        self.is_open()
    }
}
