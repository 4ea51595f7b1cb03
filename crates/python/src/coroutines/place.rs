//! Where a native coroutine is, without making the frame that shows it: file, line and name of asyncio's
//! function.
//!
//! Gives what `cr_frame` of the coroutine would show. Called for the task tree.

use pyo3::prelude::*;

use super::{details, line};

/// A file, a line in it, and the qualified name of the function.
pub type Place<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The place of the coroutine that has this name and awaits a coroutine of the name `awaited` (none: a
/// future), if it `waits`. Nothing where this interpreter's asyncio has no such function.
pub fn place<'py>(
    py: Python<'py>,
    name: &str,
    awaited: Option<&str>,
    waits: bool,
) -> PyResult<Option<Place<'py>>> {
    let Some(code) = details::code(py, name)? else { return Ok(None) };
    let known = if waits { line::of_wait_for(&code, waits, awaited)? } else { None };
    let line = match known {
        Some(line) => line.into_pyobject(py)?.into_any(),
        None => code.getattr(name!("co_firstlineno"))?,
    };
    Ok(Some((code.getattr(name!("co_filename"))?, line, code.getattr(name!("co_qualname"))?)))
}
