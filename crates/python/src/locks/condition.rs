//! `Condition`: to wait, with a lock released meanwhile, for what another task notifies.
//! `asyncio.locks.Condition`.
//!
//! asyncio's Condition has the lock's methods as attributes, and calls those. So does this one, unless it is
//! exactly a Condition around exactly a [`Lock`], as nearly always: then it needs no such attributes and
//! takes the lock directly.

use std::ffi::CStr;

use pyo3::exceptions::{PyBaseException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyType};

use super::async_with::{self, AsyncWith};
use super::lock::{self, Lock};
use super::waiters::{self, HasWaiters, Waiters};
use crate::attributes::assigned;
use crate::copying::Copied;
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Signature, Slot, Table, references, stands_for,
};
use crate::ffi::{boolean, call, none};
use crate::mixins::set_result;
use crate::replaced::names::LOCK;
use crate::{names, stock};

/// The data of a `Condition`.
#[derive(Default)]
pub struct Condition {
    waiters: Waiters,
    lock: Slot,
}

static CONDITION: ClassState = ClassState::new();
const INIT: Signature<1> = Signature::new_method("Condition.__init__", "lock=None");
const WAIT_FOR: Signature<1> = Signature::new_method("Condition.wait_for", "predicate");
const NOTIFY: Signature<1> = Signature::new_method("Condition.notify", "n=1");

fn init(condition: &Obj<'_, Condition>, lock: Bound<'_, PyAny>) -> PyResult<()> {
    let py = condition.py();
    hold(condition, if lock.is_none() { new_lock(py)? } else { lock })?;
    condition.waiters.begin(py)
}

/// Makes `lock` the Condition's, and its methods attributes of the Condition, as in asyncio, if a program
/// could tell.
fn hold(condition: &Obj<'_, Condition>, lock: Bound<'_, PyAny>) -> PyResult<()> {
    let py = condition.py();
    condition.lock.put(lock.clone());
    if condition.is_native() && Obj::<Lock>::cast(&lock).is_some_and(Obj::is_native) {
        return Ok(());
    }
    for name in [names::locked(py), names::acquire(py), names::release(py)] {
        condition.as_any().setattr(name, lock.getattr(name)?)?;
    }
    Ok(())
}

/// A new Condition around a new Lock.
pub fn new(py: Python<'_>) -> PyResult<Obj<'_, Condition>> {
    let condition = Condition::create(py)?;
    init(&condition, none(py))?;
    Ok(condition)
}

/// `Lock()`
fn new_lock(py: Python<'_>) -> Output<'_> {
    match LOCK.maker::<Lock>(py)? {
        None => Ok(Lock::create(py)?.into_any()),
        Some(class) => class.call0(),
    }
}

/// The lock when nothing can be in between.
#[inline(always)]
fn direct<'py>(condition: &Obj<'py, Condition>) -> Option<Obj<'py, Lock>> {
    if condition.is_native() { native_lock(condition) } else { None }
}

/// The lock when its methods are the native ones.
#[inline(always)]
fn native_lock<'py>(condition: &Obj<'py, Condition>) -> Option<Obj<'py, Lock>> {
    let lock = Obj::<Lock>::cast_into(condition.lock.get_or_none(condition.py()))?;
    lock.is_native().then_some(lock)
}

/// The lock in whose queue the Condition's own code stands.
fn joined_lock<'py>(condition: &Obj<'py, Condition>) -> Option<Obj<'py, Lock>> {
    Obj::<Lock>::cast(&condition.lock.get_or_none(condition.py())).cloned()
}

/// `self.locked()`
fn is_locked(condition: &Obj<'_, Condition>) -> PyResult<bool> {
    match direct(condition) {
        Some(lock) => Ok(lock.is_locked()),
        None => condition.as_any().call_method0(names::locked(condition.py()))?.is_truthy(),
    }
}

/// `self.release()`
pub fn release(condition: &Obj<'_, Condition>) -> PyResult<()> {
    match direct(condition) {
        Some(lock) => Lock::release(&lock),
        None => condition.as_any().call_method0(names::release(condition.py())).map(drop),
    }
}

/// `acquire()`, as the method that a plain Condition has: its lock's.
fn acquire<'py>(condition: &Obj<'py, Condition>) -> Output<'py> {
    match native_lock(condition) {
        Some(lock) => lock::acquire(&lock),
        None => condition.lock.get_or_none(condition.py()).call_method0(names::acquire(condition.py())),
    }
}

/// `wait()`; True is in the third slot.
fn wait<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let condition = routine.owner::<Condition>(routine.py())?;
    if !is_locked(&condition)? {
        return Err(PyRuntimeError::new_err("cannot wait on un-acquired lock"));
    }
    let waiter = condition.waiters.waiter(&condition)?;
    release(&condition)?;
    routine.number.set(condition.waiters.push(&waiter)?);
    Ok(Step::Await(waiter, notified))
}

/// Notified, or cancelled: either way the lock has to be held again.
fn notified<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let condition = routine.owner::<Condition>(py)?;
    condition.waiters.leave(py, routine.number.get())?;
    if let Err(error) = waited {
        remember(&routine.first, error, py);
    }
    reacquire(routine)
}

fn remember(slot: &Slot, error: PyErr, py: Python<'_>) {
    slot.put(Raised::from_err(py, error).into_any());
}

/// Acquires, again and again while that is cancelled.
fn reacquire<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let condition = routine.owner::<Condition>(py)?;
    loop {
        let failed = match direct(&condition) {
            Some(lock) => match lock::take_or_join(&lock) {
                Ok(None) => return finish(routine, &condition),
                Ok(Some((waiter, ticket))) => {
                    routine.number.set(ticket);
                    return Ok(Step::Await(waiter, take_turn));
                }
                Err(error) => error,
            },
            None => match condition.as_any().call_method0(names::acquire(py)) {
                Ok(acquiring) => return Ok(Step::Await(acquiring, reacquired)),
                Err(error) => error,
            },
        };
        note_failure(routine, &condition, failed)?;
    }
}

/// The wait for a native lock is over.
fn take_turn<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let condition = routine.owner::<Condition>(py)?;
    let taken = match joined_lock(&condition) {
        Some(lock) => lock::take_turn(&lock, routine.number.get(), waited),
        None => waited.map(drop),
    };
    reacquired(routine, taken.map(|()| none(py)))
}

fn reacquired<'py>(routine: &Obj<'py, Routine>, acquired: Output<'py>) -> PyResult<Step<'py>> {
    let condition = routine.owner::<Condition>(routine.py())?;
    match acquired {
        Ok(_) => finish(routine, &condition),
        Err(error) => {
            note_failure(routine, &condition, error)?;
            reacquire(routine)
        }
    }
}

/// Keeps a cancellation of the second wait for the end, in the second slot; any other exception is the end.
fn note_failure<'py>(
    routine: &Obj<'py, Routine>,
    condition: &Obj<'py, Condition>,
    error: PyErr,
) -> PyResult<()> {
    let py = routine.py();
    if waiters::is_cancellation(py, &error)? {
        remember(&routine.second, error, py);
        return Ok(());
    }
    Err(pass_on(condition, chained(error, routine.first.get(py))?)?)
}

/// The lock is held again: returns True, or raises what was raised meanwhile, the latest cancellation first.
fn finish<'py>(routine: &Obj<'py, Routine>, condition: &Obj<'py, Condition>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let first = routine.first.take().map(|error| error.into_any(py));
    let error = match routine.second.take().map(|error| error.into_any(py)) {
        None => match first {
            None => return Ok(Step::Return(taken(py, &routine.third))),
            Some(error) => PyErr::from_value(error),
        },
        Some(latest) => {
            let latest = Raised(latest.cast_into()?);
            match first {
                Some(first) => Raised(first.cast_into()?).handling(|| latest.raise()),
                None => latest.raise(),
            }
        }
    };
    Err(pass_on(condition, error)?)
}

/// `error` as if raised while `before` was handled.
fn chained(error: PyErr, before: Option<Bound<'_, PyAny>>) -> PyResult<PyErr> {
    let Some(before) = before else { return Ok(error) };
    let py = before.py();
    let value = error.value(py);
    if !value.is(&before) && value.getattr(name!("__context__"))?.is_none() {
        value.setattr(name!("__context__"), before.cast_into::<PyBaseException>()?)?;
    }
    Ok(error)
}

/// Lets `error` out of `wait()`. It may have come after the task was notified: then another one has to be.
fn pass_on(condition: &Obj<'_, Condition>, error: PyErr) -> PyResult<PyErr> {
    if condition.is_native() || cfg!(not(Py_3_13)) {
        wake(condition, &mut |woken| Ok(woken < 1))?;
    } else {
        condition.as_any().call_method1(name!("_notify"), (1,))?;
    }
    Ok(error)
}

/// Wakes waiters as long as `more` says so of their number.
fn wake(condition: &Obj<'_, Condition>, more: &mut dyn FnMut(usize) -> PyResult<bool>) -> PyResult<()> {
    let (mut woken, mut from) = (0, 0);
    while let Some(waiter) = condition.waiters.next_pending(condition.py(), &mut from)? {
        if !more(woken)? {
            break;
        }
        woken += 1;
        set_result(&waiter, boolean(condition.py(), false))?;
    }
    Ok(())
}

/// `_notify(n)` for whatever Python compares with an int.
fn wake_so_many(condition: &Obj<'_, Condition>, n: &Bound<'_, PyAny>) -> PyResult<()> {
    match n.cast::<PyInt>().ok().and_then(|n| n.extract::<i64>().ok()) {
        Some(n) => wake(condition, &mut |woken| Ok((woken as i64) < n)),
        None => wake(condition, &mut |woken| Ok(!woken.into_pyobject(n.py())?.ge(n)?)),
    }
}

fn ensure_locked(condition: &Obj<'_, Condition>) -> PyResult<()> {
    if is_locked(condition)? {
        return Ok(());
    }
    Err(PyRuntimeError::new_err("cannot notify on un-acquired lock"))
}

/// `self.wait()`
fn wait_by_name<'py>(condition: &Obj<'py, Condition>) -> Output<'py> {
    if condition.is_native() {
        return waiting(condition);
    }
    condition.as_any().call_method0(names::wait(condition.py()))
}

/// `notify_all()`
pub fn notify_all(condition: &Obj<'_, Condition>) -> PyResult<()> {
    if condition.is_native() {
        ensure_locked(condition)?;
        return wake(condition, &mut |_| Ok(true));
    }
    let all = condition.waiters.len(condition.py())?;
    condition.as_any().call_method1(names::notify(condition.py()), (all,)).map(drop)
}

/// `wait()`, of the Condition itself.
pub fn waiting<'py>(condition: &Obj<'py, Condition>) -> Output<'py> {
    let routine = Routine::begin(condition.as_any(), "Condition.wait", wait)?;
    routine.third.put(boolean(condition.py(), true));
    Ok(routine.into_any())
}

/// `wait_for()`; the predicate is in the first slot.
fn wait_for<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let result = call::call0(&routine.first.get_or_none(py))?;
    if result.is_truthy()? {
        return Ok(Step::Return(result));
    }
    let condition = routine.owner::<Condition>(py)?;
    Ok(Step::Await(wait_by_name(&condition)?, look_again))
}

fn look_again<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    waited?;
    wait_for(routine)
}

/// `async with` on entry.
fn entered<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let condition = routine.owner::<Condition>(py)?;
    if let Some(lock) = joined_lock(&condition) {
        lock::take_turn(&lock, routine.number.get(), waited)?;
    }
    Ok(Step::Return(taken(py, &routine.first)))
}

impl Copied for Condition {
    // asyncio's conditions find these methods nowhere else.
    const STATE_OF_ANOTHER: (&'static str, &'static [&'static str]) =
        ("_lock", &["locked", "acquire", "release"]);
}

impl HasWaiters for Condition {
    const LAZY_WAITERS: bool = false;
    fn waiters(&self) -> &Waiters {
        &self.waiters
    }
}

impl AsyncWith for Condition {
    fn begin<'py>(routine: &Obj<'py, Routine>, condition: &Obj<'py, Self>) -> PyResult<Step<'py>> {
        let py = routine.py();
        let Some(lock) = native_lock(condition) else {
            return Ok(Step::Await(acquire(condition)?, async_with::entered));
        };
        match lock::take_or_join(&lock)? {
            None => Ok(Step::Return(taken(py, &routine.first))),
            Some((waiter, ticket)) => {
                routine.number.set(ticket);
                Ok(Step::Await(waiter, entered))
            }
        }
    }

    fn release(condition: &Obj<'_, Self>) -> PyResult<()> {
        release(condition)
    }
}

impl Class for Condition {
    const NAME: &'static CStr = c"yibu.Condition";
    type Header = Combinable;
    const FREELIST: usize = 64;
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    const SHOWN: &'static [&'static str] = &["_waiters", "_lock"];
    const SHOWN_WHEN_SET: &'static [&'static str] = &["_loop"];

    stands_for! { CONDITION, stock::condition }

    fn stock_of_part(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        stock::lock(py).map(Some)
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Condition(lock=None)\n--\n\nTasks wait, with the lock released, until another one notifies them.");
        t.init(|condition, args, kwargs| {
            let [lock] = Args::parse_tuple(&INIT, args, kwargs)?;
            init(condition, lock)
        });
        t.noargs(c"acquire", acquire, "Acquires the lock.");
        t.noargs(
            c"release",
            |condition| {
                condition.lock.get_or_none(condition.py()).call_method0(names::release(condition.py()))
            },
            "Releases the lock.",
        );
        t.noargs(
            c"locked",
            |condition| {
                condition.lock.get_or_none(condition.py()).call_method0(names::locked(condition.py()))
            },
            "Whether the lock is held.",
        );
        t.noargs(
            c"wait",
            waiting,
            "Releases the lock, waits until notified, and acquires the lock again. Returns True.",
        );
        t.method(
            &WAIT_FOR,
            |condition, args| {
                let [predicate] = args.parse(&WAIT_FOR)?;
                let routine = Routine::begin(condition.as_any(), WAIT_FOR.function, wait_for)?;
                routine.first.put(predicate);
                Ok(routine.into_any())
            },
            "Waits until predicate() is true, looking after every notification. Returns what it gave.",
        );
        t.method(
            &NOTIFY,
            |condition, args| {
                let [n] = args.parse_given(&NOTIFY)?;
                ensure_locked(condition)?;
                if cfg!(Py_3_13) && !condition.is_native() {
                    return match n {
                        None => condition.as_any().call_method1(name!("_notify"), (1,)),
                        Some(n) => condition.as_any().call_method1(name!("_notify"), (n,)),
                    };
                }
                match n {
                    None => wake(condition, &mut |woken| Ok(woken < 1))?,
                    Some(n) => wake_so_many(condition, &n)?,
                }
                Ok(none(condition.py()))
            },
            "Wakes so many waiting tasks. RuntimeError when the lock is not held.",
        );
        t.action(
            c"notify_all",
            notify_all,
            "Wakes all waiting tasks. RuntimeError when the lock is not held.",
        );
        #[cfg(Py_3_13)]
        t.action_on(
            c"_notify",
            "n",
            wake_so_many,
            "Wakes so many waiting tasks, whether or not the lock is held.",
        );
        async_with::context_manager(t);
        waiters::attributes(t);
        t.property(
            c"_lock",
            |condition| Ok(condition.lock.get_or_none(condition.py())),
            |condition, lock| {
                let lock = assigned(lock)?.clone();
                if condition.has_observed_attributes() {
                    // asyncio's `__init__` does the rest itself.
                    condition.lock.put(lock);
                    return Ok(());
                }
                hold(condition, lock)
            },
        );
        t.repr(|condition| {
            let state = if is_locked(condition)? { "locked" } else { "unlocked" };
            waiters::repr(condition, state, condition.waiters.len(condition.py())?)
        });
    }

    references! { waiters, lock }
}
