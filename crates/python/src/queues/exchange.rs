//! `put`, `put_nowait`, `get` and `get_nowait`: how items come and go, and how tasks wait for that.
//!
//! Putting and getting are one story told from two sides: a coroutine that must wait puts a future into the waiters of its side,
//! and the other side completes the first that is not done. A task that is cancelled after it was woken passes the call on.

use pyo3::prelude::*;

use super::Queue;
use super::hooks::{self, Hook};
use super::items;
use super::waiters::Waiters;
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::{Obj, Output, Raised, none};
use crate::mixins::{cancel, create_future, is_cancelled};
use crate::stock;

/// One of the two sides.
trait Side {
    fn waiters(queue: &Queue) -> &Waiters;
    /// Whether one must wait.
    fn is_blocked(queue: &Obj<'_, Queue>) -> PyResult<bool>;
    /// QueueShutDown when waiting is in vain.
    fn ensure_hope(queue: &Obj<'_, Queue>) -> PyResult<()>;
    /// What is done without waiting.
    fn act<'py>(queue: &Obj<'py, Queue>, routine: &Obj<'py, Routine>) -> Output<'py>;
}

/// The side of `put`; the item is in the routine's second slot.
struct Putting;

impl Side for Putting {
    fn waiters(queue: &Queue) -> &Waiters {
        &queue.putters
    }

    #[inline]
    fn is_blocked(queue: &Obj<'_, Queue>) -> PyResult<bool> {
        items::is_full(queue)
    }

    fn ensure_hope(queue: &Obj<'_, Queue>) -> PyResult<()> {
        queue.ensure_open(queue.py())
    }

    #[inline]
    fn act<'py>(queue: &Obj<'py, Queue>, routine: &Obj<'py, Routine>) -> Output<'py> {
        let item = taken(queue.py(), &routine.second);
        if hooks::replaces(queue, Hook::PutNowait)? {
            return Hook::PutNowait.call_with(queue, &item);
        }
        put_nowait(queue, &item)
    }
}

/// The side of `get`.
struct Getting;

impl Side for Getting {
    fn waiters(queue: &Queue) -> &Waiters {
        &queue.getters
    }

    #[inline]
    fn is_blocked(queue: &Obj<'_, Queue>) -> PyResult<bool> {
        items::is_empty(queue)
    }

    fn ensure_hope(queue: &Obj<'_, Queue>) -> PyResult<()> {
        if queue.shut_down.get() && items::is_empty(queue)? { queue.ensure_open(queue.py()) } else { Ok(()) }
    }

    #[inline]
    fn act<'py>(queue: &Obj<'py, Queue>, _routine: &Obj<'py, Routine>) -> Output<'py> {
        if hooks::replaces(queue, Hook::GetNowait)? {
            return Hook::GetNowait.call(queue);
        }
        get_nowait(queue)
    }
}

/// `put(item)`.
#[inline]
pub fn put<'py>(queue: &Obj<'py, Queue>, item: Bound<'py, PyAny>) -> Output<'py> {
    let routine = Routine::begin(queue.as_any(), "Queue.put", exchange::<Putting>)?;
    routine.second.put(item);
    Ok(routine.into_any())
}

/// `get()`.
#[inline]
pub fn get<'py>(queue: &Obj<'py, Queue>) -> Output<'py> {
    Ok(Routine::begin(queue.as_any(), "Queue.get", exchange::<Getting>)?.into_any())
}

/// Acts, or waits.
#[inline]
fn exchange<'py, S: Side>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let queue = routine.owner::<Queue>(py)?;
    if !S::is_blocked(&queue)? {
        return S::act(&queue, routine).map(Step::Return);
    }
    S::ensure_hope(&queue)?;
    let waiter = if hooks::replaces(&queue, Hook::GetLoop)? {
        create_future(&Hook::GetLoop.call(&queue)?)?
    } else {
        queue.bound.waiter(queue.as_any())?
    };
    routine.number.set(S::waiters(&queue).push(&waiter)?);
    routine.first.put(waiter.clone());
    Ok(Step::Await(waiter, resume::<S>))
}

/// Woken: tries again. Cancelled, or closed: leaves.
#[inline]
fn resume<'py, S: Side>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let waiter = taken(py, &routine.first);
    let Err(error) = waited else { return exchange::<S>(routine) };
    let raised = Raised::from_err(py, error);
    let queue = routine.owner::<Queue>(py)?;
    raised.handling(|| leave::<S>(&queue, routine.number.get(), &waiter))?;
    Err(raised.into_err())
}

/// Leaves the waiters; whoever was woken and does not take its turn wakes the next one.
fn leave<'py, S: Side>(queue: &Obj<'py, Queue>, number: u64, waiter: &Bound<'py, PyAny>) -> PyResult<()> {
    cancel(waiter)?;
    S::waiters(queue).remove(number, waiter)?;
    if !S::is_blocked(queue)? && !is_cancelled(waiter)? {
        wake_next(queue, S::waiters(queue))?;
    }
    Ok(())
}

/// `self._wakeup_next(waiters)`.
#[inline]
fn wake_next(queue: &Obj<'_, Queue>, waiters: &Waiters) -> PyResult<()> {
    let py = queue.py();
    if hooks::replaces(queue, Hook::WakeupNext)? {
        return Hook::WakeupNext.call_with(queue, &waiters.show(py)?).map(drop);
    }
    waiters.wake_next(py)
}

/// `put_nowait(item)`.
#[inline]
pub fn put_nowait<'py>(queue: &Obj<'py, Queue>, item: &Bound<'py, PyAny>) -> Output<'py> {
    let py = queue.py();
    queue.ensure_open(py)?;
    if items::is_full(queue)? {
        return Err(PyErr::from_type(stock::queue_full(py)?.clone(), ()));
    }
    if hooks::replaces(queue, Hook::Put)? {
        Hook::Put.call_with(queue, item)?;
    } else {
        items::put(queue, hooks::kind(queue), item)?;
    }
    queue.unfinished.set(queue.unfinished.get() + 1);
    queue.finished.clear(py)?;
    wake_next(queue, &queue.getters)?;
    Ok(none(py))
}

/// `get_nowait()`.
#[inline]
pub fn get_nowait<'py>(queue: &Obj<'py, Queue>) -> Output<'py> {
    let py = queue.py();
    if items::is_empty(queue)? {
        queue.ensure_open(py)?;
        return Err(PyErr::from_type(stock::queue_empty(py)?.clone(), ()));
    }
    let item = take(queue)?;
    wake_next(queue, &queue.putters)?;
    Ok(item)
}

/// `self._get()`.
#[inline]
pub fn take<'py>(queue: &Obj<'py, Queue>) -> Output<'py> {
    if hooks::replaces(queue, Hook::Get)? {
        Hook::Get.call(queue)
    } else {
        items::get(queue, hooks::kind(queue))
    }
}
