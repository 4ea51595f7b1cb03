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

/// How many native tasks of a loop are not done.
pub fn alive_on(event_loop: &Obj<'_, EventLoop>) -> usize {
    let tasks = TASKS.living(event_loop.py());
    let own = |task: &&Obj<'_, Task>| {
        task.base.event_loop.as_ptr() == event_loop.as_any().as_ptr() && task.base.state() == State::Pending
    };
    tasks.iter().filter(own).count()
}

impl Task {
    /// Where the observation has its coroutine function.
    #[inline]
    pub fn place(&self) -> Place {
        self.own.place.get()
    }

    /// Notes the place.
    pub fn set_place(&self, place: Place) {
        self.own.place.set(place);
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
