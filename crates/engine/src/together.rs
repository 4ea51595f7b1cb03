//! [`Together`]: Rust futures that run at the same time within one coroutine. Used to connect to several
//! addresses and to listen on several hosts.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Some futures. They have no wakers of their own: whatever wakes the coroutine has all of them polled, in
/// their order.
pub struct Together<F>(Vec<Pin<Box<F>>>);

impl<F> Default for Together<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F: Future> Together<F> {
    /// One more. It begins at the next wait.
    pub fn push(&mut self, future: F) {
        self.0.push(Box::pin(future));
    }

    /// What the next one that ends comes to; `None` when all have ended.
    pub async fn next(&mut self) -> Option<F::Output> {
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

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn what_has_ended_comes_in_the_order_of_the_futures() {
        let mut context = Context::from_waker(Waker::noop());
        let mut together: Together<Ready<u8>> = Together::default();
        together.push(ready(1));
        together.push(ready(2));
        for expected in [Some(1), Some(2), None] {
            assert_eq!(pin!(together.next()).poll(&mut context), Poll::Ready(expected));
        }
    }
}
