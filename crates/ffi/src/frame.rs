//! Frames: the innermost one of the thread, and those of Python coroutines that are made to be looked at and
//! never run.

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::ffi::compat::PyThreadState_GetUnchecked;
use pyo3::prelude::*;

/// The innermost Python frame of this thread.
pub fn current(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached; a new reference or null without an exception.
    unsafe {
        let frame = ffi::PyThreadState_GetFrame(PyThreadState_GetUnchecked());
        Bound::from_owned_ptr_or_opt(py, frame.cast())
    }
}

/// A Python function that is being executed.
pub struct Executed<'py> {
    /// What it executes.
    pub code: Bound<'py, PyAny>,
    /// The names of its module.
    pub globals: Bound<'py, PyAny>,
    /// Which instruction of the code it is at, in bytes from the first.
    pub offset: c_int,
}

/// The functions of this thread that are being executed, the innermost first; `limit` of them at most.
pub fn executed(py: Python<'_>, limit: usize) -> PyResult<Vec<Executed<'_>>> {
    let mut functions = Vec::new();
    let mut next = current(py);
    while let Some(frame) = next.filter(|_| functions.len() < limit) {
        let pointer = frame.as_ptr().cast();
        // SAFETY: attached; what a thread executes is frames only; the first two functions return new
        // references and never null.
        functions.push(unsafe {
            Executed {
                code: Bound::from_owned_ptr(py, ffi::PyFrame_GetCode(pointer).cast()),
                globals: Bound::from_owned_ptr(py, ffi::PyFrame_GetGlobals(pointer)),
                offset: ffi::PyFrame_GetLasti(pointer),
            }
        });
        // SAFETY: attached; a new reference, or null: with an exception where there is no memory to show the
        // frame as an object.
        next = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyFrame_GetBack(pointer).cast()) };
        if next.is_none()
            && let Some(error) = PyErr::take(py)
        {
            return Err(error);
        }
    }
    Ok(functions)
}

/// The line of an instruction of a code object; `None` where it has none, or the object is something else.
pub fn line_at(code: &Bound<'_, PyAny>, offset: c_int) -> Option<c_int> {
    // SAFETY: attached; the object is code.
    let line = unsafe {
        if ffi::PyCode_Check(code.as_ptr()) == 0 {
            return None;
        }
        ffi::PyCode_Addr2Line(code.as_ptr().cast(), offset)
    };
    (line >= 0).then_some(line)
}

/// The code of a coroutine of the interpreter's own class; `None` where the interpreter has no function for
/// that.
#[inline]
pub fn code<'py>(coroutine: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    #[cfg(Py_3_12)]
    {
        unsafe extern "C" {
            fn PyGen_GetCode(generator: *mut ffi::PyObject) -> *mut ffi::PyObject;
        }
        // SAFETY: attached; a coroutine is laid out as a generator is, whose code this function returns as a
        // new reference, and never null.
        unsafe {
            (ffi::PyCoro_CheckExact(coroutine.as_ptr()) != 0)
                .then(|| Bound::from_owned_ptr(coroutine.py(), PyGen_GetCode(coroutine.as_ptr())))
        }
    }
    #[cfg(not(Py_3_12))]
    {
        let _ = coroutine;
        None
    }
}

/// How a frame object begins, in all versions from 3.11 to 3.15.
#[repr(C)]
struct Frame {
    object: ffi::PyObject,
    back: *mut ffi::PyObject,
    content: *mut ffi::PyObject,
    trace: *mut ffi::PyObject,
    /// Zero where the interpreter is to find out.
    line: c_int,
}

/// Has the frame of a coroutine that never runs say that it is at this line; at its first one without.
pub fn set_line(frame: &Bound<'_, PyAny>, line: Option<u32>) {
    let line = line.and_then(|line| c_int::try_from(line).ok()).unwrap_or(0);
    // SAFETY: attached; `PyFrame_Type` objects begin as `Frame` does, and this field of one that never runs
    // is written by nobody else.
    unsafe {
        if ffi::PyFrame_Check(frame.as_ptr()) != 0 {
            (*frame.as_ptr().cast::<Frame>()).line = line;
        }
    }
}

/// Runs the finalizer of an object now. The interpreter notes that, and does not run it again when the object
/// dies.
pub fn finalize(object: &Bound<'_, PyAny>) {
    // SAFETY: attached; the object is alive.
    unsafe { ffi::PyObject_CallFinalizer(object.as_ptr()) }
}
