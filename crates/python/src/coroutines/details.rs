//! The attributes of a native coroutine that are made on demand: its code, its frame, its origin, names that
//! were set.
//!
//! The code is that of the standard library's function, and the frame that of a coroutine of that function
//! which never runs ([`super::unstarted`]). A coroutine whose attributes are not read has one empty pointer
//! for them. Called by [`mod@super::protocol`]; made with every coroutine.

use std::cell::OnceCell;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::line;
use super::protocol::{Coroutine, is_suspended};
use super::unstarted::unstarted;
use crate::ffi::function::naming;
use crate::ffi::{Obj, Output, Slot, Visitor, frame, none, origin};
use crate::names::interned;
use crate::stock::{self, counterparts};

/// One pointer in every coroutine.
#[derive(Default)]
pub struct Details(OnceCell<Box<Known>>);

/// What was asked for or set.
#[derive(Default)]
pub struct Known {
    /// `__name__`, once it was set.
    pub name: Slot,
    /// `__qualname__`, once it was set.
    pub qualified: Slot,
    /// `cr_origin`
    pub origin: Slot,
    /// The Python coroutine whose frame is shown.
    unstarted: Slot,
    /// What stands for the coroutines within: see [`super::inner`].
    pub inner: Slot,
}

impl Known {
    fn slots(&self) -> [&Slot; 5] {
        [&self.name, &self.qualified, &self.origin, &self.unstarted, &self.inner]
    }
}

impl Details {
    /// What is known so far.
    #[inline]
    pub fn known(&self) -> Option<&Known> {
        self.0.get().map(|known| &**known)
    }

    /// The same, to add to it.
    pub fn knowing(&self) -> &Known {
        self.0.get_or_init(Box::default)
    }

    /// Remembers where the coroutine is made, if the thread wants that: called when it is.
    #[inline]
    pub fn note_origin(&self, py: Python<'_>) -> PyResult<()> {
        match origin::depth(py) {
            0 => Ok(()),
            depth => self.remember_origin(py, depth),
        }
    }

    #[cold]
    fn remember_origin(&self, py: Python<'_>, depth: i32) -> PyResult<()> {
        let mut places = Vec::new();
        let mut next = frame::current(py);
        while let Some(frame) = next.filter(|frame| !frame.is_none() && places.len() < depth as usize) {
            let code = frame.getattr(name!("f_code"))?;
            let place = (
                code.getattr(name!("co_filename"))?,
                frame.getattr(name!("f_lineno"))?,
                code.getattr(name!("co_name"))?,
            );
            places.push(place.into_pyobject(py)?);
            next = Some(frame.getattr(name!("f_back"))?);
        }
        self.knowing().origin.put(PyTuple::new(py, places)?.into_any());
        Ok(())
    }

    /// The coroutine has ended: its frame goes, with what it refers to.
    #[inline]
    pub fn end(&self) {
        if let Some(known) = self.known() {
            known.unstarted.clear();
            known.inner.clear();
        }
    }

    /// For the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        if let Some(known) = self.known() {
            known.slots().into_iter().for_each(|slot| slot.traverse(visitor));
        }
    }

    /// For the collector.
    pub fn clear(&self) {
        if let Some(known) = self.known() {
            known.slots().into_iter().for_each(Slot::clear);
        }
    }
}

/// `cr_code`: the standard library's.
pub fn code<'py>(py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    counterparts::function_within(py, name)?.map(|function| function.getattr(name!("__code__"))).transpose()
}

/// `cr_frame`: the same one until the coroutine has ended.
pub fn frame<'py, T: Coroutine>(coroutine: &Obj<'py, T>) -> Output<'py> {
    let py = coroutine.py();
    if T::is_over(coroutine) {
        return Ok(none(py));
    }
    let known = coroutine.details().knowing();
    if known.unstarted.is_empty() {
        let Some(function) =
            counterparts::function_within(py, coroutine.name())?.filter(|function| is_asynchronous(function))
        else {
            return Ok(none(py));
        };
        let (values, named) = arguments(coroutine, &function)?;
        let shown = unstarted(&function, &values, &named)?;
        known.unstarted.put(shown);
        coroutine.track();
    }
    let shown = known.unstarted.get_or_none(py);
    let frame = match shown.getattr_opt(name!("cr_frame"))? {
        Some(frame) => frame,
        // In 3.11 one of asyncio's coroutines is a generator.
        None => shown.getattr(name!("gi_frame"))?,
    };
    let line = if is_suspended(coroutine) {
        line::of_wait(&frame.getattr(name!("f_code"))?, T::awaiting(coroutine)?.as_ref())?
    } else {
        None
    };
    frame::set_line(&frame, line);
    Ok(frame)
}

/// Whether calling a function runs nothing of it: a coroutine function, or a generator.
fn is_asynchronous(function: &Bound<'_, PyAny>) -> bool {
    /// `inspect.CO_COROUTINE` and `inspect.CO_GENERATOR`.
    const LATER: u32 = 0x80 | 0x20;
    let flags = function
        .getattr(name!("__code__"))
        .and_then(|code| code.getattr(name!("co_flags"))?.extract::<u32>());
    flags.is_ok_and(|flags| flags & LATER != 0)
}

/// What the frame shows as the function's parameters: their values, or an ellipsis where a native coroutine
/// has not kept them.
fn arguments<'py, T: Coroutine>(
    coroutine: &Obj<'py, T>,
    function: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
    let py = coroutine.py();
    let code = function.getattr(name!("__code__"))?;
    let names = code.getattr(name!("co_varnames"))?;
    let positional: usize = code.getattr(name!("co_argcount"))?.extract()?;
    let keywords: usize = code.getattr(name!("co_kwonlyargcount"))?.extract()?;
    let mut values = Vec::new();
    let named = PyDict::new(py);
    for index in 0..positional + keywords {
        let name = names.get_item(index)?.cast_into::<PyString>()?;
        let value = T::parameter(coroutine, name.to_str()?).unwrap_or_else(|| py.Ellipsis().into_bound(py));
        if index < positional { values.push(value) } else { named.set_item(name, value)? }
    }
    Ok((PyTuple::new(py, values)?, named))
}

/// `__name__`, unless another one was set: that of the code.
pub fn name<'py, T: Coroutine>(coroutine: &Obj<'py, T>) -> Output<'py> {
    let py = coroutine.py();
    if let Some(name) = coroutine.details().known().and_then(|known| known.name.get(py)) {
        return Ok(name);
    }
    let name = coroutine.name();
    match of_function(py, name, "__name__", "co_name")? {
        Some(name) => Ok(name),
        None => Ok(PyString::new(py, name.rsplit('.').next().unwrap_or(name)).into_any()),
    }
}

/// The name of the standard library's function, or the one that a program has given to the function in its
/// place.
fn of_function<'py>(
    py: Python<'py>,
    name: &str,
    of_function: &str,
    of_code: &str,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(counterpart) = counterparts::function_within(py, name)? else { return Ok(None) };
    match naming::renamed(&counterpart) {
        Some(function) => function.getattr(interned(py, of_function)).map(Some),
        None => counterpart.getattr(name!("__code__"))?.getattr(interned(py, of_code)).map(Some),
    }
}

/// `__qualname__`, likewise.
pub fn qualified_name<'py, T: Coroutine>(coroutine: &Obj<'py, T>) -> Output<'py> {
    let py = coroutine.py();
    if let Some(name) = coroutine.details().known().and_then(|known| known.qualified.get(py)) {
        return Ok(name);
    }
    match of_function(py, coroutine.name(), "__qualname__", "co_qualname")? {
        Some(name) => Ok(name),
        None => Ok(PyString::new(py, coroutine.name()).into_any()),
    }
}

/// Reports that a coroutine was never awaited, as the interpreter reports its own.
pub fn report_never_awaited(coroutine: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = coroutine.py();
    // Looked up each time: programs replace it.
    if let Some(report) = stock::warnings_module(py)?.getattr_opt(name!("_warn_unawaited_coroutine"))? {
        return report.call1((coroutine,)).map(drop);
    }
    let text = text!("coroutine '{}' was never awaited", coroutine.getattr(name!("__qualname__"))?)?;
    stock::warn(py)?.call1((text, py.get_type::<pyo3::exceptions::PyRuntimeWarning>())).map(drop)
}
