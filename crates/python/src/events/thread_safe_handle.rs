//! `_ThreadSafeHandle` (3.14): what `call_soon_threadsafe` returns. Another thread that cancels it, or asks
//! whether it was cancelled, while its callback runs waits until the callback has ended.
//!
//! asyncio holds an `RLock` around the callback; here only a thread that really has to wait makes something
//! to wait on, and lists it beside the handle ([`LATCHES`]), which so takes little more memory than any
//! other. Everything but the waiting happens with the interpreter lock held, so checking and registering
//! cannot be separated.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use pyo3::prelude::*;

use super::{Handle, RUN, cancel, run};
use crate::ffi::class::Weak;
use crate::ffi::originals;
use crate::ffi::{Class, ClassState, Obj, Table, boolean, derived, none, references, stands_for, thread};
use crate::stock;

/// What threads wait at while a callback runs.
#[derive(Default)]
struct Latch {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(open, |open| !*open).unwrap_or_else(PoisonError::into_inner));
    }
}

/// The latches of all handles at which threads wait, by the addresses of the handles, which the waiting
/// threads keep alive.
static LATCHES: Mutex<Vec<(usize, Arc<Latch>)>> = Mutex::new(Vec::new());

/// How many latches are listed: while there are none, a handle that has run need not look for its own.
static LISTED: AtomicUsize = AtomicUsize::new(0);

/// The latch of a handle, listed now if it was not before.
fn latch_at(address: usize) -> Arc<Latch> {
    let mut latches = LATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, latch)) = latches.iter().find(|(listed, _)| *listed == address) {
        return Arc::clone(latch);
    }
    let latch = Arc::<Latch>::default();
    latches.push((address, Arc::clone(&latch)));
    LISTED.store(latches.len(), Ordering::Relaxed);
    latch
}

/// Lets the threads go on that wait for a handle.
#[cold]
fn open_at(address: usize) {
    let mut latches = LATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    let opened = latches.iter().position(|(listed, _)| *listed == address).map(|at| latches.swap_remove(at));
    LISTED.store(latches.len(), Ordering::Relaxed);
    drop(latches);
    if let Some((_, latch)) = opened {
        latch.open();
    }
}

/// What a thread-safe handle adds.
#[derive(Default)]
pub struct Guard {
    /// The thread that runs the callback, 0 when none does.
    runner: Cell<u64>,
}

derived! {
    /// The data of a `_ThreadSafeHandle`.
    pub struct ThreadSafeHandle { base: Handle, own: Guard }
}

static THREAD_SAFE_HANDLE: ClassState = ClassState::new();

/// Runs the callback, holding off other threads.
pub fn run_guarded<'a, 'py>(
    handle: &'a Obj<'py, ThreadSafeHandle>,
    run: impl FnOnce(&'a Obj<'py, Handle>) -> PyResult<()>,
) -> PyResult<()> {
    handle.own.runner.set(thread::ident());
    // In asyncio this is `super()._run()`.
    let ran = if originals::replaced_in::<Handle>(handle.py()) & RUN == 0 {
        run(handle.upcast())
    } else {
        Handle::class(handle.py()).call_method1(name!("_run"), (handle.as_any(),)).map(drop)
    };
    handle.own.runner.set(0);
    if LISTED.load(Ordering::Relaxed) != 0 {
        open_at(handle.as_any().as_ptr().addr());
    }
    ran
}

/// Waits until no other thread runs the callback.
fn wait_for_runner(handle: &Obj<'_, ThreadSafeHandle>) {
    let runner = handle.own.runner.get();
    if runner == 0 || runner == thread::ident() {
        return;
    }
    let latch = latch_at(handle.as_any().as_ptr().addr());
    handle.py().detach(|| latch.wait());
}

impl Class for ThreadSafeHandle {
    const NAME: &'static CStr = c"yibu._ThreadSafeHandle";
    type Header = Weak;
    const HOOKS: &'static [&'static [&'static str]] = super::HOOKS;
    const FREELIST: usize = 4096;
    const STANDS_FOR_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    stands_for! { THREAD_SAFE_HANDLE, stock::thread_safe_handle }

    fn table(t: &mut Table<Self>) {
        t.noargs(
            c"cancel",
            |handle| {
                wait_for_runner(handle);
                cancel(handle.upcast()).map(|()| none(handle.py()))
            },
            "Prevents the callback from running; waits while another thread runs it.",
        );
        t.noargs(
            c"cancelled",
            |handle| {
                wait_for_runner(handle);
                Ok(boolean(handle.py(), handle.base.is_cancelled()))
            },
            "Whether cancel() was called; waits while another thread runs the callback.",
        );
        t.action(c"_run", |handle| run_guarded(handle, run), "Runs the callback.");
    }

    references! { base }
}
