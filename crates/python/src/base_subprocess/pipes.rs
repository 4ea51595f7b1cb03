//! `WriteSubprocessPipeProto` and `ReadSubprocessPipeProto`: the protocols of a child's pipes, which report
//! to its transport.
//!
//! Called by pipe transports; call the methods of the child's transport.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::attributes::{flags, objects};
use crate::ffi::combined::{Combinable, Extended};
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Signature, Slot, Table, call, derived, none, references, stands_for,
};
use crate::{names, stock};

/// The data of a `WriteSubprocessPipeProto`.
#[derive(Default)]
pub struct WritePipe {
    /// The child's transport, until the pipe is lost.
    child: Slot,
    /// Which of the child's descriptors this is the other end of.
    number: Slot,
    /// The pipe's transport.
    pipe: Slot,
    disconnected: Cell<bool>,
}

derived! {
    /// The data of a `ReadSubprocessPipeProto`.
    pub struct ReadPipe { base: WritePipe, own: () }
}

static WRITE_PIPE: ClassState = ClassState::new();
static READ_PIPE: ClassState = ClassState::new();
const INIT: Signature<2> = Signature::new_method("WriteSubprocessPipeProto.__init__", "proc, fd");

/// A method of the child's protocol that has no arguments.
fn tell<'py>(pipe: &Obj<'py, WritePipe>, method: &Bound<'py, PyString>) -> Output<'py> {
    let py = pipe.py();
    let protocol = pipe.child.get_or_none(py).getattr(pyo3::intern!(py, "_protocol"))?;
    call::method(method, [&protocol])?;
    Ok(none(py))
}

fn connection_lost<'py>(pipe: &Obj<'py, WritePipe>, error: &Bound<'py, PyAny>) -> Output<'py> {
    let py = pipe.py();
    pipe.disconnected.set(true);
    let (child, number) = (pipe.child.get_or_none(py), pipe.number.get_or_none(py));
    call::method(pyo3::intern!(py, "_pipe_connection_lost"), [&child, &number, error])?;
    pipe.child.clear();
    Ok(none(py))
}

fn data_received<'py>(pipe: &Obj<'py, ReadPipe>, data: &Bound<'py, PyAny>) -> Output<'py> {
    let py = pipe.py();
    let (child, number) = (pipe.base.child.get_or_none(py), pipe.base.number.get_or_none(py));
    call::method(pyo3::intern!(py, "_pipe_data_received"), [&child, &number, data])?;
    Ok(none(py))
}

impl Class for WritePipe {
    const NAME: &'static CStr = c"yibu.WriteSubprocessPipeProto";
    type Header = Combinable;

    const FUNCTIONS: bool = true;

    stands_for! { WRITE_PIPE, stock::write_subprocess_pipe_proto }

    fn table(t: &mut Table<Self>) {
        t.doc(c"WriteSubprocessPipeProto(proc, fd)\n--\n\nThe protocol of the pipe to descriptor fd of a child.");
        t.init(|pipe, args, kwargs| {
            let [child, number] = Args::parse_tuple(&INIT, args, kwargs)?;
            pipe.child.put(child);
            pipe.number.put(number);
            pipe.pipe.clear();
            pipe.disconnected.set(false);
            Ok(())
        });
        t.action_on(
            c"connection_made",
            "transport",
            |pipe, transport| pipe.pipe.put(transport.clone()),
            "The pipe is connected to the loop.",
        );
        t.one(c"connection_lost", "exc", connection_lost, "The pipe is closed: tells the child's transport.");
        t.noargs(
            c"pause_writing",
            |pipe| tell(pipe, names::pause_writing(pipe.py())),
            "Tells the child's protocol that the pipe is full.",
        );
        t.noargs(
            c"resume_writing",
            |pipe| tell(pipe, names::resume_writing(pipe.py())),
            "Tells the child's protocol that the pipe has room again.",
        );
        t.repr(|pipe| {
            let py = pipe.py();
            let class = pipe.as_any().get_type();
            let (number, transport) = (pipe.number.get_or_none(py), pipe.pipe.get_or_none(py));
            let text = text!("<{} fd={} pipe={}>", class.name()?, number.str()?, transport.repr()?)?;
            Ok(PyString::new(py, &text).into_any())
        });
        objects! { t:
            c"proc" => child,
            c"fd" => number,
            c"pipe" => pipe,
        }
        flags! { t: c"disconnected" => disconnected }
    }

    references! { child, number, pipe }
}

impl Class for ReadPipe {
    const NAME: &'static CStr = c"yibu.ReadSubprocessPipeProto";
    type Header = Combinable;

    fn extended() -> Option<Extended<Self>> {
        Some(Extended::by::<WritePipe>())
    }

    const FUNCTIONS: bool = true;

    stands_for! { READ_PIPE, stock::read_subprocess_pipe_proto }

    fn table(t: &mut Table<Self>) {
        t.doc(c"ReadSubprocessPipeProto(proc, fd)\n--\n\nThe protocol of the pipe from descriptor fd of a child.");
        t.one(c"data_received", "data", data_received, "Tells the child's transport.");
    }

    references! { base }
}
