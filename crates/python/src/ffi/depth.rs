//! How deep native code nests: where a program decides how deep, it ends in a RecursionError, never in a crash.
//!
//! Two kinds of nesting pass through native code. Calls (a task cancels what it awaits, a coroutine sends into the one that it
//! awaits, an object shows those it holds) ask [`enter`], which looks how much is left of the thread's stack. Deaths (an object
//! that dies lets go of the last reference to the next one) cannot fail: [`free`] puts them off and works through them in a loop.
//!
//! Both count first, with one number for all threads: looking for the end of the stack is for what is nested indeed.
//! Called by [`super::class`], [`super::trampoline`], [`super::send`] and by whatever cancels.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

use pyo3::exceptions::PyRecursionError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Nobody asks about the stack before so many levels, of calls or of deaths.
const UNQUESTIONED: u32 = 32;

/// How deep calls may nest on a stack whose end is unknown.
const WITHOUT_BOUNDS: u32 = 1000;

/// A number that all threads share.
struct Count(Cell<u32>);

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it uses the GIL).
unsafe impl Sync for Count {}

static CALLS: Count = Count(Cell::new(0));
static DEATHS: Count = Count(Cell::new(0));

/// A level of a count, until it is dropped.
struct Level(&'static Count);

impl Level {
    #[inline]
    fn of(count: &'static Count) -> Self {
        count.0.set(count.0.get().wrapping_add(1));
        Self(count)
    }
}

impl Drop for Level {
    #[inline]
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get().wrapping_sub(1));
    }
}

/// A call that may nest, until it is dropped.
pub struct Entered {
    _level: Level,
}

/// What calls say that they were [`enter`]ed for.
pub const CALLING: &str = "while calling a Python object";

/// Begins a call that may nest. RecursionError where the stack would not suffice; `doing` is the end of its text.
#[inline]
pub fn enter(doing: &'static str) -> PyResult<Entered> {
    let depth = CALLS.0.get();
    if depth >= UNQUESTIONED && !has_room(depth) {
        return Err(too_deep(doing));
    }
    Ok(Entered { _level: Level::of(&CALLS) })
}

#[cold]
fn too_deep(doing: &str) -> PyErr {
    PyRecursionError::new_err(format!("maximum recursion depth exceeded {doing}"))
}

/// Whether the thread's stack has room for more.
#[cold]
fn has_room(depth: u32) -> bool {
    let here = std::ptr::from_ref(&depth).addr();
    let bounds = BOUNDS.with(|bounds| {
        bounds.get().unwrap_or_else(|| {
            let found = stack::bounds();
            bounds.set(Some(found));
            found
        })
    });
    match bounds {
        // What runs on a stack of its own (a greenlet's, a fiber's) is outside.
        Some((lowest, highest)) if (lowest..highest).contains(&here) => {
            let margin = ((highest - lowest) / 4).clamp(32 << 10, 256 << 10);
            here - lowest > margin
        }
        _ => depth < WITHOUT_BOUNDS,
    }
}

thread_local! {
    /// The lowest and the highest address of the thread's stack, once asked for.
    static BOUNDS: Cell<Option<Option<(usize, usize)>>> = const { Cell::new(None) };
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod stack {
    //! Asks the thread library.

    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    pub(super) fn bounds() -> Option<(usize, usize)> {
        // SAFETY: the attributes are initialised by the first call, when it succeeds, and destroyed at the end; the second
        // writes to the two places that it is given.
        unsafe {
            let mut attributes = MaybeUninit::uninit();
            if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
                return None;
            }
            let (mut lowest, mut size) = (null_mut(), 0);
            let failed = libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            let lowest = lowest.addr();
            (failed == 0).then(|| lowest.checked_add(size).map(|highest| (lowest, highest))).flatten()
        }
    }
}

#[cfg(target_os = "macos")]
mod stack {
    //! Asks the thread library.

    pub(super) fn bounds() -> Option<(usize, usize)> {
        // SAFETY: the calling thread exists; the functions only read what is known of it.
        unsafe {
            let thread = libc::pthread_self();
            let highest = libc::pthread_get_stackaddr_np(thread).addr();
            highest.checked_sub(libc::pthread_get_stacksize_np(thread)).map(|lowest| (lowest, highest))
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
mod stack {
    //! Nobody to ask.

    pub(super) fn bounds() -> Option<(usize, usize)> {
        None
    }
}

/// What frees an object without references.
pub type Free = unsafe fn(*mut ffi::PyObject);

/// An object that is to be freed, and by what.
type Dead = (*mut ffi::PyObject, Free);

thread_local! {
    /// The dead that wait until the deaths above them on the stack are over; nothing while no such loop runs. The loop frees the
    /// memory, so that a thread that ends has none to free.
    static PUT_OFF: RefCell<Option<ManuallyDrop<Vec<Dead>>>> = const { RefCell::new(None) };
}

/// Frees an object: at once, or, where too many deaths nest, when those are over. Until then it has no references, and the
/// collector does not know it.
///
/// # Safety
/// As for `free`: the object has just lost its last reference.
#[inline]
pub(super) unsafe fn free(object: *mut ffi::PyObject, free: Free) {
    if DEATHS.0.get() < UNQUESTIONED {
        let _level = Level::of(&DEATHS);
        // SAFETY: the caller's promise.
        unsafe { free(object) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { put_off(object, free) }
    }
}

#[cold]
unsafe fn put_off(object: *mut ffi::PyObject, free: Free) {
    // SAFETY: attached, and the caller's promise. An object that waits has been untracked, so neither the collector nor a weak
    // reference, which looks at the count, gives it out again. The list is not borrowed while anything is freed.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let waits = PUT_OFF.with_borrow_mut(|dead| match dead {
            Some(dead) => {
                // Without memory for the list it has to be done here.
                let has_memory = dead.try_reserve(1).is_ok();
                if has_memory {
                    dead.push((object, free));
                }
                has_memory
            }
            None => {
                *dead = Some(ManuallyDrop::new(Vec::new()));
                false
            }
        });
        if waits {
            return;
        }
        let outermost = PUT_OFF.with_borrow(|dead| dead.as_ref().is_some_and(|dead| dead.is_empty()));
        free(object);
        if !outermost {
            return;
        }
        while let Some((object, free)) = PUT_OFF.with_borrow_mut(|dead| dead.as_mut()?.pop()) {
            free(object);
        }
        drop(PUT_OFF.take().map(ManuallyDrop::into_inner));
    }
}
