//! `Task`: a coroutine that the loop drives. `asyncio.tasks.Task`, native.
//!
//! A task is stepped by the loop's turn ([`run_step`], [`run_wakeup`]); between native objects no callable, Handle or
//! attribute lookup is involved. On foreign loops it hands out callables ([`TaskCallback`]) for their `call_soon`. Calls the coroutine.

mod arguments;
mod awaited;
pub mod births;
mod callback;
pub mod creating;
pub mod described;
mod docs;
mod eager;
pub mod ensure;
#[cfg(not(Py_3_14))]
mod introspection;
mod numbering;
pub mod observed;
mod pause;
pub mod threadsafe;
pub mod traced;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PySystemExit, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyModule, PyType};

use crate::attributes::flags;
use crate::core::observation::{Ending, Place};
use crate::core::{Callable, EntryKind, Runnable, current, named, no_callable, typed};
use crate::core::{Entry, EventLoop, Overrides};
use crate::coroutines::is_coroutine;
use crate::events::{self, Handle};
use crate::ffi::class::DictAndWeak;
use crate::ffi::send::{Sent, send, throw};
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Ref, Signature, Slot, Table, WeakSet, WeakSetEntry,
    derived, make, references,
};
use crate::ffi::{boolean, call, context, depth, none};
use crate::functions;
use crate::futures::{self, Callback, Future, Outcome, State, future_like};
use crate::{errors, names, stock};

use arguments::{Given, SIGNATURE};
pub use awaited::Awaited;
use callback::Kind;
pub use callback::{TaskCallback, is_wakeup_of, task_of, wakeup_callable};
#[cfg(Py_3_14)]
pub use creating::create_task_on;
pub use creating::{CREATE_TASK, create_task, spawn_on};
#[cfg(not(Py_3_14))]
pub use creating::{set_task_name, spawner};
#[cfg(Py_3_14)]
pub use described::all_tasks;
pub use eager::makes_eager_tasks;
#[cfg(not(Py_3_14))]
pub use introspection::all_tasks;
pub use pause::{Delay, yield_once};

/// What a Task adds to a Future.
#[derive(Default)]
pub struct TaskState {
    pub(crate) coroutine: Slot,
    pub(crate) context: Slot,
    /// The name; while it is empty, the name is `Task-` and `number`.
    name: Slot,
    number: Cell<u64>,
    /// What the coroutine waits for.
    waiter: Slot,
    must_cancel: Cell<bool>,
    log_destroy_pending: Cell<bool>,
    cancel_requests: Cell<u32>,
    /// See [`births`]; 0 where it was not noted.
    created: Cell<u64>,
    registration: WeakSetEntry,
    /// What an observation of its loop has noted; see [`observed`]. Fields of their own because they fit in between the others.
    place: Cell<Place>,
    polls: Cell<u16>,
    micros: Cell<u32>,
    /// The number that the task has in the trace that is recorded; of an older trace, if it is not larger than that trace's first.
    traced: Cell<u32>,
}

derived! {
    /// The data of a `Task`.
    pub struct Task { base: Future, own: TaskState }
}

static TASK: ClassState = ClassState::new();
static TASKS: WeakSet<Task> = WeakSet::new();

#[cfg(not(Py_3_12))]
const DOC: &CStr =
    c"Task(coro, *, loop=None, name=None, context=None)\n--\n\nA coroutine driven by an event loop.";
#[cfg(Py_3_12)]
const DOC: &CStr = c"Task(coro, *, loop=None, name=None, context=None, eager_start=False)\n--\n\nA coroutine driven by an event loop.";
const CANCEL: Signature<1> = Signature::new_native("cancel", "msg=None");
const TAKE_CANCELLATION: Signature<1> = Signature::new("_take_cancellation", "task");
const GET_STACK: Signature<1> = Signature::new_native("get_stack", "*, limit=None");
const PRINT_STACK: Signature<2> = Signature::new_native("print_stack", "*, limit=None, file=None");

/// Adds the functions around tasks that this version of asyncio has in Python.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    if cfg!(Py_3_12) {
        eager::register(module)?;
    }
    #[cfg(not(Py_3_14))]
    introspection::register(module)?;
    future_like::register_cancel(|task, message| Some(cancel(Obj::<Task>::cast_exact(task)?, message)))?;
    let doc = "Takes a cancellation that waits for the next await of a native task; whether there was one.";
    functions::add(module, &TAKE_CANCELLATION, take_cancellation, doc)
}

/// Whether an object is a task of the standard library's class or of the native one, which are not related by inheritance.
pub fn is_asyncio_task(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(Obj::<Task>::cast(object).is_some() || object.is_instance(stock::task(object.py())?)?)
}

/// TypeError unless the object is a coroutine.
#[inline]
fn ensure_coroutine(coroutine: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_coroutine(coroutine)? {
        return Ok(());
    }
    Err(PyTypeError::new_err(text!("a coroutine was expected, got {}", coroutine.repr()?)?))
}

/// The arguments of `create_task`.
#[derive(Default)]
pub struct Options<'py> {
    /// The name, any object.
    pub name: Option<Bound<'py, PyAny>>,
    /// The context to run in; a copy of the current one when absent.
    pub context: Option<Bound<'py, PyAny>>,
    /// Start at once instead of at the next turn.
    pub eager_start: bool,
}

/// `Task(coroutine, loop=event_loop, ...)` on a native loop.
#[inline]
pub fn spawn<'py>(
    event_loop: &Obj<'py, EventLoop>,
    coroutine: Bound<'py, PyAny>,
    options: Options<'py>,
) -> PyResult<Obj<'py, Task>> {
    let py = event_loop.py();
    let task = Task::create(py)?;
    task.base.event_loop.put(event_loop.as_any().clone());
    if event_loop.says_it_debugs()? {
        futures::remember_source(task.upcast())?;
    }
    begin(&task, event_loop.as_any(), coroutine, options)?;
    Ok(task)
}

/// The part of `__init__` behind the Future's: checks the coroutine, names the task and schedules its first step.
fn begin<'py>(
    task: &Obj<'py, Task>,
    event_loop: &Bound<'py, PyAny>,
    coroutine: Bound<'py, PyAny>,
    options: Options<'py>,
) -> PyResult<()> {
    let py = task.py();
    let own = &task.own;
    own.log_destroy_pending.set(false);
    ensure_coroutine(&coroutine)?;
    let has_own_context = options.context.is_none();
    let context = match options.context {
        Some(context) if cfg!(Py_3_15) && !context::is_context(&context) => {
            let class = context.get_type().name()?;
            return Err(PyTypeError::new_err(format!("a contextvars.Context was expected, got {class}")));
        }
        Some(context) => context,
        None => context::copy_current(py)?,
    };
    let native = EventLoop::count_task(event_loop);
    own.log_destroy_pending.set(true);
    own.context.put(context);
    own.coroutine.put(coroutine);
    own.waiter.clear();
    own.must_cancel.set(false);
    own.cancel_requests.set(0);
    if let Some(native) = native.filter(|native| native.is_observed()) {
        observed::begin(native, task);
    }
    match options.name {
        None => {
            own.number.set(numbering::next());
            own.name.clear();
        }
        Some(name) => own.name.put(name.str()?),
    }
    births::note(task.as_any(), &own.created, &own.context, has_own_context);
    if options.eager_start && is_running(event_loop)? {
        return start_eagerly(task, event_loop);
    }
    own.registration.enter(&TASKS, task)?;
    schedule_step(task, None)
}

/// `Task.__init__`, where `init_future` is that of a future.
#[inline]
fn init<'py>(
    task: &Obj<'py, Task>,
    given: Given<'py>,
    init_future: impl FnOnce(&Obj<'py, Future>, Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let Given { coroutine, event_loop, name, context, eager_start } = given;
    init_future(task.upcast(), event_loop)?;
    let event_loop = task.base.event_loop.get_or_none(task.py());
    begin(task, &event_loop, coroutine, Options { name, context, eager_start })
}

fn is_running(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    match EventLoop::plain(event_loop) {
        Some(native) => Ok(native.is_running()),
        None => event_loop.call_method0(names::is_running(event_loop.py()))?.is_truthy(),
    }
}

/// Runs the first step now, inside the caller's step (3.12).
fn start_eagerly<'py>(task: &Obj<'py, Task>, event_loop: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = task.py();
    if Obj::<EventLoop>::cast(event_loop).is_some_and(|native| !native.runs_here()) {
        // The task would replace the current task of the thread that runs the loop.
        task.own.log_destroy_pending.set(false);
        return Err(PyRuntimeError::new_err(text!("loop {} is not the running loop", event_loop.repr()?)?));
    }
    let context = task.own.context.get_or_none(py);
    let entered = task.own.registration.enter(&TASKS, task);
    let previous = entered.and_then(|()| current::swap(event_loop, task.as_any())).inspect_err(|_| {
        task.own.log_destroy_pending.set(false);
        task.own.registration.leave();
    })?;
    if task.own.place.get() != 0 {
        observed::count_eager_step(event_loop);
    }
    let stepped = context::run(&context, |_| step(task, None));
    let restored = current::swap(event_loop, &previous);
    if task.base.state() != State::Pending {
        task.own.registration.leave();
        task.own.coroutine.clear();
    }
    stepped?;
    restored.map(drop)
}

/// Schedules the next step, which throws `error` into the coroutine if there is one.
fn schedule_step(task: &Obj<'_, Task>, error: Option<Raised<'_>>) -> PyResult<()> {
    let py = task.py();
    let Some(event_loop) = task.base.event_loop.get(py) else { return task.base.ensure_alive() };
    let error = error.map(|error| Ref::new(error.into_any()));
    if let Some(native) = EventLoop::direct(&event_loop) {
        native.check_open()?;
        return native.push_made(|| {
            let object = Ref::new(task.as_any().clone());
            Entry::Run(Runnable { kind: &STEP, object, first: error, second: None })
        });
    }
    let step = TaskCallback::new(task, Kind::Step, error)?;
    let context = task.own.context.get_or_none(py);
    call::method_with_keyword(
        names::call_soon(py),
        [&event_loop, &step, &context],
        names::context_keyword(py),
    )?;
    Ok(())
}

/// A step of a task as a callable, and the context to call it in.
fn step_callable<'py>(
    task: &Obj<'py, Task>,
    error: Option<Ref>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    Ok((TaskCallback::new(task, Kind::Step, error)?, task.own.context.get_or_none(task.py())))
}

/// The first step of a task, or the one after a bare yield, or one that throws the exception that comes with it.
static STEP: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        let py = event_loop.py();
        let Runnable { object, first: error, .. } = runnable;
        let error = match error {
            Some(error) => Some(Raised(error.into_any(py).cast_into()?)),
            None => None,
        };
        run_step(event_loop, &typed(object, py)?, error)
    },
    subject: named,
    callable: Some(|runnable, py| {
        let (callback, context) = step_callable(&typed(runnable.object, py)?, runnable.first)?;
        Ok(Callable::Call { callback, argument: None, context: Some(context) })
    }),
    stands_for: no_callable,
};

/// The future that a task awaits is done: it comes with the task.
static WAKEUP: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        let py = event_loop.py();
        let Runnable { object, first: future, .. } = runnable;
        let future = future.ok_or_else(|| PyRuntimeError::new_err("a wake-up without its future"))?;
        run_wakeup(event_loop, &typed(object, py)?, &typed(future, py)?)
    },
    subject: named,
    callable: Some(|runnable, py| {
        let task = typed(runnable.object, py)?;
        let (_, context) = step_callable(&task, None)?;
        let argument = runnable.first.map(|future| future.into_any(py));
        Ok(Callable::Call { callback: wakeup_callable(&task)?, argument, context: Some(context) })
    }),
    stands_for: |function, task| {
        let is_it = typed(task.copy(function.py()), function.py());
        is_it.is_ok_and(|task: Obj<'_, Task>| is_wakeup_of(function, &task))
    },
};

/// Runs a scheduled step: in the task's context, as the current task of its loop.
#[inline]
fn run_step(
    event_loop: &Obj<'_, EventLoop>,
    task: &Obj<'_, Task>,
    error: Option<Raised<'_>>,
) -> PyResult<()> {
    let py = task.py();
    let context = task.own.context.get_or_none(py);
    let stepped = context::run(&context, |_| {
        current::enter(event_loop, task.as_any())?;
        let stepped = step(task, error);
        current::leave(event_loop);
        stepped
    });
    match stepped {
        Ok(()) => Ok(()),
        Err(raised) => report(event_loop, task, Kind::Step, None, raised),
    }
}

/// Runs the wake-up of a task whose future is done.
#[inline]
fn run_wakeup(
    event_loop: &Obj<'_, EventLoop>,
    task: &Obj<'_, Task>,
    future: &Obj<'_, Future>,
) -> PyResult<()> {
    let py = task.py();
    let context = task.own.context.get_or_none(py);
    let stepped = context::run(&context, |_| {
        let error = match futures::take_outcome(future)? {
            Some(Outcome::Raised(error)) => Some(error),
            Some(Outcome::Value(_)) | None => None,
        };
        current::enter(event_loop, task.as_any())?;
        let stepped = step(task, error);
        current::leave(event_loop);
        stepped
    });
    match stepped {
        Ok(()) => Ok(()),
        Err(raised) => report(event_loop, task, Kind::Wakeup, Some(future), raised),
    }
}

/// Treats an exception of a step as `Handle._run` does.
#[cold]
fn report(
    event_loop: &Obj<'_, EventLoop>,
    task: &Obj<'_, Task>,
    kind: Kind,
    future: Option<&Obj<'_, Future>>,
    error: PyErr,
) -> PyResult<()> {
    let callback = TaskCallback::new(task, kind, None)?;
    let arg = future.map(|f| f.as_any().clone());
    let context = task.own.context.get(task.py());
    events::report(&Handle::with_arg(event_loop.as_any(), callback, arg, context)?, error)
}

/// `Task.__step`: sends None or throws into the coroutine, then handles its result, its exception or the object that it yields.
#[inline]
fn step<'py>(task: &Obj<'py, Task>, error: Option<Raised<'py>>) -> PyResult<()> {
    let py = task.py();
    let own = &task.own;
    if task.base.state() != State::Pending {
        return Err(already_done(task, error));
    }
    observed::count_poll(task);
    let error = if own.must_cancel.replace(false) { Some(cancellation(task, error)?) } else { error };
    own.waiter.clear();
    let Some(coroutine) = own.coroutine.get(py) else {
        return Err(PyRuntimeError::new_err("uninitialized Task object"));
    };
    let sent = match error {
        None => send(&coroutine, &none(py)),
        Some(error) => throw(&coroutine, names::throw(py), error.into_err()),
    };
    match sent {
        Sent::Yielded(object) => wait_for(task, object),
        Sent::Returned(value) => {
            own.registration.leave();
            if own.must_cancel.replace(false) {
                // Cancelled just before it ended.
                observed::end(task, Ending::Cancelled);
                let message = task.base.message(py);
                futures::cancel(task.upcast(), message).map(drop)
            } else {
                observed::end(task, Ending::Finished);
                futures::set_result(task.upcast(), value)
            }
        }
        Sent::Raised(error) => die(task, Raised::from_err(py, error)),
    }
}

#[cold]
fn already_done(task: &Obj<'_, Task>, error: Option<Raised<'_>>) -> PyErr {
    let text = || -> PyResult<String> {
        let error = match &error {
            Some(error) => text!("{}", error.as_any().repr()?)?,
            None => "None".to_owned(),
        };
        Ok(text!("__step(): already done: {} {error}", task.as_any().repr()?)?)
    };
    match (text(), stock::invalid_state_error(task.py())) {
        (Ok(text), Ok(class)) => errors::raise(class, text),
        (Err(error), _) | (_, Err(error)) => error,
    }
}

/// The CancelledError to throw: the one at hand, or a new one.
fn cancellation<'py>(task: &Obj<'py, Task>, error: Option<Raised<'py>>) -> PyResult<Raised<'py>> {
    match error {
        Some(error) if error.is_instance_of(stock::cancelled_error(task.py())?) => Ok(error),
        _ => futures::make_cancelled_error(task.upcast()),
    }
}

/// The coroutine raised.
#[cold]
fn die(task: &Obj<'_, Task>, error: Raised<'_>) -> PyResult<()> {
    let py = task.py();
    task.own.registration.leave();
    if error.is_instance_of(stock::cancelled_error(py)?) {
        observed::end(task, Ending::Cancelled);
        task.base.keep_cancelled_error(error.into_any());
        return futures::cancel(task.upcast(), none(py)).map(drop);
    }
    observed::end(task, Ending::Failed);
    futures::set_exception(task.upcast(), error.as_any())?;
    if error.is::<PyKeyboardInterrupt>() || error.is::<PySystemExit>() {
        return Err(error.into_err());
    }
    Ok(())
}

/// The coroutine yielded `object` and waits.
#[inline]
fn wait_for<'py>(task: &Obj<'py, Task>, object: Bound<'py, PyAny>) -> PyResult<()> {
    if let Some(future) = futures::exact(&object)
        && !object.is(task.as_any())
    {
        if future.event_loop.as_ptr() != task.base.event_loop.as_ptr() {
            return different_loop(task, &object);
        }
        if !future.blocking.replace(false) {
            return yield_instead(task, &object);
        }
        futures::add_callback(
            future,
            Callback::Entry { kind: &WAKEUP, object: Ref::new(task.as_any().clone()) },
        )?;
        task.own.waiter.put(object.clone());
        return cancel_waiter_if_asked(task, &object);
    }
    if object.is_none() {
        // A bare yield waits one turn.
        return schedule_step(task, None);
    }
    wait_for_foreign(task, object)
}

/// Handles the other objects that a coroutine may yield: futures that are not native, and objects that no task can await.
#[cold]
fn wait_for_foreign<'py>(task: &Obj<'py, Task>, object: Bound<'py, PyAny>) -> PyResult<()> {
    let py = task.py();
    if object.is(task.as_any()) {
        return fail_soon(task, text!("Task cannot await on itself: {}", task.as_any().repr()?)?);
    }
    let blocking = object.getattr_opt(names::_asyncio_future_blocking(py))?.filter(|b| !b.is_none());
    if let Some(blocking) = blocking {
        let blocking = blocking.is_truthy()?;
        if future_like::loop_of(&object)?.as_ptr() != task.base.event_loop.as_ptr() {
            return different_loop(task, &object);
        }
        if !blocking {
            return yield_instead(task, &object);
        }
        object.setattr(names::_asyncio_future_blocking(py), false)?;
        let wakeup = wakeup_callable(task)?;
        let context = task.own.context.get_or_none(py);
        call::method_with_keyword(
            names::add_done_callback(py),
            [&object, &wakeup, &context],
            names::context_keyword(py),
        )?;
        task.own.waiter.put(object.clone());
        return cancel_waiter_if_asked(task, &object);
    }
    if object.is_instance(stock::generator(py)?)? {
        return fail_soon(
            task,
            text!(
                "yield was used instead of yield from for generator in task {} with {}",
                task.as_any().repr()?,
                object.repr()?
            )?,
        );
    }
    fail_soon(task, text!("Task got bad yield: {}", object.repr()?)?)
}

#[cold]
fn different_loop(task: &Obj<'_, Task>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    fail_soon(
        task,
        text!("Task {} got Future {} attached to a different loop", task.as_any().repr()?, future.repr()?)?,
    )
}

#[cold]
fn yield_instead(task: &Obj<'_, Task>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    fail_soon(
        task,
        text!(
            "yield was used instead of yield from in task {} with {}",
            task.as_any().repr()?,
            future.repr()?
        )?,
    )
}

/// Throws a RuntimeError into the coroutine at the next step.
#[cold]
fn fail_soon(task: &Obj<'_, Task>, text: String) -> PyResult<()> {
    let py = task.py();
    schedule_step(task, Some(Raised::from_err(py, PyRuntimeError::new_err(text))))
}

/// The task was cancelled while it ran: cancels the future that it awaits now.
#[inline]
fn cancel_waiter_if_asked(task: &Obj<'_, Task>, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if task.own.must_cancel.get() && future_like::cancel_with(waiter, &task.base.message(task.py()))? {
        task.own.must_cancel.set(false);
    }
    Ok(())
}

/// `Task.cancel`.
pub fn cancel<'py>(task: &Obj<'py, Task>, message: &Bound<'py, PyAny>) -> PyResult<bool> {
    let own = &task.own;
    task.base.mark_retrieved();
    if task.base.state() != State::Pending {
        return Ok(false);
    }
    own.cancel_requests.set(own.cancel_requests.get().saturating_add(1));
    depth::enter()?;
    if let Some(waiter) = own.waiter.get(task.py())
        && future_like::cancel_with(&waiter, message)?
    {
        // The task stays as it is: it may refuse the cancellation, as coroutines may.
        return Ok(true);
    }
    own.must_cancel.set(true);
    task.base.set_message(message.clone());
    Ok(true)
}

/// `Task.cancelling`: the number of cancellation requests that `uncancel` has not taken back.
#[inline]
pub fn cancelling(task: &Obj<'_, Task>) -> usize {
    task.own.cancel_requests.get() as usize
}

/// `Task.uncancel`: takes one cancellation request back and returns the number of those left.
pub fn uncancel(task: &Obj<'_, Task>) -> usize {
    let left = task.own.cancel_requests.get().saturating_sub(1);
    task.own.cancel_requests.set(left);
    if left == 0 {
        task.own.must_cancel.set(false);
    }
    left as usize
}

/// `_take_cancellation(task)`: takes a cancellation that waits for the task's next await; whether there was one. Called by
/// `python/yibu/nesting.py`, which passes it on to what the task waits for instead.
fn take_cancellation<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [task] = args.parse(&TAKE_CANCELLATION)?;
    let taken = Obj::<Task>::cast(&task).is_some_and(|task| task.own.must_cancel.replace(false));
    Ok(boolean(args.py(), taken))
}

/// `task._log_destroy_pending = False`, for a task of whatever kind: no report if it dies while it is pending.
pub fn expect_destruction(task: &Bound<'_, PyAny>) -> PyResult<()> {
    match Obj::<Task>::cast_exact(task) {
        Some(native) => {
            native.own.log_destroy_pending.set(false);
            Ok(())
        }
        None => task.setattr(names::_log_destroy_pending(task.py()), false),
    }
}

fn name<'py>(task: &Obj<'py, Task>) -> Bound<'py, PyAny> {
    let py = task.py();
    task.own.name.get(py).unwrap_or_else(|| match task.own.number.get() {
        0 => none(py),
        number => {
            let name = pyo3::types::PyString::new(py, &format!("Task-{number}")).into_any();
            task.own.name.put(name.clone());
            name
        }
    })
}

/// The finalizer: reports a task that is freed while it is pending.
fn report_destroyed(task: &Obj<'_, Task>) -> PyResult<()> {
    let py = task.py();
    // The exception handler may keep the task alive; `all_tasks()` does not return it any more.
    task.own.registration.leave();
    if destroyed_pending(task) {
        let report = make::dict(py)?;
        report.set_item(names::message(py), "Task was destroyed but it is pending!")?;
        report.set_item(names::task(py), task.as_any())?;
        if let Some(source) = task.base.source(py)? {
            report.set_item(names::source_traceback(py), source)?;
        }
        if let Some(event_loop) = task.base.event_loop.get(py) {
            call::method(names::call_exception_handler(py), [&event_loop, report.as_any()])?;
        }
    }
    futures::report_unretrieved(task.upcast())
}

fn destroyed_pending(task: &Task) -> bool {
    task.base.state() == State::Pending && task.base.is_alive() && task.own.log_destroy_pending.get()
}

impl Class for Task {
    const NAME: &'static CStr = c"yibu.Task";
    type Header = DictAndWeak;
    const FREELIST: usize = 1024;
    const IMMUTABLE: bool = true;

    fn state() -> &'static ClassState {
        &TASK
    }

    fn stock(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        stock::task(py).map(Some)
    }

    fn table(t: &mut Table<Self>) {
        t.doc(DOC);
        t.init(|task, args, kwargs| {
            let given = Given::of(Args::parse_tuple(&SIGNATURE, args, kwargs)?)?;
            task.own.registration.leave();
            init(task, given, futures::init)
        });
        t.construct(|args| {
            let given = Given::of(args.parse(&SIGNATURE)?)?;
            let task = Self::create(args.py())?;
            init(&task, given, futures::init_new)?;
            Ok(task)
        });
        t.one(
            c"set_result",
            "result",
            |_, _| Err(PyRuntimeError::new_err("Task does not support set_result operation")),
            "Always raises RuntimeError: the coroutine sets the result.",
        );
        t.one(
            c"set_exception",
            "exception",
            |_, _| Err(PyRuntimeError::new_err("Task does not support set_exception operation")),
            "Always raises RuntimeError: the coroutine sets the exception.",
        );
        t.method(
            &CANCEL,
            |task, args| {
                task.base.ensure_alive()?;
                let [message] = args.parse(&CANCEL)?;
                Ok(boolean(task.py(), cancel(task, &message)?))
            },
            docs::CANCEL,
        );
        t.noargs(
            c"cancelling",
            |task| Ok(cancelling(task).into_pyobject(task.py())?.into_any()),
            docs::CANCELLING,
        );
        t.noargs(c"uncancel", |task| Ok(uncancel(task).into_pyobject(task.py())?.into_any()), docs::UNCANCEL);
        t.noargs(c"get_name", |task| Ok(name(task)), "The task's name.");
        t.one(
            c"set_name",
            "value",
            |task, value| {
                task.own.name.put(value.str()?);
                Ok(none(task.py()))
            },
            "Sets the task's name to str(value).",
        );
        t.noargs(
            c"get_coro",
            |task| Ok(task.own.coroutine.get_or_none(task.py())),
            "The coroutine; None after an eager task has finished.",
        );
        #[cfg(Py_3_12)]
        t.noargs(
            c"get_context",
            |task| Ok(task.own.context.get_or_none(task.py())),
            "The contextvars.Context the coroutine runs in.",
        );
        t.method(
            &GET_STACK,
            |task, args| {
                let [limit] = args.parse(&GET_STACK)?;
                stock::task_get_stack(task.py())?.call1((task.as_any(), limit))
            },
            docs::GET_STACK,
        );
        t.method(
            &PRINT_STACK,
            |task, args| {
                let [limit, file] = args.parse(&PRINT_STACK)?;
                stock::task_print_stack(task.py())?.call1((task.as_any(), limit, file))
            },
            docs::PRINT_STACK,
        );
        t.repr(|task| {
            task.base.ensure_alive()?;
            stock::task_repr(task.py())?.call1((task.as_any(),))
        });
        t.generic();
        t.getter(c"_coro", |task| Ok(task.own.coroutine.get_or_none(task.py())));
        t.getter(c"_fut_waiter", |task| Ok(task.own.waiter.get_or_none(task.py())));
        t.getter(c"_must_cancel", |task| Ok(boolean(task.py(), task.own.must_cancel.get())));
        flags! { t: c"_log_destroy_pending" => own.log_destroy_pending }
        t.finalize(report_destroyed);
    }

    references! { base, own.coroutine, own.context, own.name, own.waiter }

    fn wants_finalizer(&self) -> bool {
        destroyed_pending(self) || self.base.has_unretrieved_exception()
    }
}
