//! How deep native code nests: where a program decides how deep, it ends in a RecursionError, never in a
//! crash.
//!
//! Two kinds of nesting pass through native code. Calls ask [`enter`] how much is left of the thread's stack:
//! each call that comes from the interpreter (native methods call what the program has put in the place of
//! others, which may be native again), and each that goes from object to object in Rust. Deaths (an object
//! that dies lets go of the last reference to the next one) cannot fail: `free` puts them off and works
//! through them in a loop.
//!
//! Called by [`super::class`], [`super::trampoline`] and by whatever cancels.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyRecursionError;
use pyo3::ffi;
use pyo3::prelude::*;

/// The part of a thread's stack in which calls may nest: of the thread that was asked about last, as long as
/// it lives. No other thread's stack lies there, so a thread that runs there has room, and every other thread
/// finds out ([`stays`]).
///
/// Both are written with the interpreter held, except that a thread which ends takes the length back.
static LOWEST: Number<usize> = Number(Cell::new(0));
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// A number that all threads share.
struct Number<T>(Cell<T>);

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it
// uses the GIL).
unsafe impl<T> Sync for Number<T> {}

/// Begins a call that may nest. RecursionError where the stack would not suffice.
#[inline(always)] // it is a part of every call
pub fn enter() -> PyResult<()> {
    let local = MaybeUninit::<u8>::uninit();
    let here = local.as_ptr().addr();
    if here.wrapping_sub(LOWEST.0.get()) < LENGTH.load(Ordering::Relaxed) || has_room(here) {
        Ok(())
    } else {
        Err(too_deep())
    }
}

/// Whether more than a quarter of the stack that [`enter`] allows is in use: a caller that can go on without
/// it should. The call that asks has entered.
#[inline]
pub fn is_used() -> bool {
    let local = MaybeUninit::<u8>::uninit();
    let length = LENGTH.load(Ordering::Relaxed);
    local.as_ptr().addr().wrapping_sub(LOWEST.0.get()) < length - length / 4
}

/// [`enter`] for a finalizer, which may use a quarter of what that keeps free: an object that dies at the end
/// of the stack is still finalized, and a program that has put finalizers in the place of other methods nests
/// them no deeper.
#[inline]
pub fn enter_finalizer() -> PyResult<()> {
    let local = MaybeUninit::<u8>::uninit();
    let here = local.as_ptr().addr();
    if here.wrapping_sub(LOWEST.0.get()) < LENGTH.load(Ordering::Relaxed)
        || has_room(here + margin_of(here) / 4)
    {
        Ok(())
    } else {
        Err(too_deep())
    }
}

#[cold]
fn too_deep() -> PyErr {
    PyRecursionError::new_err("maximum recursion depth exceeded while calling a Python object")
}

/// Whether the stack of this thread, which has come to an address, has room for more.
#[cold]
#[inline(never)]
fn has_room(here: usize) -> bool {
    match bounds() {
        Some((lowest, highest)) if (lowest..highest).contains(&here) => {
            let lowest = lowest + margin(lowest, highest);
            if stays() {
                LOWEST.0.set(lowest);
                LENGTH.store(highest.saturating_sub(lowest), Ordering::Relaxed);
            }
            here >= lowest
        }
        // Nothing is known of a stack that is not the thread's own (a fiber's), nor where the system cannot
        // be asked.
        _ => true,
    }
}

/// What calls leave free, for what the interpreter does between two questions.
fn margin(lowest: usize, highest: usize) -> usize {
    ((highest - lowest) / 4).clamp(32 << 10, 256 << 10)
}

/// The margin of this thread's stack; 0 where nothing is known of it.
#[cold]
fn margin_of(here: usize) -> usize {
    match bounds() {
        Some((lowest, highest)) if (lowest..highest).contains(&here) => margin(lowest, highest),
        _ => 0,
    }
}

fn bounds() -> Option<(usize, usize)> {
    BOUNDS.get().or_else(|| {
        let found = stack::bounds();
        BOUNDS.set(found);
        found
    })
}

thread_local! {
    /// The lowest and the highest address of the thread's stack, once asked for.
    static BOUNDS: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Whether [`LENGTH`] will be taken back when this thread ends, after which others may get parts of its
/// stack; likewise in a child of the process, which has no other threads any more.
fn stays() -> bool {
    extern "C" fn child() {
        LENGTH.store(0, Ordering::Relaxed);
    }
    unsafe extern "C" fn ends(_: *mut c_void) {
        LENGTH.store(0, Ordering::Relaxed);
    }
    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the key is written before it is read; the functions are there as long as the process, and
        // touch nothing but an atomic number.
        unsafe {
            let made = libc::pthread_key_create(&mut key, Some(ends)) == 0
                && libc::pthread_atfork(None, None, Some(child)) == 0;
            made.then_some(key)
        }
    });
    // SAFETY: the key was made. The thread library calls `ends` in each thread that has a value for it,
    // whatever value.
    key.is_some_and(|key| unsafe { libc::pthread_setspecific(key, (&raw const LENGTH).cast()) } == 0)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod stack {
    //! Asks the thread library.

    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    pub(super) fn bounds() -> Option<(usize, usize)> {
        // SAFETY: the attributes are initialised by the first call, when it succeeds, and destroyed at the
        // end; the second writes to the two places that it is given.
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
    //! Platforms on which the stack is unknown.

    pub(super) fn bounds() -> Option<(usize, usize)> {
        None
    }
}

/// How many deaths nest at most, in all threads together.
const MOST_NESTED: u32 = 32;

static DEALLOCATIONS: Number<u32> = Number(Cell::new(0));

/// What frees an object without references.
pub type Free = unsafe fn(*mut ffi::PyObject);

/// An object that is to be freed, and by what.
type Dead = (*mut ffi::PyObject, Free);

thread_local! {
    /// The dead that wait until the deaths above them on the stack are over; nothing while no such loop runs.
    /// The loop frees the memory, so that a thread that ends has none to free.
    static POSTPONED: RefCell<Option<ManuallyDrop<Vec<Dead>>>> = const { RefCell::new(None) };
}

/// Frees an object: at once, or, where too many deaths nest, when those are over. Until then it has no
/// references, and the collector does not know it.
///
/// # Safety
/// As for `free`: the object has just lost its last reference.
#[inline]
pub(super) unsafe fn free(object: *mut ffi::PyObject, free: Free) {
    let nested = DEALLOCATIONS.0.get();
    if nested < MOST_NESTED {
        DEALLOCATIONS.0.set(nested + 1);
        // SAFETY: the caller's promise. Nothing unwinds out of it.
        unsafe { free(object) }
        DEALLOCATIONS.0.set(DEALLOCATIONS.0.get().wrapping_sub(1));
    } else {
        // SAFETY: the caller's promise.
        unsafe { postpone(object, free) }
    }
}

#[cold]
unsafe fn postpone(object: *mut ffi::PyObject, free: Free) {
    // SAFETY: attached, and the caller's promise. An object that waits has been untracked, so neither the
    // collector nor a weak reference, which looks at the count, gives it out again. The list is not borrowed
    // while anything is freed.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let waits = POSTPONED.with_borrow_mut(|dead| match dead {
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
        let outermost = POSTPONED.with_borrow(|dead| dead.as_ref().is_some_and(|dead| dead.is_empty()));
        free(object);
        if !outermost {
            return;
        }
        while let Some((object, free)) = POSTPONED.with_borrow_mut(|dead| dead.as_mut()?.pop()) {
            free(object);
        }
        drop(POSTPONED.take().map(ManuallyDrop::into_inner));
    }
}
