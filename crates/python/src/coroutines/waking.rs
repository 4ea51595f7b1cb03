//! [`Waker`]: resumes a native coroutine whose Rust future waits.
//!
//! A waker is a reference to the coroutine, not the opaque waker of `std::task`, so that its holder (a
//! future, an operation, the ready ring) can show it to the garbage collector. A waiting coroutine lives as
//! long as something can wake it, and no longer. GcRef by `awaited` and by the loop; calls the future that
//! the coroutine's task waits for.

use std::ffi::CStr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::{NativeCoroutine, delegation};
use crate::core::{Callable, Entry, EntryKind, Message, Runnable, current, no_callable, unnamed};
use crate::ffi::class::Plain;
use crate::ffi::thread::attached;
use crate::ffi::{Class, ClassState, Create, LoopCell, Obj, Output, Ref, Table, Visitor, none, thread};
use crate::futures::{self, Callback, State};

/// Resumes a coroutine, once.
pub struct Waker(Ref<NativeCoroutine>);

impl Waker {
    /// A waker of the coroutine that is being polled.
    pub fn current(py: Python<'_>) -> PyResult<Self> {
        let coroutine = delegation::current(py);
        let coroutine = coroutine.ok_or_else(|| PyRuntimeError::new_err("no coroutine is running"))?;
        Ok(Self::of(Ref::of(coroutine)))
    }

    fn of(coroutine: Ref<NativeCoroutine>) -> Self {
        coroutine.data().count_waker();
        Self(coroutine)
    }

    /// Shows its references to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        visitor.visit(self.0.as_ptr());
    }

    /// A callback of a future that wakes the coroutine when the future is done. The coroutine counts the
    /// waker until then.
    pub fn into_callback(self, py: Python<'_>) -> Callback {
        self.0.data().count_waker();
        Callback::Entry { kind: &WAKE, object: Ref::new(self.0.any(py).clone()) }
    }

    /// Has the coroutine polled again.
    pub fn wake(self) {
        attached(|py| wake(&self.0.obj(py)));
    }
}

impl NativeCoroutine {
    /// Counts one more waker of the coroutine.
    fn count_waker(&self) {
        self.wakers.set(self.wakers.get() + 1);
    }
}

/// The entry that polls a coroutine again. It stands for one waker, which has been counted.
static WAKE: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        current::flush_leave(event_loop)?;
        Waker(Ref::of(runnable.object(event_loop.py())?)).wake();
        Ok(())
    },
    subject: unnamed,
    callable: Some(|runnable, py| {
        let waker = Waker(Ref::of(runnable.object(py)?));
        Ok(Callable::bare(WakerCallback::of(py, waker)?))
    }),
    stands_for: no_callable,
};

/// The entry for a wake-up that another thread sent.
fn received(coroutine: Ref) -> Entry {
    if let Some(coroutine) = coroutine.data_as::<NativeCoroutine>() {
        coroutine.count_waker();
    }
    Entry::Run(Runnable::new(&WAKE, coroutine))
}

impl Drop for Waker {
    fn drop(&mut self) {
        let wakers = &self.0.data().wakers;
        wakers.set(wakers.get() - 1);
    }
}

/// Waits one turn: has the coroutine that is being polled polled again in the next turn.
pub fn yield_turn() -> PyResult<()> {
    attached(|py| {
        Waker::current(py)?.wake();
        Ok(())
    })
}

fn wake(coroutine: &Obj<'_, NativeCoroutine>) {
    let py = coroutine.py();
    if coroutine.thread.get() != thread::ident() {
        if let Some(event_loop) = coroutine.event_loop.obj(py) {
            event_loop.inbox().post(Message::new(received, coroutine.clone()));
        }
        return;
    }
    if coroutine.woken.replace(true) {
        return;
    }
    let Some(future) = coroutine.waiting.take() else { return };
    let future = future.into_obj(py);
    if future.state() == State::Pending
        && let Err(error) = futures::set_result(&future, none(py))
    {
        // `set_result` fails only on a closed loop: the coroutine is never resumed, and no caller could get
        // the error.
        error.write_unraisable(py, Some(future.as_any()));
    }
}

/// A waker as a Python callable, for futures that are not native.
#[derive(Default)]
pub struct WakerCallback {
    waker: LoopCell<Option<Waker>>,
}

static WAKER_CALLBACK: ClassState = ClassState::new();

impl WakerCallback {
    /// Makes one.
    pub fn of(py: Python<'_>, waker: Waker) -> Output<'_> {
        let callback = Self::create(py)?;
        callback.waker.with(|slot| *slot = Some(waker));
        Ok(callback.into_any())
    }
}

impl Class for WakerCallback {
    const NAME: &'static CStr = c"yibu.WakerCallback";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &WAKER_CALLBACK;

    fn table(t: &mut Table<Self>) {
        t.call(|callback, _args, _kwargs| {
            if let Some(waker) = callback.waker.with(Option::take) {
                waker.wake();
            }
            Ok(none(callback.py()))
        });
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.waker.try_with(|waker| waker.iter().for_each(|waker| waker.traverse(visitor)));
    }

    fn clear(&self) {
        let waker = self.waker.with(Option::take);
        drop(waker);
    }
}
