//! Runs the entries of a loop that is traced, and records each as a step: see [`yibu_observing::trace`].
//!
//! Called by `event_loop/observed.rs`.

use pyo3::prelude::*;
use yibu_driver::{Interest, threads};
use yibu_engine::{Op, OpId};
use yibu_observing::trace::{NO_NAME, Origin, Readiness, Subject};

use crate::alarms::{ALARM_ENTRY, Alarm};
use crate::core::recording::Recording;
use crate::core::tracing;
use crate::core::{Entry, EventLoop, Other, Runnable};
use crate::events::entries::{POSTED, TIMER};
use crate::events::{Handle, TimerHandle};
use crate::executor;
use crate::ffi::{Obj, Ref};
use crate::tasks::Task;
use crate::tasks::observed::stepped;
use crate::tasks::traced::{begin, number, waits_for};

/// Runs an entry by `run` and records it.
pub fn run(
    event_loop: &Obj<'_, EventLoop>,
    entry: Entry,
    run: impl FnOnce(&Obj<'_, EventLoop>, Entry) -> PyResult<()>,
) -> PyResult<()> {
    let py = event_loop.py();
    let thread = threads::current();
    if !tracing::enter_thread(event_loop, thread)
        && let Some(recording) = tracing::recording(event_loop)
    {
        recording.know_thread(py, thread)?;
    }
    let task = stepped(&entry, py);
    let task = task.as_ref().and_then(|task| Obj::<Task>::cast(task.any(py)));
    let number = task.map_or(0, |task| number(task));
    let Some(arrival) = tracing::begin(event_loop, origin_of(&entry), number) else {
        return run(event_loop, entry);
    };
    let described = match task {
        Some(_) if arrival.is_known => Ok(()),
        Some(task) => describe_task(event_loop, task, arrival.since),
        None => describe(event_loop, &entry),
    };
    let result = match described {
        Ok(()) => run(event_loop, entry),
        Err(error) => Err(error),
    };
    let ended = match task {
        Some(task) => match task.ending() {
            Some(ending) => Ok((ending as u8 + 1, NO_NAME)),
            None => waits_for(task, event_loop).map(|name| (0, name)),
        },
        None => Ok((0, NO_NAME)),
    };
    let (ending, waits_for) = ended.as_ref().map_or((0, NO_NAME), |ended| *ended);
    tracing::end(event_loop, ending, waits_for);
    if let Some(outer) = arrival.outer {
        tracing::go_on(event_loop, *outer);
    }
    result.and(ended.map(drop))
}

/// Tells the trace of a task that it does not know.
#[inline(never)]
fn describe_task(event_loop: &Obj<'_, EventLoop>, task: &Obj<'_, Task>, since: u64) -> PyResult<()> {
    if let Some(recording) = tracing::recording(event_loop) {
        let task = begin(task, &recording, since, threads::current().cast_unsigned())?;
        tracing::describe(event_loop, Subject { task, ..Subject::default() });
    }
    Ok(())
}

/// What the entry itself says of its origin.
#[inline]
fn origin_of(entry: &Entry) -> Origin {
    let Entry::Run(runnable) = entry else { return Origin::Place };
    let address = |object: &Ref| object.as_ptr().addr() as u64;
    if std::ptr::eq(runnable.kind, &POSTED) {
        Origin::Thread(address(&runnable.object))
    } else if std::ptr::eq(runnable.kind, &TIMER) || std::ptr::eq(runnable.kind, &ALARM_ENTRY) {
        Origin::Timer(address(&runnable.object))
    } else {
        executor::returned(runnable).map_or(Origin::Place, |job| Origin::Thread(address(job)))
    }
}

/// Tells the trace what an entry is that is not the step of a task.
#[inline]
fn describe(event_loop: &Obj<'_, EventLoop>, entry: &Entry) -> PyResult<()> {
    let subject = match entry {
        Entry::Other(Other::Io(id)) => operation(event_loop, *id),
        _ => None,
    };
    match subject {
        Some(subject) => tracing::describe(event_loop, subject),
        None => describe_by_name(event_loop, entry)?,
    }
    Ok(())
}

#[inline(never)]
fn describe_by_name(event_loop: &Obj<'_, EventLoop>, entry: &Entry) -> PyResult<()> {
    let Some(recording) = tracing::recording(event_loop) else { return Ok(()) };
    let py = event_loop.py();
    let name = match entry {
        Entry::Run(runnable) => name_of(py, runnable, &recording)?,
        Entry::Other(Other::React { reaction, .. }) => recording.name_of_static(py, reaction.name),
        Entry::Other(Other::Io(_)) => recording.name_of_static(py, "cancelled operation"),
    };
    tracing::describe(event_loop, Subject { name, ..Subject::default() });
    Ok(())
}

fn name_of(py: Python<'_>, runnable: &Runnable, recording: &Recording) -> PyResult<u32> {
    let object = runnable.object.any(py);
    if let Some(alarm) = Obj::<Alarm>::cast(object) {
        // `timeout`, `sleep` and their like: the class of what the timer acts on.
        let Some(owner) = alarm.owner(py) else { return Ok(recording.name_of_static(py, "cancelled timer")) };
        return recording.name_of_code(owner.get_type().as_any());
    }
    if executor::returned(runnable).is_some() {
        return Ok(recording.name_of_static(py, "result of a thread"));
    }
    let handle = match Obj::<TimerHandle>::cast(object) {
        Some(timer) => Some(timer.upcast()),
        None => Obj::<Handle>::cast(object),
    };
    match handle {
        Some(handle) => match handle.callback(py) {
            Some(callback) => recording.name_of_callable(&callback),
            None => Ok(recording.name_of_static(py, "cancelled callback")),
        },
        None => recording.name_of_callable(object),
    }
}

/// What an operation of the kernel waits for, and where, unless it was cancelled.
fn operation(event_loop: &EventLoop, id: OpId) -> Option<Subject> {
    let operation = event_loop.engine.with(|engine| engine.driver.op(id))?;
    let readiness = match (operation, operation.interest()) {
        (Op::Accept { .. }, _) => Readiness::Accepts,
        (_, Interest::Write) => Readiness::Writable,
        (_, Interest::Read) => Readiness::Readable,
    };
    Some(Subject { readiness, fd: operation.fd(), ..Subject::default() })
}
