//! `ThreadPool`: the default executor as Python sees it, a `concurrent.futures.ThreadPoolExecutor`.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyString, PyTuple};

use super::job::Job;
use super::queue::{AT_ONCE, WorkQueue, interpreter_exits};
use super::worker::Worker;
use crate::ffi::class::{self, DictAndWeak};
use crate::ffi::{Args, Class, ClassState, Create, Obj, Output, Ref, Signature, Slot, Table, references};
use crate::ffi::{boolean, none};
use crate::replaced::names::{EXECUTOR_METHODS, WORK_ITEM, WORK_METHODS, WORK_QUEUE, WORKER};
use crate::stock;

/// The data of a pool.
#[derive(Default)]
pub struct ThreadPool {
    queue: Slot<WorkQueue>,
    /// A set of `threading.Thread`.
    threads: Slot,
    most: Cell<isize>,
}

static THREAD_POOL: ClassState = ClassState::new();

/// What the threads are called, with a number behind it.
const PREFIX: &str = "asyncio";

const SUBMIT: Signature<1> = Signature::new_method("ThreadPoolExecutor.submit", "fn, /, *args, **kwargs");
const MAP: Signature<1> = Signature::new_method("Executor.map", "fn, *iterables, **options");
const SHUTDOWN: Signature<2> =
    Signature::new_method("ThreadPoolExecutor.shutdown", "wait=True, *, cancel_futures=False");
const EXIT: Signature<3> = Signature::new_method("Executor.__exit__", "exc_type, exc_val, exc_tb");

/// Whether a native pool may be used instead of the standard library's class: no program has replaced that
/// class or parts of it.
#[inline]
pub fn stands_in(py: Python<'_>) -> PyResult<bool> {
    Ok(EXECUTOR_METHODS.are_original(py)?
        && WORK_METHODS.are_original(py)?
        && !WORKER.is_replaced(py)
        && !WORK_ITEM.is_replaced(py)
        && !WORK_QUEUE.is_replaced(py))
}

/// `ThreadPoolExecutor(thread_name_prefix="asyncio")`: that of the standard library, or what a program has
/// put in its place.
pub fn standard_pool(py: Python<'_>) -> Output<'_> {
    let class = stock::module(py, "concurrent.futures")?.getattr(name!("ThreadPoolExecutor"))?;
    let keywords = PyDict::new(py);
    keywords.set_item("thread_name_prefix", PREFIX)?;
    class.call((), Some(&keywords))
}

/// The same, native where no program has put anything in its place.
pub fn default_pool(py: Python<'_>) -> Output<'_> {
    let class = stock::module(py, "concurrent.futures")?.getattr(name!("ThreadPoolExecutor"))?;
    if !class.is(stock::thread_pool_executor(py)?) {
        return standard_pool(py);
    }
    let count = if cfg!(Py_3_13) { name!("process_cpu_count") } else { name!("cpu_count") };
    let processors: Option<isize> = stock::module(py, "os")?.call_method0(count)?.extract()?;
    let pool = ThreadPool::create(py)?;
    pool.most.set((processors.unwrap_or(1) + 4).min(32));
    pool.queue.set(Ref::of(WorkQueue::create(py)?));
    pool.threads.put(PySet::empty(py)?);
    Ok(pool.into_any())
}

impl ThreadPool {
    fn queue<'py>(&self, py: Python<'py>) -> PyResult<Obj<'py, WorkQueue>> {
        self.queue.obj(py).ok_or_else(after_shutdown)
    }

    fn threads<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        Ok(self.threads.get_or_none(py).cast_into()?)
    }

    /// How many jobs wait, and how many threads there are.
    pub fn load(&self, py: Python<'_>) -> PyResult<(usize, usize)> {
        let waiting = self.queue.obj(py).map_or(0, |queue| queue.len());
        Ok((waiting, self.threads(py)?.len()))
    }

    /// In the child of a fork: a fresh pool.
    pub fn after_fork_in_child(&self, py: Python<'_>) -> PyResult<()> {
        self.threads.put(PySet::empty(py)?);
        if let Some(queue) = self.queue.obj(py) {
            queue.after_fork_in_child();
        }
        Ok(())
    }
}

#[cold]
fn after_shutdown() -> PyErr {
    PyRuntimeError::new_err("cannot schedule new futures after shutdown")
}

/// `ThreadPoolExecutor.submit` for a job. `word` goes to the worker that is woken for the job, see
/// [`AT_ONCE`].
#[inline]
pub fn submit<'py>(pool: &Obj<'py, ThreadPool>, job: Obj<'py, Job>, word: u32) -> PyResult<()> {
    let queue = pool.queue(pool.py())?;
    check_open(&queue)?;
    Job::enter(&job)?;
    if queue.lacks_workers() && may_grow(pool)? {
        return submit_with_worker(pool, &queue, job);
    }
    queue.push(job, word)
}

/// Raises the RuntimeError of `submit` after a shutdown.
#[inline]
fn check_open(queue: &Obj<'_, WorkQueue>) -> PyResult<()> {
    if interpreter_exits(queue.py())? {
        return Err(PyRuntimeError::new_err("cannot schedule new futures after interpreter shutdown"));
    }
    if queue.is_closed() { Err(after_shutdown()) } else { Ok(()) }
}

fn may_grow(pool: &Obj<'_, ThreadPool>) -> PyResult<bool> {
    Ok(pool.threads(pool.py())?.len().cast_signed() < pool.most.get())
}

/// Queues a job and starts a worker for it, under the lock that the standard library takes when the
/// interpreter exits.
#[cold]
fn submit_with_worker<'py>(
    pool: &Obj<'py, ThreadPool>,
    queue: &Obj<'py, WorkQueue>,
    job: Obj<'py, Job>,
) -> PyResult<()> {
    let lock = stock::concurrent_thread_module(pool.py())?.getattr(name!("_global_shutdown_lock"))?;
    lock.call_method0(name!("acquire"))?;
    let submitted = submit_under_lock(pool, queue, job);
    lock.call_method0(name!("release"))?;
    submitted
}

fn submit_under_lock<'py>(
    pool: &Obj<'py, ThreadPool>,
    queue: &Obj<'py, WorkQueue>,
    job: Obj<'py, Job>,
) -> PyResult<()> {
    // Other threads ran while this one waited for the lock.
    check_open(queue)?;
    let worker = if may_grow(pool)? { Some(Worker::of(queue)?) } else { None };
    queue.push(job, AT_ONCE)?;
    match worker {
        Some(worker) => start(pool, queue, &worker),
        None => Ok(()),
    }
}

/// Starts a worker's thread, which the interpreter joins when it exits.
fn start<'py>(
    pool: &Obj<'py, ThreadPool>,
    queue: &Obj<'py, WorkQueue>,
    worker: &Obj<'py, Worker>,
) -> PyResult<()> {
    let py = pool.py();
    let threads = pool.threads(py)?;
    let keywords = PyDict::new(py);
    keywords.set_item("name", format!("{PREFIX}_{}", threads.len()))?;
    keywords.set_item("target", worker.as_any())?;
    let started = stock::module(py, "threading")?
        .getattr(name!("Thread"))?
        .call((), Some(&keywords))
        .and_then(|thread| {
            thread.call_method0(name!("start"))?;
            Ok(thread)
        });
    let thread = match started {
        Ok(thread) => thread,
        Err(error) => {
            worker.give_up(py);
            return Err(error);
        }
    };
    threads.add(&thread)?;
    stock::concurrent_thread_module(py)?.getattr(name!("_threads_queues"))?.set_item(thread, queue.as_any())
}

/// `ThreadPoolExecutor.submit`.
fn submit_call<'py>(pool: &Obj<'py, ThreadPool>, args: Args<'_, 'py>) -> Output<'py> {
    let py = pool.py();
    let Some(function) = args.get(0) else {
        return Err(PyTypeError::new_err(
            "ThreadPoolExecutor.submit() missing 1 required positional argument: 'fn'",
        ));
    };
    let job = Job::create(py)?;
    job.call.prepare(function, &args, 1)?;
    job.call.prepare_keywords(&args)?;
    let future = stock::concurrent_future(py)?.call0()?;
    job.future.put(future.clone());
    submit(pool, job, AT_ONCE)?;
    Ok(future)
}

/// `Executor.map`, which is written in terms of `submit`.
fn map<'py>(pool: &Obj<'py, ThreadPool>, args: Args<'_, 'py>) -> Output<'py> {
    let py = pool.py();
    let mut positional = vec![pool.as_any().clone()];
    positional.extend(args.tuple_from(0)?);
    let keywords = PyDict::new(py);
    for (keyword, value) in args.keywords() {
        keywords.set_item(keyword, value)?;
    }
    let map = stock::thread_pool_executor(py)?.getattr(name!("map"))?;
    map.call(PyTuple::new(py, positional)?, Some(&keywords))
}

/// `ThreadPoolExecutor.shutdown`.
fn shut_down(pool: &Obj<'_, ThreadPool>, wait: bool, cancel_futures: bool) -> PyResult<()> {
    let py = pool.py();
    let queue = pool.queue(py)?;
    if cancel_futures {
        queue.cancel_jobs(py)?;
    }
    queue.close();
    if wait {
        for thread in pool.threads(py)?.try_iter()? {
            let thread = thread?;
            thread.call_method0(name!("join"))?;
        }
    }
    Ok(())
}

impl Class for ThreadPool {
    const NAME: &'static CStr = c"yibu.ThreadPool";
    type Header = DictAndWeak;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &THREAD_POOL;

    fn table(t: &mut Table<Self>) {
        t.doc(c"The default executor of native loops.");
        t.getter(c"__class__", |pool| class::isinstance_class(pool, stock::thread_pool_executor));
        t.method(
            &SUBMIT,
            submit_call,
            "Runs fn(*args, **kwargs) in a thread; returns its concurrent.futures.Future.",
        );
        t.method(&MAP, map, "Runs fn for each item of the iterables; returns an iterator over the results.");
        t.command(
            &SHUTDOWN,
            |pool, args| {
                let [wait, cancel_futures] = args.parse_given(&SHUTDOWN)?;
                let wait = wait.map_or(Ok(true), |wait| wait.is_truthy())?;
                let cancel_futures = cancel_futures.map_or(Ok(false), |cancel| cancel.is_truthy())?;
                shut_down(pool, wait, cancel_futures)
            },
            "Takes no more jobs; waits until those that were taken are done, unless told not to.",
        );
        t.noargs(c"__enter__", |pool| Ok(pool.as_any().clone()), "The executor itself.");
        t.method(
            &EXIT,
            |pool, args| {
                let [_, _, _] = args.parse(&EXIT)?;
                shut_down(pool, true, false)?;
                Ok(boolean(pool.py(), false))
            },
            "Shuts the executor down and waits.",
        );
        t.getter(c"_threads", |pool| Ok(pool.threads.get_or_none(pool.py())));
        t.getter(c"_work_queue", |pool| Ok(pool.queue(pool.py())?.into_any()));
        t.getter(c"_shutdown", |pool| Ok(boolean(pool.py(), pool.queue(pool.py())?.is_closed())));
        t.value(c"_broken", |_| false);
        t.getter(c"_initializer", |pool| Ok(none(pool.py())));
        t.getter(c"_initargs", |pool| Ok(PyTuple::empty(pool.py()).into_any()));
        t.getter(c"_thread_name_prefix", |pool| Ok(PyString::new(pool.py(), PREFIX).into_any()));
        t.property(
            c"_max_workers",
            |pool| Ok(pool.most.get().into_pyobject(pool.py())?.into_any()),
            |pool, value| {
                let value = value.ok_or_else(|| PyAttributeError::new_err("_max_workers"))?;
                pool.most.set(value.extract()?);
                Ok(())
            },
        );
        // Nothing refers to the executor any more: the workers end when the queue is empty, as `weakref_cb`
        // makes them on asyncio.
        t.finalize(|pool| {
            if let Some(queue) = pool.queue.obj(pool.py()) {
                queue.close();
            }
            Ok(())
        });
    }

    references! { queue, threads }

    fn wants_finalizer(&self) -> bool {
        !self.queue.is_empty()
    }
}
