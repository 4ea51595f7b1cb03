//! What an observer of a loop asks of entries and tasks: whose step an entry is, which coroutine it steps,
//! and how the task has ended.

use pyo3::prelude::*;
use yibu_observing::{Ending, Place};

use super::callback::task_of;
use super::state::{TASKS, Task};
use super::stepping::{STEP, WAKEUP};
use crate::core::{Entry, EventLoop, Runnable};
use crate::events::Handle;
use crate::events::entries::HANDLE;
use crate::ffi::{Obj, Ref, frame};
use crate::futures::State;

/// The task whose step an entry is; also where a future that is not native has the loop call a callable of
/// the task.
#[inline]
pub fn stepped(entry: &Entry, py: Python<'_>) -> Option<Ref> {
    let Entry::Run(Runnable { kind, object, .. }) = entry else { return None };
    if std::ptr::eq(*kind, &STEP) || std::ptr::eq(*kind, &WAKEUP) {
        return Some(object.copy(py));
    }
    if std::ptr::eq(*kind, &HANDLE) {
        let callback = object.data_as::<Handle>()?.callback(py)?;
        return task_of(&callback).map(|task| Ref::new(task.into_any()));
    }
    None
}

/// Begins to observe a task that was there when the observation of its loop began.
pub fn begin(event_loop: &Obj<'_, EventLoop>, task: &Task) {
    begin_with(event_loop, task, &task.own.coroutine.get_or_none(event_loop.py()));
}

/// Begins to observe a task with this coroutine.
#[inline(never)] // only tasks of observed loops come here
pub(super) fn begin_with(event_loop: &Obj<'_, EventLoop>, task: &Task, coroutine: &Bound<'_, PyAny>) {
    let code = code_of(coroutine);
    let address = code.as_ptr().addr();
    let place =
        event_loop.with_observation(|observation| observation.begin_task(address, || Ref::new(code.clone())));
    task.own.place.set(place.unwrap_or(0));
    task.own.polls.set(0);
    task.own.micros.set(0);
}

/// A step of a task begins.
#[inline]
pub(super) fn count_poll(task: &Obj<'_, Task>) {
    if task.own.place.get() == 0 {
        return;
    }
    let polls = task.own.polls.get() + 1;
    task.own.polls.set(polls);
    if polls == u16::MAX {
        with_loop(task, add_polls);
    }
}

/// The step of a task that has just run was the first one of an eager task: a part of another step.
#[inline]
pub(super) fn count_eager_step(event_loop: &Bound<'_, PyAny>) {
    if let Some(native) = Obj::<EventLoop>::cast(event_loop) {
        native.with_observation(|observation| observation.eager_steps += 1);
    }
}

/// The steps that a task has counted become steps of its function.
pub fn add_polls(event_loop: &Obj<'_, EventLoop>, task: &Task) {
    let (place, polls) = (task.own.place.get(), task.own.polls.take());
    event_loop.with_observation(|observation| observation.add_polls(place, polls.into()));
}

/// A task ends.
#[inline]
pub(super) fn end(task: &Obj<'_, Task>, ending: Ending) {
    if task.own.place.get() != 0 {
        with_loop(task, |event_loop, task| {
            let (place, polls) = (task.own.place.get(), task.own.polls.take());
            event_loop.with_observation(|observation| observation.end_task(place, polls.into(), ending));
        });
    }
}

#[inline(never)] // only tasks of observed loops come here
fn with_loop<'py>(task: &Obj<'py, Task>, act: impl FnOnce(&Obj<'py, EventLoop>, &Task)) {
    let Some(event_loop) = task.base.event_loop.get(task.py()) else { return };
    if let Some(native) = Obj::<EventLoop>::cast(&event_loop) {
        act(native, task);
    }
}

/// What stands for the function of a coroutine: the code, or else the class of the coroutine, also where
/// asking for the code fails.
#[inline]
fn code_of<'py>(coroutine: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
    frame::code(coroutine).unwrap_or_else(|| code_by_name(coroutine))
}

/// The same for a coroutine that is not of the interpreter's own class.
#[cold]
fn code_by_name<'py>(coroutine: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
    let code = [name!("cr_code"), name!("gi_code")].into_iter().find_map(|name| coroutine.getattr(name).ok());
    code.unwrap_or_else(|| coroutine.get_type().into_any())
}

/// The native tasks of a loop that are not done.
pub fn alive_on<'py>(event_loop: &Obj<'py, EventLoop>) -> Vec<Obj<'py, Task>> {
    let mut tasks = TASKS.living(event_loop.py());
    tasks.retain(|task| {
        task.base.event_loop.as_ptr() == event_loop.as_any().as_ptr() && task.base.state() == State::Pending
    });
    tasks
}

impl Task {
    /// Where the observation has its coroutine function; 0 before its loop is observed.
    #[inline]
    pub fn place(&self) -> Place {
        self.own.place.get()
    }

    /// A step in which the clock has ticked has used so much of a processor.
    pub fn add_processor_time(&self, nanoseconds: i64) {
        let micros = u32::try_from(nanoseconds / 1000).unwrap_or(u32::MAX);
        self.own.micros.set(self.own.micros.get().saturating_add(micros));
    }

    /// What stands for its coroutine function, as [`code_of`] says.
    pub fn code<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        code_of(&self.own.coroutine.get_or_none(py))
    }

    /// The seconds of processor time that its steps have used since its loop is observed; `None` where that
    /// is not known.
    pub fn processor_seconds(&self, py: Python<'_>) -> Option<f64> {
        let event_loop = self.base.event_loop.get(py)?;
        let marks = &Obj::<EventLoop>::cast(&event_loop)?.marks;
        let known = marks.index(self.place()).map_or(0, |_| self.own.micros.get());
        marks.are_set().then(|| f64::from(known) / 1e6)
    }

    /// How it has ended.
    #[inline]
    pub fn ending(&self) -> Option<Ending> {
        match self.base.state() {
            State::Pending => None,
            State::Cancelled => Some(Ending::Cancelled),
            State::Finished if self.base.has_failed() => Some(Ending::Failed),
            State::Finished => Some(Ending::Finished),
        }
    }
}
