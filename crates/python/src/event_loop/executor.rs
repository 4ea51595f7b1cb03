//! Executors: `run_in_executor`, `set_default_executor`, `shutdown_default_executor`.
//!
//! The default executor is a native [`ThreadPool`], made when first needed, unless a program sets another.
//! Called by Python code, by `to_thread`, and by [`super::lifecycle`] when the loop closes; calls
//! [`crate::executor`], or the `submit()` of an executor that is not native.

use pyo3::exceptions::{PyException, PyRuntimeError, PyRuntimeWarning, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::debug;
use crate::alarms::{self, Alarm};
use crate::attributes::write_flag;
use crate::core::Overrides;
use crate::core::current;
use crate::core::recording::note_cause;
use crate::core::turn;
use crate::core::{EventLoop, Overridable};
use crate::coroutines::{Routine, Step, taken};
use crate::executor::{self, Job, ThreadPool, current_default, executors};
use crate::ffi::{Args, Create, Obj, Output, Raised, Signature, Table, boolean, none, thread};
use crate::frames::SHUTDOWN_DEFAULT_EXECUTOR;
use crate::functions::running_loop;
use crate::futures::create_future;
use crate::futures::{self, Future, State, bridge};
use crate::replaced::functions;
use crate::replaced::names::running_loop::OF_TIMEOUTS;
use crate::replaced::names::{FUTURE, WRAP_FUTURE};
use crate::{events, mixins, names, stock};

const RUN_IN_EXECUTOR: Signature<2> =
    Signature::new_method("EventLoop.run_in_executor", "executor, func, *args");
#[cfg(Py_3_12)]
const SHUTDOWN: Signature<1> = Signature::new_method("EventLoop.shutdown_default_executor", "timeout=None");
#[cfg(not(Py_3_12))]
const SHUTDOWN: Signature<0> = Signature::new_method("EventLoop.shutdown_default_executor", "");
const SET_DEFAULT: Signature<1> = Signature::new_method("EventLoop.set_default_executor", "executor");
const END_SHUTDOWN: Signature<2> = Signature::new_method("EventLoop._end_shutdown", "future, error");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &RUN_IN_EXECUTOR,
        run_in_executor,
        "Runs func(*args) in an executor, None for the default one. Returns a Future.",
    );
    t.method(
        &SET_DEFAULT,
        |event_loop, args| {
            let [executor] = args.parse(&SET_DEFAULT)?;
            set_default_executor(event_loop, &executor)
        },
        "Sets the ThreadPoolExecutor that run_in_executor(None, ...) uses.",
    );
    t.action(
        c"_check_default_executor",
        check_default_executor,
        "RuntimeError when the default executor was shut down.",
    );
    t.method(&SHUTDOWN, shut_down, "Coroutine: ends the default executor and waits for its threads.");
    t.one(
        c"_do_shutdown",
        "future",
        do_shutdown,
        "The thread that waits for the default executor to end, and completes the future.",
    );
    t.method(
        &END_SHUTDOWN,
        end_shutdown,
        "Completes the future of shutdown_default_executor() in the loop's thread.",
    );
    t.property(
        c"_default_executor",
        |event_loop| Ok(current_default(event_loop)),
        |event_loop, value| {
            match value.filter(|value| !value.is_none()) {
                Some(executor) => executors(event_loop).current.put(executor.clone()),
                None => executors(event_loop).current.clear(),
            }
            Ok(())
        },
    );
    t.property(
        c"_executor_shutdown_called",
        |event_loop| Ok(boolean(event_loop.py(), executors(event_loop).shut_down.get())),
        |event_loop, value| write_flag(&executors(event_loop).shut_down, value),
    );
}

/// `BaseEventLoop.run_in_executor`.
fn run_in_executor<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [executor, function] = args.parse(&RUN_IN_EXECUTOR)?;
    event_loop.ensure_open()?;
    if event_loop.debug.get() {
        debug::check_callback(&function, "run_in_executor")?;
    }
    let executor = if executor.is_none() { default_executor(event_loop)? } else { executor };
    if let Some(pool) = native(event_loop, &executor) {
        let job = Job::create(event_loop.py())?;
        job.call.prepare(function, &args, 2)?;
        return run_job(event_loop, pool, job);
    }
    let mut call = vec![function];
    call.extend(args.rest(&RUN_IN_EXECUTOR)?.iter());
    let running =
        executor.call_method1(names::submit(event_loop.py()), PyTuple::new(event_loop.py(), call)?)?;
    match wrap_future_instead(event_loop.py())? {
        None => bridge::wrap(running, Some(event_loop.as_any().clone())),
        Some(wrap) => {
            let keywords = PyDict::new(event_loop.py());
            keywords.set_item("loop", event_loop.as_any())?;
            wrap.call((running,), Some(&keywords))
        }
    }
}

/// The function that makes the future of a job, where a program has replaced it.
fn wrap_future_instead(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    match WRAP_FUTURE.replacement(py)? {
        None => functions::WRAP_FUTURE.replacement(py),
        replacement => Ok(replacement),
    }
}

/// The native pool, if `executor` is one and no method of the loop that a job would go through is overridden.
#[inline]
fn native<'a, 'py>(
    event_loop: &Obj<'py, EventLoop>,
    executor: &'a Bound<'py, PyAny>,
) -> Option<&'a Obj<'py, ThreadPool>> {
    Obj::<ThreadPool>::cast_exact(executor).filter(|pool| {
        !event_loop.overrides(Overridable::CreateFuture)
            && !event_loop.overrides(Overridable::CallSoonThreadsafe)
            && !FUTURE.is_replaced(pool.py())
            && !WRAP_FUTURE.is_replaced(pool.py())
            && !functions::WRAP_FUTURE.is_replaced(pool.py())
            && !events::posted_handles_are_made_otherwise(pool.py())
    })
}

/// Whether a call that does not block may be made here instead of by the executor: no program code would see
/// the difference.
pub(super) fn is_unwatched(event_loop: &Obj<'_, EventLoop>) -> PyResult<bool> {
    let executor = executors(event_loop).current.get(event_loop.py());
    Ok(!event_loop.overrides(Overridable::RunInExecutor)
        && executor.is_none_or(|executor| Obj::<ThreadPool>::cast_exact(&executor).is_some())
        && executor::stands_in(event_loop.py())?)
}

/// The default executor if it is native: [`run_job`] runs jobs there.
pub fn native_executor<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Option<Obj<'py, ThreadPool>>> {
    event_loop.ensure_open()?;
    let executor = default_executor(event_loop)?;
    Ok(native(event_loop, &executor).cloned())
}

/// Submits a job, and returns the loop's future for its result.
#[inline]
pub fn run_job<'py>(
    event_loop: &Obj<'py, EventLoop>,
    pool: &Obj<'py, ThreadPool>,
    job: Obj<'py, Job>,
) -> Output<'py> {
    let future = create_future(event_loop)?.into_any();
    job.future.put(future.clone());
    if event_loop.has_observer() {
        job.note_queued();
    }
    note_cause(job.as_any(), false)?;
    let runs_here = event_loop.thread() == thread::ident();
    executor::submit(pool, job, if runs_here { turn::park_count() } else { executor::AT_ONCE })?;
    Ok(future)
}

/// In the child of a fork, which has none of the parent's threads.
pub(super) fn after_fork_in_child(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let executor = current_default(event_loop);
    match Obj::<ThreadPool>::cast_exact(&executor) {
        Some(pool) => pool.after_fork_in_child(event_loop.py()),
        None => Ok(()),
    }
}

/// `self._check_default_executor()`
fn ensure_not_shut_down(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if event_loop.overrides(Overridable::CheckDefaultExecutor) {
        return event_loop.as_any().call_method0(name!("_check_default_executor")).map(drop);
    }
    check_default_executor(event_loop)
}

fn check_default_executor(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if executors(event_loop).shut_down.get() {
        return Err(PyRuntimeError::new_err("Executor shutdown has been called"));
    }
    Ok(())
}

/// The default executor, made if there is none.
fn default_executor<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    ensure_not_shut_down(event_loop)?;
    let py = event_loop.py();
    let stands_in = executor::stands_in(py)?;
    if let Some(executor) = executors(event_loop).current.get(py) {
        if stands_in || Obj::<ThreadPool>::cast_exact(&executor).is_none() {
            return Ok(executor);
        }
        // From now on the program wants to see what the standard library's class does. What was begun is
        // finished.
        executors(event_loop).former.put(executor);
    }
    let executor = if stands_in { executor::default_pool(py)? } else { executor::standard_pool(py)? };
    executors(event_loop).current.put(executor.clone());
    Ok(executor)
}

fn set_default_executor<'py>(event_loop: &Obj<'py, EventLoop>, executor: &Bound<'py, PyAny>) -> Output<'py> {
    if !executor.is_instance(stock::thread_pool_executor(executor.py())?)? {
        return Err(PyTypeError::new_err("executor must be ThreadPoolExecutor instance"));
    }
    executors(event_loop).current.put(executor.clone());
    Ok(none(executor.py()))
}

/// `executor.shutdown(wait=wait)`.
fn shut_down_executor(executor: &Bound<'_, PyAny>, wait: bool) -> PyResult<()> {
    let keywords = PyDict::new(executor.py());
    keywords.set_item("wait", wait)?;
    executor.call_method(name!("shutdown"), (), Some(&keywords)).map(drop)
}

/// Lets the default executor end when its jobs are done: the loop closes.
pub(super) fn shut_down_without_waiting(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    executors(event_loop).shut_down.set(true);
    if let Some(executor) = executors(event_loop).former.take() {
        shut_down_executor(executor.any(event_loop.py()), false)?;
    }
    match executors(event_loop).current.take() {
        Some(executor) => shut_down_executor(executor.any(event_loop.py()), false),
        None => Ok(()),
    }
}

/// `BaseEventLoop.shutdown_default_executor`. The routine's first slot is the timeout, the second the thread
/// that waits, the third the timer that ends the patience.
fn shut_down<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    #[cfg(Py_3_12)]
    let [timeout] = args.parse(&SHUTDOWN)?;
    #[cfg(not(Py_3_12))]
    let timeout = {
        let [] = args.parse(&SHUTDOWN)?;
        none(event_loop.py())
    };
    let routine = Routine::begin(event_loop.as_any(), SHUTDOWN.function, begin_shutdown)?;
    routine.first.put(timeout);
    Ok(routine.into_any())
}

/// Starts a thread that waits for the others, because that blocks.
fn begin_shutdown<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let event_loop = routine.owner::<EventLoop>(py)?;
    executors(&event_loop).shut_down.set(true);
    if executors(&event_loop).current.is_empty() {
        return Ok(Step::Return(none(py)));
    }
    let future = mixins::create_future(event_loop.as_any())?;
    let keywords = PyDict::new(py);
    keywords.set_item("target", event_loop.as_any().getattr(name!("_do_shutdown"))?)?;
    keywords.set_item("args", (&future,))?;
    let thread = stock::module(py, "threading")?.getattr(name!("Thread"))?.call((), Some(&keywords))?;
    thread.call_method0(name!("start"))?;
    routine.second.put(thread);
    let timeout = routine.first.get_or_none(py);
    if !timeout.is_none() {
        routine.number.set(cancellations(py)?);
        let timer = alarms::set_after(event_loop.as_any(), &timeout, &future, |future| {
            future.call_method0(names::cancel(future.py())).map(drop)
        })?;
        routine.third.put(timer.into_any());
    }
    Ok(Step::Await(future, finish_shutdown))
}

/// How many requests there are to cancel the running task.
fn cancellations(py: Python<'_>) -> PyResult<u64> {
    match current::running_task(&running_loop(py, &OF_TIMEOUTS)?)? {
        Some(task) => task.call_method0(name!("cancelling"))?.extract(),
        None => Ok(0),
    }
}

fn finish_shutdown<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let thread = taken(py, &routine.second);
    let timer = taken(py, &routine.third);
    if let Some(timer) = Obj::<Alarm>::cast(&timer) {
        let rang = timer.is_cancelled();
        alarms::cancel(timer)?;
        if rang && waited.is_err() && cancellations(py)? <= routine.number.get() {
            give_up(&routine.owner::<EventLoop>(py)?, &routine.first.get_or_none(py))?;
            return Ok(Step::Return(none(py)));
        }
    }
    // The wait was cancelled: the thread is not joined, because that would block the loop.
    waited?;
    SHUTDOWN_DEFAULT_EXECUTOR.call(&thread.getattr(name!("join"))?, PyTuple::empty(py), None)?;
    Ok(Step::Return(none(py)))
}

/// The timeout is over: the threads are not joined.
fn give_up<'py>(event_loop: &Obj<'py, EventLoop>, timeout: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let text =
        text!("The executor did not finishing joining its threads within {} seconds.", timeout.str()?)?;
    stock::warn(py)?.call1((text, py.get_type::<PyRuntimeWarning>()))?;
    match executors(event_loop).current.get(py) {
        Some(executor) => shut_down_executor(&executor, false),
        None => Ok(()),
    }
}

/// `BaseEventLoop._do_shutdown`: runs in a thread of its own.
fn do_shutdown<'py>(event_loop: &Obj<'py, EventLoop>, future: &Bound<'py, PyAny>) -> Output<'py> {
    let py = event_loop.py();
    let Some(executor) = executors(event_loop).current.get(py) else { return Ok(none(py)) };
    let former = executors(event_loop).former.get(py);
    let mut ended = [former, Some(executor)].into_iter().flatten();
    let failure = match ended.try_for_each(|executor| shut_down_executor(&executor, true)) {
        Ok(()) => none(py),
        Err(error) if error.is_instance_of::<PyException>(py) => Raised::from_err(py, error).into_any(),
        Err(error) => return Err(error),
    };
    if !event_loop.is_closed() {
        let end = event_loop.as_any().getattr(name!("_end_shutdown"))?;
        event_loop.as_any().call_method1(name!("call_soon_threadsafe"), (end, future, failure))?;
    }
    Ok(none(py))
}

fn end_shutdown<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [future, failure] = args.parse(&END_SHUTDOWN)?;
    match Obj::<Future>::cast(&future) {
        Some(future) if future.state() != State::Pending => {}
        Some(future) if failure.is_none() => futures::set_result(future, failure)?,
        Some(future) => futures::set_exception(future, &failure)?,
        // Of the class that a program has put in the place of asyncio's.
        None if future.call_method0(name!("done"))?.is_truthy()? => {}
        None if failure.is_none() => future.call_method1(name!("set_result"), (failure,)).map(drop)?,
        None => future.call_method1(name!("set_exception"), (failure,)).map(drop)?,
    }
    Ok(none(event_loop.py()))
}
