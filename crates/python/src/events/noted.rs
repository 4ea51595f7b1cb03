//! [`Noted`]: what a handle keeps of debug mode: the stack of the code that made it, and what `repr()` said
//! when it was cancelled.
//!
//! Both are in one tuple, because most handles have neither. Filled and read by [`super`].

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::Handle;
use crate::attributes::assigned;
use crate::ffi::{Slot, Table, Visitor, none};
use crate::sources;

/// A tuple of the stack and the text, None for what is not there; empty while there is neither.
pub(super) struct Noted(Slot);

const SOURCE: usize = 0;
const REPR: usize = 1;

impl Noted {
    pub(super) const fn new() -> Self {
        Self(Slot::new())
    }

    /// The stack of the code that made the handle: asyncio's `_source_traceback`.
    pub(super) fn source<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(held) = self.part(py, SOURCE) else { return Ok(None) };
        let Some(summary) = sources::summary_of(&held)? else { return Ok(Some(held)) };
        self.keep_source(summary.clone())?;
        Ok(Some(summary))
    }

    /// The file and the line where the handle was made.
    pub(super) fn place<'py>(&self, py: Python<'py>) -> PyResult<Option<sources::Place<'py>>> {
        self.part(py, SOURCE).map_or(Ok(None), |held| sources::place(&held))
    }

    /// What `repr()` said before the handle was cancelled: asyncio's `_repr`.
    pub(super) fn repr<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.part(py, REPR)
    }

    pub(super) fn keep_source(&self, source: Bound<'_, PyAny>) -> PyResult<()> {
        self.keep(SOURCE, source)
    }

    pub(super) fn keep_repr(&self, text: Bound<'_, PyAny>) -> PyResult<()> {
        self.keep(REPR, text)
    }

    fn part<'py>(&self, py: Python<'py>, index: usize) -> Option<Bound<'py, PyAny>> {
        let both = self.0.get(py)?.cast_into::<PyTuple>().ok()?;
        both.get_item(index).ok().filter(|part| !part.is_none())
    }

    fn keep(&self, index: usize, part: Bound<'_, PyAny>) -> PyResult<()> {
        let py = part.py();
        let mut both = [SOURCE, REPR].map(|index| self.part(py, index).unwrap_or_else(|| none(py)));
        both[index] = part;
        self.0.put(PyTuple::new(py, both)?);
        Ok(())
    }

    /// Shows it to the collector.
    pub(super) fn traverse(&self, visitor: &mut Visitor) {
        self.0.traverse(visitor);
    }

    /// Lets it go.
    pub(super) fn clear(&self) {
        self.0.clear();
    }
}

/// `handle._source_traceback`, `handle._repr`
pub(super) fn attributes(t: &mut Table<Handle>) {
    t.property(
        c"_source_traceback",
        |handle| Ok(handle.noted.source(handle.py())?.unwrap_or_else(|| none(handle.py()))),
        |handle, source| handle.noted.keep_source(assigned(source)?.clone()),
    );
    t.property(
        c"_repr",
        |handle| Ok(handle.noted.repr(handle.py()).unwrap_or_else(|| none(handle.py()))),
        |handle, text| handle.noted.keep_repr(assigned(text)?.clone()),
    );
}
