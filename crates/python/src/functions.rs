//! The functions of the asyncio namespace that are native: `create_task`, and coroutine functions such as `sleep`.
//!
//! A coroutine function must say that it is one: `inspect.iscoroutinefunction()`, and through it `unittest.mock.patch()`, look
//! for marks that a builtin function cannot carry. [`CoroutineFunction`] carries them.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::event_loop::{self, EventLoop, Overridable};
use crate::ffi::class::{Callable, make_callable};
use crate::ffi::{Args, Class, ClassState, Obj, Output, Signature, Table, Visitor, call, none};
use crate::replaced::names::running_loop::OF_TASKS;
use crate::replaced::names::{self as replaced, Name};
use crate::{names, stock};

/// A native function that returns an awaitable.
type Body = for<'a, 'py> fn(Args<'a, 'py>) -> Output<'py>;

/// The data of a coroutine function.
#[derive(Default)]
pub struct CoroutineFunction {
    body: Cell<Option<Body>>,
    name: Cell<&'static str>,
    parameters: Cell<&'static str>,
    doc: Cell<&'static str>,
}

static COROUTINE_FUNCTION: ClassState = ClassState::new();

impl CoroutineFunction {
    /// The function object.
    pub fn of<'py, const N: usize>(
        py: Python<'py>,
        signature: &'static Signature<N>,
        body: Body,
        doc: &'static str,
    ) -> Output<'py> {
        let function = Self::create(py)?;
        function.body.set(Some(body));
        function.name.set(signature.function);
        function.parameters.set(signature.text);
        function.doc.set(doc);
        make_callable(&function, |function, args| match function.body.get() {
            Some(body) => body(args),
            None => Err(PyRuntimeError::new_err("the function has no body")),
        });
        Ok(function.into_any())
    }
}

/// `asyncio.coroutines._is_coroutine`, where the interpreter has it.
fn asyncio_mark(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(stock::module(py, "asyncio.coroutines")?.getattr_opt("_is_coroutine")?.unwrap_or_else(|| none(py)))
}

/// The mark of `inspect.markcoroutinefunction`, whose private name changed with 3.13.
fn inspect_mark(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static MARK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let mark = MARK.get_or_try_init(py, || {
        let inspect = stock::module(py, "inspect")?;
        let name = if cfg!(Py_3_13) { "_is_coroutine_mark" } else { "_is_coroutine_marker" };
        Ok::<_, PyErr>(inspect.getattr_opt(name)?.unwrap_or_else(|| none(py)).unbind())
    })?;
    Ok(mark.bind(py).clone())
}

impl Class for CoroutineFunction {
    const NAME: &'static CStr = c"yibu.CoroutineFunction";
    type Header = Callable;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;

    fn state() -> &'static ClassState {
        &COROUTINE_FUNCTION
    }

    fn table(t: &mut Table<Self>) {
        t.getter(c"__name__", |f| Ok(PyString::new(f.py(), f.name.get()).into_any()));
        t.getter(c"__qualname__", |f| Ok(PyString::new(f.py(), f.name.get()).into_any()));
        t.getter(c"__module__", |f| Ok(PyString::new(f.py(), "yibu").into_any()));
        t.getter(c"__doc__", |f| Ok(PyString::new(f.py(), f.doc.get()).into_any()));
        t.getter(c"__signature__", |f| {
            let builtins = f.py().import("builtins")?;
            let template =
                builtins.call_method1("eval", (format!("lambda {}: None", f.parameters.get()),))?;
            f.py().import("inspect")?.call_method1("signature", (template,))
        });
        t.getter(c"_is_coroutine", |f| asyncio_mark(f.py()));
        t.getter(c"_is_coroutine_marker", |f| inspect_mark(f.py()));
        t.repr(|f| {
            let text = format!("<coroutine function {} of yibu>", f.name.get());
            Ok(PyString::new(f.py(), &text).into_any())
        });
    }

    fn traverse(&self, _visitor: &mut Visitor) {}

    fn clear(&self) {}
}

/// The loop that runs in this thread, whatever a program has put in the place of the functions that say so.
#[inline]
pub fn running(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let event_loop = call::call0(stock::get_running_loop(py)?)?;
    Ok((!event_loop.is_none()).then_some(event_loop))
}

/// `events._get_running_loop()`, where `function` is that function as the caller's module has it.
#[inline]
pub fn asked<'py>(py: Python<'py>, function: &Name<2>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match function.replacement(py)? {
        None => running(py),
        Some(function) => {
            let event_loop = call::call0(&function)?;
            Ok((!event_loop.is_none()).then_some(event_loop))
        }
    }
}

/// `events.get_running_loop()`, where `function` is that function as the caller's module has it.
#[inline]
pub fn running_loop<'py>(py: Python<'py>, function: &Name<2>) -> Output<'py> {
    match function.replacement(py)? {
        None => running(py)?.ok_or_else(|| PyRuntimeError::new_err("no running event loop")),
        Some(function) => call::call0(&function),
    }
}

/// `asyncio.get_event_loop()`: the running loop, or the one that the policy has.
#[inline]
pub fn current_loop(py: Python<'_>) -> Output<'_> {
    if replaced::GET_EVENT_LOOP.is_replaced(py) {
        return stock::current_event_loop(py);
    }
    running(py)?.map_or_else(|| stock::current_event_loop(py), Ok)
}

/// The signature of `create_task` in this interpreter.
#[cfg(Py_3_14)]
pub const CREATE_TASK: Signature<1> = Signature::new("create_task", "coro, **kwargs");
/// The signature of `create_task` in this interpreter.
#[cfg(not(Py_3_14))]
pub const CREATE_TASK: Signature<3> = Signature::new("create_task", "coro, *, name=None, context=None");

/// `asyncio.create_task`: `create_task` of the running loop, directly when it is the native one.
pub fn create_task<'py>(args: Args<'_, 'py>) -> Output<'py> {
    create_task_on(&running_loop(args.py(), &OF_TASKS)?, args)
}

/// `event_loop.create_task(*args)`, directly when the loop is native.
pub fn create_task_on<'py>(event_loop: &Bound<'py, PyAny>, args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    if let Some(native) = Obj::<EventLoop>::cast(event_loop)
        && !native.overrides(Overridable::CreateTask)
    {
        return event_loop::create_task(native, args);
    }
    let keywords = pyo3::types::PyDict::new(py);
    for (keyword, value) in args.keywords() {
        keywords.set_item(keyword, value)?;
    }
    event_loop.getattr(names::create_task(py))?.call(args.tuple_from(0)?, Some(&keywords))
}
