//! The loop's door for other threads: a queue of messages, and a wake-up only when the loop is parked.
//!
//! Called by any thread ([`Inbox::post`]) and by the loop's own ([`Inbox::take`], [`Inbox::park`]). The protocol that loses no
//! message: a poster pushes, then looks at `parked`; the loop sets `parked`, then looks at the queue. With sequentially
//! consistent accesses at least one of them sees the other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::SegQueue;
use yibu_driver::Waker;

/// Messages of type `M` on their way to a loop.
#[derive(Debug)]
pub struct Inbox<M> {
    queue: SegQueue<M>,
    parked: AtomicBool,
    waker: OnceLock<Waker>,
}

impl<M> Default for Inbox<M> {
    fn default() -> Self {
        Self { queue: SegQueue::new(), parked: AtomicBool::new(false), waker: OnceLock::new() }
    }
}

impl<M> Inbox<M> {
    /// Sends a message; wakes the loop when it is parked.
    pub fn post(&self, message: M) {
        self.queue.push(message);
        self.wake();
    }

    /// Ends the park that is under way or about to begin; no-op while the loop is busy.
    pub fn wake(&self) {
        if self.parked.swap(false, Ordering::SeqCst)
            && let Some(waker) = self.waker.get()
        {
            waker.wake();
        }
    }

    /// Takes the oldest message.
    #[inline]
    pub fn take(&self) -> Option<M> {
        self.queue.pop()
    }

    /// Whether nothing is there.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Announces that the loop is about to block, woken by `waker`; `false` when a message came first and it must not.
    pub(crate) fn park(&self, waker: impl FnOnce() -> std::io::Result<Waker>) -> std::io::Result<bool> {
        if self.waker.get().is_none() {
            // Only the loop's thread sets it, so a lost race is impossible and the value is simply there afterwards.
            drop(self.waker.set(waker()?));
        }
        self.parked.store(true, Ordering::SeqCst);
        if self.queue.is_empty() {
            return Ok(true);
        }
        self.unpark();
        Ok(false)
    }

    /// The loop is busy again.
    pub(crate) fn unpark(&self) {
        self.parked.store(false, Ordering::SeqCst);
    }
}
