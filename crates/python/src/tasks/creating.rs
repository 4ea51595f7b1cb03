//! `create_task`: of a native loop with its factory, of any loop, and the function of that name.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Options, makes_eager_tasks, spawn};
use crate::core::Overrides;
use crate::core::{EventLoop, Overridable, bit};
use crate::ffi::originals::Replaced;
use crate::ffi::{Args, Obj, Output, Signature, unexpected_keyword};
use crate::frames::warn;
use crate::functions::running_loop;
use crate::replaced::names::TASK;
use crate::replaced::names::running_loop::OF_TASKS;
use crate::{names, stock};

/// What error texts call the method; keywords are checked by hand, because factories get whatever was passed.
pub const METHOD: Signature<1> = Signature::new("EventLoop.create_task", "coro, **kwargs");

const SPAWNING: Replaced = bit(Overridable::CreateTask) | bit(Overridable::CheckClosed);

/// The native loop behind an object, when its `create_task` makes native tasks, and is the native one.
#[inline]
pub fn spawner<'a, 'py>(event_loop: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, EventLoop>> {
    Obj::<EventLoop>::cast(event_loop).filter(|native| {
        native.task_factory.is_empty()
            && native.overridden_methods() & SPAWNING == 0
            && !TASK.is_replaced(native.py())
    })
}

/// `class(*args, loop=event_loop, **keywords)`: what a program has put in the place of `Task` or `Future`.
#[cold]
pub fn of_class<'py>(
    event_loop: &Obj<'py, EventLoop>,
    class: &Bound<'py, PyAny>,
    args: impl pyo3::call::PyCallArgs<'py>,
    keywords: Bound<'py, PyDict>,
) -> Output<'py> {
    keywords.set_item("loop", event_loop.as_any())?;
    class.call(args, Some(&keywords))
}

/// `event_loop.create_task(coroutine)` on any loop.
#[inline]
pub fn spawn_on<'py>(event_loop: &Bound<'py, PyAny>, coroutine: &Bound<'py, PyAny>) -> Output<'py> {
    match spawner(event_loop) {
        Some(native) => {
            native.check_open()?;
            Ok(spawn(native, coroutine.clone(), Options::default())?.into_any())
        }
        None => event_loop.call_method1(names::create_task(event_loop.py()), (coroutine,)),
    }
}

/// `loop.create_task(coro, ...)`.
#[inline]
pub fn create_task_of<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let mut coroutine = args.get(0);
    if args.len() > 1 {
        return Err(PyTypeError::new_err(format!(
            "{}() takes 2 positional arguments but {} were given",
            METHOD.function,
            args.len() + 1
        )));
    }
    let factory = event_loop.task_factory.get(py);
    let eager = factory.as_ref().is_some_and(makes_eager_tasks);
    let mut options = Options { eager_start: eager, ..Options::default() };
    let mut unknown = None;
    for (keyword, value) in args.keywords() {
        let given = (!value.is_none()).then(|| value.clone());
        match keyword.to_str()? {
            "name" => options.name = given,
            "context" => options.context = given,
            "eager_start" if cfg!(Py_3_12) && stock::factory_gets_keywords(py) => {
                options.eager_start = value.is_truthy()?;
            }
            "coro" if coroutine.is_none() => coroutine = Some(value),
            _ => unknown = Some(keyword),
        }
    }
    let Some(coroutine) = coroutine else {
        return Err(PyTypeError::new_err(format!(
            "{}() missing 1 required positional argument: 'coro'",
            METHOD.function
        )));
    };
    event_loop.ensure_open()?;
    match factory {
        Some(factory) if !eager || unknown.is_some() => {
            by_factory(event_loop, &factory, coroutine, &args, &options)
        }
        _ => match unknown {
            Some(keyword) => {
                let names = ["self", "coro", "name", "context"];
                Err(unexpected_keyword(METHOD.function, &names, &keyword))
            }
            None => match TASK.replacement(py)? {
                Some(class) if !eager => task_of_class(event_loop, &class, coroutine, &args, &options),
                _ => Ok(spawn(event_loop, coroutine, options)?.into_any()),
            },
        },
    }
}

/// A task of the class that a program has put in the place of `Task`.
#[cold]
fn task_of_class<'py>(
    event_loop: &Obj<'py, EventLoop>,
    class: &Bound<'py, PyAny>,
    coroutine: Bound<'py, PyAny>,
    args: &Args<'_, 'py>,
    options: &Options<'py>,
) -> Output<'py> {
    let keywords = PyDict::new(event_loop.py());
    if stock::factory_gets_keywords(event_loop.py()) {
        for (keyword, value) in args.keywords().filter(|(keyword, _)| keyword != "coro") {
            keywords.set_item(keyword, value)?;
        }
    } else {
        keywords.set_item("name", &options.name)?;
        keywords.set_item("context", &options.context)?;
    }
    of_class(event_loop, class, (coroutine,), keywords)
}

fn by_factory<'py>(
    event_loop: &Obj<'py, EventLoop>,
    factory: &Bound<'py, PyAny>,
    coroutine: Bound<'py, PyAny>,
    args: &Args<'_, 'py>,
    options: &Options<'py>,
) -> Output<'py> {
    let py = event_loop.py();
    let keywords = PyDict::new(py);
    if stock::factory_gets_keywords(py) {
        for (keyword, value) in
            args.keywords().filter(|(keyword, _)| keyword.to_str().is_ok_and(|k| k != "coro"))
        {
            keywords.set_item(keyword, value)?;
        }
        return factory.call((event_loop.as_any(), coroutine), Some(&keywords));
    }
    if let Some(context) = &options.context {
        keywords.set_item("context", context)?;
    }
    let task = factory.call((event_loop.as_any(), coroutine), Some(&keywords))?;
    name_late(&task, options.name.clone())?;
    Ok(task)
}

/// Older versions name a task after its factory made it, which one that runs at once can see.
fn name_late<'py>(task: &Bound<'py, PyAny>, name: Option<Bound<'py, PyAny>>) -> PyResult<()> {
    if cfg!(Py_3_13) {
        task.call_method1(name!("set_name"), (name,)).map(drop)
    } else {
        name.map_or(Ok(()), |name| set_task_name(task, &name))
    }
}

/// `tasks._set_task_name`: tasks of factories need not have `set_name`; asyncio warns about it, and so does
/// this.
pub fn set_task_name<'py>(task: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>) -> PyResult<()> {
    match task.getattr_opt(name!("set_name"))? {
        Some(set_name) => set_name.call1((name,)).map(drop),
        None => warn(
            task.py(),
            "DeprecationWarning",
            "Task.set_name() was added in Python 3.8, the method support will be mandatory for third-party task implementations since 3.13.",
        ),
    }
}

/// The signature of `create_task` in this interpreter.
#[cfg(Py_3_14)]
pub const CREATE_TASK: Signature<1> = Signature::new("create_task", "coro, **kwargs");
/// The signature of `create_task` in this interpreter.
#[cfg(not(Py_3_14))]
pub const CREATE_TASK: Signature<3> = Signature::new("create_task", "coro, *, name=None, context=None");

/// `asyncio.create_task`: `create_task` of the running loop, directly when it is the native one.
pub fn create_task<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    // What is wrong with the arguments is said first, loop or no loop.
    if args.only().is_none() {
        check(&args)?;
    }
    let event_loop = running_loop(py, &OF_TASKS)?;
    if !cfg!(Py_3_14)
        && !stock::factory_gets_keywords(py)
        && Obj::<EventLoop>::cast(&event_loop).is_none_or(|native| native.overrides(Overridable::CreateTask))
    {
        return by_own_method(&event_loop, &args);
    }
    create_task_on(&event_loop, args)
}

#[cold]
fn check(args: &Args<'_, '_>) -> PyResult<()> {
    const OPEN: Signature<1> = Signature::new("create_task", "coro, **kwargs");
    if !stock::factory_gets_keywords(args.py()) {
        return args.parse(&OF_TASKS_WITH_NAMES).map(drop);
    }
    // Nothing is wrong with one coroutine and any keywords, of which no dict needs to be made.
    if args.len() == 1 && args.keywords().all(|(keyword, _)| keyword != "coro") {
        return Ok(());
    }
    args.parse_open(&OPEN).map(drop)
}

const OF_TASKS_WITH_NAMES: Signature<3> = Signature::new("create_task", "coro, *, name=None, context=None");

/// The method of a loop in Python, with the keywords that asyncio gives it: such a method may take no others.
#[cold]
fn by_own_method<'py>(event_loop: &Bound<'py, PyAny>, args: &Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    let [coroutine, name, context] = args.parse(&OF_TASKS_WITH_NAMES)?;
    let keywords = PyDict::new(py);
    if cfg!(Py_3_13) {
        keywords.set_item("name", &name)?;
    }
    if !context.is_none() {
        keywords.set_item("context", context)?;
    }
    let task = event_loop.getattr(names::create_task(py))?.call((coroutine,), Some(&keywords))?;
    if !cfg!(Py_3_13) && !name.is_none() {
        set_task_name(&task, &name)?;
    }
    Ok(task)
}

/// `event_loop.create_task(*args)`, directly when the loop is native.
pub fn create_task_on<'py>(event_loop: &Bound<'py, PyAny>, args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    if let Some(native) = Obj::<EventLoop>::cast(event_loop)
        && !native.overrides(Overridable::CreateTask)
    {
        return create_task_of(native, args);
    }
    let keywords = pyo3::types::PyDict::new(py);
    for (keyword, value) in args.keywords() {
        keywords.set_item(keyword, value)?;
    }
    event_loop.getattr(names::create_task(py))?.call(args.tuple_from(0)?, Some(&keywords))
}
