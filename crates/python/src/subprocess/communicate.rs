//! `Process.communicate`: feeds standard input and reads both outputs at the same time, then waits for the
//! child.
//!
//! Called by programs; calls the streams of the process, each in a task of its own.

use std::cell::Cell;

use pyo3::exceptions::{PyAssertionError, PyBrokenPipeError, PyConnectionResetError};
use pyo3::prelude::*;

use super::process::Process;
use crate::coroutines::{Routine, Step};
use crate::events::loop_debug;
use crate::ffi::{Obj, Output, Raised, Signature, Slot, Table, none};
use crate::frames::Frame;
use crate::gathering::gather_by_name;
use crate::names;
use crate::replaced::names::SUBPROCESS;

const COMMUNICATE: Signature<1> = Signature::new_method("Process.communicate", "input=None");
const FEED: Signature<1> = Signature::new_method("Process._feed_stdin", "input");
const READ: Signature<1> = Signature::new_method("Process._read_stream", "fd");

pub(super) fn table(t: &mut Table<Process>) {
    t.method(
        &COMMUNICATE,
        |process, args| begin(process, COMMUNICATE.function, args.parse(&COMMUNICATE)?, communicate),
        "Coroutine that sends input, reads to the end, and waits for the child. Returns the pair of its outputs.",
    );
    t.method(
        &FEED,
        |process, args| begin(process, FEED.function, args.parse(&FEED)?, feed),
        "Coroutine that sends input and closes standard input.",
    );
    t.method(
        &READ,
        |process, args| begin(process, READ.function, args.parse(&READ)?, read),
        "Coroutine that reads an output to its end.",
    );
    t.noargs(
        c"_noop",
        |process| {
            begin(process, "Process._noop", [none(process.py())], |routine| {
                Ok(Step::Return(none(routine.py())))
            })
        },
        "Coroutine that does nothing.",
    );
}

/// A routine keeps its argument,
fn argument_of(routine: &Routine) -> &Slot {
    &routine.first
}

/// what was read from both outputs,
fn outputs_of(routine: &Routine) -> &Slot {
    &routine.first
}

/// the transport of the pipe that it reads,
fn pipe_of(routine: &Routine) -> &Slot {
    &routine.second
}

/// and whether debug mode was on at the beginning, or whether it reads standard output and not standard
/// error.
fn flag_of(routine: &Routine) -> &Cell<u64> {
    &routine.number
}

/// A routine with an argument.
fn begin<'py>(
    process: &Obj<'py, Process>,
    name: &'static str,
    [argument]: [Bound<'py, PyAny>; 1],
    start: crate::coroutines::Start,
) -> Output<'py> {
    let routine = Routine::begin(process.as_any(), name, start)?;
    argument_of(&routine).put(argument);
    Ok(routine.into_any())
}

fn is_debugging(process: &Process, py: Python<'_>) -> PyResult<bool> {
    loop_debug(&process.event_loop.get_or_none(py))
}

static FEED_STDIN: Frame = Frame::new(&SUBPROCESS, "Process._feed_stdin");
static READ_STREAM: Frame = Frame::new(&SUBPROCESS, "Process._read_stream");

fn log<'py>(
    process: &Obj<'py, Process>,
    frame: &Frame,
    text: &str,
    detail: Option<Bound<'py, PyAny>>,
) -> PyResult<()> {
    match detail {
        Some(detail) => frame.log(process.py(), "debug", (text, process.as_any(), detail)),
        None => frame.log(process.py(), "debug", (text, process.as_any())),
    }
}

fn communicate<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let process = routine.owner::<Process>(py)?;
    let input = argument_of(routine).get_or_none(py);
    let object = process.as_any();
    let feeding = if process.stdin.is_empty() {
        object.call_method0(name!("_noop"))
    } else {
        object.call_method1(name!("_feed_stdin"), (input,))
    }?;
    let read = |stream_is_there: bool, number: i32| {
        if stream_is_there {
            object.call_method1(name!("_read_stream"), (number,))
        } else {
            object.call_method0(name!("_noop"))
        }
    };
    let output = read(!process.stdout.is_empty(), 1)?;
    let errors = read(!process.stderr.is_empty(), 2)?;
    let all = gather_by_name(py, [feeding, output, errors].into_iter(), false)?;
    Ok(Step::Await(all, |routine, outputs| {
        let process = routine.owner.get_or_none(routine.py());
        outputs_of(routine).put(outputs?);
        let waiting = process.call_method0(names::wait(routine.py()))?;
        Ok(Step::Await(waiting, |routine, waited| {
            waited?;
            let py = routine.py();
            let outputs = outputs_of(routine).get_or_none(py);
            routine.owner::<Process>(py)?.outputs.iter().for_each(Slot::clear);
            let pair = (outputs.get_item(1)?, outputs.get_item(2)?);
            Ok(Step::Return(pair.into_pyobject(py)?.into_any()))
        }))
    }))
}

/// `_feed_stdin`.
fn feed<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let process = routine.owner::<Process>(py)?;
    let debugging = is_debugging(&process, py)?;
    flag_of(routine).set(debugging.into());
    let (stdin, input) = (process.stdin.get_or_none(py), argument_of(routine).get_or_none(py));
    let drained = || -> Output<'py> {
        if !input.is_none() {
            stdin.call_method1(names::write(py), (&input,))?;
            if debugging {
                let count = input.len()?.into_pyobject(py)?.into_any();
                log(&process, &FEED_STDIN, "%r communicate: feed stdin (%s bytes)", Some(count))?;
            }
        }
        stdin.call_method0(name!("drain"))
    };
    match drained() {
        Ok(drained) => Ok(Step::Await(drained, fed)),
        Err(error) => fed(routine, Err(error)),
    }
}

/// Everything was sent, or the child does not want it: closes standard input.
fn fed<'py>(routine: &Obj<'py, Routine>, drained: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let process = routine.owner::<Process>(py)?;
    let debugging = flag_of(routine).get() != 0;
    if let Err(error) = drained {
        let lost = error.is_instance_of::<PyBrokenPipeError>(py)
            || error.is_instance_of::<PyConnectionResetError>(py);
        if !lost {
            return Err(error);
        }
        let error = Raised::from_err(py, error);
        if debugging {
            log(&process, &FEED_STDIN, "%r communicate: stdin got %r", Some(error.into_any()))?;
        }
    }
    if debugging {
        log(&process, &FEED_STDIN, "%r communicate: close stdin", None)?;
    }
    process.stdin.get_or_none(py).call_method0(names::close(py))?;
    Ok(Step::Return(none(py)))
}

fn log_stream<'py>(process: &Obj<'py, Process>, text: &str, is_output: bool) -> PyResult<()> {
    let py = process.py();
    if !is_debugging(process, py)? {
        return Ok(());
    }
    let name = if is_output { "stdout" } else { "stderr" };
    log(process, &READ_STREAM, text, Some(name.into_pyobject(py)?.into_any()))
}

/// `_read_stream`.
fn read<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let process = routine.owner::<Process>(py)?;
    let number = argument_of(routine).get_or_none(py);
    let transport =
        process.transport.get_or_none(py).call_method1(name!("get_pipe_transport"), (&number,))?;
    pipe_of(routine).put(transport);
    let is_output = !number.eq(2)?;
    if is_output && !number.eq(1)? {
        return Err(PyAssertionError::new_err(()));
    }
    flag_of(routine).set(is_output.into());
    let stream = if is_output { &process.stdout } else { &process.stderr };
    log_stream(&process, "%r communicate: read %s", is_output)?;
    let output = stream.get_or_none(py).call_method0(names::read(py))?;
    Ok(Step::Await(output, |routine, output| {
        let (py, output) = (routine.py(), output?);
        let process = routine.owner::<Process>(py)?;
        let is_output = flag_of(routine).get() != 0;
        log_stream(&process, "%r communicate: close %s", is_output)?;
        pipe_of(routine).get_or_none(py).call_method0(names::close(py))?;
        // GcRef until both streams and the child have ended: a cancellation before that must not lose it.
        let kept = &process.outputs[usize::from(!is_output)];
        let output = match kept.get(py) {
            Some(before) => before.add(output)?,
            None => output,
        };
        kept.put(output.clone());
        Ok(Step::Return(output))
    }))
}
