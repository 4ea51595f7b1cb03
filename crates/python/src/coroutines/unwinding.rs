//! The report of a coroutine that was never awaited, where calls nest too deep for a report.
//!
//! Coroutines that await each other without end finish in a RecursionError, and those further within never
//! ran. The traceback of Python coroutines keeps them until the exception was handled; the native ones die
//! while the stack is still full. The report is put off to the loop's next turn then, and the coroutine lives
//! until that. Called by [`mod@super::protocol`].

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;

use super::details::report_never_awaited;
use crate::core::{Entry, EntryKind, EventLoop, Runnable, current};
use crate::ffi::{Obj, Ref};
use crate::functions::running;

/// Reports that a coroutine was never awaited, now or later.
pub fn report(coroutine: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = coroutine.py();
    let error = match report_never_awaited(coroutine) {
        Err(error) if error.is_instance_of::<PyRecursionError>(py) => error,
        reported => return reported,
    };
    let event_loop = running(py)?;
    let Some(event_loop) = event_loop.as_ref().and_then(Obj::<EventLoop>::cast) else { return Err(error) };
    event_loop.push(Entry::Run(Runnable::new(&REPORT, Ref::new(coroutine.clone()))))
}

/// Reports as the first attempt did. The finalizer has run, so it will not run again.
static REPORT: EntryKind = EntryKind::new(|event_loop, runnable| {
    current::flush_leave(event_loop)?;
    let coroutine = runnable.object.into_any(event_loop.py());
    if let Err(error) = report_never_awaited(&coroutine) {
        error.write_unraisable(event_loop.py(), Some(&coroutine));
    }
    Ok(())
});
