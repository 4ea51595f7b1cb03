//! `_task_snapshot`, `_native_loops` and their like: the native tasks that are not done, the native loops
//! with the threads that run them, and what threads use.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyModule, PyTuple};
use yibu_driver::threads;

use super::stack;
use crate::core::current;
use crate::ffi::{Args, Obj, Output, Signature, none, reference_count};
use crate::futures::watchers;
use crate::observing::loops;
use crate::tasks::{Task, births, described};
use crate::{executor, functions};

const SNAPSHOT: Signature<2> = Signature::new("_task_snapshot", "tasks, held");
const NOTE_AGES: Signature<1> = Signature::new("_note_ages", "wanted");
const ON_TASK: Signature<1> = Signature::new("_on_task", "function");
const JOBS: Signature<0> = Signature::new("_executor_jobs", "");
const THREAD_SECONDS: Signature<1> = Signature::new("_thread_seconds", "native_id");
const LOOPS: Signature<0> = Signature::new("_native_loops", "");

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "For each native task of a list that is not done: the task, its loop, what it waits for, whether it runs, its coroutines, the other references to it, its callbacks, its age and processor time.";
    functions::add(module, &SNAPSHOT, snapshot, doc)?;
    let doc = "Each native loop, the identity of the thread that runs it (0 when none does), and what stays equal while one step runs.";
    functions::add(module, &LOOPS, native_loops, doc)?;
    let doc =
        "For each job of the native executors that has not ended: its future, its function, whether it runs.";
    functions::add(
        module,
        &JOBS,
        |args| {
            let [] = args.parse(&JOBS)?;
            Ok(PyList::new(args.py(), executor::unfinished(args.py()))?.into_any())
        },
        doc,
    )?;
    let doc = "The processor time in seconds that a thread of this process has used; None when it has ended.";
    functions::add(
        module,
        &THREAD_SECONDS,
        |args| {
            let [thread] = args.parse(&THREAD_SECONDS)?;
            let used = threads::cpu_time(thread.extract()?).map(|used| used.as_secs_f64());
            Ok(used.into_pyobject(args.py())?)
        },
        doc,
    )?;
    let doc = "Has a function called with each native task that is made, its context, and whether that is its own; None for no function.";
    functions::add(
        module,
        &ON_TASK,
        |args| {
            let [function] = args.parse(&ON_TASK)?;
            births::want_calls((!function.is_none()).then(|| function.unbind()));
            Ok(none(args.py()))
        },
        doc,
    )?;
    let doc = "Has the tasks that are made from now on note when they are made, or not.";
    functions::add(
        module,
        &NOTE_AGES,
        |args| {
            let [wanted] = args.parse(&NOTE_AGES)?;
            births::want_ages(wanted.is_truthy()?);
            Ok(none(args.py()))
        },
        doc,
    )
}

/// The task that runs on each loop, asked once for each.
#[derive(Default)]
struct Running<'py>(Vec<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)>);

impl<'py> Running<'py> {
    fn is(&mut self, task: &Bound<'py, PyAny>, event_loop: &Bound<'py, PyAny>) -> PyResult<bool> {
        let known = self.0.iter().find(|(known, _)| known.is(event_loop));
        let running = match known {
            Some((_, running)) => running.clone(),
            None => {
                let running = if event_loop.is_none() { None } else { current::running_task(event_loop)? };
                self.0.push((event_loop.clone(), running.clone()));
                running
            }
        };
        Ok(running.is_some_and(|running| running.is(task)))
    }
}

/// `tasks` is a list of native tasks, to each of which the caller has `held` references.
fn snapshot<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [tasks, held] = args.parse(&SNAPSHOT)?;
    let held: isize = held.extract()?;
    let mut running = Running::default();
    let found = PyList::empty(args.py());
    for task in tasks.cast::<PyList>()? {
        // Without the caller's references to it, and this one.
        let references = reference_count(&task) - 1 - held;
        let Some(native) = Obj::<Task>::cast(&task) else { continue };
        if !described::is_over(native) {
            found.append(description(native, references, &mut running)?)?;
        }
    }
    Ok(found.into_any())
}

fn description<'py>(
    task: &Obj<'py, Task>,
    references: isize,
    running: &mut Running<'py>,
) -> PyResult<Bound<'py, PyTuple>> {
    let py = task.py();
    let callbacks = watchers::callback_count(task.upcast());
    let event_loop = described::loop_of(task);
    let runs = running.is(task.as_any(), &event_loop)?;
    let coroutines = stack::of(task.own.coroutine.get_or_none(py))?;
    let waiter = described::waiter(task).unwrap_or_else(|| none(py));
    let times = (described::age(task), task.processor_seconds(py));
    (task.as_any(), event_loop, waiter, runs, coroutines, references, callbacks, times).into_pyobject(py)
}

fn native_loops<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [] = args.parse(&LOOPS)?;
    let py = args.py();
    let found = PyList::empty(py);
    for event_loop in loops::living(py) {
        let thread = event_loop.thread();
        let pulse = event_loop.pulse.snapshot().map(|seen| (seen.steps, seen.park_count, seen.thread));
        found.append((event_loop.as_any(), thread, pulse))?;
    }
    Ok(found.into_any())
}
