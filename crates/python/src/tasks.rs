//! `Task`: a coroutine that the loop drives. `asyncio.tasks.Task`, native.
//!
//! A task is stepped by the loop's turn (`stepping`); between native objects no callable, Handle or attribute
//! lookup is involved. On foreign loops it hands out callables ([`TaskCallback`]) for their `call_soon`.

mod arguments;
mod awaited;
pub mod births;
mod callback;
pub mod creating;
mod delays;
pub mod described;
mod docs;
mod eager;
pub mod ensure;
#[cfg(not(Py_3_14))]
mod introspection;
pub mod numbering;
pub mod observed;
mod state;
mod stepping;
pub mod threadsafe;
pub mod traced;

use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::attributes::flags;
use crate::core::{EventLoop, Overrides, current};
use crate::coroutines::is_coroutine;
use crate::ffi::class::DictAndWeak;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Signature, Table, make, references, stands_for,
};
use crate::ffi::{boolean, call, context, depth};
use crate::functions;
use crate::futures::{self, Future, State, future_like};
use crate::{names, stock};

use arguments::{Given, SIGNATURE};
pub use awaited::Awaited;
pub use callback::{TaskCallback, task_of};
#[cfg(Py_3_14)]
pub use creating::create_task_on;
#[cfg(not(Py_3_14))]
pub use creating::set_task_name;
pub use creating::{CREATE_TASK, create_task, spawn_on, spawner};
pub use delays::{Delay, yield_once};
#[cfg(Py_3_14)]
pub use described::all_tasks;
pub use eager::makes_eager_tasks;
#[cfg(not(Py_3_14))]
pub use introspection::all_tasks;
pub use state::Task;
use state::{TASKS, name};
use stepping::{schedule_step, step};

static TASK: ClassState = ClassState::new();

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

/// Whether an object is a task of the standard library's class or of the native one, which are not related by
/// inheritance.
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

/// The part of `__init__` behind the Future's: checks the coroutine, names the task and schedules its first
/// step.
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
    if native.is_some_and(|native| native.has_observer()) {
        observed::begin(task);
    }
    own.context.put(context);
    own.coroutine.put(coroutine);
    own.waiter.clear();
    own.must_cancel.set(false);
    own.cancel_requests.set(0);
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
    // In this order: a task that nobody runs would be waited for at the end of `run`.
    schedule_step(task, None)?;
    own.registration.enter(&TASKS, task)
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
    let native = Obj::<EventLoop>::cast(event_loop);
    if native.is_some_and(|native| !native.runs_here()) {
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
    if let Some(tallies) = native.and_then(|native| native.marks.tallies()) {
        tallies.count_eager_step();
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

/// The task whose methods nobody has replaced, neither in a subclass nor on the object itself.
#[inline]
pub fn plain<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Task>> {
    Obj::<Task>::cast_exact(object).filter(|task| task.attribute_count() == 0)
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

/// `_take_cancellation(task)`: takes a cancellation that waits for the task's next await; whether there was
/// one. Called by `python/yibu/nesting.py`, which passes it on to what the task waits for instead.
fn take_cancellation<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [task] = args.parse(&TAKE_CANCELLATION)?;
    let taken = Obj::<Task>::cast(&task).is_some_and(|task| task.own.must_cancel.replace(false));
    Ok(boolean(args.py(), taken))
}

/// `task._log_destroy_pending = False`, for a task of whatever kind: no report if it dies while it is
/// pending.
pub fn expect_destruction(task: &Bound<'_, PyAny>) -> PyResult<()> {
    match Obj::<Task>::cast_exact(task) {
        Some(native) => {
            native.own.log_destroy_pending.set(false);
            Ok(())
        }
        None => task.setattr(names::_log_destroy_pending(task.py()), false),
    }
}

/// The finalizer: reports a task that is freed while it is pending.
fn report_destroyed(task: &Obj<'_, Task>) -> PyResult<()> {
    let py = task.py();
    // The exception handler may keep the task alive; `all_tasks()` does not return it any more.
    task.own.registration.leave();
    if is_pending(task) {
        observed::vanish(task);
    }
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
    is_pending(task) && task.own.log_destroy_pending.get()
}

fn is_pending(task: &Task) -> bool {
    task.base.state() == State::Pending && task.base.is_alive()
}

impl Class for Task {
    const NAME: &'static CStr = c"yibu.Task";
    type Header = DictAndWeak;
    const FREELIST: usize = 1024;
    const IMMUTABLE: bool = true;

    stands_for! { TASK, stock::task }

    fn table(t: &mut Table<Self>) {
        t.doc(DOC);
        t.init(|task, args, kwargs| {
            let given = Given::of(Args::parse_tuple(&SIGNATURE, args, kwargs)?)?;
            task.own.registration.leave();
            init(task, given, futures::init)
        });
        t.construct(|args| {
            let given = Given::of_call(&args)?;
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
        t.answer(c"cancelling", cancelling, docs::CANCELLING);
        t.answer(c"uncancel", uncancel, docs::UNCANCEL);
        t.noargs(c"get_name", |task| Ok(name(task)), "The task's name.");
        t.action_on(
            c"set_name",
            "value",
            |task, value| {
                task.own.name.put(value.str()?);
                Ok(())
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
        t.value(c"_must_cancel", |task| task.own.must_cancel.get());
        flags! { t: c"_log_destroy_pending" => own.log_destroy_pending }
        t.finalize(report_destroyed);
    }

    references! { base, own.coroutine, own.context, own.name, own.waiter }

    fn wants_finalizer(&self) -> bool {
        (is_pending(self) && (self.own.log_destroy_pending.get() || self.own.born.get() != 0))
            || self.base.has_unretrieved_exception()
    }
}
