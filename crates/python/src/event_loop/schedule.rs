//! `call_soon`, `call_later`, `call_at`, `call_soon_threadsafe`, `time`.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyFloat;

use super::{debug, handles, internal_timers};
use crate::core::Overrides;
use crate::core::clock::on_the_clock;
use crate::core::recording::note_cause;
use crate::core::{Entry, EventLoop, Overridable};
use crate::core::{Scheduled, now, seconds};
use crate::events::entries::{HANDLE, POSTED, SCHEDULED};
use crate::events::{self, Handle, PostedHandle, TimerHandle, When};
use crate::ffi::{Args, Create, Obj, Output, Signature, Table, make, none};
use crate::replaced::names::MONOTONIC;

const CALL_SOON: Signature<2> = Signature::new("EventLoop.call_soon", "callback, *args, context=None");
const THREADSAFE: Signature<2> =
    Signature::new("EventLoop.call_soon_threadsafe", "callback, *args, context=None");
const CALL_LATER: Signature<3> =
    Signature::new("EventLoop.call_later", "delay, callback, *args, context=None");
const CALL_AT: Signature<3> = Signature::new("EventLoop.call_at", "when, callback, *args, context=None");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(&CALL_SOON, call_soon, "Runs callback(*args) at the next turn of the loop, in context (a copy of the current one by default). Returns a Handle.");
    t.method(
        &THREADSAFE,
        call_soon_threadsafe,
        "call_soon() for other threads and signal handlers: it wakes the loop.",
    );
    t.method(&CALL_LATER, call_later, "Runs callback(*args) after delay seconds. Returns a TimerHandle.");
    t.method(&CALL_AT, call_at, "Runs callback(*args) when time() reaches when. Returns a TimerHandle.");
    t.action(
        c"_make_self_pipe",
        |_| (),
        "Nothing: the loop makes what other threads wake it by when it first runs.",
    );
    t.action(c"_close_self_pipe", |_| (), "Nothing: close() closes what other threads wake the loop by.");
    t.action(c"_write_to_self", |event_loop| event_loop.inbox.wake_if_parked(), "Wakes the loop.");
    t.one(
        c"_timer_handle_cancelled",
        "handle",
        |event_loop, _handle| Ok(none(event_loop.py())),
        "Called by a TimerHandle that is being cancelled; the loop counts it once it is.",
    );
    t.noargs(
        c"time",
        |event_loop| match MONOTONIC.replacement(event_loop.py())? {
            None => {
                let seconds = event_loop.engine.with(|engine| engine.driver.now());
                Ok(PyFloat::new(event_loop.py(), seconds).into_any())
            }
            Some(monotonic) => monotonic.call0(),
        },
        "The loop's clock, in seconds: time.monotonic().",
    );
}

/// The `context` argument.
#[inline]
fn given_context<'py>(args: &Args<'_, 'py>, function: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(args.only_keyword(function, "context")?.filter(|context| !context.is_none()))
}

#[cold]
fn missing<const N: usize>(args: &Args<'_, '_>, signature: &Signature<N>) -> PyErr {
    match args.parse(signature) {
        Err(error) => error,
        Ok(_) => PyTypeError::new_err(format!("{}() missing arguments", signature.function)),
    }
}

/// Prepares the handle of `call_soon` and `call_soon_threadsafe`, checked as debug mode asks.
#[inline]
fn prepare<'py>(
    handle: &Obj<'py, Handle>,
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &Signature<2>,
    method: &str,
    any_thread: bool,
) -> PyResult<()> {
    let Some(callback) = args.get(0) else { return Err(missing(args, signature)) };
    let context = given_context(args, signature.function)?;
    event_loop.ensure_open()?;
    if event_loop.debug.get() {
        check(event_loop, &callback, method, any_thread)?;
    }
    handle.prepare(event_loop, callback, args, 1, context)?;
    if event_loop.says_it_debugs()? {
        handle.remember_source(event_loop.py())?;
    }
    Ok(())
}

/// What debug mode checks.
#[cold]
fn check<'py>(
    event_loop: &Obj<'py, EventLoop>,
    callback: &Bound<'py, PyAny>,
    method: &str,
    any_thread: bool,
) -> PyResult<()> {
    if !any_thread {
        debug::check_thread(event_loop)?;
    }
    debug::check_callback(callback, method)
}

/// `call_soon` and `call_soon_threadsafe` where something of the program's own makes their handles.
#[cold]
fn by_class<'py>(
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &Signature<2>,
    any_thread: bool,
) -> Output<'py> {
    let Some(callback) = args.get(0) else { return Err(missing(args, signature)) };
    let context = given_context(args, signature.function)?;
    event_loop.ensure_open()?;
    if event_loop.debug.get() {
        let method = signature.function.trim_start_matches("EventLoop.");
        check(event_loop, &callback, method, any_thread)?;
    }
    let (py, rest) = (event_loop.py(), args.tuple_from(1)?);
    if any_thread {
        handles::threadsafe(event_loop, &events::posted_handle_maker(py)?, callback, rest, context)
    } else {
        handles::soon(event_loop, &events::handle_maker(py)?, callback, rest, context)
    }
}

/// Whether a call of `call_soon` or `call_soon_threadsafe` is one of the many: on a running loop of which the
/// program has replaced nothing, outside debug mode, and with a callback and arguments alone.
#[inline(always)]
fn is_ordinary(event_loop: &Obj<'_, EventLoop>, args: &Args<'_, '_>) -> bool {
    event_loop.is_untouched()
        && event_loop.is_running()
        && !event_loop.debug.get()
        && !event_loop.is_closed()
        && !args.has_keywords()
}

#[inline]
fn call_soon<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    if is_ordinary(event_loop, &args)
        && let Some(callback) = args.get(0)
    {
        // A running loop is alive, and with it what it is to run: until then the collector need not look at
        // the handle, and most are dropped by their caller at once and gone when they have run.
        let handle = Handle::create_untracked(event_loop.py())?;
        handle.prepare(event_loop, callback, &args, 1, None)?;
        event_loop.push_made(|| Entry::of(&HANDLE, handle.clone()))?;
        return Ok(handle.into_any());
    }
    call_soon_with_care(event_loop, args)
}

/// `call_soon` in all other cases.
#[inline(never)]
fn call_soon_with_care<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    if event_loop.overrides(Overridable::PushSoon) {
        return call_soon_by_steps(event_loop, &args, &CALL_SOON, "call_soon");
    }
    if events::handles_are_made_otherwise(event_loop.py()) {
        return by_class(event_loop, &args, &CALL_SOON, false);
    }
    let handle = Handle::create(event_loop.py())?;
    prepare(&handle, event_loop, &args, &CALL_SOON, "call_soon", false)?;
    event_loop.push_made(|| Entry::of(&HANDLE, handle.clone()))?;
    Ok(handle.into_any())
}

/// The checks, and `self._call_soon(callback, args, context)`.
#[cold]
fn call_soon_by_steps<'py>(
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &Signature<2>,
    method: &str,
) -> Output<'py> {
    let Some(callback) = args.get(0) else { return Err(missing(args, signature)) };
    let context = given_context(args, signature.function)?;
    event_loop.ensure_open()?;
    if event_loop.debug.get() {
        check(event_loop, &callback, method, method != "call_soon")?;
    }
    event_loop.as_any().call_method1(name!("_call_soon"), (callback, args.tuple_from(1)?, context))
}

fn call_soon_threadsafe<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let handle = post_soon(event_loop, args)?;
    if event_loop.overrides(Overridable::WriteToSelf) {
        event_loop.as_any().call_method0(name!("_write_to_self"))?;
    }
    Ok(handle)
}

#[inline]
fn post_soon<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    if is_ordinary(event_loop, &args)
        && !events::posted_handles_are_made_otherwise(event_loop.py())
        && let Some(callback) = args.get(0)
    {
        // As in `call_soon`.
        let handle = PostedHandle::create_untracked(event_loop.py())?;
        events::posted(&handle).prepare(event_loop, callback, &args, 1, None)?;
        post(event_loop, handle.clone())?;
        return Ok(handle.into_any());
    }
    post_soon_with_care(event_loop, args)
}

/// `call_soon_threadsafe` in all other cases, but for the wake-up.
#[inline(never)]
fn post_soon_with_care<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    if cfg!(not(Py_3_14)) && event_loop.overrides(Overridable::PushSoon) {
        let handle = call_soon_by_steps(event_loop, &args, &THREADSAFE, "call_soon_threadsafe")?;
        event_loop.inbox.wake_if_parked();
        return Ok(handle);
    }
    if events::posted_handles_are_made_otherwise(event_loop.py()) {
        return by_class(event_loop, &args, &THREADSAFE, true);
    }
    let handle = PostedHandle::create(event_loop.py())?;
    let method = "call_soon_threadsafe";
    prepare(events::posted(&handle), event_loop, &args, &THREADSAFE, method, true)?;
    post(event_loop, handle.clone())?;
    Ok(handle.into_any())
}

/// Hands an entry over to the loop, from any thread.
#[inline]
pub(super) fn post<'py>(event_loop: &Obj<'py, EventLoop>, handle: Obj<'py, PostedHandle>) -> PyResult<()> {
    note_cause(handle.as_any(), true)?;
    // This thread holds the interpreter, so a loop that another thread runs is blocked or between two uses of
    // its ring.
    event_loop.push_made(|| Entry::of(&POSTED, handle))?;
    event_loop.inbox.note_pushed();
    if event_loop.runs_elsewhere() && event_loop.inbox.is_flooded() {
        // asyncio writes to a socket here, and a thread that waits for the interpreter gets it. Threads that
        // post without end would leave the loop no time otherwise.
        let inbox = Arc::clone(&event_loop.inbox);
        event_loop.py().detach(|| inbox.throttle());
    }
    Ok(())
}

#[inline]
fn call_later<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let (Some(delay), Some(callback)) = (args.get(0), args.get(1)) else {
        return Err(missing(&args, &CALL_LATER));
    };
    if delay.is_none() {
        return Err(PyTypeError::new_err("delay must not be None"));
    }
    if event_loop.overrides(Overridable::CallAt) {
        return call_later_by_call_at(event_loop, &delay, &args);
    }
    let context = given_context(&args, CALL_LATER.function)?;
    let now = now(event_loop)?;
    let when = match seconds(&delay) {
        Some(delay) => When { seconds: now + delay, given: None },
        None => {
            let when = make::float(event_loop.py(), now)?.into_any().add(&delay)?;
            When { seconds: on_the_clock(&when)?, given: Some(when) }
        }
    };
    add_timer(event_loop, when, callback, &args, context)
}

/// A program replaced `call_at`: `call_later` goes through it, as in the standard library.
#[cold]
fn call_later_by_call_at<'py>(
    event_loop: &Obj<'py, EventLoop>,
    delay: &Bound<'py, PyAny>,
    args: &Args<'_, 'py>,
) -> Output<'py> {
    let py = event_loop.py();
    let when = make::float(py, now(event_loop)?)?.into_any().add(delay)?;
    let mut positional = vec![when];
    positional.extend(args.tuple_from(1)?.iter());
    let keywords = make::dict(py)?;
    keywords.set_item("context", given_context(args, CALL_LATER.function)?)?;
    event_loop.as_any().call_method(
        name!("call_at"),
        pyo3::types::PyTuple::new(py, positional)?,
        Some(&keywords),
    )
}

fn call_at<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let (Some(when), Some(callback)) = (args.get(0), args.get(1)) else {
        return Err(missing(&args, &CALL_AT));
    };
    if when.is_none() {
        return Err(PyTypeError::new_err("when cannot be None"));
    }
    let context = given_context(&args, CALL_AT.function)?;
    let when = match when.cast_exact::<PyFloat>() {
        Ok(float) => When { seconds: float.value(), given: None },
        Err(_) => When { seconds: on_the_clock(&when)?, given: Some(when) },
    };
    add_timer(event_loop, when, callback, &args, context)
}

#[inline]
fn add_timer<'py>(
    event_loop: &Obj<'py, EventLoop>,
    when: When<'py>,
    callback: Bound<'py, PyAny>,
    args: &Args<'_, 'py>,
    context: Option<Bound<'py, PyAny>>,
) -> Output<'py> {
    let py = event_loop.py();
    event_loop.ensure_open()?;
    if event_loop.debug.get() {
        debug::check_thread(event_loop)?;
        // asyncio's call_later() goes through call_at(), and its errors say so.
        debug::check_callback(&callback, "call_at")?;
    }
    if let Some(class) = events::timer_maker(py)? {
        let given = when.given.unwrap_or_else(|| PyFloat::new(py, when.seconds).into_any());
        return handles::at(event_loop, &class, given, callback, args.tuple_from(2)?, context);
    }
    let timer = TimerHandle::create(py)?;
    timer.base.prepare(event_loop, callback, args, 2, context)?;
    timer.own.set(&when);
    if event_loop.says_it_debugs()? {
        timer.base.remember_source(py)?;
    }
    event_loop.schedule(event_loop.py(), when.seconds, Scheduled::new(&SCHEDULED, timer.clone()))?;
    internal_timers::added(event_loop, timer.as_any())?;
    Ok(timer.into_any())
}
