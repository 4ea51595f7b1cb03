//! What a Rust future waits for, offered to the task that runs its coroutine.
//!
//! A Python coroutine that awaits a future hands this very future to its task, which goes on in the turn
//! after the future is done. So does a native coroutine whose Rust future waits for one Python future and for
//! nothing else: the future is [`offer`]ed while the Rust future is polled, and [`polled`] tells whether it
//! may be handed on. One that waits for several things at once is woken by their wakers instead
//! ([`super::waking`]), which takes a turn more. A task throws the exception of a future that it waited for
//! into its coroutine: [`is_outcome`] tells that from any other. Called by [`super`] only.

use std::cell::Cell;

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::prelude::*;

use super::NativeCoroutine;
use crate::ffi::{Obj, Ref};
use crate::futures::future_like;

/// The coroutine that is being polled.
#[derive(Default)]
struct Polled {
    /// None outside of a poll.
    coroutine: Option<Ref<NativeCoroutine>>,
    /// Whether it would take an offer.
    takes: bool,
    offered: Option<Ref>,
    /// Whether it is not polled at all, but closed.
    closes: bool,
}

thread_local! {
    static POLLED: Cell<Polled> = Cell::default();
}

fn with_polled<R>(work: impl FnOnce(&mut Polled) -> R) -> R {
    POLLED.with(|slot| {
        let mut polled = slot.take();
        let result = work(&mut polled);
        slot.set(polled);
        result
    })
}

/// Offers to be resumed when `future` is done, instead of by a waker. False when that cannot be: a waker has
/// to be kept then.
pub fn offer(future: &Bound<'_, PyAny>) -> bool {
    with_polled(|polled| {
        let taken = polled.takes && polled.offered.is_none();
        if taken {
            polled.offered = Some(Ref::new(future.clone()));
        }
        taken
    })
}

/// The coroutine that is being polled.
pub fn current(py: Python<'_>) -> Option<Obj<'_, NativeCoroutine>> {
    with_polled(|polled| polled.coroutine.as_ref().map(|coroutine| coroutine.obj(py)))
}

/// Whether a Rust future is being dropped because its coroutine is closed: nothing was thrown into it.
pub fn closes() -> bool {
    with_polled(|polled| polled.closes)
}

/// Python code that runs meanwhile may poll other coroutines, and a poll may panic.
struct Outer(Polled);

impl Outer {
    fn put_aside(present: Polled) -> Self {
        Self(POLLED.with(|slot| slot.replace(present)))
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        let inner = POLLED.with(|slot| slot.replace(std::mem::take(&mut self.0)));
        drop(inner);
    }
}

/// Polls a coroutine's Rust future, and gives what was offered meanwhile, if it `takes` offers.
pub fn polled<R>(
    coroutine: &Obj<'_, NativeCoroutine>,
    takes: bool,
    poll: impl FnOnce() -> R,
) -> (R, Option<Ref>) {
    let coroutine = Some(Ref::of(coroutine.clone()));
    let outer = Outer::put_aside(Polled { coroutine, takes, ..Polled::default() });
    let result = poll();
    let offered = with_polled(|polled| polled.offered.take());
    drop(outer);
    (result, offered)
}

/// Drops a Rust future: because its coroutine is closed if it `closes`, and otherwise because something was
/// thrown into it.
pub fn dropped<T>(future: T, closes: bool) {
    let outer = Outer::put_aside(Polled { closes, ..Polled::default() });
    drop(future);
    drop(outer);
}

/// Whether an exception is what came of a future.
pub fn is_outcome(future: &Bound<'_, PyAny>, error: &PyErr) -> PyResult<bool> {
    let py = future.py();
    if !future_like::is_done(future)? {
        return Ok(false);
    }
    if future_like::is_cancelled(future)? {
        return Ok(error.is_instance_of::<CancelledError>(py));
    }
    Ok(future_like::exception(future)?.is_some_and(|exception| exception.is(error.value(py))))
}
