//! A worker's bed: it sleeps there until it is called, and a call that comes before it lies down is not lost.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Thread};

/// One thread's.
#[derive(Debug)]
pub struct Sleeper {
    called: AtomicBool,
    word: AtomicU32,
    thread: Thread,
}

impl Sleeper {
    /// The calling thread's.
    pub fn of_this_thread() -> Self {
        Self { called: AtomicBool::new(false), word: AtomicU32::new(0), thread: thread::current() }
    }

    /// Wakes the thread, which hears `word`.
    pub fn call(&self, word: u32) {
        self.word.store(word, Ordering::Relaxed);
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Blocks this thread until [`call`](Self::call), which may have been before, and gives the word of the last call. Only the
    /// thread that made the sleeper sleeps on it. Whatever else unparks the thread does not end the sleep.
    pub fn sleep(&self) -> u32 {
        while !self.called.swap(false, Ordering::Acquire) {
            thread::park();
        }
        self.word.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_call_before_the_sleep_ends_it() {
        let sleeper = Sleeper::of_this_thread();
        sleeper.call(1);
        sleeper.call(2);
        assert_eq!(sleeper.sleep(), 2);
    }

    #[test]
    fn a_stray_unpark_does_not() {
        let sleeper = Arc::new(Sleeper::of_this_thread());
        thread::current().unpark();
        let caller = thread::spawn({
            let sleeper = Arc::clone(&sleeper);
            move || sleeper.call(3)
        });
        assert_eq!(sleeper.sleep(), 3);
        assert!(!sleeper.called.load(Ordering::Relaxed));
        caller.join().expect("calling does not panic");
    }
}
