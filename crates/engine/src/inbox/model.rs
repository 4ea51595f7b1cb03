//! Every interleaving of posting and parking, in every order that weak memory allows. Compiled and run only
//! by `RUSTFLAGS="--cfg loom" cargo test -p yibu-engine --lib --release inbox`.
//!
//! The inbox is the real one. The queue and the waker under it are models that promise less than the real
//! ones do, so that the protocol has to stand by itself. A message that is lost leaves the loop blocked,
//! which loom reports as a deadlock.

use std::collections::VecDeque;
use std::io;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::{Inbox, Wake};

/// A queue that orders no memory accesses: a push is seen only by a thread that synchronised with the sender
/// in another way.
#[derive(Debug)]
pub struct SegQueue<T> {
    // Never contended: loom changes threads only at its own operations.
    items: std::sync::Mutex<VecDeque<T>>,
    count: AtomicUsize,
}

impl<T> SegQueue<T> {
    pub fn new() -> Self {
        Self { items: std::sync::Mutex::default(), count: AtomicUsize::new(0) }
    }

    pub fn push(&self, item: T) {
        self.items.lock().expect("no test panics in here").push_back(item);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub fn pop(&self) -> Option<T> {
        let item = self.items.lock().expect("no test panics in here").pop_front()?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(item)
    }

    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The driver's waker, as obligation 11 describes it: a wake-up ends the wait under way or the next one that
/// blocks.
#[derive(Clone, Debug)]
struct ModelWaker(Arc<(Mutex<bool>, Condvar)>);

impl ModelWaker {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    fn block(&self) {
        let mut woken = self.0.0.lock().expect("no test panics in here");
        while !*woken {
            woken = self.0.1.wait(woken).expect("no test panics in here");
        }
        *woken = false;
    }

    /// A wait that does not block may consume a wake-up.
    fn consume(&self) {
        *self.0.0.lock().expect("no test panics in here") = false;
    }
}

impl Wake for ModelWaker {
    fn wake(&self) {
        *self.0.0.lock().expect("no test panics in here") = true;
        self.0.1.notify_one();
    }
}

/// What a wait does.
#[derive(Clone, Copy)]
enum Turn {
    /// Entries are ready: the kernel is polled.
    Polls,
    /// The loop parks and something other than a message ends the wait at once.
    IsInterrupted,
}

/// Each sender posts one message. The loop makes `turns`, none of which needs a message to end, then waits
/// for all messages.
fn nothing_is_lost(posters: usize, turns: &'static [Turn]) {
    let mut explore = loom::model::Builder::new();
    explore.preemption_bound = Some(3);
    explore.check(move || {
        let inbox = Arc::new(Inbox::<usize, ModelWaker>::default());
        let waker = ModelWaker::new();
        let threads: Vec<_> = (0..posters)
            .map(|message| {
                let inbox = Arc::clone(&inbox);
                thread::spawn(move || inbox.post(message))
            })
            .collect();
        let mut arrived = Vec::new();
        let mut turns = turns.iter();
        while arrived.len() < posters {
            arrived.extend(inbox.drain());
            if arrived.len() == posters {
                break;
            }
            let turn = turns.next();
            if let Some(Turn::Polls) = turn {
                waker.consume();
                continue;
            }
            if inbox.park(|| io::Result::Ok(waker.clone())).expect("the waker is there") {
                if turn.is_none() {
                    waker.block();
                }
                inbox.unpark();
            }
        }
        arrived.sort_unstable();
        assert!(arrived.iter().copied().eq(0..posters));
        for thread in threads {
            thread.join().expect("posting does not panic");
        }
    });
}

#[test]
fn one_message_ends_a_park() {
    nothing_is_lost(1, &[]);
}

#[test]
fn two_messages_arrive_when_one_of_them_wakes() {
    nothing_is_lost(2, &[]);
}

#[test]
fn a_wake_up_meant_for_an_earlier_park_does_no_harm() {
    nothing_is_lost(2, &[Turn::IsInterrupted]);
}

#[test]
fn a_wake_up_consumed_by_a_poll_is_not_needed() {
    nothing_is_lost(2, &[Turn::IsInterrupted, Turn::Polls]);
}
