//! The contexts of handles: which of them are shared with other handles, and how one gets a context of its
//! own.
//!
//! What is shared, and why nobody can tell, is in [`crate::core::contexts`]. Called when a handle is made,
//! run or asked for its context.

use pyo3::prelude::*;

use super::{Handle, report, run as run_in_own};
use crate::attributes;
use crate::core::{Copied, EventLoop};
use crate::ffi::context::{self, variables};
use crate::ffi::{Obj, Output, Table, none, reference_count};

impl Handle {
    /// Gives it a copy of the current context.
    #[inline]
    pub(super) fn copy_context(&self, event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
        let Copied { context, is_shared } =
            event_loop.contexts.copy_current(event_loop.py(), event_loop.is_running())?;
        self.args.flags.shares_context.set(is_shared);
        self.context.put(context);
        Ok(())
    }
}

/// The context of a handle, which no other handle has from now on.
#[inline]
pub fn own<'py>(handle: &Obj<'py, Handle>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let context = handle.context.get(handle.py());
    match context {
        Some(shared) if handle.args.flags.shares_context.get() => take_own(handle, &shared).map(Some),
        context => Ok(context),
    }
}

#[cold]
fn take_own<'py>(handle: &Obj<'py, Handle>, shared: &Bound<'py, PyAny>) -> Output<'py> {
    let own = context::copy(shared)?;
    make_own(handle, own.clone());
    Ok(own)
}

/// `handle._context`
pub fn attribute(t: &mut Table<Handle>) {
    t.property(
        c"_context",
        |handle| Ok(own(handle)?.unwrap_or_else(|| none(handle.py()))),
        |handle, context| {
            attributes::write(&handle.context, context)?;
            handle.args.flags.shares_context.set(false);
            Ok(())
        },
    );
}

/// Runs the callback of a handle that was not cancelled, as an entry of the loop.
#[inline]
pub fn run<'py>(event_loop: &Obj<'py, EventLoop>, handle: &Obj<'py, Handle>) -> PyResult<()> {
    if !handle.args.flags.shares_context.get() {
        return run_in_own(handle);
    }
    let py = handle.py();
    let (Some(callback), Some(shared)) = (handle.callback.get(py), handle.context.get(py)) else {
        return Ok(());
    };
    let running = match event_loop.contexts.borrow(&shared) {
        Ok(running) => running,
        Err(error) => return report(handle, error),
    };
    // Other code that has the handle may look, also from within the callback, what context that runs in.
    let is_seen = handle.is_shared();
    if is_seen {
        make_own(handle, running.clone());
    }
    match context::run(&running, |_| handle.args.call(&callback)) {
        Ok(_) => {
            if !is_seen || take_back(handle, &running, &shared) {
                event_loop.contexts.give_back(running, &shared);
            }
            Ok(())
        }
        Err(error) => {
            // The exception handler runs in the context of the handle, and sees what the callback has set.
            make_own(handle, running);
            report(handle, error)
        }
    }
}

#[inline]
fn make_own<'py>(handle: &Obj<'py, Handle>, context: Bound<'py, PyAny>) {
    handle.args.flags.shares_context.set(false);
    handle.context.put(context);
}

/// Takes the context that a handle ran in from it again, unless something was set in it or other code has a
/// reference to it.
#[inline]
fn take_back<'py>(
    handle: &Obj<'py, Handle>,
    running: &Bound<'py, PyAny>,
    shared: &Bound<'py, PyAny>,
) -> bool {
    // Two references are the caller's and the handle's.
    let is_unseen = handle.context.is(running) && reference_count(running) == 2;
    if is_unseen && variables::are_same(running, shared) {
        handle.args.flags.shares_context.set(true);
        handle.context.put(shared.clone());
        return true;
    }
    false
}
