//! [`WorkerPool`]: which workers of a thread pool run, look for a job or sleep, and the queue of jobs.
//!
//! A worker is busy with a job, asleep, or looking for a job. At most one worker is being woken at a time:
//! while a worker is looking, no other is woken; a worker that takes a job and leaves more jobs in the queue
//! wakes the next. So a burst of short jobs costs one wake-up and is done by one worker, and a job that
//! blocks delays the next job by one wake-up only. Invariants:
//!
//! - while jobs are queued, a worker is looking, or no worker is asleep;
//! - while jobs are queued, at least as many workers are looking or asleep as there are jobs, or the pool has
//!   its largest size.
//!
//! The pool has no threads and no lock of its own: the embedder starts the threads, guards every call with
//! one lock, and puts workers to sleep and wakes them (see [`Sleeper`]) without that lock. Called by
//! yibu-python's executor.

mod sleeper;

use std::collections::VecDeque;
use yibu_driver::memory::MakeRoom;

pub use sleeper::Sleeper;

/// Jobs of type `J`, and workers; a `W` is the handle that wakes one worker.
#[derive(Debug)]
pub struct WorkerPool<J, W> {
    jobs: VecDeque<J>,
    /// A stack: the worker that fell asleep last is woken first, because its memory is still in the
    /// processor's caches.
    asleep: Vec<W>,
    looking: usize,
    closed: bool,
}

/// What a worker does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<J, W> {
    /// Wake this worker if there is one, then run the job.
    Run(J, Option<W>),
    /// Sleep until woken.
    Sleep,
    /// End the thread: the pool is closed and its queue is empty.
    Leave,
}

/// An empty queue keeps memory for this many jobs.
const KEEP: usize = 64;

impl<J, W> Default for WorkerPool<J, W> {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), asleep: Vec::new(), looking: 0, closed: false }
    }
}

impl<J, W> WorkerPool<J, W> {
    /// Whether one more job would have to wait for a busy worker. Then start a worker, unless the pool has
    /// its largest size.
    #[inline]
    pub fn lacks_workers(&self) -> bool {
        self.jobs.len() >= self.looking + self.asleep.len()
    }

    /// Makes room for one more job; `false` where there is no memory for it.
    #[inline]
    pub fn make_room(&mut self) -> bool {
        self.jobs.make_room(1)
    }

    /// Queues a job. Wake the worker that is returned.
    #[inline]
    #[must_use = "the worker sleeps on unless it is woken"]
    pub fn push(&mut self, job: J) -> Option<W> {
        self.jobs.push_back(job);
        self.wake_one()
    }

    /// A worker is being started, or has finished a job and looks for another.
    #[inline]
    pub fn begin_looking(&mut self) {
        self.looking += 1;
    }

    /// Takes `begin_looking` back: the thread of the worker could not be started.
    pub fn give_up_looking(&mut self) {
        self.looking -= 1;
    }

    /// What a looking worker does next; `me` makes the handle that wakes it, if it has to sleep.
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

    /// Closes the pool: workers end when the queue is empty. Wake the workers that are returned.
    #[must_use = "the workers sleep on unless they are woken"]
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

    /// Takes the queued jobs, which no worker has begun.
    #[must_use = "jobs that are dropped are lost"]
    pub fn take_jobs(&mut self) -> VecDeque<J> {
        std::mem::take(&mut self.jobs)
    }

    /// The queued jobs, which no worker has begun.
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
        /// The n-th worker that is awake takes its next step.
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
        worker_pool: WorkerPool<usize, usize>,
        workers: Vec<State>,
        most: usize,
        submitted: usize,
        begun: Vec<usize>,
    }

    impl Pool {
        fn call(&mut self, worker: Option<usize>) {
            if let Some(worker) = worker {
                assert_eq!(self.workers[worker], State::Asleep, "only sleeping workers are woken");
                self.workers[worker] = State::Looking;
            }
        }

        fn happen(&mut self, event: Event) {
            match event {
                Event::Submit if self.worker_pool.is_closed() => {}
                Event::Submit => {
                    if self.worker_pool.lacks_workers() && self.workers.len() < self.most {
                        self.worker_pool.begin_looking();
                        self.workers.push(State::Looking);
                    }
                    let called = self.worker_pool.push(self.submitted);
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
                    for worker in self.worker_pool.close() {
                        self.call(Some(worker));
                    }
                }
            }
        }

        fn step(&mut self, worker: usize) {
            if self.workers[worker] == State::Busy {
                self.worker_pool.begin_looking();
            }
            self.workers[worker] = match self.worker_pool.next(|| worker) {
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
            let (waiting, looking) = (self.worker_pool.jobs().len(), self.count(State::Looking));
            let asleep = self.count(State::Asleep);
            assert_eq!(self.worker_pool.looking, looking);
            assert_eq!(self.worker_pool.asleep.iter().collect::<BTreeSet<_>>().len(), asleep);
            assert!(waiting == 0 || looking > 0 || asleep == 0, "a job waits while its worker sleeps");
            assert!(
                self.worker_pool.is_closed()
                    || waiting <= looking + asleep
                    || self.workers.len() == self.most,
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
        fn every_queued_job_has_a_worker(most in 1..5_usize, events in prop::collection::vec(event(), 1..80)) {
            let mut pool =
                Pool { worker_pool: WorkerPool::default(), workers: Vec::new(), most, submitted: 0, begun: Vec::new() };
            for event in events {
                pool.happen(event);
                pool.check();
            }
            // After any events: when the pool closes, all jobs run in their order and all workers end.
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
        let mut worker_pool = WorkerPool::default();
        for worker in 0..3 {
            worker_pool.begin_looking();
            assert_eq!(worker_pool.next(|| worker), Next::<char, _>::Sleep);
        }
        assert_eq!(worker_pool.push('a'), Some(2));
        assert_eq!(worker_pool.push('b'), None);
        assert_eq!(worker_pool.push('c'), None);
        // Two jobs stay in the queue: the next worker is woken, and no other while that one looks for its
        // job.
        assert_eq!(worker_pool.next(|| 2), Next::Run('a', Some(1)));
        worker_pool.begin_looking();
        assert_eq!(worker_pool.next(|| 2), Next::Run('b', None));
        worker_pool.begin_looking();
        assert_eq!(worker_pool.next(|| 2), Next::Run('c', None));
        assert_eq!(worker_pool.next(|| 1), Next::Sleep);
    }

    #[test]
    fn jobs_can_be_taken_back() {
        let mut worker_pool: WorkerPool<char, ()> = WorkerPool::default();
        worker_pool.begin_looking();
        assert_eq!(worker_pool.push('a'), None);
        assert_eq!(worker_pool.push('b'), None);
        assert!(worker_pool.take_jobs().into_iter().eq(['a', 'b']));
        assert_eq!(worker_pool.next(|| ()), Next::Sleep);
        assert_eq!(worker_pool.close().len(), 1);
        assert_eq!(worker_pool.next(|| ()), Next::Leave);
    }
}
