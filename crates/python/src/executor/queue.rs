//! `WorkQueue`: the queued jobs of an executor and the state of its workers. Executor and workers share it,
//! so the executor can be freed while workers still run.
//!
//! To Python it is a little of the `queue.SimpleQueue` that stock's executor has: `qsize()` and `empty()`,
//! and `put(None)`, by which `concurrent.futures` tells workers that the interpreter exits.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use yibu_engine::worker_pool::{Next, Sleeper, WorkerPool};

use super::job::{self, Job};
use crate::errors;
use crate::ffi::class::Weak;
use crate::ffi::{Class, ClassState, LoopCell, Obj, Ref, Table, Visitor, boolean};
use crate::{names, stock};

/// The word for a worker that may begin at once: see [`Sleeper::wake`]. A loop that wakes a worker passes the
/// number of parks so far instead.
pub const AT_ONCE: u32 = 0;

/// The data of a queue.
#[derive(Default)]
pub struct WorkQueue {
    worker_pool: LoopCell<WorkerPool<Ref<Job>, Arc<Sleeper>>>,
    /// Counts forks: the child of a fork has a worker pool of its own.
    generation: Cell<u32>,
}

static WORK_QUEUE: ClassState = ClassState::new();

impl WorkQueue {
    /// Whether one more job would have to wait for a busy worker.
    #[inline]
    pub fn lacks_workers(&self) -> bool {
        self.worker_pool.with(|worker_pool| worker_pool.lacks_workers())
    }

    /// Whether no more jobs are taken.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.worker_pool.with(|worker_pool| worker_pool.is_closed())
    }

    /// Queues a job, and wakes a worker for it unless one is looking already. `word` is what
    /// [`Sleeper::sleep`] returns there.
    #[inline]
    pub fn push(&self, job: Obj<'_, Job>, word: u32) -> PyResult<()> {
        let job = Ref::of(job);
        let called =
            self.worker_pool.with(|worker_pool| worker_pool.make_room().then(|| worker_pool.push(job)));
        if let Some(worker) = called.ok_or_else(errors::no_memory)? {
            worker.wake(word);
        }
        Ok(())
    }

    /// A worker is being started, or has finished its job.
    #[inline]
    pub fn begin_looking(&self) {
        self.worker_pool.with(WorkerPool::begin_looking);
    }

    /// Takes `begin_looking` back: the thread of the worker could not be started.
    pub fn give_up_looking(&self) {
        self.worker_pool.with(WorkerPool::give_up_looking);
    }

    /// What a looking worker does next. Wakes the worker that has to be woken.
    #[inline]
    pub fn next(&self, me: &Arc<Sleeper>) -> Next<Ref<Job>, ()> {
        match self.worker_pool.with(|worker_pool| worker_pool.next(|| Arc::clone(me))) {
            Next::Run(job, worker) => {
                if let Some(worker) = worker {
                    worker.wake(AT_ONCE);
                }
                Next::Run(job, None)
            }
            Next::Sleep => Next::Sleep,
            Next::Leave => Next::Leave,
        }
    }

    /// Closes the queue: workers end when it is empty.
    pub fn close(&self) {
        for worker in self.worker_pool.with(WorkerPool::close) {
            worker.wake(AT_ONCE);
        }
    }

    /// Cancels the queued jobs, which no worker has begun.
    pub fn cancel_jobs(&self, py: Python<'_>) -> PyResult<()> {
        let jobs = self.worker_pool.with(WorkerPool::take_jobs);
        jobs.into_iter().try_for_each(|job| job::cancel(job.into_obj(py)))
    }

    /// In the child of a fork: jobs and workers stayed with the parent.
    pub fn after_fork_in_child(&self) {
        self.generation.set(self.generation.get().wrapping_add(1));
        let lost = self.worker_pool.with(std::mem::take);
        drop(lost);
    }

    /// Differs between a process and its forked child.
    pub fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.worker_pool.with(|worker_pool| worker_pool.jobs().len())
    }
}

/// Whether the interpreter has begun to exit, as `concurrent.futures` takes note of it.
pub fn interpreter_exits(py: Python<'_>) -> PyResult<bool> {
    stock::concurrent_thread_module(py)?.getattr(names::_shutdown(py))?.is_truthy()
}

impl Class for WorkQueue {
    const NAME: &'static CStr = c"yibu.WorkQueue";
    type Header = Weak;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &WORK_QUEUE;

    fn table(t: &mut Table<Self>) {
        t.doc(c"The jobs of an executor that no worker has begun.");
        t.answer(c"qsize", |queue| queue.len(), "How many jobs wait.");
        t.noargs(c"empty", |queue| Ok(boolean(queue.py(), queue.len() == 0)), "Whether no job waits.");
        t.action_on(
            c"put",
            "item",
            |queue, item| {
                if !item.is_none() {
                    return Err(PyTypeError::new_err("jobs are submitted to the executor"));
                }
                if interpreter_exits(queue.py())? {
                    queue.close();
                }
                Ok(())
            },
            "put(None): the interpreter exits, and the workers leave when the jobs are done.",
        );
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.worker_pool
            .try_with(|worker_pool| worker_pool.jobs().for_each(|job| visitor.visit(job.as_ptr())));
    }

    fn clear(&self) {
        let jobs = self.worker_pool.with(WorkerPool::take_jobs);
        drop(jobs);
    }
}
