//! Rust futures that wait for nothing but time: one turn ([`yield_once`]), or some seconds ([`Delay`]).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use pyo3::prelude::*;

use super::{EventLoop, create_future};
use crate::coroutines::{Answer, Awaited};
use crate::ffi::{Obj, Ref, none};
use crate::{names, stock};

/// Gives way for one turn of the loop: `await asyncio.sleep(0)`.
pub async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits by the loop's `call_later`; dropping it takes the timer back.
pub struct Delay {
    waiting: Awaited,
    timer: Ref,
}

impl Delay {
    /// The time begins now.
    pub fn new(event_loop: &Obj<'_, EventLoop>, seconds: f64) -> PyResult<Self> {
        let py = event_loop.py();
        let future = create_future(event_loop)?;
        let wake = stock::set_result_unless_cancelled(py)?;
        let arguments = (seconds, wake, future.as_any(), none(py));
        let timer = event_loop.as_any().call_method1("call_later", arguments)?;
        Ok(Self { waiting: Awaited::on(event_loop, future.as_any())?, timer: Ref::new(timer) })
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
        Python::attach(|py| {
            let timer = self.timer.any(py);
            if let Err(error) = timer.call_method0(names::cancel(py)) {
                error.write_unraisable(py, Some(timer));
            }
        });
    }
}
