//! `as_completed`: several awaitables, in the order in which they finish.
//!
//! An [`AsCompleted`] is the queue between the futures' reactions, which add the futures that are done, and
//! the coroutines that take one each. A program has the [`AsCompletedIterator`]: when the iterator and its
//! coroutines are freed, no caller can take the other futures, so the reactions and the timer are removed. Up
//! to 3.12 asyncio has a generator in its place, which begins with the first `next()`; since 3.13 the
//! iterator begins at once and is an asynchronous one too.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyTimeoutError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PySet;
use yibu_engine::{Ticket, WaitQueue};

use super::release::release;
use crate::alarms::{self, Alarm};
use crate::callbacks::{Reaction, forget, react};
use crate::core::current;
use crate::coroutines::{Routine, Step, is_coroutine, taken};
use crate::errors;
use crate::ffi::boolean;
use crate::ffi::class::Plain;
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, Create, LoopCell, Obj, Output, Ref, Signature, Slot, Table, Visitor, references,
};
use crate::functions::current_loop;
use crate::futures::future_like;
use crate::mixins::LoopBound;
use crate::stock;
use crate::tasks::ensure::ensure;
use yibu_driver::memory::MakeRoom;

/// `as_completed`'s parameters.
pub const AS_COMPLETED: Signature<2> = Signature::new("as_completed", "fs, *, timeout=None");
/// What `help(as_completed)` says.
pub const DOC: &str = "Runs awaitables concurrently; an iterator of coroutines that give their results in the order in which they finish. Since Python 3.13 also an asynchronous iterator of the futures themselves.";

const WAIT_FOR_ONE: &str =
    if cfg!(Py_3_13) { "_AsCompletedIterator._wait_for_one" } else { "as_completed.<locals>._wait_for_one" };

/// The data of the queue.
#[derive(Default)]
pub struct AsCompleted {
    /// What was given; empty when the futures have been made of it.
    given: Slot,
    timeout: Slot,
    /// The futures that are not done.
    todo: Slot<PyAny>,
    /// How many coroutines are still to be handed out.
    left: Cell<usize>,
    /// The futures that are done, in that order; `None` for each one that was pending at the timeout.
    done: LoopCell<VecDeque<Option<Ref>>>,
    /// The waiters of coroutines for which no future is done yet.
    waiters: LoopCell<WaitQueue<Ref>>,
    /// The loop that those belong to.
    bound: LoopBound,
    alarm: Slot<Alarm>,
    /// The task that asked, as call graphs show it.
    task: Slot,
}

/// The data of the iterator.
#[derive(Default)]
pub struct AsCompletedIterator {
    all: Slot<AsCompleted>,
}

static AS_COMPLETED_STATE: ClassState = ClassState::new();
static AS_COMPLETED_ITERATOR: ClassState = ClassState::new();

static COMPLETION: Reaction = Reaction {
    name: if cfg!(Py_3_13) {
        "_AsCompletedIterator._handle_completion"
    } else {
        "as_completed.<locals>._on_completion"
    },
    run: completed,
    waiter: |all| Obj::<AsCompleted>::cast(all)?.task.get(all.py()),
    standard: None,
};

/// `as_completed(fs, *, timeout=None)`.
pub fn as_completed<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [given, timeout] = args.parse(&AS_COMPLETED)?;
    let all = AsCompleted::create(args.py())?;
    all.given.put(given);
    all.timeout.put(timeout);
    if cfg!(Py_3_13) {
        begin(&all)?;
    }
    let iterator = AsCompletedIterator::create(args.py())?;
    iterator.all.set(Ref::of(all));
    Ok(iterator.into_any())
}

/// The iterator and its coroutines are freed: removes the reactions and the timer.
fn abandon(iterator: &Obj<'_, AsCompletedIterator>) -> PyResult<()> {
    let py = iterator.py();
    let Some(all) = iterator.all.take() else { return Ok(()) };
    let all = all.into_obj(py);
    if let Some(alarm) = all.alarm.take() {
        alarms::cancel(&alarm.into_obj(py))?;
    }
    if all.todo.is_empty() {
        return Ok(());
    }
    let todo = todo(&all)?;
    for future in todo.try_iter()? {
        forget(&future?, &COMPLETION, all.as_any())?;
    }
    // A reaction that is in the ready ring already finds that no future is pending.
    todo.clear();
    Ok(())
}

/// TypeError for a single awaitable, which is an easy mistake.
fn refuse_awaitable(given: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = given.py();
    let (refused, text) = if cfg!(Py_3_13) {
        (stock::isawaitable(py)?.call1((given,))?.is_truthy()?, "expects an iterable of awaitables")
    } else {
        let refused = future_like::is_future(given)? || is_coroutine(given)?;
        (refused, "expect an iterable of futures")
    };
    if !refused {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!("{text}, not {}", given.get_type().name()?)))
}

/// Makes futures of what was given, and watches them.
fn begin<'py>(all: &Obj<'py, AsCompleted>) -> PyResult<()> {
    let py = all.py();
    let (given, timeout) = (taken(py, &all.given), taken(py, &all.timeout));
    refuse_awaitable(&given)?;
    let event_loop = current_loop(py)?;
    let todo = PySet::empty(py)?;
    for awaitable in py.get_type::<PySet>().call1((given,))?.try_iter()? {
        todo.add(ensure(&awaitable?, Some(&event_loop))?)?;
    }
    #[cfg(Py_3_14)]
    if let Some(task) = current::running_task(&event_loop)? {
        all.task.put(task);
    }
    for future in todo.try_iter()? {
        react(&future?, &COMPLETION, all.as_any())?;
    }
    if !todo.is_empty() && !timeout.is_none() {
        all.alarm.set(Ref::of(alarms::set_after(&event_loop, &timeout, all.as_any(), expire)?));
    }
    all.left.set(todo.len());
    all.todo.put(todo);
    Ok(())
}

/// The futures that are not done.
fn todo<'py>(all: &Obj<'py, AsCompleted>) -> PyResult<Bound<'py, PySet>> {
    Ok(all.todo.get_or_none(all.py()).cast_into()?)
}

/// `_handle_completion`.
fn completed(all: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(all) = Obj::<AsCompleted>::cast(all) else { return Ok(()) };
    let Some(todo) = all.todo.get(all.py()) else {
        // The timeout was no number, so `as_completed` raised and the program has no iterator.
        return Ok(());
    };
    let todo = todo.cast_into::<PySet>()?;
    if todo.is_empty() {
        // The timeout came first.
        return Ok(());
    }
    todo.discard(future)?;
    put(all, Some(Ref::new(future.clone())))?;
    if todo.is_empty()
        && let Some(alarm) = all.alarm.take()
    {
        alarms::cancel(&alarm.into_obj(all.py()))?;
    }
    Ok(())
}

/// `_handle_timeout`.
fn expire(all: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(all) = Obj::<AsCompleted>::cast(all) else { return Ok(()) };
    // Futures that are not native run Python code.
    current::flush_leave_running(all.py())?;
    all.alarm.clear();
    let todo = todo(all)?;
    for future in todo.try_iter()? {
        forget(&future?, &COMPLETION, all.as_any())?;
        put(all, None)?;
    }
    todo.clear();
    Ok(())
}

/// `Queue.put_nowait`.
fn put(all: &Obj<'_, AsCompleted>, who: Option<Ref>) -> PyResult<()> {
    errors::room(all.done.with(|done| done.make_room(1)))?;
    all.done.with(|done| done.push_back(who));
    wake_next(all)
}

/// Completes the first waiter that is not done.
fn wake_next(all: &Obj<'_, AsCompleted>) -> PyResult<()> {
    let py = all.py();
    while let Some(waiter) = all.waiters.with(WaitQueue::pop) {
        let waiter = waiter.into_any(py);
        if !future_like::is_done(&waiter)? {
            return release(&waiter);
        }
    }
    Ok(())
}

/// The coroutine that gives the next one: its result, or with `itself` the future. It keeps the number of its
/// place in the queue, and the future it awaits in its first slot; `itself` in the second, the iterator in
/// the third.
fn wait_for_one<'py>(
    iterator: &Obj<'py, AsCompletedIterator>,
    all: &Obj<'py, AsCompleted>,
    itself: bool,
) -> Output<'py> {
    let start = if itself { begin_next } else { next_done };
    let name = if itself { "_AsCompletedIterator.__anext__" } else { WAIT_FOR_ONE };
    let routine = Routine::begin(all.as_any(), name, start)?;
    if itself {
        routine.second.put(boolean(all.py(), true));
    }
    routine.third.put(iterator.as_any().clone());
    Ok(routine.into_any())
}

/// `__anext__`.
fn begin_next<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let all = routine.owner::<AsCompleted>(routine.py())?;
    if !count_down(&all) {
        return Err(PyStopAsyncIteration::new_err(()));
    }
    next_done(routine)
}

/// Whether there is another one to hand out.
fn count_down(all: &AsCompleted) -> bool {
    let left = all.left.get();
    all.left.set(left.saturating_sub(1));
    left > 0
}

/// Takes the next future that is done, or waits for one.
fn next_done<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let all = routine.owner::<AsCompleted>(py)?;
    match all.done.with(VecDeque::pop_front) {
        None => {
            let waiter = all.bound.waiter(all.as_any())?;
            let kept = Ref::new(waiter.clone());
            let ticket = all.waiters.with(|waiters| waiters.make_room().then(|| waiters.push(kept)));
            routine.number.set(ticket.ok_or_else(errors::no_memory)?.number());
            routine.first.put(waiter.clone());
            Ok(Step::Await(waiter, woken))
        }
        Some(None) => Err(PyTimeoutError::new_err(())),
        Some(Some(future)) => {
            let future = future.into_any(py);
            let itself = !routine.second.is_empty();
            Ok(Step::Return(if itself { future } else { future_like::result(&future)? }))
        }
    }
}

/// A future is done, or the wait was cancelled: then the next waiter gets the future that this routine was
/// woken for.
fn woken<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let waiter = taken(py, &routine.first);
    let Err(error) = waited else { return next_done(routine) };
    let all = routine.owner::<AsCompleted>(py)?;
    future_like::cancel(&waiter)?;
    let left = all.waiters.with(|waiters| waiters.remove(Ticket::from_number(routine.number.get())));
    drop(left);
    if all.done.with(|done| !done.is_empty()) && !future_like::is_cancelled(&waiter)? {
        wake_next(&all)?;
    }
    all.left.set(all.left.get() + 1);
    Err(error)
}

fn queue<'py>(iterator: &Obj<'py, AsCompletedIterator>) -> PyResult<Obj<'py, AsCompleted>> {
    iterator.all.obj(iterator.py()).ok_or_else(|| PyRuntimeError::new_err("the iterator was finalized"))
}

impl Class for AsCompletedIterator {
    const NAME: &'static CStr = c"yibu._AsCompletedIterator";
    type Header = Combinable;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &AS_COMPLETED_ITERATOR;

    #[cfg(Py_3_13)]
    fn stock(py: Python<'_>) -> PyResult<Option<&Bound<'_, pyo3::types::PyType>>> {
        stock::as_completed_iterator(py).map(Some)
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Awaitables in the order in which they finish.");
        t.iter(|iterator| Ok(iterator.as_any().clone()));
        t.next(|iterator| {
            let all = queue(iterator)?;
            if !all.given.is_empty() {
                begin(&all)?;
            }
            if !count_down(&all) {
                return Ok(None);
            }
            wait_for_one(iterator, &all, false).map(Some)
        });
        #[cfg(Py_3_13)]
        {
            t.aiter(|iterator| Ok(iterator.as_any().clone()));
            t.anext(|iterator| wait_for_one(iterator, &queue(iterator)?, true));
        }
        t.finalize(abandon);
    }

    references! { all }

    fn wants_finalizer(&self) -> bool {
        !self.all.is_empty()
    }
}

impl Class for AsCompleted {
    const NAME: &'static CStr = c"yibu._AsCompletedQueue";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &AS_COMPLETED_STATE;

    fn table(_: &mut Table<Self>) {}

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.given, &self.timeout, &self.todo, &self.bound.event_loop, &self.task] {
            slot.traverse(visitor);
        }
        self.alarm.traverse(visitor);
        self.done.try_with(|done| done.iter().flatten().for_each(|future| visitor.visit(future.as_ptr())));
        self.waiters.try_with(|waiters| waiters.iter().for_each(|waiter| visitor.visit(waiter.as_ptr())));
    }

    fn clear(&self) {
        for slot in [&self.given, &self.timeout, &self.todo, &self.bound.event_loop, &self.task] {
            slot.clear();
        }
        self.alarm.clear();
        drop(self.done.with(std::mem::take));
        drop(self.waiters.with(WaitQueue::take));
    }
}
