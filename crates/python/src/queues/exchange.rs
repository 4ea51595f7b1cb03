//! `put`, `put_nowait`, `get` and `get_nowait`: how items are put in and taken out, and how tasks wait for
//! that.
//!
//! Putting and getting are the same from two sides: a coroutine that must wait puts a future into the waiters
//! of its side, and the other side completes the first that is not done. A task that is cancelled after it
//! was woken passes the call on.

use std::cell::Cell;

use pyo3::prelude::*;

use super::data::Queue;
use super::hooks::{self, Hook, Hooks};
use super::items;
use super::waiters::Waiters;
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::{Obj, Output, Raised, Ref, Slot, none};
use crate::mixins::{cancel, create_future, is_cancelled};
use crate::stock;

/// A routine keeps the item that it puts,
fn item_of(routine: &Routine) -> &Slot {
    &routine.second
}

/// the future by which it waits,
fn waiter_of(routine: &Routine) -> &Slot {
    &routine.first
}

/// and the number of that among the waiters of its side.
fn ticket_of(routine: &Routine) -> &Cell<u64> {
    &routine.number
}

/// One of the two sides.
trait Side {
    fn waiters(queue: &Queue) -> &Waiters;
    /// Whether one must wait.
    fn is_blocked(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<bool>;
    /// QueueShutDown when nothing can end the wait any more.
    fn ensure_not_shut_down(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<()>;
    /// What is done without waiting.
    fn act<'py>(queue: &Obj<'py, Queue>, hooks: Hooks, routine: &Obj<'py, Routine>) -> Output<'py>;
}

/// The side of `put`.
struct Putting;

impl Side for Putting {
    fn waiters(queue: &Queue) -> &Waiters {
        &queue.putters
    }

    #[inline]
    fn is_blocked(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<bool> {
        items::is_full(queue, hooks)
    }

    fn ensure_not_shut_down(queue: &Obj<'_, Queue>, _hooks: Hooks) -> PyResult<()> {
        queue.ensure_open(queue.py())
    }

    #[inline]
    fn act<'py>(queue: &Obj<'py, Queue>, hooks: Hooks, routine: &Obj<'py, Routine>) -> Output<'py> {
        let item = taken(queue.py(), item_of(routine));
        if hooks.replace(Hook::PutNowait) {
            return Hook::PutNowait.call_with(queue, &item);
        }
        if hooks.are_plain() {
            queue.ensure_open(queue.py())?;
            return put_in_plainly(queue, item);
        }
        put_now(queue, hooks, &item)
    }
}

/// The side of `get`.
struct Getting;

impl Side for Getting {
    fn waiters(queue: &Queue) -> &Waiters {
        &queue.getters
    }

    #[inline]
    fn is_blocked(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<bool> {
        items::is_empty(queue, hooks)
    }

    fn ensure_not_shut_down(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<()> {
        if queue.shut_down.get() && items::is_empty(queue, hooks)? {
            queue.ensure_open(queue.py())
        } else {
            Ok(())
        }
    }

    #[inline]
    fn act<'py>(queue: &Obj<'py, Queue>, hooks: Hooks, _routine: &Obj<'py, Routine>) -> Output<'py> {
        if hooks.replace(Hook::GetNowait) {
            return Hook::GetNowait.call(queue);
        }
        if hooks.are_plain() { take_out_plainly(queue) } else { get_now(queue, hooks) }
    }
}

/// `put(item)`.
#[inline]
pub fn put<'py>(queue: &Obj<'py, Queue>, item: Bound<'py, PyAny>) -> Output<'py> {
    let routine = Routine::begin(queue.as_any(), "Queue.put", exchange::<Putting>)?;
    item_of(&routine).put(item);
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
    let hooks = hooks::of(&queue)?;
    if !S::is_blocked(&queue, hooks)? {
        return S::act(&queue, hooks, routine).map(Step::Return);
    }
    S::ensure_not_shut_down(&queue, hooks)?;
    let waiter = if hooks.replace(Hook::GetLoop) {
        create_future(&Hook::GetLoop.call(&queue)?)?
    } else {
        queue.bound.waiter(queue.as_any())?
    };
    ticket_of(routine).set(S::waiters(&queue).push(&waiter)?);
    waiter_of(routine).put(waiter.clone());
    Ok(Step::Await(waiter, resume::<S>))
}

/// Woken: tries again. Cancelled, or closed: leaves.
#[inline]
fn resume<'py, S: Side>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let waiter = taken(py, waiter_of(routine));
    let Err(error) = waited else { return exchange::<S>(routine) };
    let raised = Raised::from_err(py, error);
    let queue = routine.owner::<Queue>(py)?;
    raised.handling(|| leave::<S>(&queue, ticket_of(routine).get(), &waiter))?;
    Err(raised.into_err())
}

/// Leaves the waiters; a waiter that was woken and does not take its turn wakes the next one.
fn leave<'py, S: Side>(queue: &Obj<'py, Queue>, number: u64, waiter: &Bound<'py, PyAny>) -> PyResult<()> {
    let hooks = hooks::of(queue)?;
    cancel(waiter)?;
    S::waiters(queue).remove(number, waiter)?;
    if !S::is_blocked(queue, hooks)? && !is_cancelled(waiter)? {
        wake_next(queue, hooks, S::waiters(queue))?;
    }
    Ok(())
}

/// `self._wakeup_next(waiters)`.
#[inline]
fn wake_next(queue: &Obj<'_, Queue>, hooks: Hooks, waiters: &Waiters) -> PyResult<()> {
    let py = queue.py();
    if hooks.replace(Hook::WakeupNext) {
        return Hook::WakeupNext.call_with(queue, &waiters.show(py)?).map(drop);
    }
    waiters.wake_next(py)
}

/// `put_nowait(item)`.
#[inline]
pub fn put_nowait<'py>(queue: &Obj<'py, Queue>, item: Bound<'py, PyAny>) -> Output<'py> {
    let hooks = hooks::of(queue)?;
    if !hooks.are_plain() {
        return put_now(queue, hooks, &item);
    }
    queue.ensure_open(queue.py())?;
    if items::is_full(queue, Hooks::PLAIN)? {
        return Err(full(queue)?);
    }
    put_in_plainly(queue, item)
}

#[cold]
fn full(queue: &Obj<'_, Queue>) -> PyResult<PyErr> {
    Ok(PyErr::from_type(stock::queue_full(queue.py())?.clone(), ()))
}

/// Puts an item into a plain queue, in which there is room.
#[inline(always)] // with `take_out_plainly` all of `put_nowait` and `get_nowait`
fn put_in_plainly<'py>(queue: &Obj<'py, Queue>, item: Bound<'py, PyAny>) -> Output<'py> {
    let py = queue.py();
    if let Some(item) = queue.items.hide(Ref::new(item))? {
        return put_in(queue, Hooks::PLAIN, item.any(py));
    }
    account_for(queue, Hooks::PLAIN)
}

#[inline(never)]
fn put_now<'py>(queue: &Obj<'py, Queue>, hooks: Hooks, item: &Bound<'py, PyAny>) -> Output<'py> {
    queue.ensure_open(queue.py())?;
    if items::is_full(queue, hooks)? {
        return Err(full(queue)?);
    }
    put_in(queue, hooks, item)
}

/// Puts an item in for which there is room.
#[inline(never)]
fn put_in<'py>(queue: &Obj<'py, Queue>, hooks: Hooks, item: &Bound<'py, PyAny>) -> Output<'py> {
    if hooks.replace(Hook::Put) {
        Hook::Put.call_with(queue, item)?;
    } else {
        items::put(queue, hooks, hooks.kind, item)?;
    }
    account_for(queue, hooks)
}

/// An item was put in.
#[inline(always)] // the end of `put_nowait`
fn account_for<'py>(queue: &Obj<'py, Queue>, hooks: Hooks) -> Output<'py> {
    let (py, data): (_, &Queue) = (queue.py(), queue);
    data.unfinished.set(data.unfinished.get() + 1);
    if hooks.replace(Hook::Finished) {
        data.finished.event(py)?;
    }
    data.finished.clear(py)?;
    wake_next(queue, hooks, &data.getters)?;
    Ok(none(py))
}

/// `get_nowait()`.
#[inline]
pub fn get_nowait<'py>(queue: &Obj<'py, Queue>) -> Output<'py> {
    let hooks = hooks::of(queue)?;
    if hooks.are_plain() && !items::is_empty(queue, Hooks::PLAIN)? {
        return take_out_plainly(queue);
    }
    get_now(queue, hooks)
}

/// Takes an item out of a plain queue, where there is one.
#[inline]
fn take_out_plainly<'py>(queue: &Obj<'py, Queue>) -> Output<'py> {
    let Some(item) = queue.items.take_hidden() else { return take_out(queue, Hooks::PLAIN) };
    wake_next(queue, Hooks::PLAIN, &queue.putters)?;
    Ok(item.into_any(queue.py()))
}

#[inline(never)]
fn get_now<'py>(queue: &Obj<'py, Queue>, hooks: Hooks) -> Output<'py> {
    let py = queue.py();
    if items::is_empty(queue, hooks)? {
        queue.ensure_open(py)?;
        return Err(PyErr::from_type(stock::queue_empty(py)?.clone(), ()));
    }
    take_out(queue, hooks)
}

/// Takes an item out that is there.
#[inline(never)]
fn take_out<'py>(queue: &Obj<'py, Queue>, hooks: Hooks) -> Output<'py> {
    let item = take(queue, hooks)?;
    wake_next(queue, hooks, &queue.putters)?;
    Ok(item)
}

/// `self._get()`.
#[inline]
pub fn take<'py>(queue: &Obj<'py, Queue>, hooks: Hooks) -> Output<'py> {
    if hooks.replace(Hook::Get) { Hook::Get.call(queue) } else { items::get(queue, hooks, hooks.kind) }
}
