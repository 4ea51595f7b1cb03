//! How many frames a new coroutine has to remember of where it was made (`sys.set_coroutine_origin_tracking_depth`).
//!
//! The interpreter keeps the number in the state of the thread and gives it out by a Python function only, a call of which costs
//! more than a whole coroutine. [`prepare`] finds where in the state it is kept, by setting it; from then on it is one load.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::ffi::compat::PyThreadState_GetUnchecked;
use pyo3::prelude::*;

use crate::stock;

/// Where the number lies in a thread's state; [`UNKNOWN`] until [`prepare`] has found it.
static OFFSET: AtomicUsize = AtomicUsize::new(UNKNOWN);
const UNKNOWN: usize = usize::MAX;
/// How far is looked: the state of a thread is longer than this in every supported version.
const SEARCHED: usize = 288;

/// Finds the number. Where it cannot be found the Python function is asked each time.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    let before: i32 = stock::get_coroutine_origin_tracking_depth(py)?.call0()?.extract()?;
    let set = |depth: i32| stock::set_coroutine_origin_tracking_depth(py)?.call1((depth,)).map(drop);
    let mut candidates: Vec<usize> = (0..SEARCHED).step_by(align_of::<i32>()).collect();
    for depth in [0x2a57_1e9b, 0x1b5f_03c5] {
        set(depth)?;
        // SAFETY: attached, so there is a state of this thread, aligned for pointers and longer than what is searched.
        candidates.retain(|offset| unsafe { read(*offset) } == depth);
    }
    set(before)?;
    if let [offset] = candidates[..] {
        OFFSET.store(offset, Ordering::Relaxed);
    }
    Ok(())
}

/// # Safety
/// Attached; `offset` is a multiple of four below [`SEARCHED`].
#[inline]
unsafe fn read(offset: usize) -> i32 {
    // SAFETY: the caller's promise; volatile, because other threads write some of the other fields.
    unsafe { PyThreadState_GetUnchecked().byte_add(offset).cast::<i32>().read_volatile() }
}

/// `sys.get_coroutine_origin_tracking_depth()` of this thread.
#[inline]
pub fn depth(py: Python<'_>) -> i32 {
    match OFFSET.load(Ordering::Relaxed) {
        UNKNOWN => ask(py),
        // SAFETY: attached; found by `prepare`, which looked no further than is promised.
        offset => unsafe { read(offset) },
    }
}

#[cold]
fn ask(py: Python<'_>) -> i32 {
    // The function takes nothing and gives the number; were it otherwise, coroutines would not say where they were made.
    let depth = stock::get_coroutine_origin_tracking_depth(py).and_then(|ask| ask.call0()?.extract());
    depth.unwrap_or(0)
}

/// The innermost Python frame of this thread.
pub fn current_frame(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached; a new reference or null without an exception.
    unsafe {
        let frame = ffi::PyThreadState_GetFrame(PyThreadState_GetUnchecked());
        Bound::from_owned_ptr_or_opt(py, frame.cast())
    }
}
