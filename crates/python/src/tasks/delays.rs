//! Rust futures that wait for time only: one turn ([`yield_once`]), or some seconds ([`Delay`]).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use pyo3::prelude::*;
use pyo3::types::PyFloat;

use super::Awaited;
use crate::alarms::{self, Alarm};
use crate::core::EventLoop;
use crate::coroutines::{Answer, GcRef, yield_turn};
use crate::ffi::Obj;
use crate::ffi::thread::attached;
use crate::futures::{create_future, future_like};

/// Waits one turn of the loop: `await asyncio.sleep(0)`.
pub async fn yield_once() -> PyResult<()> {
    let mut yielded = false;
    poll_fn(|_| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(Ok(()));
        }
        match yield_turn() {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    })
    .await
}

/// Waits for an alarm; dropping the `Delay` cancels the alarm.
pub struct Delay {
    waiting: Awaited,
    alarm: GcRef<Alarm>,
}

impl Delay {
    /// The time is measured from this call.
    pub fn new(event_loop: &Obj<'_, EventLoop>, seconds: f64) -> PyResult<Self> {
        let future = create_future(event_loop)?;
        let delay = PyFloat::new(event_loop.py(), seconds);
        let alarm = alarms::set_after(event_loop.as_any(), &delay, future.as_any(), future_like::set_none)?;
        Ok(Self { waiting: Awaited::on(event_loop, future.as_any())?, alarm: GcRef::of(&alarm) })
    }
}

impl Future for Delay {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        Pin::new(&mut self.waiting).poll(context)
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        attached(|py| {
            let alarm = self.alarm.obj(py);
            if let Err(error) = alarms::cancel(&alarm) {
                error.write_unraisable(py, Some(alarm.as_any()));
            }
        });
    }
}
