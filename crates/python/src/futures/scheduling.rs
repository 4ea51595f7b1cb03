//! The callbacks of a future: added, removed, shown to Python code, and scheduled when the future is done.
//!
//! On a native loop a callback is pushed to the ready ring, with no handle; on a foreign loop everything goes
//! through that loop's `call_soon`. Called by `outcome`, by tasks and by primitives.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::callbacks::Callback;
use super::callbacks::Key;
use super::state::{Future, State, uninitialized};
use crate::callbacks::{Reaction, ReactionCallback, reaction_of};
use crate::core::{Callable, Entry, EntryKind, EventLoop, Other, Runnable, current, named, no_callable};
use crate::events::Handle;
use crate::ffi::{Obj, Output, Ref, call, context, none};
use crate::{errors, events, names};

/// Schedules every callback and empties the list.
#[inline]
pub(super) fn schedule_callbacks(future: &Obj<'_, Future>) -> PyResult<()> {
    future.callbacks.with(std::mem::take).consume(|callback| schedule(future, callback))
}

/// Schedules one callback on the future's loop.
#[inline]
fn schedule(future: &Obj<'_, Future>, callback: Callback) -> PyResult<()> {
    let py = future.py();
    let event_loop = future.event_loop.get(py).ok_or_else(uninitialized)?;
    if let Some(native) = EventLoop::direct(&event_loop)
        && !is_without_context(py, &callback)
    {
        native.check_open()?;
        let another = || Ref::new(future.as_any().clone());
        return native.push_made(|| match callback {
            Callback::Entry { kind, object } => {
                Entry::Run(Runnable { kind, object, first: Some(another()), second: None })
            }
            Callback::Reaction { reaction, owner } => {
                Entry::Other(Other::React { reaction, owner, future: another() })
            }
            Callback::Python { function, context } => {
                let (kind, first, second) = (&CALLBACK, Some(another()), Some(context));
                Entry::Run(Runnable { kind, object: function, first, second })
            }
        });
    }
    let (function, context) = as_python(py, callback)?;
    call_soon(&event_loop, &function, future.as_any(), &context)
}

/// A callback of a future that is done: it comes with the future and with the context to call it in.
static CALLBACK: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        current::flush_leave(event_loop)?;
        let py = event_loop.py();
        let (function, future, context) = parts(runnable, py);
        // If the callback raises, a Handle is made for the report, which names one.
        match context::run(&context, |_| call::call1(&function, &future)) {
            Ok(_) => Ok(()),
            Err(error) => events::report(
                &Handle::with_arg(event_loop.as_any(), function, Some(future), Some(context))?,
                error,
            ),
        }
    },
    subject: named,
    callable: Some(|runnable, py| {
        let (callback, future, context) = parts(runnable, py);
        Ok(Callable::Call { callback, argument: Some(future), context: Some(context) })
    }),
    stands_for: no_callable,
};

/// Function, future and context of an entry of [`CALLBACK`].
#[inline]
fn parts(runnable: Runnable, py: Python<'_>) -> (Bound<'_, PyAny>, Bound<'_, PyAny>, Bound<'_, PyAny>) {
    let part = |part: Option<Ref>| part.map_or_else(|| none(py), |part| part.into_any(py));
    (runnable.object.into_any(py), part(runnable.first), part(runnable.second))
}

/// Whether a callback was added with `context=None`, or with what is no context: the loop's `call_soon` knows
/// what to do.
#[inline]
fn is_without_context(py: Python<'_>, callback: &Callback) -> bool {
    matches!(callback, Callback::Python { context, .. } if !context::is_context(context.any(py)))
}

/// `loop.call_soon(function, arg, context=context)` on any loop.
pub fn call_soon<'py>(
    event_loop: &Bound<'py, PyAny>,
    function: &Bound<'py, PyAny>,
    arg: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = event_loop.py();
    call::method_with_keyword(
        names::call_soon(py),
        [event_loop, function, arg, context],
        names::context_keyword(py),
    )?;
    Ok(())
}

/// A callback as Python sees it: function and context.
fn as_python(py: Python<'_>, callback: Callback) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    match callback {
        Callback::Python { function, context } => Ok((function.into_any(py), context.into_any(py))),
        Callback::Entry { kind, object } => {
            match kind.callable.map(|form| form(Runnable::new(kind, object), py)) {
                Some(Ok(Callable::Call { callback, context, .. })) => {
                    Ok((callback, context.map_or_else(|| context::empty(py), Ok)?))
                }
                Some(Ok(Callable::Handle(handle))) => Ok((handle, context::empty(py)?)),
                Some(Err(error)) => Err(error),
                None => Ok((none(py), none(py))),
            }
        }
        // The callback has no context. The current one would be wrong, and would keep alive what its
        // variables refer to.
        Callback::Reaction { reaction, owner } => {
            Ok((ReactionCallback::of(reaction, owner.any(py))?, context::empty(py)?))
        }
    }
}

/// `Future.add_done_callback`, for a callback of any kind.
#[inline]
pub fn add_callback(future: &Obj<'_, Future>, callback: Callback) -> PyResult<()> {
    future.ensure_alive()?;
    if future.state.get() == State::Pending {
        let refused = future.callbacks.with(|callbacks| {
            if !callbacks.make_room() {
                return Some(callback);
            }
            callbacks.push(callback);
            None
        });
        errors::room(refused.is_none())
    } else {
        schedule(future, callback)
    }
}

/// `Future.remove_done_callback`: comparing runs foreign code, which may change the list meanwhile.
pub(super) fn remove_callback<'py>(future: &Obj<'py, Future>, function: &Bound<'py, PyAny>) -> Output<'py> {
    let py = future.py();
    future.ensure_alive()?;
    let mut removed = match reaction_of(function) {
        Some((reaction, owner)) => remove_reaction(future, reaction, &owner),
        None => 0,
    };
    let mut index = 0;
    while index < future.callbacks.with(|all| all.places()) {
        let candidate = future.callbacks.with(|all| match all.get(index) {
            Some(Callback::Python { function, .. }) => Some((None, function.copy(py))),
            Some(Callback::Entry { kind, object }) => Some((Some(*kind), object.copy(py))),
            Some(Callback::Reaction { .. }) | None => None,
        });
        let equal = match &candidate {
            None => false,
            // A waiting task: its wake-up is what Python code may name.
            Some((Some(kind), object)) => (kind.stands_for)(function, object),
            Some((None, candidate)) => candidate.any(py).eq(function)?,
        };
        if !equal {
            index += 1;
            continue;
        }
        // The list may have changed during the comparison: remove the entry only if it is still there.
        let gone = future.callbacks.with(|all| {
            let same = match (all.get(index), &candidate) {
                (
                    Some(Callback::Python { function: object, .. } | Callback::Entry { object, .. }),
                    Some((_, c)),
                ) => object.as_ptr() == c.as_ptr(),
                _ => false,
            };
            if same { all.remove(index) } else { None }
        });
        match gone {
            Some(callback) => {
                drop(callback);
                removed += 1;
            }
            None => index += 1,
        }
    }
    Ok(removed.into_pyobject(py)?.into_any())
}

/// Removes every callback of one reaction and owner; returns their number.
pub fn remove_reaction(
    future: &Obj<'_, Future>,
    reaction: &'static Reaction,
    owner: &Bound<'_, PyAny>,
) -> usize {
    let key = Key::new(reaction, owner.as_ptr());
    let gone = future.callbacks.with(|all| all.remove_all(key));
    gone.len()
}

/// `Future._callbacks`: `None`, or a list of `(function, context)`.
pub(super) fn callback_list<'py>(future: &Obj<'py, Future>) -> Output<'py> {
    let py = future.py();
    let copies: Vec<Callback> =
        future.callbacks.with(|all| all.iter().map(|callback| callback.copy(py)).collect());
    if copies.is_empty() {
        return Ok(none(py));
    }
    let list = PyList::empty(py);
    for callback in copies {
        let standard = match &callback {
            Callback::Reaction { reaction, .. } => reaction.standard,
            _ => None,
        };
        let (function, context) = as_python(py, callback)?;
        // Programs (anyio) find the task that a loop runs for by the identity of asyncio's function among its
        // callbacks.
        let function = standard.map_or(Ok(function), |standard| standard(py).cloned())?;
        list.append((function, context))?;
    }
    Ok(list.into_any())
}
