//! The loop and the task that the interpreter has noted as running in a thread: since 3.14, two fields of the
//! thread's state.
//!
//! asyncio has functions that read and write them (`_get_running_loop`, `_swap_current_task`). Every step of
//! a task would call one, so the fields are read and written in place. Their places are those of the
//! interpreters that were looked at, and [`verify`] tries them with these functions before other code relies
//! on them. Where they are not as expected, nothing is told here and the functions are called.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::call::{call, call0, call1};
use crate::objects::none;

/// Where the state of a thread refers to the running loop, in bytes, by minor version. The task comes next.
/// Both lie inside of the smallest structure that this version had.
const LOOP_IN_THREAD: [(u8, usize); 2] = [(14, 864), (15, 1024)];

/// The verified place of the loop; 0 where there is none.
static PLACE: AtomicUsize = AtomicUsize::new(0);

/// What the state of this thread refers to at a place and behind it: the loop and the task, null where there
/// is none.
fn fields(place: usize) -> *mut [*mut ffi::PyObject; 2] {
    // SAFETY: attached (every caller has a token or an object), so the thread has a state; the places are
    // inside of it.
    unsafe { ffi::PyThreadState_Get().byte_add(place).cast() }
}

/// The fields of this thread, if their places are known.
#[inline]
fn known_fields(_py: Python<'_>) -> Option<*mut [*mut ffi::PyObject; 2]> {
    let place = PLACE.load(Ordering::Relaxed);
    (place != 0).then(|| fields(place))
}

/// The loop that runs in this thread, if one does; nothing is returned where that cannot be told.
#[inline]
pub fn event_loop(py: Python<'_>) -> Option<Option<Bound<'_, PyAny>>> {
    // SAFETY: the verified fields hold null or objects that the thread's state has a reference to.
    let [event_loop, _] = unsafe { known_fields(py)?.read() };
    // SAFETY: as above; attached.
    Some(unsafe { Bound::from_borrowed_ptr_or_opt(py, event_loop) })
}

/// Makes `task` the current task of this thread, where `event_loop` runs, and gives the one before. Nothing
/// is done where the places are not known, or another loop runs, or `expected` refuses the task before:
/// asyncio's function says then what is wrong.
#[inline]
pub fn swap_task<'py>(
    event_loop: &Bound<'py, PyAny>,
    task: Option<&Bound<'py, PyAny>>,
    expected: impl FnOnce(Option<&Bound<'py, PyAny>>) -> bool,
) -> Option<Option<Bound<'py, PyAny>>> {
    let py = event_loop.py();
    let fields = known_fields(py)?;
    // SAFETY: as in `event_loop`.
    let [running, before] = unsafe { fields.read() };
    // SAFETY: a null pointer gives nothing; attached, and the reference is the one that the field has: it is
    // given back below where the field keeps it.
    let before = unsafe { Bound::from_owned_ptr_or_opt(py, before) };
    if running != event_loop.as_ptr() || !expected(before.as_ref()) {
        std::mem::forget(before);
        return None;
    }
    let task = task.map_or(std::ptr::null_mut(), |task| task.clone().into_ptr());
    // SAFETY: the field gets a reference of its own, and the one that it had is the caller's. No Python code
    // runs between reading and writing: `expected` only compares.
    unsafe { (*fields)[1] = task };
    Some(before)
}

/// Finds out whether the places are right in this interpreter, by asyncio's functions. Called when the module
/// is made.
pub fn verify<'py>(
    get_running_loop: &Bound<'py, PyAny>,
    set_running_loop: &Bound<'py, PyAny>,
    swap_current_task: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = get_running_loop.py();
    let minor = py.version_info().minor;
    let Some((_, place)) = LOOP_IN_THREAD.iter().find(|(version, _)| *version == minor) else {
        return Ok(());
    };
    let are_native = [get_running_loop, set_running_loop, swap_current_task]
        // SAFETY: reads the type of a live object.
        .iter()
        .all(|function| unsafe { ffi::PyCFunction_CheckExact(function.as_ptr()) } != 0);
    if !are_native {
        return Ok(());
    }
    let new = || py.get_type::<PyAny>().call0();
    let (event_loop, task) = (new()?, new()?);
    // SAFETY: the fields are words inside of the thread's state, whatever they mean; they are only compared.
    let has = |loop_pointer, task_pointer| unsafe { fields(*place).read() } == [loop_pointer, task_pointer];
    let null = std::ptr::null_mut();
    let pointer = |object: &Bound<'py, PyAny>| if object.is_none() { null } else { object.as_ptr() };
    // What runs while the module is imported runs again at the end.
    let running = call0(get_running_loop)?;
    call1(set_running_loop, &event_loop)?;
    let tried = call(swap_current_task, [&event_loop, &task]).and_then(|before| {
        let mut are_right = has(event_loop.as_ptr(), task.as_ptr());
        call(swap_current_task, [&event_loop, &none(py)])?;
        are_right &= has(event_loop.as_ptr(), null);
        call(swap_current_task, [&event_loop, &before])?;
        Ok((before, are_right))
    });
    call1(set_running_loop, &running)?;
    let (before, are_right) = tried?;
    if are_right && has(pointer(&running), pointer(&before)) {
        PLACE.store(*place, Ordering::Relaxed);
    }
    Ok(())
}
