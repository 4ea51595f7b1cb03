//! `create_subprocess_exec` and `create_subprocess_shell`.
//!
//! Called by programs; call the running loop, whose protocol is a [`SubprocessStreamProtocol`].

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::process::{self, Process};
use super::protocol::SubprocessStreamProtocol;
use crate::coroutines::{Routine, Start, Step, taken};
use crate::ffi::{Args, Class, Obj, Output, Signature, Slot, none};
use crate::functions::{self, running_loop};
use crate::replaced::names::running_loop::OF_SUBPROCESS;
use crate::replaced::names::{PROCESS, SUBPROCESS_PROTOCOL};
use crate::stock;
use crate::streams::DEFAULT_LIMIT;

const EXEC: Signature<5> = Signature::new(
    "create_subprocess_exec",
    "program, *args, stdin=None, stdout=None, stderr=None, limit=65536, **kwds",
);
const SHELL: Signature<5> = Signature::new(
    "create_subprocess_shell",
    "cmd, stdin=None, stdout=None, stderr=None, limit=65536, **kwds",
);

/// Adds the functions.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "Coroutine that runs a program, with the keywords of subprocess.Popen; returns a Process.";
    functions::add(module, &EXEC, create_exec, doc)?;
    let doc =
        "Coroutine that runs a shell command, with the keywords of subprocess.Popen; returns a Process.";
    functions::add(module, &SHELL, create_shell, doc)
}

fn create_exec<'py>(args: Args<'_, 'py>) -> Output<'py> {
    begin(&args, &EXEC, |routine| start(routine, "subprocess_exec"))
}

fn create_shell<'py>(args: Args<'_, 'py>) -> Output<'py> {
    begin(&args, &SHELL, |routine| start(routine, "subprocess_shell"))
}

/// The routine keeps the command as a tuple, until the loop has it,
fn command_of(routine: &Routine) -> &Slot {
    &routine.first
}

/// then the loop,
fn event_loop_of(routine: &Routine) -> &Slot {
    &routine.first
}

/// and the keywords for the loop.
fn keywords_of(routine: &Routine) -> &Slot {
    &routine.second
}

/// The routine's owner is the limit.
fn begin<'py>(args: &Args<'_, 'py>, signature: &'static Signature<5>, start: Start) -> Output<'py> {
    let py = args.py();
    let (given, keywords) = args.parse_open(signature)?;
    let [command, stdin, stdout, stderr, limit] = given;
    let limit = match limit {
        Some(limit) => limit,
        None => DEFAULT_LIMIT.into_pyobject(py)?.into_any(),
    };
    for (name, file) in [("stdin", stdin), ("stdout", stdout), ("stderr", stderr)] {
        keywords.set_item(name, file.unwrap_or_else(|| none(py)))?;
    }
    let routine = Routine::begin(&limit, signature.function, start)?;
    let command = command.into_iter().chain(args.rest(signature)?.iter());
    command_of(&routine).put(PyTuple::new(py, command.collect::<Vec<_>>())?);
    keywords_of(&routine).put(keywords);
    Ok(routine.into_any())
}

/// Has the loop start the child.
fn start<'py>(routine: &Obj<'py, Routine>, method: &str) -> PyResult<Step<'py>> {
    let py = routine.py();
    let event_loop = running_loop(py, &OF_SUBPROCESS)?;
    let options = PyDict::new(py);
    options.set_item("limit", routine.owner.get_or_none(py))?;
    options.set_item("loop", &event_loop)?;
    let class = match SUBPROCESS_PROTOCOL.replacement(py)? {
        Some(class) => class,
        None => SubprocessStreamProtocol::class(py).into_any(),
    };
    let factory = stock::partial(py)?.call((class,), Some(&options))?;
    let command = taken(py, command_of(routine)).cast_into::<PyTuple>()?;
    let keywords = taken(py, keywords_of(routine)).cast_into::<PyDict>()?;
    let arguments = std::iter::once(factory).chain(command.iter());
    let arguments = PyTuple::new(py, arguments.collect::<Vec<_>>())?;
    let started = event_loop.call_method(crate::names::interned(py, method), arguments, Some(&keywords))?;
    event_loop_of(routine).put(event_loop);
    Ok(Step::Await(started, |routine, started| {
        let py = routine.py();
        let (transport, protocol): (Bound<'_, PyAny>, Bound<'_, PyAny>) = started?.extract()?;
        let event_loop = taken(py, event_loop_of(routine));
        Ok(Step::Return(match PROCESS.maker::<Process>(py)? {
            Some(class) => class.call1((transport, protocol, event_loop))?,
            None => process::new(transport, protocol, event_loop)?.into_any(),
        }))
    }))
}
