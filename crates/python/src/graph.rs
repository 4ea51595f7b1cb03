//! Call graphs: what a task runs, which tasks wait for it, and so on upwards. `asyncio.graph`, native (3.14).
//!
//! The graph itself is made of the standard library's dataclasses. Native coroutines show the frames of
//! asyncio's functions (`coroutines/details.rs`), and by `cr_await` what they wait for. Called by Python code
//! only.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyTuple};

use crate::core::current;
use crate::coroutines::frames_around;
use crate::ffi::call::recursing;
use crate::ffi::{Args, Output, Signature, call, none};
use crate::futures::{awaiting, future_like};
use crate::texts::joined;
use crate::{functions, stock, tasks};

const CAPTURE: Signature<3> = Signature::new("capture_call_graph", "future=None, /, *, depth=1, limit=None");
const FORMAT: Signature<3> = Signature::new("format_call_graph", "future=None, /, *, depth=1, limit=None");
const PRINT: Signature<4> =
    Signature::new("print_call_graph", "future=None, /, *, file=None, depth=1, limit=None");

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    awaiting::register(module)?;
    let doc = "The call graph of a future or task, by default the current task, as a FutureCallGraph.";
    functions::add(module, &CAPTURE, |args| capture(&Request::parse(&args, &CAPTURE)?), doc)?;
    let doc = "The call graph of a future or task, by default the current task, as text.";
    functions::add(
        module,
        &FORMAT,
        |args| Ok(format(&Request::parse(&args, &FORMAT)?)?.into_pyobject(args.py())?.into_any()),
        doc,
    )?;
    let doc = "Prints the call graph of a future or task, by default the current task.";
    functions::add(module, &PRINT, print, doc)
}

/// What the functions are asked for.
struct Request<'py> {
    /// None for the current task.
    future: Bound<'py, PyAny>,
    /// How many frames above the caller of the native function the call stack begins.
    above: isize,
    limit: Option<isize>,
}

impl<'py> Request<'py> {
    fn parse(args: &Args<'_, 'py>, signature: &Signature<3>) -> PyResult<Self> {
        let [future, depth, limit] = args.parse_given(signature)?;
        let depth = depth.map_or(Ok(1), |depth| depth.extract::<isize>())?;
        Self::new(args.py(), future, depth - 1, limit)
    }

    fn new(
        py: Python<'py>,
        future: Option<Bound<'py, PyAny>>,
        above: isize,
        limit: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let limit = limit.filter(|limit| !limit.is_none()).map(|limit| limit.extract()).transpose()?;
        Ok(Self { future: future.unwrap_or_else(|| none(py)), above: above.max(0), limit })
    }
}

/// `capture_call_graph`.
fn capture<'py>(request: &Request<'py>) -> Output<'py> {
    let py = request.future.py();
    let event_loop = call::call0(stock::get_running_loop(py)?)?;
    let running = if event_loop.is_none() { None } else { current::running_task(&event_loop)? };
    if !request.future.is_none() {
        if running.as_ref().is_none_or(|task| !task.is(&request.future)) {
            return graph_of(&request.future, request.limit);
        }
    } else if event_loop.is_none() {
        return Err(PyRuntimeError::new_err(
            "capture_call_graph() is called outside of a running event loop and no *future* to introspect was provided",
        ));
    }
    let Some(task) = running else { return Ok(none(py)) };
    ensure_future(&task)?;
    let frames = if request.limit == Some(0) { Vec::new() } else { running_frames(&task, request.above)? };
    // The caller's end of the stack comes first here: what a suspended task's limit counts from the other
    // end.
    new_graph(&task, truncated(frames, request.limit.map(|limit| -limit)), request.limit)
}

fn ensure_future(object: &Bound<'_, PyAny>) -> PyResult<()> {
    if future_like::is_asyncio_future(object)? {
        return Ok(());
    }
    let text = text!("{} object does not appear to be compatible with asyncio.Future", object.repr()?)?;
    Err(PyTypeError::new_err(text))
}

/// The frames of a running task, from where it runs down to its coroutine.
fn running_frames<'py>(task: &Bound<'py, PyAny>, above: isize) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = task.py();
    let root = match task.getattr_opt(name!("get_coro"))? {
        Some(get_coro) => get_coro.call0()?,
        None => none(py),
    };
    let mut frames = Vec::new();
    let mut frame = stock::getframe(py)?.call1((above,))?;
    while !frame.is_none() {
        let generator = frame.getattr(name!("f_generator"))?;
        let back = frame.getattr(name!("f_back"))?;
        frames.push(frame);
        let (around, outermost) = frames_around(&generator)?;
        frames.extend(around);
        // The native code that steps a task has no frame of its own, so below the task's coroutine may be
        // another task's.
        let is_root = !generator.is_none() && outermost.is(&root);
        let is_async = generator.is_instance(stock::coroutine(py)?)?
            || generator.is_instance(stock::async_generator(py)?)?;
        if is_root || is_async && !back.is_none() && back.getattr(name!("f_generator"))?.is_none() {
            break;
        }
        frame = back;
    }
    Ok(frames)
}

/// `graph._build_graph_for_future`: the graph of a future that is no running task.
fn graph_of<'py>(future: &Bound<'py, PyAny>, limit: Option<isize>) -> Output<'py> {
    ensure_future(future)?;
    let mut frames = Vec::new();
    let mut coroutine = match future.getattr_opt(name!("get_coro"))? {
        Some(get_coro) if limit != Some(0) => get_coro.call0()?,
        _ => none(future.py()),
    };
    while !coroutine.is_none() {
        let (frame, awaited) = if let Some(awaited) = coroutine.getattr_opt(name!("cr_await"))? {
            (coroutine.getattr(name!("cr_frame"))?, awaited)
        } else if let Some(awaited) = coroutine.getattr_opt(name!("ag_await"))? {
            (coroutine.getattr(name!("ag_frame"))?, awaited)
        } else {
            break;
        };
        if !frame.is_none() {
            frames.push(frame);
        }
        coroutine = awaited;
    }
    let mut frames = truncated(frames, limit);
    frames.reverse();
    new_graph(future, frames, limit)
}

/// `frames[:limit]`, or `frames[limit:]` of a negative limit.
fn truncated<T>(mut frames: Vec<T>, limit: Option<isize>) -> Vec<T> {
    match limit {
        Some(limit) if limit > 0 => frames.truncate(limit.unsigned_abs()),
        Some(limit) if limit < 0 => drop(frames.drain(..frames.len().saturating_sub(limit.unsigned_abs()))),
        _ => {}
    }
    frames
}

/// A `FutureCallGraph`, with the graphs of the tasks that wait for the future.
fn new_graph<'py>(
    future: &Bound<'py, PyAny>,
    frames: Vec<Bound<'py, PyAny>>,
    limit: Option<isize>,
) -> Output<'py> {
    let py = future.py();
    let entry = stock::frame_call_graph_entry(py)?;
    let frames = frames.into_iter().map(|frame| entry.call1((frame,))).collect::<PyResult<Vec<_>>>()?;
    let awaited_by = future.getattr(name!("_asyncio_awaited_by"))?;
    let mut parents = Vec::new();
    if awaited_by.is_truthy()? {
        for parent in awaited_by.try_iter()? {
            let parent = parent?;
            parents.push(recursing(py, c" while capturing a call graph", || graph_of(&parent, limit))?);
        }
    }
    stock::future_call_graph(py)?.call1((future, PyTuple::new(py, frames)?, PyTuple::new(py, parents)?))
}

/// `format_call_graph`.
fn format(request: &Request<'_>) -> PyResult<String> {
    let graph = capture(request)?;
    let mut lines = Vec::new();
    if !graph.is_none() {
        render(&graph, &mut lines, 0)?;
    }
    joined(&lines, "\n")
}

/// Adds the lines of one future, then those of the futures that wait for it, further to the right.
fn render(graph: &Bound<'_, PyAny>, lines: &mut Vec<String>, level: usize) -> PyResult<()> {
    let py = graph.py();
    let indent = "    ".repeat(level);
    let future = graph.getattr(name!("future"))?;
    let id = future.as_ptr();
    if tasks::is_asyncio_task(&future)? {
        let name = future.call_method0(name!("get_name"))?.repr()?;
        lines.push(text!("{indent}* Task(name={name}, id={id:p})")?);
    } else {
        lines.push(text!("{indent}* Future(id={id:p})")?);
    }
    let stack = graph.getattr(name!("call_stack"))?.cast_into::<PyTuple>()?;
    if !stack.is_empty() {
        lines.push(text!("{indent}  + Call stack:")?);
    }
    for entry in &stack {
        lines.push(text!("{indent}  |   {}", render_frame(&entry.getattr(name!("frame"))?)?)?);
    }
    let parents = graph.getattr(name!("awaited_by"))?.cast_into::<PyTuple>()?;
    if !parents.is_empty() {
        lines.push(text!("{indent}  + Awaited by:")?);
    }
    for parent in &parents {
        recursing(py, c" while formatting a call graph", || render(&parent, lines, level + 1))?;
    }
    Ok(())
}

/// The line of one frame, where the coroutine or generator that it belongs to is by now.
fn render_frame(frame: &Bound<'_, PyAny>) -> PyResult<String> {
    let generator = frame.getattr(name!("f_generator"))?;
    let kinds = [("cr", "async "), ("ag", "async generator "), ("gi", "generator ")];
    let mut now = (frame.clone(), frame.getattr(name!("f_code"))?, "");
    for (prefix, tag) in kinds {
        if let (Some(frame), Some(code)) = (
            generator.getattr_opt(format!("{prefix}_frame"))?,
            generator.getattr_opt(format!("{prefix}_code"))?,
        ) {
            now = (frame, code, tag);
            break;
        }
    }
    let (frame, code, tag) = now;
    Ok(text!(
        "File {}, line {}, in {tag}{}()",
        frame.getattr(name!("f_code"))?.getattr(name!("co_filename"))?.repr()?,
        frame.getattr(name!("f_lineno"))?.str()?,
        code.getattr(name!("co_qualname"))?.str()?,
    )?)
}

/// `print_call_graph`. In asyncio a depth of 1 shows the frame of the function itself, which a native one
/// does not have.
fn print<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    let [future, file, depth, limit] = args.parse_given(&PRINT)?;
    let depth = depth.map_or(Ok(1), |depth| depth.extract::<isize>())?;
    let text = format(&Request::new(py, future, depth - 2, limit)?)?;
    let keywords = PyDict::new(py);
    keywords.set_item("file", file)?;
    stock::module(py, "builtins")?.getattr(name!("print"))?.call((text,), Some(&keywords))
}
