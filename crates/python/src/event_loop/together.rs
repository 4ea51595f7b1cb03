//! Rust futures that run at the same time within one coroutine. Used by `connect` and `serve`.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Some futures. They have no wakers of their own: whatever wakes the coroutine has all of them polled, in
/// their order.
pub(super) struct Together<F>(Vec<Pin<Box<F>>>);

impl<F: Future> Together<F> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// One more. It begins at the next wait.
    pub(super) fn push(&mut self, future: F) {
        self.0.push(Box::pin(future));
    }

    /// What the next one that ends comes to; `None` when all have ended.
    pub(super) async fn next(&mut self) -> Option<F::Output> {
        poll_fn(|context| {
            for (place, future) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    let ended = self.0.remove(place);
                    drop(ended);
                    return Poll::Ready(Some(output));
                }
            }
            if self.0.is_empty() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}
