//! `loop._ready`: what `Ready` of `python/yibu/loop_internals.py` calls to show the ring and to change it.
//!
//! Whoever looks at the ring leaves it as it is, but for the entries that are no handles: a handle takes the
//! place of each. A thread that looks must not hide an entry from the loop, which would block, so nothing is
//! taken out for a look. Calls [`super::internals`] for the handles.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyIndexError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::{handles, internals};
use crate::core::{Callable, EventLoop};
use crate::errors;
use crate::ffi::class::Plain;
use crate::ffi::{Class, ClassState, Create, Obj, Output, Ref, Slot, Table, references};

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.noargs(
        c"_ready_count",
        |event_loop| Ok(count(event_loop).into_pyobject(event_loop.py())?.into_any()),
        "How many entries are ready.",
    );
    t.noargs(c"_ready_list", |event_loop| Ok(list(event_loop)?.into_any()), "Lists all entries as handles.");
    t.noargs(c"_ready_take", |event_loop| Ok(take(event_loop)?.into_any()), "Takes all handles out.");
    t.noargs(c"_ready_pop", pop, "Takes the first handle out.");
    t.action_on(
        c"_ready_push",
        "handle",
        |event_loop, handle| event_loop.push(handles::entry(handle)),
        "Appends a handle, of whatever kind.",
    );
    t.action_on(c"_ready_restore", "handles", restore, "Puts the handles of a list before all others.");
    t.noargs(
        c"_ready_iterate",
        |event_loop| ReadyIterator::over(event_loop, false),
        "Iterates over what is ready, oldest first.",
    );
    t.noargs(
        c"_ready_iterate_reversed",
        |event_loop| ReadyIterator::over(event_loop, true),
        "Iterates over what is ready, newest first.",
    );
}

fn count(event_loop: &Obj<'_, EventLoop>) -> usize {
    event_loop.engine.with(|engine| {
        engine.drain_inbox();
        engine.ready.len()
    })
}

/// The handle at a place of the ring; `None` behind the last entry. An entry that is no handle is replaced by
/// the one made of it.
fn handle_at<'py>(event_loop: &Obj<'py, EventLoop>, place: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, engine) = (event_loop.py(), &event_loop.engine);
    let copy = || engine.with(|engine| engine.ready.get(place).map(|entry| entry.copy(py)));
    let Some(entry) = copy() else { return Ok(None) };
    let call = match internals::callable(event_loop, entry)? {
        Callable::Handle(handle) => return handles::shown(handle).map(Some),
        call @ Callable::Call { .. } => call,
    };
    let handle = internals::calling(event_loop, call)?;
    // On old versions the collector may have run as the handle was made, and anything with it.
    let mut made = Some(handles::entry(&handle));
    let Some(seen) = copy() else { return Ok(Some(handle)) };
    let replaced = engine.with(|engine| {
        let entry = engine.ready.get_mut(place).filter(|entry| entry.is_same(&seen))?;
        made.take().map(|made| std::mem::replace(entry, made))
    });
    drop(replaced);
    Ok(Some(handle))
}

fn list<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Bound<'py, PyList>> {
    let handles = PyList::empty(event_loop.py());
    for place in 0..count(event_loop) {
        let Some(handle) = handle_at(event_loop, place)? else { break };
        handles.append(handle)?;
    }
    Ok(handles)
}

fn take<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Bound<'py, PyList>> {
    loop {
        let handles = list(event_loop)?;
        let taken = event_loop
            .engine
            .with(|engine| (engine.ready.len() == handles.len()).then(|| engine.ready.take()));
        if let Some(taken) = taken {
            drop(taken);
            return Ok(handles);
        }
    }
}

fn pop<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    let handle = match count(event_loop) {
        0 => None,
        _ => handle_at(event_loop, 0)?,
    };
    let Some(handle) = handle else { return Err(PyIndexError::new_err("pop from an empty deque")) };
    let popped = event_loop.engine.with(|engine| engine.ready.pop());
    drop(popped);
    Ok(handle)
}

/// The end of a change that took the handles out. Another thread that made it may have let the loop block
/// meanwhile.
fn restore(event_loop: &Obj<'_, EventLoop>, handles: &Bound<'_, PyAny>) -> PyResult<()> {
    let handles = handles.cast::<PyList>()?;
    for handle in handles.iter().rev() {
        let mut entry = Some(handles::entry(&handle));
        let has_room = event_loop.engine.with(|engine| {
            let has_room = engine.ready.make_room();
            if has_room && let Some(entry) = entry.take() {
                engine.ready.push_first(entry);
            }
            has_room
        });
        if !has_room {
            return Err(errors::no_memory());
        }
    }
    event_loop.inbox().note_pushed();
    Ok(())
}

/// `iter(loop._ready)`. A look that no Python code of the loop's thread interrupts, as `list()` takes it, sees
/// the ring of one moment.
#[derive(Default)]
pub struct ReadyIterator {
    event_loop: Slot<EventLoop>,
    /// What is ready; made by the first step.
    handles: Slot,
    is_reversed: Cell<bool>,
    /// How many handles were given, and how many entries there were at the first step.
    given: Cell<usize>,
    length: Cell<usize>,
}

static READY_ITERATOR: ClassState = ClassState::new();

impl ReadyIterator {
    fn over<'py>(event_loop: &Obj<'py, EventLoop>, is_reversed: bool) -> Output<'py> {
        let iterator = Self::create(event_loop.py())?;
        iterator.event_loop.set(Ref::of(event_loop.clone()));
        iterator.is_reversed.set(is_reversed);
        Ok(iterator.into_any())
    }

    fn step<'py>(iterator: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = iterator.py();
        let Some(event_loop) = iterator.event_loop.obj(py) else { return Ok(None) };
        let handles = match iterator.handles.get(py) {
            Some(handles) => handles.cast_into::<PyList>()?,
            None => {
                let handles = list(&event_loop)?;
                iterator.handles.set(Ref::new(handles.clone().into_any()));
                iterator.length.set(count(&event_loop));
                handles
            }
        };
        if count(&event_loop) != iterator.length.get() {
            iterator.event_loop.clear();
            return Err(PyRuntimeError::new_err("deque mutated during iteration"));
        }
        let given = iterator.given.get();
        if given >= handles.len() {
            iterator.event_loop.clear();
            return Ok(None);
        }
        iterator.given.set(given + 1);
        handles.get_item(if iterator.is_reversed.get() { handles.len() - 1 - given } else { given }).map(Some)
    }
}

impl Class for ReadyIterator {
    const NAME: &'static CStr = c"yibu.ReadyIterator";
    type Header = Plain;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;
    const CLASS: &'static ClassState = &READY_ITERATOR;

    fn table(t: &mut Table<Self>) {
        t.iter(|iterator| Ok(iterator.as_any().clone()));
        t.next(Self::step);
    }

    references! { event_loop, handles }
}
