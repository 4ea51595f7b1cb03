//! `read`, `readexactly`, `readuntil`, `readline` and `async for`: the coroutines of a [`StreamReader`].
//!
//! A read whose bytes are there returns at once. Otherwise the reader is told what is wanted and the task
//! waits, once: it is woken when that has arrived, or cannot arrive any more. Called by Python code; calls
//! the reader.

mod separated;

use pyo3::exceptions::{PyAssertionError, PyOverflowError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList};

use super::reader::{StreamReader, Wanted, has_taken, raise_exception, resume_transport};
use crate::coroutines::{Routine, Step};
use crate::ffi::raised::raise;
use crate::ffi::{Args, Obj, Output, Raised, Signature, Table, make, none};
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::{names, stock};

use separated::{read_line, read_until};

const READ: Signature<1> = Signature::new_method("StreamReader.read", "n=-1");
const READEXACTLY: Signature<1> = Signature::new_method("StreamReader.readexactly", "n");
const READUNTIL: Signature<1> = Signature::new_method("StreamReader.readuntil", "separator=b'\\n'");
const WAIT_FOR_DATA: Signature<1> = Signature::new_method("StreamReader._wait_for_data", "func_name");

pub(super) fn table(t: &mut Table<StreamReader>) {
    t.method(
        &READ,
        |reader, args| with_argument(reader, READ.function, to_read(&args)?, read),
        "Coroutine that returns up to n bytes as soon as there are any, or everything up to the end if n is negative; b'' at the end.",
    );
    t.method(
        &READEXACTLY,
        |reader, args| with_argument(reader, READEXACTLY.function, args.parse(&READEXACTLY)?, read_exactly),
        "Coroutine that returns n bytes. Raises IncompleteReadError when there are fewer before the end.",
    );
    t.method(
        &READUNTIL,
        |reader, args| with_argument(reader, READUNTIL.function, given(&args)?, read_until),
        "Coroutine that returns the bytes up to and with separator. Raises IncompleteReadError at the end, LimitOverrunError beyond the limit.",
    );
    t.noargs(
        c"readline",
        |reader| Ok(Routine::begin(reader.as_any(), "StreamReader.readline", read_line)?.into_any()),
        "Coroutine that returns a line with its line feed, or what is left at the end. Raises ValueError for a line beyond the limit.",
    );
    t.anext(|reader| {
        let routine = Routine::begin(reader.as_any(), "StreamReader.__anext__", read_line)?;
        routine.number.set(ITERATION);
        Ok(routine.into_any())
    });
    t.method(
        &WAIT_FOR_DATA,
        |reader, args| {
            with_argument(reader, WAIT_FOR_DATA.function, args.parse(&WAIT_FOR_DATA)?, wait_for_data)
        },
        "Coroutine that waits until something arrives.",
    );
}

/// A routine of `readline` whose empty line ends the iteration.
const ITERATION: u64 = 1;

#[inline]
fn with_argument<'py>(
    reader: &Obj<'py, StreamReader>,
    name: &'static str,
    [argument]: [Bound<'py, PyAny>; 1],
    start: crate::coroutines::Start,
) -> Output<'py> {
    let routine = Routine::begin(reader.as_any(), name, start)?;
    routine.first.put(argument);
    Ok(routine.into_any())
}

/// How much to read; everything when nothing is said.
#[inline]
fn to_read<'py>(args: &Args<'_, 'py>) -> PyResult<[Bound<'py, PyAny>; 1]> {
    let count = match args.only() {
        Some(count) => Some(count),
        None => {
            let [count] = args.parse_given(&READ)?;
            count
        }
    };
    match count {
        Some(count) => Ok([count]),
        None => Ok([(-1_i32).into_pyobject(args.py())?.into_any()]),
    }
}

/// The separator; a line feed when none is given.
fn given<'py>(args: &Args<'_, 'py>) -> PyResult<[Bound<'py, PyAny>; 1]> {
    let [separator] = args.parse_given(&READUNTIL)?;
    Ok([separator.unwrap_or_else(|| PyBytes::new(args.py(), b"\n").into_any())])
}

/// A number of bytes; beyond any memory is as good as the largest.
fn count(argument: &Bound<'_, PyAny>) -> PyResult<isize> {
    argument.extract().or_else(|error: PyErr| {
        if !error.is_instance_of::<PyOverflowError>(argument.py()) {
            return Err(error);
        }
        Ok(if argument.lt(0)? { isize::MIN } else { isize::MAX })
    })
}

/// A number of bytes that is no int: asyncio compares it with 0, and uses it in a slice.
#[cold]
fn compared(argument: &Bound<'_, PyAny>) -> PyResult<isize> {
    if argument.eq(0)? {
        return Ok(0);
    }
    if argument.lt(0)? {
        return Ok(-1);
    }
    in_a_slice(argument)
}

/// What a slice makes of a number.
fn in_a_slice(argument: &Bound<'_, PyAny>) -> PyResult<isize> {
    count(argument).map_err(|error| {
        if !error.is_instance_of::<PyTypeError>(argument.py()) {
            return error;
        }
        PyTypeError::new_err("slice indices must be integers or None or have an __index__ method")
    })
}

fn count_of(routine: &Obj<'_, Routine>) -> PyResult<isize> {
    let argument = routine.first.get_or_none(routine.py());
    if argument.is_instance_of::<PyInt>() { count(&argument) } else { compared(&argument) }
}

fn empty(py: Python<'_>) -> Step<'_> {
    Step::Return(PyBytes::new(py, b"").into_any())
}

/// Waits until `wanted` has arrived: `_wait_for_data`, by name where Python code may have its own.
fn wait<'py>(
    reader: &Obj<'py, StreamReader>,
    method: &str,
    wanted: Wanted,
    next: crate::coroutines::Resume,
) -> PyResult<Step<'py>> {
    if !reader.is_native() {
        let waiting = reader.as_any().call_method1(name!("_wait_for_data"), (method,))?;
        return Ok(Step::Await(waiting, next));
    }
    let waiter = begin_to_wait(reader, method)?;
    reader.want(wanted);
    Ok(Step::Await(waiter, next))
}

fn begin_to_wait<'py>(reader: &Obj<'py, StreamReader>, method: &str) -> Output<'py> {
    if !reader.waiter.is_empty() {
        let text = format!("{method}() called while another coroutine is already waiting for incoming data");
        return Err(PyRuntimeError::new_err(text));
    }
    if reader.eof.get() {
        return Err(PyAssertionError::new_err("_wait_for_data after EOF"));
    }
    // To wait for bytes from a paused transport is to wait for ever.
    resume_transport(reader)?;
    let waiter = create_future(&reader.event_loop.get_or_none(reader.py()))?;
    reader.waiter.put(waiter.clone());
    Ok(waiter)
}

/// `_wait_for_data` on its own.
fn wait_for_data<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let reader = routine.owner::<StreamReader>(py)?;
    let method = text!("{}", routine.first.get_or_none(py).str()?)?;
    let waiter = begin_to_wait(&reader, &method)?;
    reader.want(Wanted::Anything);
    Ok(Step::Await(waiter, |routine, waited| {
        end_of_wait(routine, waited)?;
        Ok(Step::Return(none(routine.py())))
    }))
}

/// The wait has ended, by data, by the end of the stream, or by an exception.
#[inline]
fn end_of_wait<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Obj<'py, StreamReader>> {
    let reader = routine.owner::<StreamReader>(routine.py())?;
    // Where `_wait_for_data` was called by name it has done this itself, and what is there is the waiter of
    // another task.
    if let Some(waiter) = reader.waiter.get(routine.py())
        && (reader.is_native() || future_like::is_done(&waiter)?)
    {
        // It is cancelled, or another task waits since this one was woken: what is wanted now is no business
        // of this one.
        reader.waiter.clear();
        reader.want(Wanted::Anything);
    }
    waited?;
    Ok(reader)
}

/// Takes bytes and lets a paused transport go on.
#[inline]
fn take<'py>(reader: &Obj<'py, StreamReader>, count: usize) -> PyResult<Step<'py>> {
    let taken = reader.content.take(reader.py(), count)?;
    has_taken(reader)?;
    Ok(Step::Return(taken.into_any()))
}

fn read<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let reader = routine.owner::<StreamReader>(py)?;
    raise_exception(&reader, py)?;
    match count_of(routine)? {
        0 => Ok(empty(py)),
        ..0 => {
            routine.first.put(PyList::empty(py));
            read_on(routine)
        }
        count => {
            if reader.content.len(py)? == 0 && !reader.eof.get() {
                return wait(&reader, "read", Wanted::Anything, |routine, waited| {
                    let reader = end_of_wait(routine, waited)?;
                    take(&reader, count_of(routine)?.unsigned_abs())
                });
            }
            take(&reader, count.unsigned_abs())
        }
    }
}

/// Reads to the end, in blocks that leave the transport room. They gather in the first slot.
fn read_on<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let reader = routine.owner::<StreamReader>(py)?;
    let block = reader.as_any().call_method1(names::read(py), (reader.limit_object(py)?,))?;
    Ok(Step::Await(block, |routine, block| {
        let py = routine.py();
        let blocks = routine.first.get_or_none(py);
        let joined = || make::bytes(py, b"")?.call_method1(name!("join"), (&blocks,));
        let block = match block {
            Ok(block) => block,
            // The next read gets what was read so far.
            Err(error) => {
                let reader = routine.owner::<StreamReader>(py)?;
                let error = Raised::from_err(py, error);
                error.handling(|| reader.content.put_back(py, joined()?.cast::<PyBytes>()?.as_bytes()))?;
                return Err(error.into_err());
            }
        };
        if block.is_truthy()? {
            blocks.cast::<PyList>()?.append(block)?;
            return read_on(routine);
        }
        Ok(Step::Return(joined()?))
    }))
}

fn read_exactly<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let reader = routine.owner::<StreamReader>(py)?;
    if !routine.first.get_or_none(py).is_instance_of::<PyInt>() {
        return exactly_compared(routine, &reader, true);
    }
    let count = count_of(routine)?;
    if count < 0 {
        return Err(PyValueError::new_err("readexactly size can not be less than zero"));
    }
    raise_exception(&reader, py)?;
    if count == 0 {
        return Ok(empty(py));
    }
    exactly(routine, &reader, count.unsigned_abs())
}

/// `readexactly(n)` where `n` is no int, step by step as asyncio's compares it.
#[cold]
fn exactly_compared<'py>(
    routine: &Obj<'py, Routine>,
    reader: &Obj<'py, StreamReader>,
    begins: bool,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    let n = routine.first.get_or_none(py);
    if begins {
        if n.lt(0)? {
            return Err(PyValueError::new_err("readexactly size can not be less than zero"));
        }
        raise_exception(reader, py)?;
        if n.eq(0)? {
            return Ok(empty(py));
        }
    }
    let there = reader.content.len(py)?.into_pyobject(py)?.into_any();
    if there.lt(&n)? {
        if reader.eof.get() {
            return Err(incomplete(reader, n)?);
        }
        return wait(reader, "readexactly", Wanted::Anything, |routine, waited| {
            let reader = end_of_wait(routine, waited)?;
            exactly_compared(routine, &reader, false)
        });
    }
    let count = if there.eq(&n)? { usize::MAX } else { in_a_slice(&n)?.unsigned_abs() };
    take(reader, count)
}

/// IncompleteReadError: the end came before `expected` bytes. It takes what there is.
fn incomplete<'py>(reader: &Obj<'py, StreamReader>, expected: Bound<'py, PyAny>) -> PyResult<PyErr> {
    let py = reader.py();
    let partial = reader.content.take(py, usize::MAX)?;
    Ok(raise(stock::incomplete_read_error(py)?.call1((partial, expected))?))
}

#[inline]
fn exactly<'py>(
    routine: &Obj<'py, Routine>,
    reader: &Obj<'py, StreamReader>,
    count: usize,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    if reader.content.len(py)? >= count {
        return take(reader, count);
    }
    if reader.eof.get() {
        return Err(incomplete(reader, routine.first.get_or_none(py))?);
    }
    wait(reader, "readexactly", Wanted::Count(count), |routine, waited| {
        let reader = end_of_wait(routine, waited)?;
        exactly(routine, &reader, count_of(routine)?.unsigned_abs())
    })
}
