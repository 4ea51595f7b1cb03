//! What a Rust future waits for, offered to the task that runs its coroutine.
//!
//! A Python coroutine that awaits a future hands this very future to its task, which goes on in the turn after the future is done.
//! So does a native coroutine whose Rust future waits for one Python future and for nothing else: the future is
//! [`offer`]ed while the Rust future is polled, and [`polled`] tells whether it may be handed on. One that waits for several
//! things at once is woken by their wakers instead, which takes a turn more.
//! A task throws the exception of a future that it waited for into its coroutine: [`is_outcome`] tells that from any other.
//! Called by [`super`] only.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Waker};

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::prelude::*;

use crate::ffi::Ref;
use crate::futures::likes;

/// The offer to the coroutine that is being polled.
#[derive(Default)]
struct Offer {
    /// The data of its waker; null outside of a poll. Combinators that poll with wakers of their own need these to be woken.
    root: usize,
    future: Option<Ref>,
}

thread_local! {
    static OFFER: Cell<Offer> = Cell::default();
}

/// Offers to be resumed when `future` is done, instead of by the waker. False when that cannot be: the waker has to be kept then.
pub(super) fn offer(future: &Bound<'_, PyAny>, context: &Context<'_>) -> bool {
    OFFER.with(|slot| {
        let mut offer = slot.take();
        let taken = offer.future.is_none() && offer.root == context.waker().data().addr();
        if taken {
            offer.future = Some(Ref::new(future.clone()));
        }
        slot.set(offer);
        taken
    })
}

/// Polls with `waker`, whose data is `state`, and gives what was offered meanwhile.
pub(super) fn polled<T, R>(
    state: &Arc<T>,
    waker: &Waker,
    poll: impl FnOnce(&mut Context<'_>) -> R,
) -> (R, Option<Ref>) {
    debug_assert_eq!(waker.data().addr(), Arc::as_ptr(state).addr());
    let offer = Offer { root: Arc::as_ptr(state).addr(), future: None };
    // Python code that runs meanwhile may poll other coroutines.
    let outer = OFFER.with(|slot| slot.replace(offer));
    let polled = poll(&mut Context::from_waker(waker));
    let offered = OFFER.with(|slot| slot.replace(outer));
    (polled, offered.future)
}

/// Whether an exception is what came of a future.
pub(super) fn is_outcome(future: &Bound<'_, PyAny>, error: &PyErr) -> PyResult<bool> {
    let py = future.py();
    if !likes::is_done(future)? {
        return Ok(false);
    }
    if likes::is_cancelled(future)? {
        return Ok(error.is_instance_of::<CancelledError>(py));
    }
    Ok(likes::exception(future)?.is_some_and(|exception| exception.is(error.value(py))))
}
