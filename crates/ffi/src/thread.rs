//! Threads as Python counts them, and what becomes of those that the end of the interpreter overtakes.

use pyo3::ffi;
use pyo3::prelude::*;

/// `threading.get_ident()` of this thread.
#[inline]
pub fn ident() -> u64 {
    // SAFETY: the function has no preconditions: it asks the thread library.
    unsafe { ffi::PyThread_get_thread_ident() as u64 }
}

/// Runs `f` as PyO3's attached code: what it drops is released at once, not kept for later.
///
/// The thread is attached already (the *attached* invariant of [`super`]). Of that PyO3 knows only what it
/// has done itself, and when the interpreter ends it refuses to do it again; but finalizers run until the
/// very end.
#[inline]
pub fn attached<R>(f: impl for<'py> FnOnce(Python<'py>) -> R) -> R {
    let mut f = Some(f);
    match Python::try_attach(|py| f.take().map(|f| f(py))) {
        Some(Some(result)) => result,
        _ => match f.take() {
            // SAFETY: attached, by the invariant.
            Some(f) => f(unsafe { Python::assume_attached() }),
            None => unreachable!("the closure is taken only to be run"),
        },
    }
}

/// Runs `f`, during which the interpreter may come to its end in another thread.
///
/// A thread that then asks for the interpreter never gets it. Before 3.14 CPython ends such a thread, which
/// unwinds its stack, and Rust's frames on it would end the process with an error; so it is stopped there for
/// good, as CPython does since.
#[cfg(not(Py_3_14))]
pub fn outlive_interpreter<R>(f: impl FnOnce() -> R) -> R {
    let _pushed = cleanup::Pushed::new();
    f()
}

/// Runs `f`.
#[cfg(Py_3_14)]
pub fn outlive_interpreter<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(not(Py_3_14))]
mod cleanup {
    //! A handler that `pthread_exit()` calls. The thread library calls it when the frame is left in which the
    //! handler's entry lies, or at once when the entry does not lie on the thread's stack: before it unwinds
    //! anything.

    use std::ffi::{c_int, c_void};
    use std::ptr::null_mut;

    /// `struct _pthread_cleanup_buffer` of glibc; musl's is a part of it.
    #[repr(C)]
    struct Entry {
        routine: Option<extern "C" fn(*mut c_void)>,
        argument: *mut c_void,
        cancel_type: c_int,
        previous: *mut Entry,
    }

    unsafe extern "C" {
        fn _pthread_cleanup_push(
            entry: *mut Entry,
            routine: extern "C" fn(*mut c_void),
            argument: *mut c_void,
        );
        fn _pthread_cleanup_pop(entry: *mut Entry, execute: c_int);
    }

    extern "C" fn stop(_: *mut c_void) {
        loop {
            std::thread::park();
        }
    }

    /// An entry of the calling thread; it is taken out when this is dropped, so it must not leave the thread.
    pub struct Pushed(*mut Entry);

    impl Pushed {
        pub fn new() -> Self {
            let entry = Entry { routine: None, argument: null_mut(), cancel_type: 0, previous: null_mut() };
            // On the heap, see above.
            let entry = Box::into_raw(Box::new(entry));
            // SAFETY: the entry lives until `drop` has taken it out again, in this thread: the pointer is not
            // Send. Entries are taken out in the reverse order, as scopes end.
            unsafe { _pthread_cleanup_push(entry, stop, null_mut()) };
            Self(entry)
        }
    }

    impl Drop for Pushed {
        fn drop(&mut self) {
            // SAFETY: made and pushed by `new` in this thread; after the pop nobody else has the pointer.
            unsafe {
                _pthread_cleanup_pop(self.0, 0);
                drop(Box::from_raw(self.0));
            }
        }
    }
}

/// Whether the interpreter is at its end, where it empties modules: what they lack then no program has taken
/// away.
pub fn interpreter_ends() -> bool {
    unsafe extern "C" {
        #[cfg_attr(not(Py_3_13), link_name = "_Py_IsFinalizing")]
        fn Py_IsFinalizing() -> std::ffi::c_int;
    }
    // SAFETY: reads a flag of the process, from any thread.
    unsafe { Py_IsFinalizing() != 0 }
}
