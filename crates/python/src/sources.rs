//! `_Source`: where a future or a handle was made, as debug mode remembers it.
//! `asyncio.format_helpers.extract_stack`.
//!
//! A stack is asked for when something went wrong, and remembered for every future, task and handle. So only
//! code objects and the offsets of instructions are kept; the `traceback.StackSummary` is made of them by
//! [`shown`] when it is asked for. Called by futures and handles.

use std::ffi::{CStr, c_int};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::ffi::class::Plain;
use crate::ffi::{Class, ClassState, Create, LoopCell, Obj, Output, Ref, Slot, Table, Visitor, frame, none};
use crate::replaced::names::BASE_EVENTS;
use crate::stock;

/// The functions that were executed, the innermost first.
#[derive(Default)]
pub struct Source {
    functions: LoopCell<Vec<Function>>,
}

struct Function {
    code: Ref,
    globals: Ref,
    offset: c_int,
}

/// The stack of the Python code that calls, for a slot that is read by [`shown`].
pub fn capture(py: Python<'_>) -> Output<'_> {
    let Ok(limit) = BASE_EVENTS.constant(py, "DEBUG_STACK_DEPTH")?.extract::<usize>() else {
        return stock::extract_stack(py)?.call0();
    };
    let executed = frame::executed(py, limit)?.into_iter().map(|function| Function {
        code: Ref::new(function.code),
        globals: Ref::new(function.globals),
        offset: function.offset,
    });
    let functions: Vec<_> = executed.collect();
    let source = Source::create(py)?;
    drop(source.functions.with(|empty| std::mem::replace(empty, functions)));
    Ok(source.into_any())
}

/// The summary of a stack that was captured; `None` for any other object.
pub fn summary_of<'py>(held: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Obj::<Source>::cast_exact(held).map(summary).transpose()
}

/// What a slot holds, made a summary of the stack if it was captured; nothing where the slot is empty.
pub fn shown<'py>(slot: &Slot, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(held) = slot.get(py) else { return Ok(None) };
    let Some(summary) = summary_of(&held)? else { return Ok(Some(held)) };
    slot.put(summary.clone());
    Ok(Some(summary))
}

/// The same, or None the object.
pub fn shown_or_none<'py>(slot: &Slot, py: Python<'py>) -> Output<'py> {
    Ok(shown(slot, py)?.unwrap_or_else(|| none(py)))
}

/// A file and a line.
pub type Place<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The file and the line where something was made, for reprs: nothing where what is held of that is not true.
pub fn place<'py>(held: &Bound<'py, PyAny>) -> PyResult<Option<Place<'py>>> {
    let py = held.py();
    let innermost = Obj::<Source>::cast_exact(held).and_then(|source| {
        source.functions.with(|functions| {
            functions.first().map(|function| (function.code.any(py).clone(), function.offset))
        })
    });
    if let Some((code, offset)) = innermost {
        let line = frame::line_at(&code, offset).into_pyobject(py)?;
        return Ok(Some((code.getattr(name!("co_filename"))?, line)));
    }
    let shown = summary_of(held)?.unwrap_or_else(|| held.clone());
    if !shown.is_truthy().unwrap_or(false) {
        return Ok(None);
    }
    let frame = shown.get_item(-1)?;
    Ok(Some((frame.get_item(0)?, frame.get_item(1)?)))
}

/// `traceback.StackSummary.extract`, whose frames need not be more than code and globals.
fn summary<'py>(source: &Obj<'py, Source>) -> Output<'py> {
    let py = source.py();
    let functions: Vec<_> = source.functions.with(|functions| {
        let copied = functions.iter().map(|function| {
            (function.code.any(py).clone(), function.globals.any(py).clone(), function.offset)
        });
        copied.collect()
    });
    let frames = PyList::empty(py);
    for (code, globals, offset) in functions {
        let line = frame::line_at(&code, offset);
        let names = PyDict::new(py);
        names.set_item("f_code", code)?;
        names.set_item("f_globals", globals)?;
        let frame = stock::module(py, "types")?.call_method(name!("SimpleNamespace"), (), Some(&names))?;
        frames.append((frame, line))?;
    }
    let keywords = PyDict::new(py);
    keywords.set_item("limit", frames.len())?;
    keywords.set_item("lookup_lines", false)?;
    let class = stock::module(py, "traceback")?.getattr(name!("StackSummary"))?;
    let summary = class.call_method(name!("extract"), (frames,), Some(&keywords))?;
    summary.call_method0(name!("reverse"))?;
    Ok(summary)
}

static SOURCE: ClassState = ClassState::new();

impl Class for Source {
    const NAME: &'static CStr = c"yibu._yibu._Source";
    type Header = Plain;
    const SUBCLASSABLE: bool = false;
    const FREELIST: usize = 256;
    const CLASS: &'static ClassState = &SOURCE;

    fn table(t: &mut Table<Self>) {
        t.doc(c"_Source()\n--\n\nThe stack of the code that made a future or a handle.");
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.functions.try_with(|functions| {
            for function in functions.iter() {
                visitor.visit(function.code.as_ptr());
                visitor.visit(function.globals.as_ptr());
            }
        });
    }

    fn clear(&self) {
        let functions = self.functions.with(std::mem::take);
        drop(functions);
    }
}
