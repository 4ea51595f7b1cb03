//! Connects futures of asyncio and of `concurrent.futures`: `wrap_future`, and the chain that it and
//! `run_coroutine_threadsafe` are made of.
//!
//! A [`Chain`] carries the outcome of one future to another and a cancellation back, each in the thread where
//! the future it changes belongs. Called by Python code and by [`crate::event_loop`] for executors.

use std::ffi::CStr;

use pyo3::exceptions::{PyAssertionError, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::future_like::{self, is_future};
use crate::callbacks::{Reaction, ReactionCallback, react};
use crate::core::EventLoop;
use crate::ffi::class::Plain;
use crate::ffi::{Args, Class, ClassState, Create, Obj, Output, Signature, Slot, Table, none, references};
use crate::functions::{self, current_loop};
use crate::mixins::create_future;
use crate::{names, stock};

const WRAP_FUTURE: Signature<2> = Signature::new("wrap_future", "future, *, loop=None");
const CHAIN_FUTURE: Signature<2> = Signature::new("_chain_future", "source, destination");
const SET_RESULT_UNLESS_CANCELLED: Signature<2> =
    Signature::new("_set_result_unless_cancelled", "fut, result");

static UNLESS_CANCELLED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Builds the classes and adds the functions.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    Table::<Chain>::build(py, None)?;
    let doc = "A Future for one of concurrent.futures; futures of asyncio are returned as they are.";
    functions::add(module, &WRAP_FUTURE, wrap_future, doc)?;
    let doc = "Completes destination as source is completed; cancels source when destination is cancelled.";
    functions::add(module, &CHAIN_FUTURE, chain_future, doc)?;
    let doc = "Sets the result of a future that was not cancelled.";
    let setter = functions::make(module, &SET_RESULT_UNLESS_CANCELLED, set_result_unless_cancelled, doc)?;
    let setter = UNLESS_CANCELLED.get_or_init(py, || setter.unbind());
    module.add("_set_result_unless_cancelled", setter)
}

/// `_set_result_unless_cancelled` as a callback for loops.
pub fn result_setter(py: Python<'_>) -> Output<'_> {
    let setter = UNLESS_CANCELLED.get(py).map(|setter| setter.bind(py).clone());
    setter.ok_or_else(|| PyRuntimeError::new_err("the module was not imported"))
}

/// `asyncio.wrap_future(future, *, loop=None)`.
fn wrap_future<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [future, event_loop] = args.parse(&WRAP_FUTURE)?;
    wrap(future, (!event_loop.is_none()).then_some(event_loop))
}

/// A future of `event_loop`, or of the current loop, for one of `concurrent.futures`.
pub fn wrap<'py>(future: Bound<'py, PyAny>, event_loop: Option<Bound<'py, PyAny>>) -> Output<'py> {
    let py = future.py();
    if is_future(&future)? {
        return Ok(future);
    }
    if !future.is_instance(stock::concurrent_future(py)?)? {
        let text = text!("concurrent.futures.Future is expected, got {}", future.repr()?)?;
        return Err(PyAssertionError::new_err(text));
    }
    let event_loop = event_loop.map_or_else(|| current_loop(py), Ok)?;
    let wrapping = create_future(&event_loop)?;
    chain(&future, &wrapping)?;
    Ok(wrapping)
}

/// `futures._chain_future(source, destination)`.
fn chain_future<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [source, destination] = args.parse(&CHAIN_FUTURE)?;
    chain(&source, &destination)?;
    Ok(none(args.py()))
}

/// `futures._set_result_unless_cancelled(fut, result)`: what transports and timers call.
fn set_result_unless_cancelled<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [future, value] = args.parse(&SET_RESULT_UNLESS_CANCELLED)?;
    if !future_like::is_cancelled(&future)? {
        future_like::set_result(&future, value)?;
    }
    Ok(none(args.py()))
}

/// Two futures of which one follows the other. The loops are empty for futures of `concurrent.futures`.
///
/// These keep their callbacks when they are done, and with them the chain, which therefore lets go of both:
/// otherwise every result of a thread would wait for the garbage collector.
#[derive(Default)]
pub struct Chain {
    source: Slot,
    source_loop: Slot,
    destination: Slot,
    destination_loop: Slot,
}

static CHAIN: ClassState = ClassState::new();

/// The destination is done: if it was cancelled, the source is cancelled.
static CHECK_CANCEL: Reaction = Reaction {
    name: "_chain_future.<locals>._call_check_cancel",
    run: check_cancel,
    waiter: |_| None,
    standard: None,
};
/// The source is done: its outcome goes to the destination.
static CALL_SET_STATE: Reaction = Reaction {
    name: "_chain_future.<locals>._call_set_state",
    run: call_set_state,
    waiter: |_| None,
    standard: None,
};
/// The same, in the thread of the destination.
static SET_STATE: Reaction = Reaction {
    name: "_chain_future.<locals>._set_state",
    run: |chain, source| match Obj::<Chain>::cast(chain) {
        Some(chain) => chain.finish(source),
        None => Ok(()),
    },
    waiter: |_| None,
    standard: None,
};

impl Chain {
    /// Completes the destination, and ends.
    fn finish(&self, source: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(destination) = self.destination.take() else { return Ok(()) };
        self.clear();
        set_state(&destination.into_any(source.py()), source)
    }
}

pub fn chain<'py>(source: &Bound<'py, PyAny>, destination: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = source.py();
    for (future, role) in [(source, "source"), (destination, "destination")] {
        if !is_future(future)? && !future.is_instance(stock::concurrent_future(py)?)? {
            return Err(PyTypeError::new_err(format!("A future is required for {role} argument")));
        }
    }
    let chain = Chain::create(py)?;
    if is_future(source)? {
        chain.source_loop.put(future_like::loop_of(source)?);
    }
    if is_future(destination)? {
        chain.destination_loop.put(future_like::loop_of(destination)?);
    }
    chain.source.put(source.clone());
    chain.destination.put(destination.clone());
    react(destination, &CHECK_CANCEL, chain.as_any())?;
    react(source, &CALL_SET_STATE, chain.as_any())
}

/// Whether what follows from the other future is done to a future of this loop at once, or by
/// `call_soon_threadsafe`.
///
/// At once only in the thread where the loop runs. Before 3.14 that is so only between futures of one loop:
/// one of `concurrent.futures` that is done in the loop's own thread takes a turn to get there, too, and
/// programs count turns.
fn is_at_once(event_loop: &Slot, other: &Slot, py: Python<'_>) -> PyResult<bool> {
    if event_loop.is_empty() {
        return Ok(true);
    }
    if cfg!(not(Py_3_14)) && !event_loop.is(&other.get_or_none(py)) {
        return Ok(false);
    }
    Ok(event_loop.is(&stock::get_running_loop(py)?.call0()?))
}

fn check_cancel<'py>(chain: &Bound<'py, PyAny>, destination: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = chain.py();
    let Some(chain) = Obj::<Chain>::cast(chain) else { return Ok(()) };
    if !future_like::is_cancelled(destination)? {
        return Ok(());
    }
    // A source that is done has nothing to cancel.
    let Some(source) = chain.source.get(py) else { return Ok(()) };
    if is_at_once(&chain.source_loop, &chain.destination_loop, py)? {
        return future_like::cancel(&source).map(drop);
    }
    let cancel = source.getattr(names::cancel(py))?;
    let event_loop = chain.source_loop.get_or_none(py);
    event_loop.call_method1(names::call_soon_threadsafe(py), (cancel,)).map(drop)
}

fn call_set_state<'py>(owner: &Bound<'py, PyAny>, source: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = owner.py();
    let Some(chain) = Obj::<Chain>::cast(owner) else { return Ok(()) };
    let Some(destination) = chain.destination.get(py) else { return Ok(()) };
    let event_loop = chain.destination_loop.get(py);
    chain.source.clear();
    if let Some(event_loop) = &event_loop
        && future_like::is_cancelled(&destination)?
        && is_closed(event_loop)?
    {
        chain.clear();
        return Ok(());
    }
    match event_loop {
        Some(event_loop) if !is_at_once(&chain.destination_loop, &chain.source_loop, py)? => {
            if is_closed(&event_loop)? {
                chain.clear();
                return Ok(());
            }
            let set_state = ReactionCallback::of(&SET_STATE, owner)?;
            event_loop.call_method1(names::call_soon_threadsafe(py), (set_state, source)).map(drop)
        }
        _ => chain.finish(source),
    }
}

fn is_closed(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    match EventLoop::plain(event_loop) {
        Some(native) => Ok(native.is_closed()),
        None => event_loop.call_method0(names::is_closed(event_loop.py()))?.is_truthy(),
    }
}

fn set_state(destination: &Bound<'_, PyAny>, source: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_future(destination)? { copy_state(source, destination) } else { hand_over(source, destination) }
}

/// `futures._copy_future_state`: to a future of asyncio.
fn copy_state(source: &Bound<'_, PyAny>, destination: &Bound<'_, PyAny>) -> PyResult<()> {
    if future_like::is_cancelled(destination)? {
        return Ok(());
    }
    if future_like::is_done(destination)? {
        return Err(PyAssertionError::new_err(()));
    }
    if future_like::is_cancelled(source)? {
        return future_like::cancel(destination).map(drop);
    }
    match future_like::exception(source)? {
        Some(exception) => future_like::set_exception(destination, &acceptable(exception)?),
        None => future_like::set_result(destination, future_like::result(source)?),
    }
}

/// The exception as a future of asyncio takes it on every Python. Older ones refuse StopIteration, and the
/// waiting code would wait for ever.
pub fn acceptable(exception: Bound<'_, PyAny>) -> Output<'_> {
    match convert(exception)? {
        stop if stop.is_instance_of::<PyStopIteration>() => super::outcome::wrap_stop_iteration(&stop),
        exception => Ok(exception),
    }
}

/// `futures._set_concurrent_future_state`: to a future of `concurrent.futures`.
fn hand_over(source: &Bound<'_, PyAny>, destination: &Bound<'_, PyAny>) -> PyResult<()> {
    if future_like::is_cancelled(source)? {
        future_like::cancel(destination)?;
    }
    if !starts_running(destination)? {
        return Ok(());
    }
    match future_like::exception(source)? {
        Some(exception) => future_like::set_exception(destination, &convert(exception)?),
        None => future_like::set_result(destination, future_like::result(source)?),
    }
}

/// `future.set_running_or_notify_cancel()`.
pub fn starts_running(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    future.call_method0(name!("set_running_or_notify_cancel"))?.is_truthy()
}

/// `futures._convert_future_exc`: the exceptions that both kinds of futures have a class of their own for.
pub fn convert(exception: Bound<'_, PyAny>) -> Output<'_> {
    let py = exception.py();
    let class = exception.get_type();
    let own = if class.is(stock::concurrent_cancelled_error(py)?) {
        stock::cancelled_error(py)?
    } else if class.is(stock::concurrent_invalid_state_error(py)?) {
        stock::invalid_state_error(py)?
    } else {
        return Ok(exception);
    };
    let converted = own.call1(exception.getattr(name!("args"))?.cast::<PyTuple>()?)?;
    converted.setattr(name!("__traceback__"), exception.getattr(name!("__traceback__"))?)?;
    Ok(converted)
}

impl Class for Chain {
    const NAME: &'static CStr = c"yibu.Chain";
    type Header = Plain;
    const FREELIST: usize = 64;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &CHAIN;

    fn table(_: &mut Table<Self>) {}

    references! { source, source_loop, destination, destination_loop }
}
