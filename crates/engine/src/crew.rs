//! The workers of a thread pool, and the jobs that wait for one of them.
//!
//! A worker is busy with a job, asleep, or looking for a job. At most one is woken at a time: while one is looking, nobody calls
//! another, and whoever finds a job and leaves more behind calls the next. So a burst of short jobs costs one wake-up and is
//! done by one worker, and a job that blocks costs the next job no more than a wake-up. What always holds:
//!
//! - where jobs wait, somebody is looking or nobody is asleep;
//! - where jobs wait, there are as many looking or asleep as jobs, or as many workers as there may be.
//!
//! A crew is no more than the bookkeeping: all of it happens under one lock, which is the embedder's; only sleeping and
//! waking (see [`Sleeper`]) is done outside. Called by yibu-python's executor.

mod sleeper;

use std::collections::VecDeque;
use yibu_driver::memory::MakeRoom;

pub use sleeper::Sleeper;

/// Jobs of type `J`, and workers that are woken by what a `W` stands for.
#[derive(Debug)]
pub struct Crew<J, W> {
    jobs: VecDeque<J>,
    /// The last to fall asleep is the first to be woken: its memory is still warm.
    asleep: Vec<W>,
    looking: usize,
    closed: bool,
}

/// What a worker does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<J, W> {
    /// Call this worker if there is one, then run the job.
    Run(J, Option<W>),
    /// Sleep until called.
    Sleep,
    /// Leave for good: the crew is closed and its jobs are done.
    Leave,
}

/// Crews keep the memory for this many jobs.
const KEEP: usize = 64;

impl<J, W> Default for Crew<J, W> {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), asleep: Vec::new(), looking: 0, closed: false }
    }
}

impl<J, W> Crew<J, W> {
    /// Whether one more job would have to wait for a worker who is busy now. If there may be more workers, start one.
    #[inline]
    pub fn is_short_handed(&self) -> bool {
        self.jobs.len() >= self.looking + self.asleep.len()
    }

    /// Makes room for one more job; `false` where there is no memory for it.
    #[inline]
    pub fn make_room(&mut self) -> bool {
        self.jobs.make_room(1)
    }

    /// A job arrives. Call the worker that is returned.
    #[inline]
    #[must_use = "the worker sleeps on unless it is called"]
    pub fn push(&mut self, job: J) -> Option<W> {
        self.jobs.push_back(job);
        self.wake_one()
    }

    /// A worker is on its way, or has finished a job and looks for another.
    #[inline]
    pub fn begin_looking(&mut self) {
        self.looking += 1;
    }

    /// A worker that was on its way will not come.
    pub fn give_up_looking(&mut self) {
        self.looking -= 1;
    }

    /// What a worker that is looking does next; `me` is how it is called when it sleeps.
    #[inline]
    pub fn next(&mut self, me: impl FnOnce() -> W) -> Next<J, W> {
        self.looking -= 1;
        match self.jobs.pop_front() {
            Some(job) => {
                if self.jobs.capacity() > KEEP && self.jobs.is_empty() {
                    self.jobs.shrink_to(KEEP);
                }
                Next::Run(job, self.wake_one())
            }
            None if self.closed => Next::Leave,
            None => {
                self.asleep.push(me());
                Next::Sleep
            }
        }
    }

    #[inline]
    fn wake_one(&mut self) -> Option<W> {
        if self.jobs.is_empty() || self.looking > 0 {
            return None;
        }
        let worker = self.asleep.pop()?;
        self.looking += 1;
        Some(worker)
    }

    /// No worker sleeps any more: they leave when no jobs are left. Call those that are returned.
    #[must_use = "they sleep on unless they are called"]
    pub fn close(&mut self) -> Vec<W> {
        self.closed = true;
        self.looking += self.asleep.len();
        std::mem::take(&mut self.asleep)
    }

    /// Whether `close` was called.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes the jobs that nobody has begun.
    #[must_use = "jobs that are dropped are lost"]
    pub fn take_jobs(&mut self) -> VecDeque<J> {
        std::mem::take(&mut self.jobs)
    }

    /// The jobs that nobody has begun.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = &J> {
        self.jobs.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// One thing that happens in a pool.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Submit,
        /// The n-th of those who are awake takes its next step.
        Step(usize),
        Close,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum State {
        Looking,
        Busy,
        Asleep,
        Gone,
    }

    /// A pool without threads: the steps of its workers come in the order of the events.
    struct Pool {
        crew: Crew<usize, usize>,
        workers: Vec<State>,
        most: usize,
        submitted: usize,
        begun: Vec<usize>,
    }

    impl Pool {
        fn call(&mut self, worker: Option<usize>) {
            if let Some(worker) = worker {
                assert_eq!(self.workers[worker], State::Asleep, "only sleepers are called");
                self.workers[worker] = State::Looking;
            }
        }

        fn happen(&mut self, event: Event) {
            match event {
                Event::Submit if self.crew.is_closed() => {}
                Event::Submit => {
                    if self.crew.is_short_handed() && self.workers.len() < self.most {
                        self.crew.begin_looking();
                        self.workers.push(State::Looking);
                    }
                    let called = self.crew.push(self.submitted);
                    self.submitted += 1;
                    self.call(called);
                }
                Event::Step(n) => {
                    let awake: Vec<_> = (0..self.workers.len())
                        .filter(|w| matches!(self.workers[*w], State::Looking | State::Busy))
                        .collect();
                    if !awake.is_empty() {
                        self.step(awake[n % awake.len()]);
                    }
                }
                Event::Close => {
                    for worker in self.crew.close() {
                        self.call(Some(worker));
                    }
                }
            }
        }

        fn step(&mut self, worker: usize) {
            if self.workers[worker] == State::Busy {
                self.crew.begin_looking();
            }
            self.workers[worker] = match self.crew.next(|| worker) {
                Next::Run(job, called) => {
                    self.begun.push(job);
                    self.call(called);
                    State::Busy
                }
                Next::Sleep => State::Asleep,
                Next::Leave => State::Gone,
            };
        }

        fn count(&self, state: State) -> usize {
            self.workers.iter().filter(|worker| **worker == state).count()
        }

        fn check(&self) {
            let (waiting, looking) = (self.crew.jobs().len(), self.count(State::Looking));
            let asleep = self.count(State::Asleep);
            assert_eq!(self.crew.looking, looking);
            assert_eq!(self.crew.asleep.iter().collect::<BTreeSet<_>>().len(), asleep);
            assert!(waiting == 0 || looking > 0 || asleep == 0, "a job waits while its worker sleeps");
            assert!(
                self.crew.is_closed() || waiting <= looking + asleep || self.workers.len() == self.most,
                "a job waits although one more worker could be started"
            );
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            8 => Just(Event::Submit),
            16 => (0..8_usize).prop_map(Event::Step),
            1 => Just(Event::Close),
        ]
    }

    proptest! {
        #[test]
        fn no_job_waits_for_nobody(most in 1..5_usize, events in prop::collection::vec(event(), 1..80)) {
            let mut pool =
                Pool { crew: Crew::default(), workers: Vec::new(), most, submitted: 0, begun: Vec::new() };
            for event in events {
                pool.happen(event);
                pool.check();
            }
            // Whatever happened: when the pool closes, all jobs are run in their order and all workers leave.
            pool.happen(Event::Close);
            while pool.count(State::Looking) + pool.count(State::Busy) > 0 {
                pool.happen(Event::Step(0));
                pool.check();
            }
            prop_assert_eq!(pool.count(State::Gone), pool.workers.len());
            prop_assert!(pool.begun.iter().copied().eq(0..pool.submitted));
        }
    }

    #[test]
    fn a_burst_wakes_one_worker() {
        let mut crew = Crew::default();
        for worker in 0..3 {
            crew.begin_looking();
            assert_eq!(crew.next(|| worker), Next::<char, _>::Sleep);
        }
        assert_eq!(crew.push('a'), Some(2));
        assert_eq!(crew.push('b'), None);
        assert_eq!(crew.push('c'), None);
        // It leaves two jobs behind: the next is called, and while that one is on its way nobody else.
        assert_eq!(crew.next(|| 2), Next::Run('a', Some(1)));
        crew.begin_looking();
        assert_eq!(crew.next(|| 2), Next::Run('b', None));
        crew.begin_looking();
        assert_eq!(crew.next(|| 2), Next::Run('c', None));
        assert_eq!(crew.next(|| 1), Next::Sleep);
    }

    #[test]
    fn jobs_can_be_taken_back() {
        let mut crew: Crew<char, ()> = Crew::default();
        crew.begin_looking();
        assert_eq!(crew.push('a'), None);
        assert_eq!(crew.push('b'), None);
        assert!(crew.take_jobs().into_iter().eq(['a', 'b']));
        assert_eq!(crew.next(|| ()), Next::Sleep);
        assert_eq!(crew.close().len(), 1);
        assert_eq!(crew.next(|| ()), Next::Leave);
    }
}
