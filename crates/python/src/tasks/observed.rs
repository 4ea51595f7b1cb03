//! What an observer of a loop asks of entries and tasks: whose step an entry is, which coroutine it steps, and how the task has ended.

use pyo3::prelude::*;

use super::{STEP, TASKS, Task, WAKEUP, task_of};
use crate::core::observation::{Ending, Place};
use crate::core::{Entry, EventLoop, Runnable};
use crate::events::Handle;
use crate::events::entries::HANDLE;
use crate::ffi::{Obj, Output, Ref, frame};
use crate::futures::State;

/// The task whose step an entry is; also where a future that is not native has the loop call a callable of the task.
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

/// The native tasks of a loop that are not done.
pub fn alive_on<'py>(event_loop: &Obj<'py, EventLoop>) -> Vec<Obj<'py, Task>> {
    let mut tasks = TASKS.living(event_loop.py());
    tasks.retain(|task| {
        task.base.event_loop.as_ptr() == event_loop.as_any().as_ptr() && task.base.state() == State::Pending
    });
    tasks
}

impl Task {
    /// Where the observation has its coroutine function; 0 before its first step that is seen, and after its last.
    #[inline]
    pub fn place(&self) -> Place {
        self.own.place.get()
    }

    /// It is seen for the first time.
    pub fn begin_observation(&self, place: Place) {
        self.own.place.set(place);
        self.own.polls.set(0);
        self.own.micros.set(0);
    }

    /// A step begins. Whether somebody has to take the number of steps now, because there is no larger one.
    #[inline]
    pub fn count_poll(&self) -> bool {
        let polls = self.own.polls.get() + 1;
        self.own.polls.set(polls);
        polls == u16::MAX
    }

    /// The steps since this was last called.
    pub fn take_polls(&self) -> u64 {
        self.own.polls.take().into()
    }

    /// The last step has ended: where the observation has its coroutine function.
    pub fn end_observation(&self) -> Place {
        self.own.place.take()
    }

    /// A step in which the clock has ticked has used so much of a processor.
    pub fn add_processor_time(&self, nanoseconds: i64) {
        let micros = u32::try_from(nanoseconds / 1000).unwrap_or(u32::MAX);
        self.own.micros.set(self.own.micros.get().saturating_add(micros));
    }

    /// What stands for its coroutine function: the code, or else the class of the coroutine.
    pub fn code<'py>(&self, py: Python<'py>) -> Output<'py> {
        let coroutine = self.own.coroutine.get_or_none(py);
        if let Some(code) = frame::code(&coroutine) {
            return Ok(code);
        }
        for name in [name!("cr_code"), name!("gi_code")] {
            if let Some(code) = coroutine.getattr_opt(name)? {
                return Ok(code);
            }
        }
        Ok(coroutine.get_type().into_any())
    }

    /// The seconds of processor time that its steps have used since its loop is observed; `None` where that is not known.
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
