//! How many frames a new coroutine has to remember of where it was made
//! (`sys.set_coroutine_origin_tracking_depth`).
//!
//! The interpreter keeps the number in the state of the thread and gives it out by a Python function only, a
//! call of which costs more than a whole coroutine. [`prepare`] finds where in the state it is kept, by
//! setting it; from then on it is one load.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi::compat::PyThreadState_GetUnchecked;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Where the number lies in a thread's state; [`UNKNOWN`] until [`prepare`] has found it.
static OFFSET: AtomicUsize = AtomicUsize::new(UNKNOWN);
const UNKNOWN: usize = usize::MAX;
/// How far is looked: the state of a thread is longer than this in every supported version.
const SEARCHED: usize = 288;

/// `sys.get_coroutine_origin_tracking_depth`
static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Finds the number by the functions of `sys` that get and set it. Where it cannot be found the first is
/// asked each time.
pub fn prepare(get: &Bound<'_, PyAny>, set: &Bound<'_, PyAny>) -> PyResult<()> {
    let before: i32 = get.call0()?.extract()?;
    GET.get_or_init(get.py(), || get.clone().unbind());
    let set = |depth: i32| set.call1((depth,)).map(drop);
    let mut candidates: Vec<usize> = (0..SEARCHED).step_by(align_of::<i32>()).collect();
    for depth in [0x2a57_1e9b, 0x1b5f_03c5] {
        set(depth)?;
        // SAFETY: attached, so there is a state of this thread, aligned for pointers and longer than what is
        // searched.
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
    // The function takes nothing and gives the number; were it otherwise, coroutines would not say where they
    // were made.
    GET.get(py).and_then(|get| get.bind(py).call0().ok()?.extract().ok()).unwrap_or(0)
}
