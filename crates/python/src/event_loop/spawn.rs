//! `create_future`, `create_task`, `set_task_factory`, `get_task_factory`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::core::Overrides;
use crate::core::{EventLoop, Overridable, bit};
use crate::ffi::originals::Replaced;
use crate::ffi::{Args, Create, Obj, Output, Signature, Table, none};
use crate::futures::{self, Future};
use crate::replaced::names::{FUTURE, TASK};
use crate::tasks::{self, Options};
use crate::{names, stock};

/// What error texts call the method; keywords are checked by hand, because factories get whatever was passed.
const CREATE_TASK: Signature<1> = Signature::new("EventLoop.create_task", "coro, **kwargs");

const SET_TASK_FACTORY: Signature<1> = Signature::new("EventLoop.set_task_factory", "factory");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.noargs(
        c"create_future",
        |event_loop| match FUTURE.replacement(event_loop.py())? {
            None => Ok(create_future(event_loop)?.into_any()),
            Some(class) => of_class(event_loop, &class, (), PyDict::new(event_loop.py())),
        },
        "A Future bound to the loop.",
    );
    t.method(&CREATE_TASK, create_task, "Schedules a coroutine; returns its Task. Keywords: name, context and, where asyncio has it, eager_start.");
    t.method(
        &SET_TASK_FACTORY,
        |event_loop, args| {
            let [factory] = args.parse(&SET_TASK_FACTORY)?;
            if !factory.is_none() && !factory.is_callable() {
                return Err(PyTypeError::new_err("task factory must be a callable or None"));
            }
            if factory.is_none() {
                event_loop.task_factory.clear()
            } else {
                event_loop.task_factory.put(factory)
            }
            Ok(none(event_loop.py()))
        },
        "Sets the callable(loop, coro, **kwargs) that create_task() uses; None for the default.",
    );
    t.noargs(
        c"get_task_factory",
        |event_loop| Ok(event_loop.task_factory.get_or_none(event_loop.py())),
        "The task factory, or None for the default.",
    );
}

/// `loop.create_future()`.
#[inline]
pub fn create_future<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Obj<'py, Future>> {
    let future = Future::create(event_loop.py())?;
    future.event_loop.put(event_loop.as_any().clone());
    if event_loop.debug.get() {
        futures::remember_source(&future)?;
    }
    Ok(future)
}

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

/// The native loop behind an object, when its `create_future` makes native futures, and is the native one.
#[inline]
pub fn future_maker<'a, 'py>(event_loop: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, EventLoop>> {
    Obj::<EventLoop>::cast(event_loop)
        .filter(|native| !native.overrides(Overridable::CreateFuture) && !FUTURE.is_replaced(native.py()))
}

/// `class(*args, loop=event_loop, **keywords)`: what a program has put in the place of `Task` or `Future`.
#[cold]
fn of_class<'py>(
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
pub fn spawn<'py>(event_loop: &Bound<'py, PyAny>, coroutine: &Bound<'py, PyAny>) -> Output<'py> {
    match spawner(event_loop) {
        Some(native) => {
            native.check_open()?;
            Ok(tasks::spawn(native, coroutine.clone(), Options::default())?.into_any())
        }
        None => event_loop.call_method1(names::create_task(event_loop.py()), (coroutine,)),
    }
}

/// `loop.create_task(coro, ...)`.
#[inline]
pub fn create_task<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let mut coroutine = args.get(0);
    if args.len() > 1 {
        return Err(PyTypeError::new_err(format!(
            "{}() takes 2 positional arguments but {} were given",
            CREATE_TASK.function,
            args.len() + 1
        )));
    }
    let factory = event_loop.task_factory.get(py);
    let eager = factory.as_ref().is_some_and(tasks::makes_eager_tasks);
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
            CREATE_TASK.function
        )));
    };
    event_loop.ensure_open()?;
    match factory {
        Some(factory) if !eager || unknown.is_some() => {
            by_factory(event_loop, &factory, coroutine, &args, &options)
        }
        _ => match unknown {
            Some(keyword) => Err(PyTypeError::new_err(format!(
                "{}() got an unexpected keyword argument '{keyword}'",
                CREATE_TASK.function
            ))),
            None => match TASK.replacement(py)? {
                Some(class) if !eager => task_of_class(event_loop, &class, coroutine, &args, &options),
                _ => Ok(tasks::spawn(event_loop, coroutine, options)?.into_any()),
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

/// `tasks._set_task_name`: tasks of factories need not have `set_name`; asyncio warns about it, and so does this.
pub fn set_task_name<'py>(task: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>) -> PyResult<()> {
    match task.getattr_opt(name!("set_name"))? {
        Some(set_name) => set_name.call1((name,)).map(drop),
        None => super::debug::warn(
            task.py(),
            "DeprecationWarning",
            "Task.set_name() was added in Python 3.8, the method support will be mandatory for third-party task implementations since 3.13.",
        ),
    }
}
