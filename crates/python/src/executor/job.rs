//! `Job`: a call that a worker makes, and the future of its result. `concurrent.futures.thread._WorkItem`.
//!
//! The outcome of a job of a loop travels in the job itself, as a message to that loop; there it completes
//! the loop's future. A job that came by `submit()` completes its `concurrent.futures.Future` where it runs.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use yibu_engine::Inbox;

use crate::arguments::Arguments;
use crate::core::recording::JobTrace;
use crate::core::{Entry, EntryKind, EventLoop, Message, Runnable, named, no_callable};
use crate::events;
use crate::ffi::class::Plain;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Raised, Ref, Slot, Table, WeakSet, WeakSetEntry, references,
};
use crate::ffi::{context, none};
use crate::futures::{self, Future, State, bridge};
use crate::names;

/// `function(*arguments, **keywords)`, in a context if there is one.
#[derive(Default)]
pub struct Call {
    function: Slot,
    arguments: Arguments,
    keywords: Slot,
    /// Entered for the call.
    pub context: Slot,
}

impl Call {
    /// Makes it the call of `function` with a native call's positional arguments from `first` on.
    pub fn prepare<'py>(
        &self,
        function: Bound<'py, PyAny>,
        args: &Args<'_, 'py>,
        first: usize,
    ) -> PyResult<()> {
        self.function.put(function);
        self.arguments.keep(args, first)
    }

    /// Adds the native call's keyword arguments.
    pub fn prepare_keywords(&self, args: &Args<'_, '_>) -> PyResult<()> {
        if args.has_keywords() {
            let keywords = PyDict::new(args.py());
            for (keyword, value) in args.keywords() {
                keywords.set_item(keyword, value)?;
            }
            self.keywords.put(keywords);
        }
        Ok(())
    }

    /// The function, unless the call was made.
    pub fn function<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.function.get_or_none(py)
    }

    /// The positional arguments as a tuple.
    pub fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        Ok(self.arguments.all(py)?.cast_into()?)
    }

    /// The keyword arguments.
    pub fn keywords<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.keywords.get(py).map(|keywords| Ok(keywords.cast_into()?)).transpose()
    }

    /// Makes the call. Everything it consists of is released before this returns.
    fn make<'py>(&self, py: Python<'py>) -> Output<'py> {
        let outcome = match self.context.take() {
            None => self.make_here(py),
            Some(context) => context::run(context.any(py), |py| self.make_here(py)),
        };
        self.clear();
        outcome
    }

    fn make_here<'py>(&self, py: Python<'py>) -> Output<'py> {
        let function = self.function(py);
        match self.keywords(py)? {
            None => self.arguments.call(&function),
            Some(keywords) => function.call(self.arguments(py)?, Some(&keywords)),
        }
    }

    references! { arguments, function, keywords, context }
}

/// How a job ended.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Ending {
    /// Not yet.
    #[default]
    None,
    Returned,
    Raised,
    /// It will never run.
    Cancelled,
}

/// The data of a job.
#[derive(Default)]
pub struct Job {
    /// What is called.
    pub call: Call,
    /// The future of a native loop, or a `concurrent.futures.Future`.
    pub future: Slot,
    outcome: Slot,
    ending: Cell<Ending>,
    /// Whether a worker has taken it.
    taken: Cell<bool>,
    registration: WeakSetEntry,
    /// When it was submitted, and then how long it has waited for a worker, while the loop is observed.
    queued: Cell<Option<Instant>>,
    waited: Cell<Option<Duration>>,
}

impl Job {
    /// The job is being submitted to a loop that is observed.
    pub fn note_queued(&self) {
        self.queued.set(Some(Instant::now()));
    }
}

static JOB: ClassState = ClassState::new();
static JOBS: WeakSet<Job> = WeakSet::new();

impl Job {
    /// Enters it among those that [`unfinished`] lists.
    pub fn enter(job: &Obj<'_, Self>) -> PyResult<()> {
        job.registration.enter(&JOBS, job)
    }
}

/// A job that has not ended: its future, what it calls, and whether a worker has taken it.
pub type Unfinished<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, bool);

/// The jobs of all pools that wait for a worker or run.
pub fn unfinished(py: Python<'_>) -> Vec<Unfinished<'_>> {
    let jobs = JOBS.living(py).into_iter().filter(|job| job.ending.get() == Ending::None);
    jobs.map(|job| (job.future.get_or_none(py), job.call.function(py), job.taken.get())).collect()
}

/// Runs a job that a worker has taken, unless it was cancelled. The loop whose inbox is returned has got the
/// outcome but has not been woken.
pub fn run(job: Obj<'_, Job>) -> PyResult<Option<Arc<Inbox<Message>>>> {
    let future = job.future.get_or_none(job.py());
    job.taken.set(true);
    let traced = JobTrace::begin(|| job.call.function(job.py()))?;
    match futures::exact(&future) {
        Some(native) => Ok(run_for_loop(job, native, traced)),
        None => run_for_submitter(&job, &future, traced).map(|()| None),
    }
}

fn run_for_loop<'py>(
    job: Obj<'py, Job>,
    future: &Obj<'py, Future>,
    traced: Option<JobTrace>,
) -> Option<Arc<Inbox<Message>>> {
    let py = job.py();
    if future.state() == State::Cancelled {
        return None;
    }
    job.waited.set(job.queued.take().map(|queued| queued.elapsed()));
    match job.call.make(py) {
        Ok(value) => {
            job.outcome.put(value);
            job.ending.set(Ending::Returned);
        }
        Err(error) => {
            job.outcome.put(Raised::from_err(py, error).into_any());
            job.ending.set(Ending::Raised);
        }
    }
    if let Some(traced) = traced {
        traced.end(job.as_any());
    }
    // The future was cancelled, so the result is dropped here.
    if future.state() == State::Cancelled { None } else { post(job) }
}

/// Sends an ended job to the loop of its future; the loop is not woken. Nothing is sent to a closed one.
fn post(job: Obj<'_, Job>) -> Option<Arc<Inbox<Message>>> {
    let event_loop = futures::exact(&job.future.get_or_none(job.py()))?.event_loop.get(job.py())?;
    let native = Obj::<EventLoop>::cast(&event_loop)?;
    if native.is_closed() {
        return None;
    }
    let inbox = Arc::clone(native.inbox());
    inbox.push(Message::new(received, job));
    Some(inbox)
}

fn run_for_submitter<'py>(
    job: &Obj<'py, Job>,
    future: &Bound<'py, PyAny>,
    traced: Option<JobTrace>,
) -> PyResult<()> {
    let py = job.py();
    if !future.call_method0(name!("set_running_or_notify_cancel"))?.is_truthy()? {
        return Ok(());
    }
    let made = job.call.make(py);
    if let Some(traced) = traced {
        traced.end(job.as_any());
    }
    match made {
        Ok(value) => future.call_method1(names::set_result(py), (value,))?,
        Err(error) => {
            future.call_method1(name!("set_exception"), (Raised::from_err(py, error).into_any(),))?
        }
    };
    Ok(())
}

/// Cancels a job that no worker has begun.
pub fn cancel(job: Obj<'_, Job>) -> PyResult<()> {
    let future = job.future.get_or_none(job.py());
    if futures::exact(&future).is_none() {
        return future.call_method0(names::cancel(job.py())).map(drop);
    }
    job.ending.set(Ending::Cancelled);
    if let Some(inbox) = post(job) {
        inbox.wake_if_parked();
    }
    Ok(())
}

/// The job that an entry gives back to the loop, if it is one.
pub fn returned(runnable: &Runnable) -> Option<&Ref> {
    std::ptr::eq(runnable.kind, &ENDED).then_some(&runnable.object)
}

/// A job of the default executor has ended.
static ENDED: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        let job: Obj<'_, Job> = runnable.object(event_loop.py())?;
        if let Some(waited) = job.waited.take() {
            note_waited(event_loop, waited);
        }
        deliver(&job).or_else(|error| {
            events::report_of(event_loop, job.as_any(), job.future.get(event_loop.py()), error)
        })
    },
    subject: named,
    callable: None,
    stands_for: no_callable,
};

#[cold]
fn note_waited(event_loop: &Obj<'_, EventLoop>, waited: Duration) {
    let now = event_loop.engine.with(|engine| engine.driver.now());
    event_loop.with_observation(|observation| observation.job_waits.add(now, waited, 1));
}

fn received(job: Ref) -> Entry {
    Entry::Run(Runnable::new(&ENDED, job))
}

/// Completes the future of a job that came back to the loop: `futures._copy_future_state`.
fn deliver(job: &Obj<'_, Job>) -> PyResult<()> {
    let py = job.py();
    let future = job.future.get_or_none(py);
    let Some(native) = futures::exact(&future) else { return Ok(()) };
    match native.state() {
        State::Cancelled => return Ok(()),
        // The program has completed the future itself.
        State::Finished => return Err(PyAssertionError::new_err(())),
        State::Pending => {}
    }
    let outcome = job.outcome.take().map_or_else(|| none(py), |outcome| outcome.into_any(py));
    match job.ending.get() {
        Ending::None => Ok(()),
        Ending::Returned => futures::set_result(native, outcome),
        Ending::Raised => futures::set_exception(native, &bridge::acceptable(outcome)?),
        Ending::Cancelled => futures::cancel(native, none(py)).map(drop),
    }
}

impl Class for Job {
    const NAME: &'static CStr = c"yibu.Job";
    type Header = Plain;
    const FREELIST: usize = 256;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &JOB;

    fn table(t: &mut Table<Self>) {
        t.doc(c"A call that a worker of the default executor makes.");
        // What reports call it: the callback that completes a future in asyncio.
        t.getter(c"__qualname__", |job| {
            Ok(PyString::new(job.py(), "_chain_future.<locals>._set_state").into_any())
        });
    }

    references! { call, future, outcome }
}
