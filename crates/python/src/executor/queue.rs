//! `WorkQueue`: the jobs of a pool and its workers' bookkeeping. What the pool and its workers share, so that the pool can go before
//! they do.
//!
//! To Python it is a little of the `queue.SimpleQueue` that stock's executor has: `qsize()` and `empty()`, and `put(None)`, by
//! which `concurrent.futures` tells workers that the interpreter exits.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use yibu_engine::crew::{Crew, Next, Sleeper};

use super::job::{self, Job};
use crate::errors;
use crate::ffi::class::Weak;
use crate::ffi::{Class, ClassState, LoopCell, Obj, Ref, Table, Visitor, boolean, none};
use crate::{names, stock};

/// What a worker hears that has nothing to wait for; a loop that calls one says how often loops have parked.
pub const AT_ONCE: u32 = 0;

/// The data of a queue.
#[derive(Default)]
pub struct WorkQueue {
    crew: LoopCell<Crew<Ref<Job>, Arc<Sleeper>>>,
    /// Counts forks: the crew of a child is another one than that of its parent.
    generation: Cell<u32>,
}

static WORK_QUEUE: ClassState = ClassState::new();

impl WorkQueue {
    /// Whether a job that comes now had better come with a new worker.
    #[inline]
    pub fn is_short_handed(&self) -> bool {
        self.crew.with(|crew| crew.is_short_handed())
    }

    /// Whether no more jobs are taken.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.crew.with(|crew| crew.is_closed())
    }

    /// Takes a job, and calls a worker for it unless one is about to look. `word` says what the worker may wait for.
    #[inline]
    pub fn push(&self, job: Obj<'_, Job>, word: u32) -> PyResult<()> {
        let job = Ref::of(job);
        let called = self.crew.with(|crew| crew.make_room().then(|| crew.push(job)));
        if let Some(worker) = called.ok_or_else(errors::no_memory)? {
            worker.call(word);
        }
        Ok(())
    }

    /// A worker is on its way, or has finished its job.
    #[inline]
    pub fn begin_looking(&self) {
        self.crew.with(Crew::begin_looking);
    }

    /// A worker that was on its way will not come.
    pub fn give_up_looking(&self) {
        self.crew.with(Crew::give_up_looking);
    }

    /// What a worker that is looking does next. Whoever has to be called is called.
    #[inline]
    pub fn next(&self, me: &Arc<Sleeper>) -> Next<Ref<Job>, ()> {
        match self.crew.with(|crew| crew.next(|| Arc::clone(me))) {
            Next::Run(job, worker) => {
                if let Some(worker) = worker {
                    worker.call(AT_ONCE);
                }
                Next::Run(job, None)
            }
            Next::Sleep => Next::Sleep,
            Next::Leave => Next::Leave,
        }
    }

    /// Lets the workers leave when the jobs are done.
    pub fn close(&self) {
        for worker in self.crew.with(Crew::close) {
            worker.call(AT_ONCE);
        }
    }

    /// Cancels the jobs that nobody has begun.
    pub fn cancel_jobs(&self, py: Python<'_>) -> PyResult<()> {
        let jobs = self.crew.with(Crew::take_jobs);
        jobs.into_iter().try_for_each(|job| job::cancel(job.into_obj(py)))
    }

    /// In the child of a fork: jobs and workers stayed with the parent.
    pub fn after_fork_in_child(&self) {
        self.generation.set(self.generation.get().wrapping_add(1));
        let lost = self.crew.with(std::mem::take);
        drop(lost);
    }

    /// Differs between a process and its forked child.
    pub fn generation(&self) -> u32 {
        self.generation.get()
    }

    fn len(&self) -> usize {
        self.crew.with(|crew| crew.jobs().len())
    }
}

/// Whether the interpreter has begun to exit, as `concurrent.futures` takes note of it.
pub fn interpreter_exits(py: Python<'_>) -> PyResult<bool> {
    stock::concurrent_thread_module(py)?.getattr(names::_shutdown(py))?.is_truthy()
}

impl Class for WorkQueue {
    const NAME: &'static CStr = c"yibu.WorkQueue";
    type Header = Weak;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;

    fn state() -> &'static ClassState {
        &WORK_QUEUE
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"The jobs of an executor that no worker has begun.");
        t.noargs(
            c"qsize",
            |queue| Ok(queue.len().into_pyobject(queue.py())?.into_any()),
            "How many jobs wait.",
        );
        t.noargs(c"empty", |queue| Ok(boolean(queue.py(), queue.len() == 0)), "Whether no job waits.");
        t.one(
            c"put",
            "item",
            |queue, item| {
                if !item.is_none() {
                    return Err(PyTypeError::new_err("jobs are submitted to the executor"));
                }
                if interpreter_exits(queue.py())? {
                    queue.close();
                }
                Ok(none(queue.py()))
            },
            "put(None): the interpreter exits, and the workers leave when the jobs are done.",
        );
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.crew.try_with(|crew| crew.jobs().for_each(|job| visitor.visit(job.as_ptr())));
    }

    fn clear(&self) {
        let jobs = self.crew.with(Crew::take_jobs);
        drop(jobs);
    }
}
