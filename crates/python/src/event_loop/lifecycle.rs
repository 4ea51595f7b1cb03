//! `run_forever`, `run_until_complete`, `stop`, `close` and what a loop does when it begins and ends to run.

use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyResourceWarning, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;

use super::{asyncgens, debug, signals};
use crate::attributes::flags;
use crate::callbacks::{Reaction, forget, react};
use crate::core::Overrides;
use crate::core::current;
use crate::core::{Engine, EventLoop, Overridable};
use crate::core::{tracing, turn};
use crate::errors;
use crate::events::entries::track_all;
use crate::ffi::thread::attached;
use crate::ffi::{Obj, Output, Signature, Table, boolean, none, thread, trampoline};
use crate::frames::Frame;
use crate::functions::asked;
use crate::futures::{self, future_like};
use crate::replaced::names::running_loop::OF_LOOPS;
use crate::replaced::names::{BASE_EVENTS, Name, SET_RUNNING_LOOP};
use crate::tasks::ensure::ensure;
use crate::{names, stock, tasks};

const RUN_UNTIL_COMPLETE: Signature<1> = Signature::new("EventLoop.run_until_complete", "future");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.action(c"run_forever", run_forever, "Runs until stop() is called.");
    t.method(&RUN_UNTIL_COMPLETE, |event_loop, args| {
        let [future] = args.parse(&RUN_UNTIL_COMPLETE)?;
        run_until_complete(event_loop, &future)
    }, "Runs until the future (or a coroutine, wrapped in a task) is done; returns its result or raises its exception.");
    t.action(
        c"stop",
        |event_loop| event_loop.stopping.set(true),
        "Stops the loop at the end of the current turn.",
    );
    t.action(c"close", close, "Closes the loop: pending callbacks are dropped, the executor is shut down without waiting. The loop must not run.");
    t.answer(c"is_running", |event_loop| event_loop.is_running(), "Whether the loop runs.");
    t.answer(c"is_closed", |event_loop| event_loop.closed.get(), "Whether the loop was closed.");
    t.action(c"_check_closed", |event_loop| event_loop.check_open(), "RuntimeError when the loop is closed.");
    t.action(
        c"_check_running",
        check_running,
        "RuntimeError when this loop, or another one in this thread, runs.",
    );
    #[cfg(Py_3_13)]
    t.action(
        c"_run_forever_setup",
        begin_run,
        "Makes the loop the running one: for those who run its turns themselves.",
    );
    #[cfg(Py_3_13)]
    t.action(c"_run_forever_cleanup", end_run, "Undoes _run_forever_setup().");
    t.property(
        c"_thread_id",
        |event_loop| {
            let thread = event_loop.thread();
            Ok(if thread == 0 {
                none(event_loop.py())
            } else {
                thread.into_pyobject(event_loop.py())?.into_any()
            })
        },
        |event_loop, value| {
            let thread = value.filter(|value| !value.is_none());
            event_loop.set_thread(thread.map_or(Ok(0), |thread| thread.extract())?);
            Ok(())
        },
    );
    t.property(
        c"_stopping",
        |event_loop| Ok(boolean(event_loop.py(), event_loop.stopping.get())),
        |event_loop, value| {
            event_loop.stopping.set(value.map_or(Ok(false), |v| v.is_truthy())?);
            Ok(())
        },
    );
    flags! { t: c"_closed" => closed }
    flags! { t: c"_run_completed" => completed }
}

fn check_running(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if event_loop.says_it_runs()? {
        return Err(PyRuntimeError::new_err("This event loop is already running"));
    }
    if asked(event_loop.py(), &OF_LOOPS)?.is_some() {
        return Err(PyRuntimeError::new_err("Cannot run the event loop while another loop is running"));
    }
    Ok(())
}

/// `self._check_closed()` and `self._check_running()`.
fn ensure_idle(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    event_loop.ensure_open()?;
    if event_loop.overrides(Overridable::CheckRunning) {
        return event_loop.as_any().call_method0(name!("_check_running")).map(drop);
    }
    check_running(event_loop)
}

/// Runs turns until `stop()`, or until the interpreter ends over the head of a daemon thread.
fn run_forever(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    event_loop.refuse_overridden()?;
    thread::outlive_interpreter(|| run_until_stopped(event_loop))
}

/// Runs turns until `stop()`; the loop is left as it was found whatever happens.
fn run_until_stopped(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if cfg!(Py_3_13) && event_loop.overrides(Overridable::SetUp) {
        event_loop.as_any().call_method0(name!("_run_forever_setup"))?;
    } else {
        begin_run(event_loop)?;
    }
    // PyO3 counts attachments of its own making only: within one, what is dropped is released at once instead
    // of being kept for the next, and attaching again is free.
    let ran = attached(|_| {
        trampoline::caught(|| {
            loop {
                if event_loop.overrides(Overridable::RunOnce) {
                    event_loop.as_any().call_method0(name!("_run_once"))?;
                } else {
                    turn::run_once(event_loop)?;
                }
                if event_loop.stopping.get() {
                    break Ok(());
                }
            }
        })
    });
    let ended = if cfg!(Py_3_13) && event_loop.overrides(Overridable::CleanUp) {
        event_loop.as_any().call_method0(name!("_run_forever_cleanup")).map(drop)
    } else {
        end_run(event_loop)
    };
    ran.and(ended)
}

/// `_run_forever_setup`: the loop is the running one of this thread, with its hooks installed.
fn begin_run(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    ensure_idle(event_loop)?;
    event_loop.engine.with(Engine::open).map_err(|error| errors::os_error(&error))?;
    super::given_selector::take_replaced(event_loop)?;
    signals::wakeup::open(event_loop)?;
    debug::track_origins_by_name(event_loop, event_loop.debug.get())?;
    asyncgens::install(event_loop)?;
    event_loop.set_thread(thread::ident());
    #[cfg(Py_3_14)]
    event_loop.current.set_forked(false);
    set_running(event_loop.py(), event_loop.as_any()).or_else(|error| end_run(event_loop).and(Err(error)))
}

/// `_run_forever_cleanup`: everything is as it was before [`begin_run`].
fn end_run(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let py = event_loop.py();
    event_loop.stopping.set(false);
    event_loop.completed.set(false);
    event_loop.set_thread(0);
    let unwatched =
        if event_loop.has_parked.take() { signals::wakeup::unwatch_signals(event_loop) } else { Ok(()) };
    event_loop.contexts.clear();
    let tracked = track_all(event_loop);
    let left = current::flush_leave(event_loop);
    let time = event_loop.engine.with(|engine| {
        engine.end_busy_period();
        engine.driver.now()
    });
    event_loop.counters.end_run(time);
    if event_loop.is_traced() {
        tracing::leave_turn(event_loop, None);
    }
    // Up to 3.11 the interpreter makes an object for that. Where the memory is short only for a moment, no
    // other loop could run in this thread any more.
    let unset = set_running(py, &none(py)).or_else(|error| match error.is_instance_of::<PyMemoryError>(py) {
        true => set_running(py, &none(py)),
        false => Err(error),
    });
    let untracked = debug::track_origins_by_name(event_loop, false);
    let restored = asyncgens::restore(event_loop);
    tracked.and(left).and(unset).and(untracked).and(restored).and(unwatched)
}

fn set_running(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    stock::set_running_loop(py)?.call1((event_loop,))?;
    match SET_RUNNING_LOOP.replacement(py)? {
        None => Ok(()),
        Some(set) => set.call1((event_loop,)).map(drop),
    }
}

/// `base_events._run_until_complete_cb`, which Python code sees in its place among the callbacks of a native
/// future.
static COMPLETION: Reaction = Reaction {
    name: "_run_until_complete_cb",
    run: completed,
    waiter: |_event_loop| None,
    standard: Some(stock::run_until_complete_cb),
};

fn completed(event_loop: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    if !future_like::is_cancelled(future)?
        && let Some(exception) = future_like::exception(future)?
        && (exception.is_instance_of::<PyKeyboardInterrupt>() || exception.is_instance_of::<PySystemExit>())
    {
        // It has left the loop already.
        return Ok(());
    }
    if let Some(native) = Obj::<EventLoop>::cast(event_loop) {
        current::flush_leave(native)?;
        native.completed.set(true);
    }
    event_loop.call_method0(names::stop(py)).map(drop)
}

/// `base_events._run_until_complete_cb`, as the module has it.
static RUN_UNTIL_COMPLETE_CB: Name<1> = Name::new([(&BASE_EVENTS, "_run_until_complete_cb")]);

/// Has the loop stop when a future is done.
fn stop_when_done<'py>(event_loop: &Obj<'py, EventLoop>, future: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    match futures::exact(future).filter(|_| !RUN_UNTIL_COMPLETE_CB.is_replaced(py)) {
        Some(_) => react(future, &COMPLETION, event_loop.as_any()),
        None => {
            let callback = RUN_UNTIL_COMPLETE_CB.current(py)?;
            future.call_method1(names::add_done_callback(py), (callback,)).map(drop)
        }
    }
}

/// Takes back what [`stop_when_done`] did.
fn go_on_when_done<'py>(event_loop: &Obj<'py, EventLoop>, future: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    if futures::exact(future).is_some() {
        forget(future, &COMPLETION, event_loop.as_any())?;
        if !RUN_UNTIL_COMPLETE_CB.is_replaced(py) {
            return Ok(());
        }
    }
    let callback = RUN_UNTIL_COMPLETE_CB.current(py)?;
    future.call_method1(names::remove_done_callback(py), (callback,)).map(drop)
}

fn run_until_complete<'py>(event_loop: &Obj<'py, EventLoop>, object: &Bound<'py, PyAny>) -> Output<'py> {
    ensure_idle(event_loop)?;
    let made_here = !future_like::is_future(object)?;
    let future = ensure(object, Some(event_loop.as_any()))?;
    if made_here {
        // The exception will be raised here: a pending task needs no report if the loop is stopped.
        tasks::expect_destruction(&future)?;
    }
    stop_when_done(event_loop, &future)?;
    let ran = if event_loop.overrides(Overridable::RunForever) {
        event_loop.as_any().call_method0(name!("run_forever")).map(drop)
    } else {
        run_forever(event_loop)
    };
    if let Err(error) = ran {
        if made_here && future_like::is_done(&future)? && !future_like::is_cancelled(&future)? {
            // The coroutine's own exception (KeyboardInterrupt, SystemExit) is on its way out: it was seen.
            future_like::exception(&future)?;
        }
        go_on_when_done(event_loop, &future)?;
        return Err(error);
    }
    go_on_when_done(event_loop, &future)?;
    if !future_like::is_done(&future)? {
        return Err(PyRuntimeError::new_err("Event loop stopped before Future completed."));
    }
    future_like::result(&future)
}

fn close(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if event_loop.says_it_runs()? {
        return Err(PyRuntimeError::new_err("Cannot close a running event loop"));
    }
    let py = event_loop.py();
    if event_loop.overrides(Overridable::IsClosed)
        && event_loop.as_any().call_method0(names::is_closed(py))?.is_truthy()?
    {
        return Ok(());
    }
    if event_loop.closed.get() {
        return Ok(());
    }
    if event_loop.overrides(Overridable::CloseSelfPipe) {
        event_loop.as_any().call_method0(name!("_close_self_pipe"))?;
    }
    if event_loop.debug.get() {
        static FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.close");
        FRAME.log(py, "debug", ("Close %r", event_loop.as_any()))?;
    }
    event_loop.closed.set(true);
    let content = event_loop.engine.with(Engine::close);
    drop(content);
    let watched = event_loop.watched.with(std::mem::take);
    drop(watched);
    let acceptors = event_loop.parts.take::<super::accept::Acceptors>();
    drop(acceptors);
    super::executor::shut_down_without_waiting(event_loop)?;
    signals::remove_all(event_loop)?;
    if event_loop.overrides(Overridable::ShowTimers) {
        super::internal_timers::sync(event_loop, true)?;
    }
    super::given_selector::close(event_loop)
}

/// `__del__`: closes a loop that was not closed, with a ResourceWarning.
pub(super) fn finalize(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if event_loop.closed.get() {
        return Ok(());
    }
    let py = event_loop.py();
    static FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.__del__");
    let text = text!("unclosed event loop {}", event_loop.as_any().repr()?)?;
    let warned = FRAME.warn(&text, &py.get_type::<PyResourceWarning>(), Some(event_loop.as_any()));
    if !event_loop.is_running() {
        event_loop.as_any().call_method0(name!("close"))?;
    }
    warned
}
