//! `_coroutine_stack`: the coroutines of a task, each awaited by the one before, as `cr_await` leads from one
//! to the next.
//!
//! Of a Python coroutine the line is noted, because the coroutine may go on before the line is printed. A
//! native one is its name and the names of asyncio's functions within it.

use pyo3::prelude::*;
use pyo3::types::{PyModule, PyTuple};

use crate::coroutines::protocol::Coroutine;
use crate::coroutines::{NativeCoroutine, Routine, names_shown};
use crate::ffi::{Args, Obj, Output, Signature, none};
use crate::names::Interned;
use crate::{functions, stock};

const STACK: Signature<1> = Signature::new("_coroutine_stack", "coroutine");
const PARTS: Signature<1> = Signature::new("_routine_parts", "object");

/// A longer chain is cut: a coroutine that awaits itself through objects of the program would have no end.
const LONGEST: usize = 1000;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "For each coroutine of a task, from the outermost: itself, its code and line; or, of a native one, its name and those within.";
    functions::add(
        module,
        &STACK,
        |args: Args<'_, '_>| {
            let [coroutine] = args.parse(&STACK)?;
            Ok(of(coroutine)?.into_any())
        },
        doc,
    )?;
    let doc = "What the pieces of a routine share, as a tuple of four: mostly the object whose method it is comes first. Else None.";
    functions::add(module, &PARTS, parts, doc)
}

fn parts<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [object] = args.parse(&PARTS)?;
    let py = args.py();
    let Some(routine) = Obj::<Routine>::cast(&object) else { return Ok(none(py)) };
    let slots = [&routine.owner, &routine.first, &routine.second, &routine.third];
    Ok(PyTuple::new(py, slots.map(|slot| slot.get_or_none(py)))?.into_any())
}

/// The coroutines, from the outermost inwards.
pub(super) fn of<'py>(coroutine: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let py = coroutine.py();
    let mut found = Vec::with_capacity(4);
    let mut next = coroutine;
    while !next.is_none() && found.len() < LONGEST {
        let Some((frame, awaited)) = look_at(&next)? else { break };
        found.push(frame);
        next = awaited;
    }
    PyTuple::new(py, found)
}

/// One coroutine, and what it awaits; nothing for what is no coroutine.
fn look_at<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<(Bound<'py, PyTuple>, Bound<'py, PyAny>)>> {
    let py = object.py();
    let class = object.get_type();
    if class.is(stock::coroutine(py)?) {
        let parts = [name!("cr_frame"), name!("cr_code"), name!("cr_await")];
        return interpreted(object, parts).map(Some);
    }
    if let Some(routine) = Obj::<Routine>::cast(object) {
        let within = PyTuple::new(py, names_shown(routine)?)?;
        let awaited = routine.awaited_iterator(py).unwrap_or_else(|| none(py));
        let frame = (object, Coroutine::name(&**routine), within).into_pyobject(py)?;
        return Ok(Some((frame, awaited)));
    }
    if let Some(native) = Obj::<NativeCoroutine>::cast(object) {
        let frame = (object, Coroutine::name(&**native), PyTuple::empty(py)).into_pyobject(py)?;
        return Ok(Some((frame, NativeCoroutine::awaiting(native)?.unwrap_or_else(|| none(py)))));
    }
    if class.is(stock::generator(py)?) {
        let parts = [name!("gi_frame"), name!("gi_code"), name!("gi_yieldfrom")];
        return interpreted(object, parts).map(Some);
    }
    if object.hasattr(name!("ag_await"))? {
        let parts = [name!("ag_frame"), name!("ag_code"), name!("ag_await")];
        return interpreted(object, parts).map(Some);
    }
    step_of_generator(object)
}

/// A coroutine or generator of the interpreter: its line, and what it awaits.
fn interpreted<'py>(
    object: &Bound<'py, PyAny>,
    [frame, code, awaited]: [&'static Interned; 3],
) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyAny>)> {
    let py = object.py();
    let frame = object.getattr(frame)?;
    let line = if frame.is_none() { none(py) } else { frame.getattr(name!("f_lineno"))? };
    let found = (object, object.getattr(code)?, line).into_pyobject(py)?;
    Ok((found, object.getattr(awaited)?))
}

/// What `async for` and `await generator.asend(...)` await is no coroutine, but refers to the asynchronous
/// generator.
fn step_of_generator<'py>(
    object: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, PyTuple>, Bound<'py, PyAny>)>> {
    let py = object.py();
    let class = object.get_type();
    if !class.name()?.to_str()?.starts_with("async_generator_") && class.name()? != "anext_awaitable" {
        return Ok(None);
    }
    let referents = stock::module(py, "gc")?.call_method1(name!("get_referents"), (object,))?;
    for referent in referents.try_iter()? {
        let referent = referent?;
        if referent.hasattr(name!("ag_await"))? || class.name()? == "anext_awaitable" {
            return look_at(&referent);
        }
    }
    Ok(None)
}
