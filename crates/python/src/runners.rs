//! `Runner` and `run`: a loop from its making to its end, with Ctrl-C in between. `asyncio.runners`, native.
//!
//! Called by Python code only. Speaks to its loop by method names, so that any loop will do.

mod crash;
mod interrupts;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::attributes::{assigned, flags, objects};
use crate::copying::{self, Copied};
use crate::coroutines::is_coroutine;
use crate::errors;
use crate::ffi::combined::Combinable;
use crate::ffi::thread::outlive_interpreter;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Signature, Slot, Table, references, stands_for,
};
use crate::ffi::{call, none};
use crate::functions::asked;
use crate::futures::future_like;
use crate::gathering::gather_all;
use crate::replaced::copy_context;
use crate::replaced::functions::CANCEL_ALL_TASKS;
use crate::replaced::names::running_loop::OF_RUNNERS;
use crate::replaced::names::{ISCOROUTINE_OF_RUNNERS, RUNNER as REPLACED_RUNNER, RUNNERS};
use crate::tasks::all_tasks;
use crate::tasks::ensure;
use crate::{functions, names, stock};

/// How far a runner has come.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Created,
    /// It has a loop.
    Initialized,
    Closed,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Created, Self::Initialized, Self::Closed];

    /// The name in asyncio's enumeration.
    fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Initialized => "INITIALIZED",
            Self::Closed => "CLOSED",
        }
    }
}

/// The data of a `Runner`.
#[derive(Default)]
pub struct Runner {
    stage: Cell<Stage>,
    debug: Slot,
    loop_factory: Slot,
    event_loop: Slot,
    /// What every `run` of this runner starts from, and leaves for the next.
    context: Slot,
    /// SIGINTs since the last `run` began.
    interrupts: Cell<usize>,
    /// Whether the loop was made the current one of the thread.
    is_current: Cell<bool>,
}

static RUNNER: ClassState = ClassState::new();
const INIT: Signature<2> = Signature::new_method("Runner.__init__", "*, debug=None, loop_factory=None");
const EXIT: Signature<3> = Signature::new("Runner.__exit__", "exc_type, exc_val, exc_tb");
const ON_SIGINT: Signature<3> = Signature::new("Runner._on_sigint", "signum, frame, main_task");
const RUNNER_RUN: Signature<2> = Signature::new("Runner.run", "coro, *, context=None");
/// `loop_factory` is accepted on every version, though asyncio's own `run` has it only since 3.12.
const RUN: Signature<3> = Signature::new("run", "main, *, debug=None, loop_factory=None");

/// Adds `Runner` and `run` to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    crate::classes::add::<Runner>(module)?;
    Table::<interrupts::Interrupt>::build(py, None)?;
    crash::register(module)?;
    let doc = "Runs a coroutine on a new event loop, then shuts everything down; returns its result.";
    functions::add(module, &RUN, run, doc)
}

/// `asyncio.run`.
fn run<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    let [main, debug, loop_factory] = args.parse(&RUN)?;
    refuse_running_loop(py, "asyncio.run()")?;
    if let Some(class) = REPLACED_RUNNER.replacement(py)? {
        return run_by(&class, &main, debug, loop_factory);
    }
    let runner = Runner::create(py)?;
    prepare(&runner, debug, loop_factory);
    if !runner.is_native() {
        return run_block(runner.as_any(), &main);
    }
    outlive_interpreter(|| {
        open(&runner)?;
        let result = run_in(&runner, main, none(py));
        close(&runner)?;
        result
    })
}

/// `asyncio.run` with what a program has put in the place of `Runner`.
fn run_by<'py>(
    class: &Bound<'py, PyAny>,
    main: &Bound<'py, PyAny>,
    debug: Bound<'py, PyAny>,
    loop_factory: Bound<'py, PyAny>,
) -> Output<'py> {
    let keywords = PyDict::new(class.py());
    keywords.set_item("debug", debug)?;
    if cfg!(Py_3_12) || !loop_factory.is_none() {
        keywords.set_item("loop_factory", loop_factory)?;
    }
    run_block(&class.call((), Some(&keywords))?, main)
}

/// `with block: return block.run(main)`
fn run_block<'py>(block: &Bound<'py, PyAny>, main: &Bound<'py, PyAny>) -> Output<'py> {
    let py = block.py();
    // As the `with` statement does it: both methods are looked up on the class, and before anything runs.
    let (enter, exit) =
        (block.get_type().getattr(name!("__enter__"))?, block.get_type().getattr(name!("__exit__"))?);
    let ran = enter.call1((block,))?.call_method1(name!("run"), (main,));
    match ran {
        Ok(result) => {
            exit.call1((block, none(py), none(py), none(py)))?;
            Ok(result)
        }
        Err(error) => {
            let error = Raised::from_err(py, error);
            let (class, traceback) =
                (error.as_any().get_type(), error.as_any().getattr(name!("__traceback__"))?);
            let hushed = error.handling(|| exit.call1((block, class, error.as_any(), traceback)))?;
            if hushed.is_truthy()? { Ok(none(py)) } else { Err(error.into_err()) }
        }
    }
}

fn refuse_running_loop(py: Python<'_>, function: &str) -> PyResult<()> {
    if asked(py, &OF_RUNNERS)?.is_none() {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(format!("{function} cannot be called from a running event loop")))
}

/// `Runner.__init__`.
fn prepare<'py>(runner: &Obj<'py, Runner>, debug: Bound<'py, PyAny>, loop_factory: Bound<'py, PyAny>) {
    runner.stage.set(Stage::Created);
    runner.debug.put(debug);
    runner.loop_factory.put(loop_factory);
    runner.event_loop.clear();
    runner.context.clear();
    runner.interrupts.set(0);
    runner.is_current.set(false);
}

/// `self._lazy_init()`, and the loop.
fn open<'py>(runner: &Obj<'py, Runner>) -> Output<'py> {
    if runner.is_native() {
        return init(runner);
    }
    runner.as_any().call_method0(name!("_lazy_init"))?;
    Ok(runner.event_loop.get_or_none(runner.py()))
}

/// `Runner._lazy_init`: the loop, made when first asked for.
fn init<'py>(runner: &Obj<'py, Runner>) -> Output<'py> {
    let py = runner.py();
    match runner.stage.get() {
        Stage::Closed => return Err(PyRuntimeError::new_err("Runner is closed")),
        Stage::Initialized => return Ok(runner.event_loop.get_or_none(py)),
        Stage::Created => {}
    }
    let factory = runner.loop_factory.get_or_none(py);
    let event_loop = if factory.is_none() { new_event_loop(py)? } else { call::call0(&factory)? };
    runner.event_loop.put(event_loop.clone());
    if factory.is_none() && !runner.is_current.get() {
        set_event_loop(&event_loop)?;
        runner.is_current.set(true);
    }
    let debug = runner.debug.get_or_none(py);
    if !debug.is_none() {
        event_loop.call_method1(name!("set_debug"), (debug,))?;
    }
    runner.context.put(copy_context(py)?);
    runner.stage.set(Stage::Initialized);
    Ok(event_loop)
}

/// The loop of a runner without a factory: yibu's; but where this class has taken the place of asyncio's
/// (`install()`), whatever the policy of the process makes, as with asyncio's.
fn new_event_loop(py: Python<'_>) -> Output<'_> {
    let in_place = stock::runners_module(py)?.getattr(name!("Runner"))?.is(Runner::class(py));
    let module = if in_place {
        stock::events_module(py)?.clone()
    } else {
        stock::module(py, "yibu.event_loop")?.into_any()
    };
    module.call_method0(name!("new_event_loop"))
}

/// `asyncio.set_event_loop(event_loop)`.
fn set_event_loop(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    stock::events_module(event_loop.py())?.call_method1(name!("set_event_loop"), (event_loop,)).map(drop)
}

/// `coroutines.iscoroutine(main)`
fn runs_as_it_is(main: &Bound<'_, PyAny>) -> PyResult<bool> {
    match ISCOROUTINE_OF_RUNNERS.replacement(main.py())? {
        None => is_coroutine(main),
        Some(function) => function.call1((main,))?.is_truthy(),
    }
}

/// `Runner.run`.
fn run_in<'py>(runner: &Obj<'py, Runner>, main: Bound<'py, PyAny>, given: Bound<'py, PyAny>) -> Output<'py> {
    let py = runner.py();
    if cfg!(not(Py_3_14)) && !runs_as_it_is(&main)? {
        return Err(PyValueError::new_err(text!("a coroutine was expected, got {}", main.repr()?)?));
    }
    refuse_running_loop(py, "Runner.run()")?;
    let event_loop = open(runner)?;
    let main = if cfg!(Py_3_14) && !runs_as_it_is(&main)? {
        ensure::wrap(&main, "Runner.run.<locals>._wrap_awaitable")?
    } else {
        main
    };
    let context = if given.is_none() { runner.context.get_or_none(py) } else { given };
    let create_task = names::create_task(py);
    let task =
        call::method_with_keyword(create_task, [&event_loop, &main, &context], names::context_keyword(py))?;
    let handler = interrupts::catch(runner, &task)?;
    runner.interrupts.set(0);
    let result = event_loop
        .call_method1(names::run_until_complete(py), (&task,))
        .map_err(|error| interrupts::explain(runner, &task, error));
    let result = crash::noted(py, result);
    match handler {
        Some(handler) => interrupts::forget(&handler).and(result),
        None => result,
    }
}

/// `Runner.close`.
fn close(runner: &Obj<'_, Runner>) -> PyResult<()> {
    if runner.stage.get() != Stage::Initialized {
        return Ok(());
    }
    let py = runner.py();
    let event_loop = runner.event_loop.get_or_none(py);
    let wound_up = wind_up(&event_loop);
    if runner.is_current.get() {
        set_event_loop(&none(py))?;
    }
    event_loop.call_method0(names::close(py))?;
    runner.event_loop.clear();
    runner.stage.set(Stage::Closed);
    wound_up
}

/// Ends all that lives on the loop.
fn wind_up(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let run = names::run_until_complete(py);
    match CANCEL_ALL_TASKS.replacement(py)? {
        None => cancel_all_tasks(event_loop)?,
        Some(cancel_all) => drop(cancel_all.call1((event_loop,))?),
    }
    event_loop.call_method1(run, (event_loop.call_method0(name!("shutdown_asyncgens"))?,))?;
    let shut_down = event_loop.getattr(name!("shutdown_default_executor"))?;
    let shutdown = if cfg!(Py_3_12) {
        shut_down.call1((RUNNERS.constant(py, "THREAD_JOIN_TIMEOUT")?,))?
    } else {
        shut_down.call0()?
    };
    event_loop.call_method1(run, (shutdown,)).map(drop)
}

/// `runners._cancel_all_tasks`: cancels what is left, waits for it, and reports what failed over it.
fn cancel_all_tasks(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let tasks = all_tasks(event_loop)?;
    if tasks.is_empty() {
        return Ok(());
    }
    let tasks = errors::collected(tasks.try_iter()?)?;
    for task in &tasks {
        future_like::cancel(task)?;
    }
    let ended = gather_all(py, tasks.iter().cloned(), true)?;
    event_loop.call_method1(names::run_until_complete(py), (ended,))?;
    for task in &tasks {
        if future_like::is_cancelled(task)? {
            continue;
        }
        if let Some(exception) = future_like::exception(task)? {
            let report = PyDict::new(py);
            report.set_item(names::message(py), "unhandled exception during asyncio.run() shutdown")?;
            report.set_item(names::exception(py), exception)?;
            report.set_item(names::task(py), task)?;
            event_loop.call_method1(names::call_exception_handler(py), (report,))?;
        }
    }
    Ok(())
}

impl Copied for Runner {}

impl Class for Runner {
    const NAME: &'static CStr = c"yibu.Runner";
    type Header = Combinable;

    const FUNCTIONS: bool = true;

    const SHOWN: &'static [&'static str] =
        &["_state", "_debug", "_loop_factory", "_loop", "_context", "_interrupt_count", "_set_event_loop"];

    stands_for! { RUNNER, stock::runner }

    fn table(t: &mut Table<Self>) {
        t.doc(
            c"Runner(*, debug=None, loop_factory=None)\n--\n\nA context manager that makes an event loop, runs coroutines on it and shuts it down.",
        );
        t.init(|runner, args, kwargs| {
            let [debug, loop_factory] = Args::parse_tuple(&INIT, args, kwargs)?;
            prepare(runner, debug, loop_factory);
            Ok(())
        });
        t.noargs(
            c"__enter__",
            |runner| {
                open(runner)?;
                Ok(runner.as_any().clone())
            },
            "Makes the loop.",
        );
        t.method(
            &EXIT,
            |runner, args| {
                args.parse(&EXIT)?;
                if !runner.is_native() {
                    runner.as_any().call_method0(names::close(runner.py()))?;
                    return Ok(none(runner.py()));
                }
                outlive_interpreter(|| close(runner)).map(|()| none(runner.py()))
            },
            "Closes the runner.",
        );
        t.noargs(
            c"close",
            |runner| outlive_interpreter(|| close(runner)).map(|()| none(runner.py())),
            "Cancels what is left on the loop, shuts down asynchronous generators and the default executor, and closes the loop.",
        );
        t.noargs(
            c"get_loop",
            |runner| outlive_interpreter(|| open(runner)),
            "The loop, made when first asked for.",
        );
        t.noargs(
            c"_lazy_init",
            |runner| init(runner).map(|_| none(runner.py())),
            "Makes the loop, unless that is done.",
        );
        t.command(
            &ON_SIGINT,
            |runner, args| {
                let [_signal, _frame, task] = args.parse(&ON_SIGINT)?;
                interrupts::interrupt(runner, &task)
            },
            "What Ctrl-C does: it cancels the task, and the next time interrupts the program where it is.",
        );
        t.method(
            &RUNNER_RUN,
            |runner, args| {
                let [main, context] = args.parse(&RUNNER_RUN)?;
                outlive_interpreter(|| run_in(runner, main, context))
            },
            "Runs a coroutine on the loop and returns its result.",
        );
        t.property(
            c"_state",
            |runner| {
                stock::runners_module(runner.py())?
                    .getattr(name!("_State"))?
                    .getattr(runner.stage.get().name())
            },
            |runner, value| {
                let name = assigned(value)?.getattr(name!("name"))?.extract::<String>()?;
                let Some(stage) = Stage::ALL.into_iter().find(|stage| stage.name() == name) else {
                    return Err(PyValueError::new_err(format!("{name:?} is not a state of a Runner")));
                };
                runner.stage.set(stage);
                Ok(())
            },
        );
        objects! {
            t:
            c"_debug" => debug,
            c"_loop_factory" => loop_factory,
            c"_loop" => event_loop,
            c"_context" => context,
        }
        t.property(
            c"_interrupt_count",
            |runner| Ok(runner.interrupts.get().into_pyobject(runner.py())?.into_any()),
            |runner, value| assigned(value)?.extract().map(|value| runner.interrupts.set(value)),
        );
        flags! { t: c"_set_event_loop" => is_current }
        copying::table(t);
    }

    references! { debug, loop_factory, event_loop, context }
}
