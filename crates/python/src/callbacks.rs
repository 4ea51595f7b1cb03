//! Reactions: what the primitives do when a future is done, without a Python callable in between.
//!
//! A [`Reaction`] is a static: a function, and a second one that finds the waiting task. `gather`,
//! `TaskGroup`, `wait` and the like register one with an `owner`, the object it acts on. On native futures
//! that is an entry in their callbacks, which the loop's turn runs as asyncio would run the callback: in the
//! same place of the order. To Python code, and for futures that are not native, it is a
//! [`ReactionCallback`]. Called by the primitives; calls [`crate::futures`].

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyAttributeError, PyImportError};
use pyo3::prelude::*;
use pyo3::types::PyFunction;

use crate::core::EventLoop;
pub use crate::core::Reaction;
use crate::events;
use crate::ffi::class::Plain;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Ref, Signature, Slot, Table, make, references,
};
use crate::ffi::{boolean, none};
use crate::futures::{Callback, Future, add_callback, exact, remove_reaction};
use crate::names;
use crate::stock::counterparts;

/// The native future behind an object on which nobody has replaced the methods for callbacks.
#[inline]
fn with_own_callbacks<'a, 'py>(future: &'a Bound<'py, PyAny>) -> PyResult<Option<&'a Obj<'py, Future>>> {
    match exact(future) {
        Some(native) if native.attribute_count() != 0 => {
            let py = future.py();
            let replaced = native.has_own_attribute(names::add_done_callback(py))?
                || native.has_own_attribute(names::remove_done_callback(py))?;
            Ok((!replaced).then_some(native))
        }
        native => Ok(native),
    }
}

/// Runs `reaction` on `owner` when `future`, of whatever kind, is done.
#[inline]
pub fn react<'py>(
    future: &Bound<'py, PyAny>,
    reaction: &'static Reaction,
    owner: &Bound<'py, PyAny>,
) -> PyResult<()> {
    if let Some(native) = with_own_callbacks(future)? {
        return add_callback(native, Callback::Reaction { reaction, owner: Ref::new(owner.clone()) });
    }
    let callback = ReactionCallback::of(reaction, owner)?;
    future.call_method1(names::add_done_callback(future.py()), (callback,))?;
    #[cfg(Py_3_14)]
    if let Some(waiter) = (reaction.waiter)(owner) {
        crate::stock::future_add_to_awaited_by(future.py())?.call1((future, waiter))?;
    }
    Ok(())
}

/// Takes back what [`react`] did.
pub fn forget<'py>(
    future: &Bound<'py, PyAny>,
    reaction: &'static Reaction,
    owner: &Bound<'py, PyAny>,
) -> PyResult<()> {
    if let Some(native) = with_own_callbacks(future)? {
        remove_reaction(native, reaction, owner);
        return Ok(());
    }
    let callback = ReactionCallback::of(reaction, owner)?;
    future.call_method1(names::remove_done_callback(future.py()), (callback,))?;
    no_longer_awaited(future, reaction, owner)
}

/// Takes a future that is not native out of the call graph, into which [`react`] put it. Native ones look at
/// their callbacks.
pub fn no_longer_awaited<'py>(
    future: &Bound<'py, PyAny>,
    reaction: &'static Reaction,
    owner: &Bound<'py, PyAny>,
) -> PyResult<()> {
    #[cfg(Py_3_14)]
    if exact(future).is_none()
        && let Some(waiter) = (reaction.waiter)(owner)
    {
        crate::stock::future_discard_from_awaited_by(future.py())?.call1((future, waiter))?;
    }
    #[cfg(not(Py_3_14))]
    let _ = (future, reaction, owner);
    Ok(())
}

/// Reports what a reaction raised: as if its callable had run in a handle.
#[cold]
pub fn report<'py>(
    event_loop: &Obj<'py, EventLoop>,
    reaction: &'static Reaction,
    owner: &Bound<'py, PyAny>,
    future: Bound<'py, PyAny>,
    error: PyErr,
) -> PyResult<()> {
    events::report_of(event_loop, &ReactionCallback::of(reaction, owner)?, Some(future), error)
}

/// A reaction as a Python callable. Two with the same reaction and owner are equal.
#[derive(Default)]
pub struct ReactionCallback {
    reaction: Cell<Option<&'static Reaction>>,
    owner: Slot,
}

static REACTION_CALLBACK: ClassState = ClassState::new();

impl ReactionCallback {
    /// The callable.
    pub fn of<'py>(reaction: &'static Reaction, owner: &Bound<'py, PyAny>) -> Output<'py> {
        let callback = Self::create(owner.py())?;
        callback.reaction.set(Some(reaction));
        callback.owner.put(owner.clone());
        Ok(callback.into_any())
    }

    fn is_same(&self, other: &Bound<'_, PyAny>) -> bool {
        Obj::<Self>::cast_exact(other).is_some_and(|other| {
            self.owner.as_ptr() == other.owner.as_ptr()
                && match (self.reaction.get(), other.reaction.get()) {
                    (Some(mine), Some(theirs)) => std::ptr::eq(mine, theirs),
                    _ => false,
                }
        })
    }
}

/// The reaction and the owner behind a callable.
pub fn reaction_of<'py>(function: &Bound<'py, PyAny>) -> Option<(&'static Reaction, Bound<'py, PyAny>)> {
    let callback = Obj::<ReactionCallback>::cast_exact(function)?;
    Some((callback.reaction.get()?, callback.owner.get(function.py())?))
}

const CALL: Signature<1> = Signature::new("callback", "future, /");

/// asyncio's function for which the callback stands, unless that is a method.
fn function<'py>(callback: &Obj<'py, ReactionCallback>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let name = callback.reaction.get().map_or("", |reaction| reaction.name);
    if name.contains('.') && !name.contains(".<locals>.") {
        return Ok(None);
    }
    match counterparts::function_within(callback.py(), name) {
        // The interpreter ends and imports nothing more: a task that it destroys is shown without the line.
        Err(error) if error.is_instance_of::<PyImportError>(callback.py()) => Ok(None),
        found => found,
    }
}

impl Class for ReactionCallback {
    const NAME: &'static CStr = c"yibu.ReactionCallback";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &REACTION_CALLBACK;

    fn table(t: &mut Table<Self>) {
        t.call(|callback, args, kwargs| {
            let [future] = Args::parse_tuple(&CALL, args, kwargs)?;
            let py = callback.py();
            if let (Some(reaction), Some(owner)) = (callback.reaction.get(), callback.owner.get(py)) {
                no_longer_awaited(&future, reaction, &owner)?;
                (reaction.run)(&owner, &future)?;
            }
            Ok(none(py))
        });
        t.compare(|callback, other, op| {
            let py = callback.py();
            match op {
                pyo3::basic::CompareOp::Eq => Ok(boolean(py, callback.is_same(other))),
                pyo3::basic::CompareOp::Ne => Ok(boolean(py, !callback.is_same(other))),
                _ => Ok(py.NotImplemented().into_bound(py)),
            }
        });
        t.hash(|callback| Ok(callback.owner.as_ptr() as isize >> 4));
        t.getter(c"__qualname__", |callback| {
            let name = callback.reaction.get().map_or("", |reaction| reaction.name);
            Ok(make::text(callback.py(), name)?.into_any())
        });
        t.getter(c"__name__", |callback| {
            let name = callback.reaction.get().map_or("", |reaction| reaction.name);
            Ok(make::text(callback.py(), name.rsplit('.').next().unwrap_or(name))?.into_any())
        });
        // As asyncio's own functions are shown: with the line where they are defined. Where asyncio has a
        // method it shows none, and older versions do not have every function.
        t.getter(c"__class__", |callback| match function(callback)? {
            Some(_) => Ok(callback.py().get_type::<PyFunction>().into_any()),
            None => Ok(callback.as_any().get_type().into_any()),
        });
        t.getter(c"__code__", |callback| match function(callback)? {
            Some(function) => function.getattr(name!("__code__")),
            None => Err(PyAttributeError::new_err("__code__")),
        });
        t.getter(c"__self__", |callback| Ok(callback.owner.get_or_none(callback.py())));
    }

    references! { owner }
}
