//! `Worker`: what a worker's thread runs. `concurrent.futures.thread._worker`.
//!
//! Between two jobs it stays attached to the interpreter; it lets go to sleep. The loop that is to hear of a job is woken after
//! the worker let go, so that it does not wake only to wait for the interpreter.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use yibu_engine::Inbox;
use yibu_engine::crew::{Next, Sleeper};

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
    /// Whether the queue counts it among those who look for a job.
    expected: Cell<bool>,
}

/// How often a worker that is woken gives way before it waits for the interpreter: a microsecond or two if no other thread wants the
/// processor.
const PATIENCE: usize = 4;

/// How long a loop that was woken waits for the interpreter before workers let it go first.
const LOOP_WAITS: Duration = Duration::from_micros(100);

/// How many times that a worker gives it.
const WORKER_WAITS: usize = 20;

static WORKER: ClassState = ClassState::new();

impl Worker {
    /// What the thread of a new worker is to call. The queue expects it from now on.
    pub fn of<'py>(queue: &Obj<'py, WorkQueue>) -> PyResult<Obj<'py, Self>> {
        let worker = Self::create(queue.py())?;
        worker.queue.set(Ref::of(queue.clone()));
        worker.expected.set(true);
        queue.begin_looking();
        make_callable(&worker, |worker, args| {
            // PyO3 counts attachments of its own making only: within one, what is dropped is released at once.
            attached(|_| thread::outlive_interpreter(|| work(worker)))?;
            Ok(none(args.py()))
        });
        Ok(worker)
    }

    /// The thread could not be started: nobody expects the worker any more, if it has not come after all.
    pub fn give_up(&self, py: Python<'_>) {
        if self.expected.replace(false)
            && let Some(queue) = self.queue.obj(py)
        {
            queue.give_up_looking();
        }
    }
}

/// Runs jobs until there will be no more.
fn work(worker: &Obj<'_, Worker>) -> PyResult<()> {
    let py = worker.py();
    let Some(queue) = worker.queue.obj(py) else { return Ok(()) };
    if !worker.expected.replace(false) {
        queue.begin_looking();
    }
    let (me, generation) = (Arc::new(Sleeper::of_this_thread()), queue.generation());
    // The loop that has an outcome in its inbox and does not know it yet.
    let mut to_wake: Option<Arc<Inbox<Message>>> = None;
    let mut courtesy = Courtesy::default();
    loop {
        match queue.next(&me) {
            Next::Run(job, _) => {
                if let Some(inbox) = to_wake.take() {
                    inbox.ring();
                    courtesy.show(py, &inbox);
                }
                match job::run(job.into_obj(py)) {
                    Ok(inbox) => to_wake = inbox,
                    Err(error) => report(py, error)?,
                }
                if queue.generation() != generation {
                    // The job forked and came back in the child, which has other workers.
                    return Ok(());
                }
                queue.begin_looking();
            }
            Next::Sleep => {
                let inbox = to_wake.take();
                py.detach(|| {
                    if let Some(inbox) = inbox {
                        inbox.ring();
                    }
                    let_loop_park(me.sleep());
                });
            }
            Next::Leave => {
                if let Some(inbox) = to_wake {
                    inbox.ring();
                }
                return Ok(());
            }
        }
    }
}

/// Gives way until the loop that called has parked: it has the interpreter still, and will let go of it in a moment. To wait for
/// the interpreter itself costs two switches between threads more.
fn let_loop_park(parks_before: u32) {
    for _ in 0..PATIENCE {
        if parks_before == AT_ONCE || turn::parks() != parks_before {
            return;
        }
        std::thread::yield_now();
    }
}

/// A loop that has been woken gets the interpreter before the next job, if it has waited for a while: not at once, because to
/// change threads costs more than many a job.
#[derive(Default)]
struct Courtesy {
    /// Since when some loop is known to wait.
    since: Option<Instant>,
}

impl Courtesy {
    fn show(&mut self, py: Python<'_>, inbox: &Inbox<Message>) {
        if !inbox.is_rung() {
            self.since = None;
        } else if self.since.get_or_insert_with(Instant::now).elapsed() > LOOP_WAITS {
            self.since = None;
            py.detach(|| {
                for _ in 0..WORKER_WAITS {
                    if !inbox.is_rung() {
                        return;
                    }
                    std::thread::sleep(LOOP_WAITS);
                }
            });
        }
    }
}

/// What a future raised when it was told of its outcome. Exceptions of jobs are no errors here.
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
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;

    fn state() -> &'static ClassState {
        &WORKER
    }

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
