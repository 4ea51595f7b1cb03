//! [`ReadPipeTransport`]: the end that is read. Calls the stream machine.

use std::ffi::CStr;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rustix::fs::FileType;
use rustix::io::Errno;
use yibu_engine::MAX_RECEIVE;
use yibu_engine::transport::Reading;

use super::end::{self, End, PipeEnd, describe};
use crate::ffi::class::AfterSlots;
use crate::ffi::{Class, ClassState, Obj, Output, Raised, Signature, Table, none, references, stands_for};
use crate::frames::Frame;
use crate::names;
use crate::replaced::names::UNIX_EVENTS;
use crate::stock;
use crate::transports::endpoint::{Transport, act, call_soon, log_in_debug};
use crate::transports::link::StreamTransport;
use crate::transports::reports::Frames;
use crate::transports::{closing, reading};

/// The data of a `ReadPipeTransport`.
#[derive(Default)]
pub struct ReadPipeTransport(End);

static READ_PIPE_TRANSPORT: ClassState = ClassState::new();

const FATAL_ERROR: Signature<2> =
    Signature::new("_UnixReadPipeTransport._fatal_error", "exc, message='Fatal error on pipe transport'");

impl PipeEnd for ReadPipeTransport {
    const NEW: &'static Signature<5> = &Signature::new_method(
        "_UnixReadPipeTransport.__init__",
        "loop, pipe, protocol, waiter=None, extra=None",
    );
    const SETTER: &'static Signature<1> = &Signature::new("_UnixReadPipeTransport.set_protocol", "protocol");
    const WRITES: bool = false;
    const REFUSAL: &'static str = "Pipe transport is for pipes/sockets only.";

    fn end(&self) -> &End {
        &self.0
    }

    fn reading(kind: FileType) -> Option<Reading> {
        matches!(kind, FileType::Fifo | FileType::Socket | FileType::CharacterDevice)
            .then_some(Reading::Leased)
    }

    fn frames_of_end() -> &'static Frames {
        static FRAMES: Frames = Frames {
            write: Frame::new(&UNIX_EVENTS, "_UnixWritePipeTransport.write"),
            pause_reading: Frame::new(&UNIX_EVENTS, "_UnixReadPipeTransport.pause_reading"),
            resume_reading: Frame::new(&UNIX_EVENTS, "_UnixReadPipeTransport.resume_reading"),
            end_of_stream: Frame::new(&UNIX_EVENTS, "_UnixReadPipeTransport._read_ready"),
            fatal_error: Frame::new(&UNIX_EVENTS, "_UnixReadPipeTransport._fatal_error"),
            finalize: Frame::new(&UNIX_EVENTS, "_UnixReadPipeTransport.__del__"),
        };
        &FRAMES
    }

    /// How a terminal says that its other side has gone.
    fn expects(error: &Raised<'_>) -> bool {
        let errno = || error.as_any().getattr(name!("errno")).and_then(|errno| errno.extract::<i32>());
        error.is::<PyOSError>() && errno().is_ok_and(|errno| errno == Errno::IO.raw_os_error())
    }

    /// Whatever the protocol answers, there is nothing to keep a pipe open for.
    fn read_to_the_end(transport: &Obj<'_, Self>) -> PyResult<()> {
        let py = transport.py();
        log_in_debug(transport, &ReadPipeTransport::frames().end_of_stream, "info", "%r was closed by peer")?;
        let ended = act(transport, |stream, kernel| stream.on_eof_reply(kernel, false))?;
        let Some(protocol) = transport.0.link.endpoint.protocol.get(py).filter(|_| ended) else {
            return Ok(());
        };
        call_soon(transport, &protocol.getattr(names::eof_received(py))?, [])?;
        closing::lose_soon(transport, &none(py))
    }
}

fn repr<'py>(transport: &Obj<'py, ReadPipeTransport>) -> Output<'py> {
    let (mut text, working) = describe(transport)?;
    if working {
        let armed = transport.0.link.stream(|stream| stream.read_op().is_some());
        text.push_str(if armed { " polling" } else { " idle" });
    }
    text.push('>');
    Ok(PyString::new(transport.py(), &text).into_any())
}

/// Attributes of the class that are not methods.
pub(super) fn complete(py: Python<'_>) -> PyResult<()> {
    ReadPipeTransport::class(py).setattr(name!("max_size"), MAX_RECEIVE)
}

impl Class for ReadPipeTransport {
    const NAME: &'static CStr = c"yibu._UnixReadPipeTransport";
    // `_extra` of `ReadTransport`.
    type Header = AfterSlots<1>;
    const NOT_CALLED: &'static [&'static str] = &["__init__", "_add_reader", "_close"];
    const STANDS_FOR_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    stands_for! { READ_PIPE_TRANSPORT, stock::read_pipe_transport }

    fn table(t: &mut Table<Self>) {
        t.doc(c"_UnixReadPipeTransport(loop, pipe, protocol, waiter=None, extra=None)\n--\n\nThe reading end of a pipe.");
        t.repr(repr);
        end::table(t);
        reading::table(t);
        t.action_on(
            c"_close",
            "exc",
            closing::force_close,
            "Closes at once; connection_lost() gets the exception.",
        );
        t.method(
            &FATAL_ERROR,
            |transport, args| {
                let [error, message] = args.parse(&FATAL_ERROR)?;
                closing::fail(transport, error, &message, "Fatal error on pipe transport")
            },
            "Reports an exception, unless it is the end of a terminal, and closes at once.",
        );
    }

    references! { 0 }

    fn wants_finalizer(&self) -> bool {
        self.is_open()
    }
}
