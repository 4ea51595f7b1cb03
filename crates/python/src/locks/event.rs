//! `Event`: a flag to wait for. `asyncio.locks.Event`.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::prelude::*;

use super::async_with;
use super::waiters::{self, HasWaiters, Waiters};
use crate::attributes::flags;
use crate::copying::Copied;
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::boolean;
use crate::ffi::combined::Combinable;
use crate::ffi::{Args, Class, ClassState, Create, Obj, Output, Signature, Table, references, stands_for};
use crate::mixins::wake;
use crate::stock;

/// The data of an `Event`.
#[derive(Default)]
pub struct Event {
    waiters: Waiters,
    value: Cell<bool>,
}

static EVENT: ClassState = ClassState::new();
const INIT: Signature<0> = Signature::new_method("Event.__init__", "");

impl Event {
    /// An event whose flag is up or down.
    pub fn new(py: Python<'_>, value: bool) -> PyResult<Obj<'_, Self>> {
        let event = Self::create(py)?;
        event.waiters.begin(py)?;
        event.value.set(value);
        Ok(event)
    }

    /// Takes the flag down.
    pub fn lower(&self) {
        self.value.set(false);
    }
}

/// `set()`: wakes every waiting task.
pub fn set(event: &Obj<'_, Event>) -> PyResult<()> {
    if event.value.replace(true) {
        return Ok(());
    }
    let (mut from, waiters) = (0, &event.waiters);
    while let Some(waiter) = waiters.next_pending(event.py(), &mut from)? {
        wake(&waiter)?;
    }
    Ok(())
}

/// `wait()`; True is in the first slot.
fn wait<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    routine.with_owner(py, |event: &Obj<'py, Event>| {
        if event.value.get() {
            return Ok(Step::Return(taken(py, &routine.first)));
        }
        let (waiter, ticket) = event.waiters.join(event)?;
        routine.number.set(ticket);
        Ok(Step::Await(waiter, resume))
    })
}

fn resume<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    routine.with_owner(py, |event: &Obj<'py, Event>| event.waiters.leave(py, routine.number.get()))?;
    waited?;
    Ok(Step::Return(taken(py, &routine.first)))
}

impl Copied for Event {}

impl HasWaiters for Event {
    const LAZY_WAITERS: bool = false;
    fn waiters(&self) -> &Waiters {
        &self.waiters
    }
}

impl Class for Event {
    const NAME: &'static CStr = c"yibu.Event";
    type Header = Combinable;
    const FREELIST: usize = 64;
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    const SHOWN: &'static [&'static str] = &["_waiters", "_value"];
    const SHOWN_WHEN_SET: &'static [&'static str] = &["_loop"];

    stands_for! { EVENT, stock::event }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Event()\n--\n\nA flag that tasks wait for; it is down at first.");
        t.init(|event, args, kwargs| {
            let [] = Args::parse_tuple(&INIT, args, kwargs)?;
            event.value.set(false);
            event.waiters.begin(event.py())
        });
        t.noargs(c"is_set", |event| Ok(boolean(event.py(), event.value.get())), "Whether the flag is up.");
        t.action(c"set", set, "Puts the flag up and wakes all waiting tasks.");
        t.action(
            c"clear",
            |event| event.lower(),
            "Takes the flag down: a task that waits from now on waits for the next set().",
        );
        t.noargs(
            c"wait",
            |event| async_with::returning_true(event.as_any(), "Event.wait", wait),
            "Waits until the flag is up. Returns True.",
        );
        waiters::attributes(t);
        flags! { t: c"_value" => value }
        t.repr(|event| {
            let state = if event.value.get() { "set" } else { "unset" };
            waiters::repr(event, state, event.waiters.len(event.py())?)
        });
    }

    references! { waiters }
}
