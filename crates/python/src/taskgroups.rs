//! `TaskGroup`: tasks that end together. `asyncio.taskgroups`, native.
//!
//! A group lists its tasks in a set and has one [`Reaction`] on each of them; the first that fails aborts the others and cancels
//! the task that entered the group, which collects the exceptions when it leaves. On groups of a subclass the methods that it
//! may override (`create_task`, `_on_task_done`, `_abort`, `_is_base_error`) are called by name, as asyncio does. Called by Python
//! code; calls the loop, the tasks and the parent task.

use std::cell::Cell;
use std::ffi::CStr;

#[cfg(Py_3_14)]
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::{
    PyBaseExceptionGroup, PyGeneratorExit, PyKeyboardInterrupt, PyRuntimeError, PySystemExit,
};
use pyo3::prelude::*;
use pyo3::types::{PyList, PySet, PyType};

use crate::attributes::{flags, objects};
use crate::callbacks::{Reaction, react};
use crate::copying::{self, Copied};
use crate::core::EventLoop;
use crate::core::current;
use crate::coroutines::{Routine, Step, taken};
use crate::errors;
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Raised, Signature, Slot, Table, Visitor, boolean, make, none,
};
use crate::functions::running_loop;
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::replaced::names::current_task;
use crate::replaced::names::running_loop::OF_TASKGROUPS;
#[cfg(not(Py_3_14))]
use crate::tasks;
#[cfg(not(Py_3_14))]
use crate::tasks::Options;
#[cfg(Py_3_14)]
use crate::tasks::create_task_on;
use crate::{names, stock};

/// The data of a `TaskGroup`.
#[derive(Default)]
pub struct TaskGroup {
    entered: Cell<bool>,
    exiting: Cell<bool>,
    aborting: Cell<bool>,
    /// Whether the group itself cancelled its parent task, which then owes it an `uncancel()`.
    parent_cancel_requested: Cell<bool>,
    #[cfg(Py_3_15)]
    cancel_on_enter: Cell<bool>,
    event_loop: Slot,
    parent_task: Slot,
    /// The set of the tasks that are not done.
    tasks: Slot,
    /// The list of their exceptions, or None.
    errors: Slot,
    /// The first KeyboardInterrupt or SystemExit, which goes before all others.
    base_error: Slot,
    /// What `__aexit__` waits for.
    on_completed: Slot,
}

static TASK_GROUP: ClassState = ClassState::new();

const INIT: Signature<0> = Signature::new_method("TaskGroup.__init__", "");
const AEXIT: Signature<3> = Signature::new_method("TaskGroup.__aexit__", "et, exc, tb");
#[cfg(Py_3_14)]
const CREATE_TASK: Signature<1> = Signature::new("TaskGroup.create_task", "coro, **kwargs");
#[cfg(not(Py_3_14))]
const CREATE_TASK: Signature<3> =
    Signature::new_method("TaskGroup.create_task", "coro, *, name=None, context=None");

static TASK_DONE: Reaction = Reaction {
    name: "TaskGroup._on_task_done",
    run: |group, task| match Obj::<TaskGroup>::cast(group) {
        Some(group) => task_done(group, task),
        None => Ok(()),
    },
    waiter: |group| Obj::<TaskGroup>::cast(group)?.parent_task.get(group.py()),
    standard: None,
};

/// Builds the class.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::classes::add::<TaskGroup>(module).map(drop)
}

impl TaskGroup {
    /// `_tasks`.
    fn tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        Ok(self.tasks.get_or_none(py).cast_into()?)
    }

    /// Whether any task is not done.
    fn has_tasks(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!self.tasks(py)?.is_empty())
    }

    /// `_errors`, unless it is None or empty.
    fn errors<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyList>> {
        let errors = self.errors.get(py)?.cast_into::<PyList>().ok()?;
        (!errors.is_empty()).then_some(errors)
    }

    fn each_slot(&self, mut f: impl FnMut(&Slot)) {
        for slot in [
            &self.event_loop,
            &self.parent_task,
            &self.tasks,
            &self.errors,
            &self.base_error,
            &self.on_completed,
        ] {
            f(slot);
        }
    }
}

/// `TaskGroup.__init__`.
fn init(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    let py = group.py();
    for flag in [&group.entered, &group.exiting, &group.aborting, &group.parent_cancel_requested] {
        flag.set(false);
    }
    for slot in [&group.event_loop, &group.parent_task, &group.base_error, &group.on_completed] {
        slot.clear();
    }
    group.tasks.put(PySet::empty(py)?);
    group.errors.put(PyList::empty(py));
    Ok(())
}

/// `TaskGroup.__repr__`.
fn repr<'py>(group: &Obj<'py, TaskGroup>) -> Output<'py> {
    let py = group.py();
    let mut text = String::from("<TaskGroup");
    let tasks = group.tasks(py)?.len();
    if tasks > 0 {
        text += &format!(" tasks={tasks}");
    }
    if let Some(errors) = group.errors(py) {
        text += &format!(" errors={}", errors.len());
    }
    if group.aborting.get() {
        text += " cancelling";
    } else if group.entered.get() {
        text += " entered";
    }
    Ok(make::text(py, &(text + ">"))?.into_any())
}

/// A RuntimeError about the group.
#[cold]
fn refusal(group: &Obj<'_, TaskGroup>, why: &str) -> PyErr {
    match group.as_any().repr() {
        Ok(repr) => PyRuntimeError::new_err(format!("TaskGroup {repr} {why}")),
        Err(error) => error,
    }
}

/// `TaskGroup.__aenter__`.
fn enter<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let group = routine.owner::<TaskGroup>(py)?;
    if group.entered.get() {
        return Err(refusal(&group, "has already been entered"));
    }
    if group.event_loop.is_empty() {
        group.event_loop.put(running_loop(py, &OF_TASKGROUPS)?);
    }
    let event_loop = group.event_loop.get_or_none(py);
    let task = match current_task::OF_TASKGROUPS.replacement(py)? {
        Some(current_task) => Some(current_task.call1((event_loop,))?).filter(|task| !task.is_none()),
        None => current::running_task(&event_loop)?,
    };
    match task {
        Some(task) => group.parent_task.put(task),
        None => return Err(refusal(&group, "cannot determine the parent task")),
    }
    group.entered.set(true);
    #[cfg(Py_3_15)]
    if group.cancel_on_enter.get() {
        group.as_any().call_method0(names::cancel(py))?;
    }
    Ok(Step::Return(group.into_any()))
}

/// Whether the exception that ended the body is a cancellation.
fn is_cancellation(class: &Bound<'_, PyAny>) -> PyResult<bool> {
    class.cast::<PyType>()?.is_subclass(stock::cancelled_error(class.py())?)
}

/// Takes back the cancellation of the parent task, if the group asked for it. Whether others asked too, None if it did not.
fn uncancel_parent(group: &Obj<'_, TaskGroup>) -> PyResult<Option<bool>> {
    if !group.parent_cancel_requested.get() {
        return Ok(None);
    }
    let parent = group.parent_task.get_or_none(group.py());
    Ok(Some(parent.call_method0(name!("uncancel"))?.is_truthy()?))
}

/// What `__aexit__` has to know of the exception's class later, in the routine's number.
mod body {
    /// The body raised.
    pub const RAISED: u64 = 1;
    /// It was cancelled.
    pub const CANCELLED: u64 = 2;
    /// Its generator was closed.
    pub const CLOSED: u64 = 4;
}

/// `TaskGroup.__aexit__`. The routine's slots: the body's exception, the cancellation to propagate, the latest cancellation.
fn exit<'py>(group: &Obj<'py, TaskGroup>, args: Args<'_, 'py>) -> Output<'py> {
    let [class, exception, _traceback] = args.parse(&AEXIT)?;
    let routine = Routine::begin(group.as_any(), AEXIT.function, begin_exit)?;
    if !class.is_none() {
        let cancelled = is_cancellation(&class)?;
        let closed = class.cast::<PyType>()?.is_subclass_of::<PyGeneratorExit>()?;
        let flag = |set: bool, flag: u64| if set { flag } else { 0 };
        routine.number.set(body::RAISED | flag(cancelled, body::CANCELLED) | flag(closed, body::CLOSED));
        routine.first.put(exception);
    }
    Ok(routine.into_any())
}

/// Runs a piece of `__aexit__`. When it was the last one, the group lets go of what could be part of a cycle.
fn leave<'py>(
    routine: &Obj<'py, Routine>,
    piece: impl FnOnce(&Obj<'py, TaskGroup>) -> PyResult<Step<'py>>,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    let group = routine.owner::<TaskGroup>(py)?;
    let step = piece(&group);
    if !matches!(step, Ok(Step::Await(..))) {
        for slot in [&group.parent_task, &group.errors, &group.base_error] {
            slot.clear();
        }
    }
    step
}

fn begin_exit<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    leave(routine, |group| {
        group.exiting.set(true);
        let raised = routine.number.get() != 0;
        if raised {
            body_raised(routine, group)?;
        }
        if raised && !group.aborting.get() {
            // Nobody needs the tasks any more.
            abort(group)?;
        }
        await_tasks(routine, group)
    })
}

/// Keeps what matters of the body's exception.
#[cold]
fn body_raised(routine: &Obj<'_, Routine>, group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    let exception = routine.first.get_or_none(routine.py());
    if !exception.is_none() && is_base_error(group, &exception)? && group.base_error.is_empty() {
        group.base_error.put(exception.clone());
    }
    if routine.number.get() & body::CANCELLED != 0 {
        routine.second.put(exception);
    }
    Ok(())
}

/// Waits until the set of tasks is empty.
fn await_tasks<'py>(routine: &Obj<'py, Routine>, group: &Obj<'py, TaskGroup>) -> PyResult<Step<'py>> {
    let py = routine.py();
    if !group.has_tasks(py)? {
        return finish_exit(routine, group);
    }
    if group.on_completed.is_empty() {
        group.on_completed.put(create_future(&group.event_loop.get_or_none(py))?);
    }
    Ok(Step::Await(group.on_completed.get_or_none(py), tasks_awaited))
}

/// No task is left, or the parent task was cancelled, which may happen again and again.
fn tasks_awaited<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    leave(routine, |group| {
        if let Err(error) = waited {
            cancelled_meanwhile(routine, group, error)?;
        }
        group.on_completed.clear();
        await_tasks(routine, group)
    })
}

#[cold]
fn cancelled_meanwhile(routine: &Obj<'_, Routine>, group: &Obj<'_, TaskGroup>, error: PyErr) -> PyResult<()> {
    let py = routine.py();
    if !error.is_instance(py, stock::cancelled_error(py)?) {
        return Err(error);
    }
    let error = Raised::from_err(py, error);
    routine.third.put(error.as_any().clone());
    if group.aborting.get() {
        return Ok(());
    }
    routine.second.put(error.into_any());
    abort(group)
}

/// All tasks are done: raises what there is to raise.
fn finish_exit<'py>(routine: &Obj<'py, Routine>, group: &Obj<'py, TaskGroup>) -> PyResult<Step<'py>> {
    let py = routine.py();
    if let Some(error) = group.base_error.get(py) {
        return Err(Raised(error.cast_into()?).raise());
    }
    match uncancel_parent(group)? {
        Some(false) => routine.second.clear(),
        // The cancellation that remains is not the group's.
        Some(true) if routine.second.is_empty() => drop(routine.second.replace(routine.third.take())),
        _ => {}
    }
    if let Some(cancellation) = routine.second.take()
        && group.errors(py).is_none()
    {
        return Err(Raised(cancellation.into_any(py).cast_into()?).raise());
    }
    let flags = routine.number.get();
    if flags & body::RAISED != 0 && flags & body::CANCELLED == 0 {
        group.errors.get_or_none(py).cast::<PyList>()?.append(routine.first.get_or_none(py))?;
    }
    match group.errors(py) {
        Some(errors) => Err(failure(routine, group, errors)?.raise()),
        // Newer interpreters drop an exception of the body that was not raised above.
        None => Ok(Step::Return(if cfg!(Py_3_15) { boolean(py, true) } else { none(py) })),
    }
}

/// The exception for what went wrong in the group.
#[cold]
fn failure<'py>(
    routine: &Obj<'py, Routine>,
    group: &Obj<'py, TaskGroup>,
    errors: Bound<'py, PyList>,
) -> PyResult<Raised<'py>> {
    let py = group.py();
    // A cancellation from outside stays counted, and strikes at the next await.
    let parent = group.parent_task.get_or_none(py);
    if parent.call_method0(name!("cancelling"))?.is_truthy()? {
        parent.call_method0(name!("uncancel"))?;
        future_like::cancel(&parent)?;
    }
    // An asynchronous generator that is closed expects its own exception back.
    if routine.number.get() & body::CLOSED != 0 && errors.len() == 1 {
        return Ok(Raised(taken(py, &routine.first).cast_into()?));
    }
    let class = py.get_type::<PyBaseExceptionGroup>();
    let failure = class.call1(("unhandled errors in a TaskGroup", errors))?;
    failure.setattr(name!("__cause__"), none(py))?;
    group.errors.clear();
    Ok(Raised(failure.cast_into()?))
}

/// `TaskGroup.create_task`.
fn create_task<'py>(group: &Obj<'py, TaskGroup>, args: Args<'_, 'py>) -> Output<'py> {
    let py = group.py();
    let asked = Asked::parse(args)?;
    let refused = if !group.entered.get() {
        Some("has not been entered")
    } else if group.exiting.get() && !group.has_tasks(py)? {
        Some("is finished")
    } else if group.aborting.get() {
        Some("is shutting down")
    } else {
        None
    };
    if let Some(why) = refused {
        if cfg!(Py_3_13) {
            asked.coroutine.call_method0(names::close(py))?;
        }
        return Err(refusal(group, why));
    }
    let task = asked.spawn(&group.event_loop.get_or_none(py), args)?;
    enlist(group, &task)?;
    Ok(task)
}

/// What `create_task` was asked for.
struct Asked<'py> {
    coroutine: Bound<'py, PyAny>,
    #[cfg(not(Py_3_14))]
    options: Options<'py>,
}

#[cfg(Py_3_14)]
impl<'py> Asked<'py> {
    /// The keywords are the loop's business.
    fn parse(args: Args<'_, 'py>) -> PyResult<Self> {
        if args.len() > 1 {
            let text = "TaskGroup.create_task() takes 2 positional arguments but";
            return Err(PyTypeError::new_err(format!("{text} {} were given", args.len() + 1)));
        }
        let named = || args.keywords().find(|(name, _)| name == "coro").map(|(_, value)| value);
        let coroutine = args.get(0).or_else(named).ok_or_else(|| {
            PyTypeError::new_err("TaskGroup.create_task() missing 1 required positional argument: 'coro'")
        })?;
        Ok(Self { coroutine })
    }

    fn spawn(self, event_loop: &Bound<'py, PyAny>, args: Args<'_, 'py>) -> Output<'py> {
        create_task_on(event_loop, args)
    }
}

#[cfg(not(Py_3_14))]
impl<'py> Asked<'py> {
    fn parse(args: Args<'_, 'py>) -> PyResult<Self> {
        if let Some(coroutine) = args.only() {
            return Ok(Self { coroutine, options: Options::default() });
        }
        let [coroutine, name, context] = args.parse(&CREATE_TASK)?;
        let given = |object: Bound<'py, PyAny>| (!object.is_none()).then_some(object);
        Ok(Self {
            coroutine,
            options: Options { name: given(name), context: given(context), eager_start: false },
        })
    }

    fn spawn(self, event_loop: &Bound<'py, PyAny>, _args: Args<'_, 'py>) -> Output<'py> {
        let Self { coroutine, options } = self;
        if let Some(native) = tasks::spawner(event_loop) {
            native.check_open()?;
            return Ok(tasks::spawn(native, coroutine, options)?.into_any());
        }
        let py = event_loop.py();
        let keywords = make::dict(py)?;
        if let Some(context) = options.context {
            keywords.set_item("context", context)?;
        }
        if cfg!(Py_3_13) {
            keywords.set_item("name", options.name)?;
            return event_loop.call_method(names::create_task(py), (coroutine,), Some(&keywords));
        }
        let task = event_loop.call_method(names::create_task(py), (coroutine,), Some(&keywords))?;
        if let Some(name) = options.name {
            tasks::set_task_name(&task, &name)?;
        }
        Ok(task)
    }
}

/// Makes a new task one of the group's.
#[inline]
fn enlist<'py>(group: &Obj<'py, TaskGroup>, task: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = group.py();
    // A task that is done at birth, too, is dealt with at the next turn: a failure must not cancel the task that has just made it.
    group.tasks(py)?.add(task)?;
    if group.is_native() {
        react(task, &TASK_DONE, group.as_any())?;
    } else {
        let done = group.as_any().getattr(names::_on_task_done(py))?;
        task.call_method1(names::add_done_callback(py), (done,))?;
    }
    // An eager task may have cancelled the group before it was listed.
    if group.aborting.get() && !future_like::is_done(task)? {
        future_like::cancel(task)?;
    }
    Ok(())
}

/// `TaskGroup._is_base_error`: SystemExit and KeyboardInterrupt, which tasks let through to the loop.
fn is_base_error<'py>(group: &Obj<'py, TaskGroup>, exception: &Bound<'py, PyAny>) -> PyResult<bool> {
    if group.is_native() {
        return Ok(exits(exception));
    }
    group.as_any().call_method1(name!("_is_base_error"), (exception,))?.is_truthy()
}

fn exits(exception: &Bound<'_, PyAny>) -> bool {
    exception.is_instance_of::<PySystemExit>() || exception.is_instance_of::<PyKeyboardInterrupt>()
}

/// `TaskGroup._abort`.
#[cold]
fn abort(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    if group.is_native() {
        cancel_tasks(group)
    } else {
        group.as_any().call_method0(name!("_abort")).map(drop)
    }
}

fn cancel_tasks(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    group.aborting.set(true);
    // A copy, because cancelling runs foreign code if a task is foreign.
    for task in errors::collected(group.tasks(group.py())?.try_iter()?)? {
        if !future_like::is_done(&task)? {
            future_like::cancel(&task)?;
        }
    }
    Ok(())
}

/// `TaskGroup._on_task_done`.
#[inline]
fn task_done<'py>(group: &Obj<'py, TaskGroup>, task: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = group.py();
    let tasks = group.tasks(py)?;
    tasks.discard(task)?;
    if let Some(completed) = group.on_completed.get(py)
        && tasks.is_empty()
        && !future_like::is_done(&completed)?
    {
        future_like::set_result(&completed, boolean(py, true))?;
    }
    if future_like::is_cancelled(task)? {
        return Ok(());
    }
    match future_like::exception(task)? {
        Some(exception) => task_failed(group, task, exception),
        None => Ok(()),
    }
}

#[cold]
fn task_failed<'py>(
    group: &Obj<'py, TaskGroup>,
    task: &Bound<'py, PyAny>,
    exception: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = group.py();
    let event_loop = group.event_loop.get_or_none(py);
    if let Some(native) = Obj::<EventLoop>::cast(&event_loop) {
        current::flush_leave(native)?;
    }
    group.errors.get_or_none(py).cast::<PyList>()?.append(&exception)?;
    if is_base_error(group, &exception)? && group.base_error.is_empty() {
        group.base_error.put(exception.clone());
    }
    let parent = group.parent_task.get_or_none(py);
    if future_like::is_done(&parent)? {
        let report = make::dict(py)?;
        let text = text!(
            "Task {} has errored out but its parent task {} is already completed",
            task.repr()?,
            parent.str()?
        )?;
        report.set_item(names::message(py), text)?;
        report.set_item(names::exception(py), exception)?;
        report.set_item(names::task(py), task)?;
        return event_loop.call_method1(names::call_exception_handler(py), (report,)).map(drop);
    }
    if !group.aborting.get() && !group.parent_cancel_requested.get() {
        abort(group)?;
        cancel_parent(group)?;
    }
    Ok(())
}

/// Cancels what the parent task does in the body of the group; `__aexit__` will take that back.
fn cancel_parent(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    group.parent_cancel_requested.set(true);
    future_like::cancel(&group.parent_task.get_or_none(group.py())).map(drop)
}

/// `TaskGroup.cancel`.
#[cfg(Py_3_15)]
fn cancel(group: &Obj<'_, TaskGroup>) -> PyResult<()> {
    if !group.entered.get() {
        group.cancel_on_enter.set(true);
        return Ok(());
    }
    if group.aborting.get() || group.exiting.get() && !group.has_tasks(group.py())? {
        return Ok(());
    }
    abort(group)?;
    if group.parent_task.is_empty() || group.parent_cancel_requested.get() {
        return Ok(());
    }
    cancel_parent(group)
}

/// The attributes that asyncio's instances have.
fn attributes(t: &mut Table<TaskGroup>) {
    flags! { t:
        c"_entered" => entered,
        c"_exiting" => exiting,
        c"_aborting" => aborting,
        c"_parent_cancel_requested" => parent_cancel_requested,
    }
    #[cfg(Py_3_15)]
    flags! { t: c"_cancel_on_enter" => cancel_on_enter }
    objects! { t:
        c"_loop" => event_loop,
        c"_parent_task" => parent_task,
        c"_tasks" => tasks,
        c"_errors" => errors,
        c"_base_error" => base_error,
        c"_on_completed_fut" => on_completed,
    }
}

impl Copied for TaskGroup {
    const STATE: &'static [&'static str] = &[
        "_entered",
        "_exiting",
        "_aborting",
        "_loop",
        "_parent_task",
        "_parent_cancel_requested",
        "_tasks",
        "_errors",
        "_base_error",
        "_on_completed_fut",
    ];
}

impl Class for TaskGroup {
    const NAME: &'static CStr = c"yibu.TaskGroup";
    type Header = Combinable;
    const FREELIST: usize = 64;
    const FUNCTIONS: bool = true;

    const SHOWN: &'static [&'static str] = <Self as Copied>::STATE;
    const SHOWN_WHEN_SET: &'static [&'static str] = <Self as Copied>::RARE_STATE;

    fn state() -> &'static ClassState {
        &TASK_GROUP
    }

    fn stock(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        stock::task_group(py).map(Some)
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"TaskGroup()\n--\n\nAn asynchronous context manager that waits for the tasks made by its create_task(). When one fails, the others are cancelled and the exceptions raised as an ExceptionGroup.");
        t.init(|group, args, kwargs| {
            let [] = Args::parse_tuple(&INIT, args, kwargs)?;
            init(group)
        });
        t.repr(repr);
        t.noargs(
            c"__aenter__",
            |group| Ok(Routine::begin(group.as_any(), "TaskGroup.__aenter__", enter)?.into_any()),
            "Enters the group, whose parent is the current task.",
        );
        t.method(&AEXIT, exit, "Waits for the tasks, and raises what they raised.");
        t.method(&CREATE_TASK, create_task, "Makes a task in the group; like asyncio.create_task().");
        #[cfg(Py_3_15)]
        t.noargs(
            c"cancel",
            |group| cancel(group).map(|()| none(group.py())),
            "Cancels the tasks and the body. The group then exits without raising CancelledError.",
        );
        t.one(
            c"_is_base_error",
            "exc",
            |group, exception| Ok(boolean(group.py(), exits(exception))),
            "Whether the exception is a SystemExit or a KeyboardInterrupt.",
        );
        t.noargs(c"_abort", |group| cancel_tasks(group).map(|()| none(group.py())), "Cancels all tasks.");
        t.one(
            c"_on_task_done",
            "task",
            |group, task| task_done(group, task).map(|()| none(group.py())),
            "Takes note that a task is done.",
        );
        attributes(t);
        copying::table(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.each_slot(|slot| slot.traverse(visitor));
    }

    fn clear(&self) {
        self.each_slot(Slot::clear);
    }
}
