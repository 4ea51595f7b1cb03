//! Python awaitables in Rust futures: [`Awaited`], which is `await object` of an `async` function.
//!
//! The awaited object is on the coroutine's list ([`crate::coroutines::gc_refs`]); dropping an [`Awaited`]
//! ends the wait. Used by every `async` function.

use std::future::Future as RustFuture;
use std::pin::Pin;
use std::task::{Context, Poll};

use pyo3::prelude::*;

use super::ensure::ensure;
use crate::core::EventLoop;
use crate::coroutines::gc_refs::{GcRef, TakenOver};
use crate::coroutines::protocol::Coroutine;
use crate::coroutines::waking::{Waker, WakerCallback, yield_turn};
use crate::coroutines::{Answer, Body, NativeCoroutine, Routine, delegation};
use crate::ffi::Obj;
use crate::ffi::thread::attached;
use crate::futures::future_like::{exception, is_cancelled, is_done};
use crate::futures::{self, Future};
use crate::names;

/// Awaits a Python awaitable from Rust: `object.await` in Python's sense.
pub struct Awaited(Way);

enum Way {
    /// A future, or a task of its `own`, made for a coroutine.
    Future { future: GcRef, registered: bool, own: bool },
    /// The Rust future of a native coroutine, which is polled here without a task.
    Body { body: Body, _list: TakenOver },
    /// A routine, which also needs no task; `on` is the future that it awaits now, and whether that future
    /// has our waker.
    Routine { routine: GcRef<Routine>, on: Option<(GcRef, bool)> },
}

impl Awaited {
    /// Prepares to await `object` on `event_loop`: futures as they are, native coroutines by their bodies,
    /// other coroutines wrapped in a task.
    pub fn on<'py>(event_loop: &Obj<'py, EventLoop>, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Some((body, gc_refs)) =
            Obj::<NativeCoroutine>::cast(object).and_then(|native| native.give_up(event_loop))
        {
            return Ok(Self(Way::Body { body, _list: TakenOver::new(gc_refs) }));
        }
        if let Some(routine) = Obj::<Routine>::cast_exact(object).filter(|routine| !routine.started().get()) {
            return Ok(Self(Way::Routine { routine: GcRef::of(routine), on: None }));
        }
        let future = ensure(object, Some(event_loop.as_any()))?;
        let own = !future.is(object);
        Ok(Self(Way::Future { future: GcRef::new(future), registered: false, own }))
    }
}

impl RustFuture for Awaited {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        match &mut self.0 {
            Way::Body { body, .. } => body.as_mut().poll(context),
            Way::Future { future, registered, .. } => poll_future(future, registered),
            Way::Routine { routine, on } => attached(|py| poll_routine(&routine.obj(py), on)),
        }
    }
}

fn poll_routine(routine: &Obj<'_, Routine>, on: &mut Option<(GcRef, bool)>) -> Poll<Answer> {
    let py = routine.py();
    loop {
        if let Some((future, registered)) = on {
            let future = future.bind(py);
            match is_done(future).and_then(|done| {
                if !done {
                    resume_when_done(future, registered)?;
                }
                Ok(done)
            }) {
                Ok(true) => *on = None,
                Ok(false) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let yielded = match Routine::advance(routine) {
            Ok(Ok(yielded)) => yielded,
            Ok(Err(value)) => return Poll::Ready(Ok(value.unbind())),
            Err(error) => return Poll::Ready(Err(error)),
        };
        if yielded.is_none() {
            // A bare yield.
            return match yield_turn() {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            };
        }
        // As a task does with a future that its coroutine yields.
        if let Err(error) = yielded.setattr(names::_asyncio_future_blocking(py), false) {
            return Poll::Ready(Err(error));
        }
        *on = Some((GcRef::new(yielded), false));
    }
}

/// Has the coroutine resumed when a future is done, unless that was arranged before (`registered`).
fn resume_when_done(future: &Bound<'_, PyAny>, registered: &mut bool) -> PyResult<()> {
    if *registered || delegation::offer(future) {
        return Ok(());
    }
    *registered = true;
    wake_when_done(future)
}

/// Has the waker fire when a future is done.
fn wake_when_done(future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    let waker = Waker::current(py)?;
    match Obj::<Future>::cast(future) {
        Some(native) => futures::add_callback(native, waker.into_callback(py)),
        None => {
            let callback = WakerCallback::of(py, waker)?;
            future.call_method1(names::add_done_callback(py), (callback,)).map(drop)
        }
    }
}

fn poll_future(future: &GcRef, registered: &mut bool) -> Poll<Answer> {
    attached(|py| {
        let future = future.to_bound(py);
        match is_done(&future) {
            Ok(true) => return Poll::Ready(future.call_method0(names::result(py)).map(Bound::unbind)),
            Ok(false) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        match resume_when_done(&future, registered) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    })
}

impl Drop for Awaited {
    /// The wait is dropped: cancels the awaited future, as a cancelled task does.
    fn drop(&mut self) {
        attached(|py| {
            let (object, left) = match &self.0 {
                Way::Body { .. } => return,
                Way::Routine { routine, .. } => (routine.bind(py), Routine::finish(&routine.obj(py))),
                Way::Future { future, own, .. } => (future.bind(py), leave(future.bind(py), *own)),
            };
            if let Err(error) = left {
                error.write_unraisable(py, Some(object));
            }
        });
    }
}

fn leave(future: &Bound<'_, PyAny>, own: bool) -> PyResult<()> {
    let py = future.py();
    if future.call_method0(name!("done"))?.is_truthy()? {
        // The future was awaited, so its exception must not be reported as never retrieved.
        return if is_cancelled(future)? { Ok(()) } else { exception(future).map(drop) };
    }
    if delegation::closes() {
        // A coroutine that is closed closes the coroutines that it awaits, and leaves futures as they are.
        if !own {
            return Ok(());
        }
        future.setattr(name!("_log_destroy_pending"), false)?;
        if future.call_method0(name!("get_loop"))?.call_method0(name!("is_closed"))?.is_truthy()? {
            return Ok(());
        }
    }
    future.call_method0(names::cancel(py)).map(drop)
}
