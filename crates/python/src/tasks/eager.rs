//! `create_eager_task_factory` and `eager_task_factory`: task factories whose tasks begin to run at once (3.12).
//!
//! [`EagerTaskFactory`] is what asyncio's function of functions returns. The loop's `create_task` knows the one for native tasks
//! ([`makes_eager_tasks`]) and makes the task without calling it.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyString};

use super::Task;
use crate::ffi::class::{self, Callable, make_callable};
use crate::ffi::{Args, Class, ClassState, Obj, Output, Signature, Slot, Table, Visitor};
use crate::stock;

/// The data of a factory.
#[derive(Default)]
pub struct EagerTaskFactory {
    /// Called with a coroutine, a loop and `eager_start`.
    constructor: Slot,
}

static EAGER_TASK_FACTORY: ClassState = ClassState::new();
const CREATE: Signature<1> = Signature::new("create_eager_task_factory", "custom_task_constructor");
const NAME: &str = "create_eager_task_factory.<locals>.factory";
/// A factory's parameters where `create_task` hands on whatever it gets; see [`stock::eager_factory_takes_keywords`].
const OPEN: Signature<3> = Signature::new(NAME, "loop, coro, *, eager_start=True, **kwargs");
const CLOSED: Signature<4> = Signature::new(NAME, "loop, coro, *, name=None, context=None");

/// Adds both names to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    Table::<EagerTaskFactory>::build(py, None)?;
    module.add("eager_task_factory", EagerTaskFactory::of(Task::class(py).as_any())?)?;
    let create = class::function(
        py,
        module.as_any(),
        &CREATE,
        |args| {
            let [constructor] = args.parse(&CREATE)?;
            EagerTaskFactory::of(&constructor)
        },
        "Makes a task factory from a class of tasks, or a function like one: the tasks begin to run at once.",
    )?;
    module.add(CREATE.function, create)
}

impl EagerTaskFactory {
    fn of<'py>(constructor: &Bound<'py, PyAny>) -> Output<'py> {
        let factory = Self::create(constructor.py())?;
        factory.constructor.put(constructor.clone());
        make_callable(&factory, make_task);
        Ok(factory.into_any())
    }
}

/// Whether a task factory is one whose tasks are plain native ones.
pub fn makes_eager_tasks(factory: &Bound<'_, PyAny>) -> bool {
    Obj::<EagerTaskFactory>::cast_exact(factory)
        .is_some_and(|eager| eager.constructor.is(Task::class(factory.py()).as_any()))
}

/// `factory(loop, coro, ...)`.
fn make_task<'py>(factory: &Obj<'py, EagerTaskFactory>, args: Args<'_, 'py>) -> Output<'py> {
    let py = factory.py();
    let (coroutine, keywords) = if stock::eager_factory_takes_keywords(py) {
        let ([event_loop, coroutine, eager_start], keywords) = args.parse_open(&OPEN)?;
        keywords.set_item("loop", event_loop)?;
        match eager_start {
            Some(eager_start) => keywords.set_item("eager_start", eager_start)?,
            None => keywords.set_item("eager_start", true)?,
        }
        (coroutine, keywords)
    } else {
        let [event_loop, coroutine, name, context] = args.parse(&CLOSED)?;
        let keywords = PyDict::new(py);
        keywords.set_item("loop", event_loop)?;
        keywords.set_item("name", name)?;
        keywords.set_item("context", context)?;
        keywords.set_item("eager_start", true)?;
        (Some(coroutine), keywords)
    };
    factory.constructor.get_or_none(py).call((coroutine,), Some(&keywords))
}

impl Class for EagerTaskFactory {
    const NAME: &'static CStr = c"yibu.EagerTaskFactory";
    type Header = Callable;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;

    fn state() -> &'static ClassState {
        &EAGER_TASK_FACTORY
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"A task factory whose tasks begin to run at once.");
        t.getter(c"__name__", |factory| Ok(PyString::intern(factory.py(), "factory").into_any()));
        t.getter(c"__qualname__", |factory| Ok(PyString::intern(factory.py(), NAME).into_any()));
        t.getter(c"__module__", |factory| Ok(PyString::intern(factory.py(), "yibu").into_any()));
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.constructor.traverse(visitor);
    }

    fn clear(&self) {
        self.constructor.clear();
    }
}
