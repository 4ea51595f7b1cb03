//! `readuntil`, `readline` and `async for`: reads that search for a separator.
//!
//! A search goes on where it has stopped, so that no byte is looked at twice for each piece that arrives.
//! Called by Python code; calls the reader and the engine's `separators`.

use pyo3::exceptions::{PyStopAsyncIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use yibu_engine::separators::{Found, Search, Separators};

use super::{ITERATION, end_of_wait, wait};
use crate::coroutines::{Routine, Step};
use crate::errors;
use crate::ffi::buffer::Buffer;
use crate::ffi::raised::raise;
use crate::ffi::{Obj, Output, Raised, make, none};
use crate::stock;
use crate::streams::reader::{StreamReader, Wanted, has_taken, raise_exception};

/// A look at what has arrived.
enum Outcome<'py> {
    Message(Bound<'py, PyBytes>),
    /// The end came first.
    Rest(Bound<'py, PyBytes>),
    /// The limit is exceeded; so many bytes are in front of the separator, or cannot be part of one.
    Overrun(&'static str, usize),
    Wait(Search),
}

fn search_in<'py>(reader: &Obj<'py, StreamReader>, mut search: Search) -> PyResult<Outcome<'py>> {
    let (py, data): (_, &StreamReader) = (reader.py(), reader);
    match data.content.with(py, |bytes| search.search(bytes))? {
        Found::At { start, .. } if data.exceeds_limit(start) => {
            return Ok(Outcome::Overrun("Separator is found, but chunk is longer than limit", start));
        }
        Found::At { end, .. } => {
            let message = data.content.take(py, end)?;
            has_taken(reader)?;
            return Ok(Outcome::Message(message));
        }
        Found::Nothing(offset) if data.exceeds_limit(offset) => {
            return Ok(Outcome::Overrun("Separator is not found, and chunk exceed the limit", offset));
        }
        Found::Nothing(_) => {}
    }
    if data.eof.get() {
        return Ok(Outcome::Rest(data.content.take(py, usize::MAX)?));
    }
    Ok(Outcome::Wait(search))
}

/// The search for `separator`: bytes, or since 3.13 a tuple of them.
fn search_for(separator: &Bound<'_, PyAny>) -> PyResult<Search> {
    if let Ok(separator) = separator.cast_exact::<PyBytes>()
        && let Some(separator) = Separators::short(separator.as_bytes())
    {
        return Ok(Search::new(separator));
    }
    let several = separator.cast::<PyTuple>().ok().filter(|_| cfg!(Py_3_13));
    let bytes = |separator: &Bound<'_, PyAny>| -> PyResult<Box<[u8]>> {
        if separator.len()? == 0 {
            return Ok(Box::default());
        }
        match Buffer::get(separator, false) {
            Ok(buffer) => errors::copied(buffer.bytes()).map(Into::into),
            Err(error) => {
                drop(Raised::from_err(separator.py(), error));
                let class = separator.get_type();
                let text =
                    format!("argument should be integer or bytes-like object, not '{}'", class.name()?);
                Err(PyTypeError::new_err(text))
            }
        }
    };
    let separators = match several {
        None => vec![bytes(separator)?],
        Some(several) => errors::collected(several.iter().map(|separator| bytes(&separator)))?,
    };
    let none_at_all = separators.is_empty();
    Separators::new(separators).map(Search::new).ok_or_else(|| {
        PyValueError::new_err(if none_at_all {
            "Separator should contain at least one element"
        } else {
            "Separator should be at least one-byte string"
        })
    })
}

pub(super) fn read_until<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let reader = routine.owner::<StreamReader>(py)?;
    let search = search_for(&routine.first.get_or_none(py))?;
    raise_exception(&reader, py)?;
    until(routine, &reader, search)
}

fn until<'py>(
    routine: &Obj<'py, Routine>,
    reader: &Obj<'py, StreamReader>,
    search: Search,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    match search_in(reader, search)? {
        Outcome::Message(message) => Ok(Step::Return(message.into_any())),
        Outcome::Rest(rest) => Err(raise(stock::incomplete_read_error(py)?.call1((rest, none(py)))?)),
        Outcome::Overrun(text, consumed) => {
            Err(raise(stock::limit_overrun_error(py)?.call1((text, consumed))?))
        }
        Outcome::Wait(search) => wait(reader, "readuntil", Wanted::Separator(search), |routine, waited| {
            look_again(routine, waited, until)
        }),
    }
}

/// The separator has arrived, or cannot arrive any more: goes on with the search.
fn look_again<'py>(
    routine: &Obj<'py, Routine>,
    waited: Output<'py>,
    go_on: fn(&Obj<'py, Routine>, &Obj<'py, StreamReader>, Search) -> PyResult<Step<'py>>,
) -> PyResult<Step<'py>> {
    let reader = end_of_wait(routine, waited)?;
    let search = match (reader.was_wanted(), routine.first.get(routine.py())) {
        (Wanted::Separator(search), _) => search,
        // Python code waited in its own way.
        (_, Some(separator)) => search_for(&separator)?,
        (_, None) => Search::new(Separators::LineFeed),
    };
    go_on(routine, &reader, search)
}

pub(super) fn read_line<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let reader = routine.owner::<StreamReader>(py)?;
    if !reader.is_native() {
        if routine.number.get() == ITERATION {
            let line = reader.as_any().call_method0(name!("readline"))?;
            return Ok(Step::Await(line, |routine, line| unless_over(routine, line?)));
        }
        let line = reader.as_any().call_method1(name!("readuntil"), (make::bytes(py, b"\n")?,))?;
        return Ok(Step::Await(line, after_readuntil));
    }
    raise_exception(&reader, py)?;
    line(routine, &reader, Search::new(Separators::LineFeed))
}

#[inline]
fn line<'py>(
    routine: &Obj<'py, Routine>,
    reader: &Obj<'py, StreamReader>,
    search: Search,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    match search_in(reader, search)? {
        Outcome::Message(line) | Outcome::Rest(line) => unless_over(routine, line.into_any()),
        Outcome::Overrun(text, consumed) => {
            let overrun = raise(stock::limit_overrun_error(py)?.call1((text, consumed))?);
            Err(too_long(reader, &Raised::from_err(py, overrun), consumed)?)
        }
        Outcome::Wait(search) => wait(reader, "readuntil", Wanted::Separator(search), |routine, waited| {
            look_again(routine, waited, line)
        }),
    }
}

/// Returns a line; an empty one ends an iteration.
fn unless_over<'py>(routine: &Obj<'py, Routine>, line: Bound<'py, PyAny>) -> PyResult<Step<'py>> {
    if routine.number.get() == ITERATION && line.len()? == 0 {
        return Err(PyStopAsyncIteration::new_err(()));
    }
    Ok(Step::Return(line))
}

/// What a reader whose `readuntil()` may be Python code's made of it.
fn after_readuntil<'py>(routine: &Obj<'py, Routine>, line: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let error = match line {
        Ok(line) => return Ok(Step::Return(line)),
        Err(error) => error,
    };
    let raised = Raised::from_err(py, error);
    if raised.is_instance_of(stock::incomplete_read_error(py)?) {
        return Ok(Step::Return(raised.as_any().getattr(name!("partial"))?));
    }
    if raised.is_instance_of(stock::limit_overrun_error(py)?) {
        let reader = routine.owner::<StreamReader>(py)?;
        let consumed = raised.as_any().getattr(name!("consumed"))?.extract()?;
        return Err(too_long(&reader, &raised, consumed)?);
    }
    Err(raised.into_err())
}

/// Throws a line away that is too long, as far as it has arrived; the ValueError to raise.
fn too_long(reader: &Obj<'_, StreamReader>, overrun: &Raised<'_>, consumed: usize) -> PyResult<PyErr> {
    let py = reader.py();
    let is_whole = reader.content.with(py, |bytes| bytes.get(consumed) == Some(&b'\n'))?;
    reader.content.take(py, if is_whole { consumed + 1 } else { usize::MAX })?;
    has_taken(reader)?;
    let text = overrun.as_any().getattr(name!("args"))?.get_item(0)?;
    let error = PyErr::from_type(py.get_type::<PyValueError>(), (text.unbind(),));
    error.value(py).setattr(name!("__context__"), overrun.as_any())?;
    Ok(error)
}
