//! Entries as handles, for programs that have replaced `Handle._run`: detectors of slow or blocking callbacks do so.
//!
//! asyncio runs everything by way of handles. Here most entries are none, so as long as `_run` is replaced each gets one when its
//! turn comes, and the replaced method is called on it. Asked by [`super::turn`] for each entry of a loop that is not untouched.

use pyo3::prelude::*;

use super::{Entry, EventLoop, internals};
use crate::current;
use crate::events::{self, Handle, PostedHandle, TimerHandle};
use crate::ffi::Obj;
use crate::ffi::originals;

/// Whether the handle of an entry has another `_run` than the native one.
pub(super) fn is_replaced(py: Python<'_>, entry: &Entry) -> bool {
    let replaced = match entry {
        Entry::Timer(_) => originals::replaced_in::<TimerHandle>(py),
        Entry::Posted(_) => originals::replaced_in::<PostedHandle>(py) | originals::replaced_in::<Handle>(py),
        _ => originals::replaced_in::<Handle>(py),
    };
    replaced & events::RUN != 0
}

/// Whether any handles have another `_run`.
pub(super) fn is_replaced_in_any(py: Python<'_>) -> bool {
    let replaced = originals::replaced_in::<Handle>(py)
        | originals::replaced_in::<TimerHandle>(py)
        | originals::replaced_in::<PostedHandle>(py);
    replaced & events::RUN != 0
}

/// Whether a change of that would be counted.
pub(super) fn is_known() -> bool {
    originals::is_known::<Handle>()
        && originals::is_known::<TimerHandle>()
        && originals::is_known::<PostedHandle>()
}

/// Runs an entry by the `_run` of a handle.
#[cold]
pub(super) fn run(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    current::settle(event_loop)?;
    let handle = internals::as_handle(event_loop, entry)?;
    if let Some(native) = Obj::<Handle>::cast(&handle) {
        native.track();
        if native.is_cancelled() {
            return Ok(());
        }
    }
    handle.call_method0("_run").map(drop)
}
