//! A worker's bed: it sleeps there until it is called, and a call that comes before it lies down is not lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

/// One thread's.
#[derive(Debug)]
pub struct Sleeper {
    called: AtomicBool,
    thread: Thread,
}

impl Sleeper {
    /// The calling thread's.
    pub fn of_this_thread() -> Self {
        Self { called: AtomicBool::new(false), thread: thread::current() }
    }

    /// Wakes the thread.
    pub fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Blocks this thread until [`call`](Self::call), which may have been before; each call ends one sleep. Only the thread
    /// that made the sleeper sleeps on it. Whatever else unparks the thread does not end the sleep.
    pub fn sleep(&self) {
        while !self.called.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_call_before_the_sleep_ends_it() {
        let sleeper = Sleeper::of_this_thread();
        sleeper.call();
        sleeper.sleep();
    }

    #[test]
    fn a_stray_unpark_does_not() {
        let sleeper = Arc::new(Sleeper::of_this_thread());
        thread::current().unpark();
        let caller = thread::spawn({
            let sleeper = Arc::clone(&sleeper);
            move || sleeper.call()
        });
        sleeper.sleep();
        assert!(!sleeper.called.load(Ordering::Relaxed));
        caller.join().expect("calling does not panic");
    }
}
