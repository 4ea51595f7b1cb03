//! `Lock`: one holder at a time. `asyncio.locks.Lock`.
//!
//! Releasing wakes the first waiter, which takes the lock when it runs; meanwhile nobody else gets it,
//! because it still stands in the queue. Besides Python code, [`super::condition`] takes a Lock from within.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::async_with::{self, AsyncWith};
use super::holder;
use super::waiters::{self, HasWaiters, Waiters};
use crate::attributes::flags;
use crate::copying::Copied;
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::boolean;
use crate::ffi::combined::Combinable;
use crate::ffi::{Args, Class, ClassState, Obj, Output, Signature, Slot, Table, references, stands_for};
use crate::mixins::{is_done, wake};
use crate::stock;

/// The data of a `Lock`.
#[derive(Default)]
pub struct Lock {
    waiters: Waiters,
    locked: Cell<bool>,
    /// See [`holder`].
    holder: Slot,
}

static LOCK: ClassState = ClassState::new();
const INIT: Signature<0> = Signature::new_method("Lock.__init__", "");

impl Lock {
    /// `locked()`.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.locked.get()
    }

    /// What [`holder`] has noted.
    pub(super) fn holder<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.holder.get(py)
    }
}

/// Takes the lock; or gives the future to wait by, after which [`take_turn`] is due with the ticket.
#[inline]
pub fn take_or_join<'py>(lock: &Obj<'py, Lock>) -> PyResult<Option<(Bound<'py, PyAny>, u64)>> {
    let data: &Lock = lock;
    if !data.locked.get() && !data.waiters.has_uncancelled(lock.py())? {
        data.locked.set(true);
        holder::note(lock.py(), &data.holder)?;
        return Ok(None);
    }
    data.waiters.join(lock).map(Some)
}

/// The wait for the lock is over: it is taken, unless something was raised.
pub fn take_turn(lock: &Obj<'_, Lock>, ticket: u64, waited: Output<'_>) -> PyResult<()> {
    let py = lock.py();
    lock.waiters.leave(py, ticket)?;
    let Err(error) = waited else {
        lock.locked.set(true);
        return holder::note(py, &lock.holder);
    };
    // A release may have counted on the waiter that leaves.
    if waiters::is_cancellation(py, &error)? && !lock.locked.get() {
        wake_first(lock)?;
    }
    Err(error)
}

/// `self._wake_up_first()`.
#[inline]
fn wake_first(lock: &Obj<'_, Lock>) -> PyResult<()> {
    if lock.is_native() {
        return wake_up_first(lock);
    }
    lock.as_any().call_method0(name!("_wake_up_first")).map(drop)
}

/// `_wake_up_first`.
#[inline]
fn wake_up_first(lock: &Obj<'_, Lock>) -> PyResult<()> {
    if lock.waiters.are_none() { Ok(()) } else { wake_up_the_first(lock) }
}

fn wake_up_the_first(lock: &Obj<'_, Lock>) -> PyResult<()> {
    match lock.waiters.next(lock.py(), &mut 0, |_| true)? {
        Some(first) if !is_done(&first)? => wake(&first),
        _ => Ok(()),
    }
}

/// `acquire()`.
#[inline]
pub fn acquire<'py>(lock: &Obj<'py, Lock>) -> Output<'py> {
    async_with::returning_true(lock.as_any(), "Lock.acquire", async_with::acquire::<Lock>)
}

fn resume<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    routine.with_owner(py, |lock| take_turn(lock, routine.number.get(), waited))?;
    Ok(Step::Return(taken(py, &routine.first)))
}

impl Copied for Lock {}

impl HasWaiters for Lock {
    const LAZY_WAITERS: bool = true;
    fn waiters(&self) -> &Waiters {
        &self.waiters
    }
}

impl AsyncWith for Lock {
    fn begin<'py>(routine: &Obj<'py, Routine>, lock: &Obj<'py, Self>) -> PyResult<Step<'py>> {
        match take_or_join(lock)? {
            None => Ok(Step::Return(taken(lock.py(), &routine.first))),
            Some((waiter, ticket)) => {
                routine.number.set(ticket);
                Ok(Step::Await(waiter, resume))
            }
        }
    }

    fn release(lock: &Obj<'_, Self>) -> PyResult<()> {
        if !lock.locked.replace(false) {
            return Err(PyRuntimeError::new_err("Lock is not acquired."));
        }
        holder::forget(&lock.holder);
        wake_first(lock)
    }
}

impl Class for Lock {
    const NAME: &'static CStr = c"yibu.Lock";
    type Header = Combinable;
    const FREELIST: usize = 64;
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    const SHOWN: &'static [&'static str] = &["_waiters", "_locked"];
    const SHOWN_WHEN_SET: &'static [&'static str] = &["_loop"];

    stands_for! { LOCK, stock::lock }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Lock()\n--\n\nMutual exclusion of tasks: one holds the lock, the others wait in the order of their arrival.");
        t.init(|lock, args, kwargs| {
            let [] = Args::parse_tuple(&INIT, args, kwargs)?;
            lock.waiters.clear();
            lock.locked.set(false);
            Ok(())
        });
        t.noargs(c"acquire", acquire, "Waits until the lock is free and takes it. Returns True.");
        t.action(
            c"release",
            Self::release,
            "Gives the lock back and wakes the first waiting task. RuntimeError when it is not held.",
        );
        t.noargs(c"locked", |lock| Ok(boolean(lock.py(), lock.locked.get())), "Whether the lock is held.");
        t.action(
            c"_wake_up_first",
            wake_up_first,
            "Wakes the first waiting task, unless that is done already.",
        );
        async_with::context_manager(t);
        waiters::attributes(t);
        flags! { t: c"_locked" => locked }
        t.repr(|lock| {
            let state = if lock.locked.get() { "locked" } else { "unlocked" };
            waiters::repr(lock, state, lock.waiters.len(lock.py())?)
        });
    }

    references! { waiters, holder }
}
