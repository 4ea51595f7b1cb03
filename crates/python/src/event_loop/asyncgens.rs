//! Asynchronous generators: the hooks that keep track of them while a loop runs, and `shutdown_asyncgens`.
//!
//! The interpreter calls [`first_iteration`] when a generator is first iterated and [`finalize`] when one is
//! abandoned half-way.

use std::cell::Cell;
use std::rc::Rc;

use pyo3::exceptions::PyResourceWarning;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::attributes::write_flag;
use crate::core::{EventLoop, Part};
use crate::coroutines::{self, GcRef, GcScope};
use crate::errors;
use crate::ffi::thread::attached;
use crate::ffi::{Obj, Output, Slot, Table, Visitor, boolean, call, none};
use crate::frames::Frame;
use crate::gathering::gather_by_name;
use crate::replaced::names::BASE_EVENTS;
use crate::tasks::Awaited;
use crate::{names, stock};

/// What a loop knows of asynchronous generators.
#[derive(Default)]
struct Generators {
    /// The weak set of active ones.
    active: Slot,
    /// Whether `shutdown_asyncgens()` was called.
    closed: Cell<bool>,
    /// The hooks that were installed before the loop ran, as `sys.get_asyncgen_hooks` has told them.
    former_hooks: Slot,
}

impl Part for Generators {
    fn traverse(&self, visitor: &mut Visitor) {
        self.active.traverse(visitor);
        self.former_hooks.traverse(visitor);
    }
}

fn generators(event_loop: &Obj<'_, EventLoop>) -> Rc<Generators> {
    event_loop.parts.shared()
}

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.noargs(
        c"shutdown_asyncgens",
        shutdown,
        "Coroutine: closes all asynchronous generators that are still active.",
    );
    t.one(
        c"_asyncgen_firstiter_hook",
        "agen",
        first_iteration,
        "Called by the interpreter when a generator is first iterated.",
    );
    t.one(
        c"_asyncgen_finalizer_hook",
        "agen",
        finalize,
        "Called by the interpreter when a generator is abandoned.",
    );
    t.getter(c"_asyncgens", set);
    t.getter(c"_old_agen_hooks", |event_loop| {
        Ok(generators(event_loop).former_hooks.get_or_none(event_loop.py()))
    });
    t.property(
        c"_asyncgens_shutdown_called",
        |event_loop| Ok(boolean(event_loop.py(), generators(event_loop).closed.get())),
        |event_loop, value| write_flag(&generators(event_loop).closed, value),
    );
}

/// The weak set of active generators, made when first needed: most loops see none.
fn set<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    let py = event_loop.py();
    if let Some(set) = generators(event_loop).active.get(py) {
        return Ok(set);
    }
    let set = stock::module(py, "weakref")?.getattr(name!("WeakSet"))?.call0()?;
    generators(event_loop).active.put(set.clone());
    Ok(set)
}

/// Puts the hooks back that were installed before the loop began to run.
pub(super) fn restore(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let py = event_loop.py();
    let Some(former) = generators(event_loop).former_hooks.take() else { return Ok(()) };
    let hooks = former.into_any(py).try_iter()?.collect::<PyResult<Vec<_>>>()?;
    BASE_EVENTS
        .global(py, "sys")?
        .getattr(name!("set_asyncgen_hooks"))?
        .call1(PyTuple::new(py, hooks)?)
        .map(drop)
}

/// Installs the loop's hooks and keeps those that were there.
pub(super) fn install(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let py = event_loop.py();
    let sys = BASE_EVENTS.global(py, "sys")?;
    let before = call::call0(&sys.getattr(name!("get_asyncgen_hooks"))?)?;
    let mine = event_loop.as_any();
    let first = mine.getattr(names::_asyncgen_firstiter_hook(py))?;
    let last = mine.getattr(names::_asyncgen_finalizer_hook(py))?;
    let set = sys.getattr(name!("set_asyncgen_hooks"))?;
    if set.is(stock::set_asyncgen_hooks(py)?) {
        set.call1((first, last))?;
    } else {
        // The program's own may take them by name alone, as asyncio gives them.
        let hooks = PyDict::new(py);
        hooks.set_item("firstiter", first)?;
        hooks.set_item("finalizer", last)?;
        set.call((), Some(&hooks))?;
    }
    generators(event_loop).former_hooks.put(before);
    Ok(())
}

fn first_iteration<'py>(event_loop: &Obj<'py, EventLoop>, generator: &Bound<'py, PyAny>) -> Output<'py> {
    let py = event_loop.py();
    if generators(event_loop).closed.get() {
        let text = text!(
            "asynchronous generator {} was scheduled after loop.shutdown_asyncgens() call",
            generator.repr()?
        )?;
        static FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop._asyncgen_firstiter_hook");
        FRAME.warn(&text, &py.get_type::<PyResourceWarning>(), Some(event_loop.as_any()))?;
    }
    set(event_loop)?.call_method1(name!("add"), (generator,))?;
    Ok(none(py))
}

fn finalize<'py>(event_loop: &Obj<'py, EventLoop>, generator: &Bound<'py, PyAny>) -> Output<'py> {
    let py = event_loop.py();
    set(event_loop)?.call_method1(name!("discard"), (generator,))?;
    if !event_loop.is_closed() {
        let create_task = event_loop.as_any().getattr(name!("create_task"))?;
        let closing = generator.call_method0(name!("aclose"))?;
        event_loop.as_any().call_method1(name!("call_soon_threadsafe"), (create_task, closing))?;
    }
    Ok(none(py))
}

fn shutdown<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    let gc_scope = GcScope::begin();
    let me = GcRef::of(event_loop);
    coroutines::new(gc_scope, event_loop, "EventLoop.shutdown_asyncgens", async move {
        let gathering = attached(|py| -> PyResult<_> {
            let event_loop = me.obj(py);
            generators(&event_loop).closed.set(true);
            let set = set(&event_loop)?;
            if set.len()? == 0 {
                return Ok(None);
            }
            let generators = errors::collected(set.try_iter()?)?;
            set.call_method0(name!("clear"))?;
            let closings: Vec<_> = generators
                .iter()
                .map(|generator| generator.call_method0(name!("aclose")))
                .collect::<PyResult<_>>()?;
            let future = gather_by_name(py, closings.into_iter(), true)?;
            Ok(Some((
                Awaited::on(&event_loop, &future)?,
                generators.into_iter().map(GcRef::new).collect::<Vec<_>>(),
            )))
        })?;
        let Some((gathering, generators)) = gathering else {
            return Ok(attached(|py| py.None()));
        };
        let results = gathering.await?;
        attached(|py| {
            for (result, generator) in results.bind(py).try_iter()?.zip(generators) {
                report_failure(&me.obj(py), &result?, generator.bind(py))?;
            }
            Ok(py.None())
        })
    })
}

fn report_failure<'py>(
    event_loop: &Obj<'py, EventLoop>,
    result: &Bound<'py, PyAny>,
    generator: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = event_loop.py();
    // gather(return_exceptions=True) gives ordinary exceptions as results.
    if !result.is_instance_of::<pyo3::exceptions::PyException>() {
        return Ok(());
    }
    let report = PyDict::new(py);
    let text = text!("an error occurred during closing of asynchronous generator {}", generator.repr()?)?;
    report.set_item("message", text)?;
    report.set_item("exception", result)?;
    report.set_item("asyncgen", generator)?;
    event_loop.as_any().call_method1(name!("call_exception_handler"), (report,)).map(drop)
}
