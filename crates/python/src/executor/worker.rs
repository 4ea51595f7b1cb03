//! `Worker`: what the thread of a worker runs, as `concurrent.futures.thread._worker` does.
//!
//! A worker stays attached to the interpreter between two jobs and detaches before it sleeps. A worker wakes
//! the loop that gets the outcome of a job only after it has detached; otherwise the loop would wake and wait
//! for the interpreter.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use yibu_engine::Inbox;
use yibu_engine::worker_pool::{Next, Sleeper};

use super::job;
use super::queue::{AT_ONCE, WorkQueue};
use crate::core::{Message, turn};
use crate::ffi::class::{Callable, make_callable};
use crate::ffi::thread::attached;
use crate::ffi::{
    Class, ClassState, Create, Obj, Output, Raised, Ref, Slot, Table, none, references, thread,
};
use crate::stock;

/// The data of a worker.
#[derive(Default)]
pub struct Worker {
    queue: Slot<WorkQueue>,
    /// Whether the queue counts this worker as looking for a job before its thread runs.
    counted_as_looking: Cell<bool>,
}

/// How often a woken worker yields the processor before it waits for the interpreter: a microsecond or two in
/// all if no other thread is ready to run.
const YIELDS: usize = 4;

/// Workers release the interpreter for a loop that was woken this long ago and has not begun to run.
const LOOP_WAITS: Duration = Duration::from_micros(100);

/// A worker waits at most this many times [`LOOP_WAITS`] for the loop.
const WORKER_WAITS: usize = 20;

static WORKER: ClassState = ClassState::new();

impl Worker {
    /// The callable for the thread of a new worker. From now on the queue counts the worker as looking.
    pub fn of<'py>(queue: &Obj<'py, WorkQueue>) -> PyResult<Obj<'py, Self>> {
        let worker = Self::create(queue.py())?;
        worker.queue.set(Ref::of(queue.clone()));
        worker.counted_as_looking.set(true);
        queue.begin_looking();
        make_callable(&worker, |worker, args| {
            // PyO3 counts attachments of its own making only: within one, what is dropped is released at
            // once.
            attached(|_| thread::outlive_interpreter(|| work(worker)))?;
            Ok(none(args.py()))
        });
        Ok(worker)
    }

    /// The thread could not be started: takes the worker out of the queue's count, unless the thread did
    /// start.
    pub fn give_up(&self, py: Python<'_>) {
        if self.counted_as_looking.replace(false)
            && let Some(queue) = self.queue.obj(py)
        {
            queue.give_up_looking();
        }
    }
}

/// Runs jobs until the queue is closed and empty.
fn work(worker: &Obj<'_, Worker>) -> PyResult<()> {
    let py = worker.py();
    let Some(queue) = worker.queue.obj(py) else { return Ok(()) };
    if !worker.counted_as_looking.replace(false) {
        queue.begin_looking();
    }
    let (me, generation) = (Arc::new(Sleeper::of_this_thread()), queue.generation());
    // The inbox of the loop that has an outcome to take and was not woken yet.
    let mut to_wake: Option<Arc<Inbox<Message>>> = None;
    let mut starvation = Starvation::default();
    loop {
        match queue.next(&me) {
            Next::Run(job, _) => {
                if let Some(inbox) = to_wake.take() {
                    inbox.wake_if_parked();
                    starvation.relieve(py, &inbox);
                }
                match job::run(job.into_obj(py)) {
                    Ok(inbox) => to_wake = inbox,
                    Err(error) => report(py, error)?,
                }
                if queue.generation() != generation {
                    // The job forked: this is the child, which has a worker pool of its own.
                    return Ok(());
                }
                queue.begin_looking();
            }
            Next::Sleep => {
                let inbox = to_wake.take();
                py.detach(|| {
                    if let Some(inbox) = inbox {
                        inbox.wake_if_parked();
                    }
                    let_loop_park(me.sleep());
                });
            }
            Next::Leave => {
                if let Some(inbox) = to_wake {
                    inbox.wake_if_parked();
                }
                return Ok(());
            }
        }
    }
}

/// Yields the processor until the loop that woke this worker has parked. That loop still has the interpreter
/// and is about to release it; to block on the interpreter instead would cost two more switches between
/// threads.
fn let_loop_park(parks_before: u32) {
    for _ in 0..YIELDS {
        if parks_before == AT_ONCE || turn::park_count() != parks_before {
            return;
        }
        std::thread::yield_now();
    }
}

/// Keeps workers from starving a loop: a loop that was woken and does not get the interpreter gets it before
/// the next job. Only after a while, because a switch between threads costs more than a short job.
#[derive(Default)]
struct Starvation {
    /// When a loop was first seen to wait for the interpreter.
    since: Option<Instant>,
}

impl Starvation {
    /// Releases the interpreter until the loop of `inbox` runs, if that loop was woken more than
    /// [`LOOP_WAITS`] ago.
    fn relieve(&mut self, py: Python<'_>, inbox: &Inbox<Message>) {
        if !inbox.is_woken() {
            self.since = None;
        } else if self.since.get_or_insert_with(Instant::now).elapsed() > LOOP_WAITS {
            self.since = None;
            py.detach(|| {
                for _ in 0..WORKER_WAITS {
                    if !inbox.is_woken() {
                        return;
                    }
                    std::thread::sleep(LOOP_WAITS);
                }
            });
        }
    }
}

/// Logs what a future raised when its outcome was set. An exception of the job itself is an outcome and does
/// not come here.
#[cold]
fn report(py: Python<'_>, error: PyErr) -> PyResult<()> {
    let keywords = PyDict::new(py);
    keywords.set_item("exc_info", Raised::from_err(py, error).into_any())?;
    stock::concurrent_logger(py)?
        .call_method(name!("critical"), ("Exception in worker",), Some(&keywords))
        .map(drop)
}

impl Class for Worker {
    const NAME: &'static CStr = c"yibu.Worker";
    type Header = Callable;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &WORKER;

    fn table(t: &mut Table<Self>) {
        t.doc(c"What a thread of the default executor runs.");
        t.getter(c"__name__", name);
        t.getter(c"__qualname__", name);
    }

    references! { queue }
}

fn name<'py>(worker: &Obj<'py, Worker>) -> Output<'py> {
    Ok(pyo3::types::PyString::new(worker.py(), "_worker").into_any())
}
