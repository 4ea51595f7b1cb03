//! `sleep`: `asyncio.tasks.sleep`, native. A coroutine object without a coroutine: one small state machine.
//!
//! Exported as a [`crate::functions::CoroutineFunction`]. It runs on any loop: on a native one the timer and the future are native.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::coroutines::{Coroutine, protocol};
use crate::ffi::class::Weak;
use crate::ffi::{Args, Class, ClassState, Obj, Output, Ref, Signature, Slot, Table, Visitor, none};
use crate::functions::running_loop;
use crate::futures::{self, Future, State};
use crate::names;

/// `sleep`'s parameters.
pub const SLEEP: Signature<2> = Signature::new("sleep", "delay, result=None");
/// What `help(sleep)` says.
pub const DOC: &str =
    "Coroutine that completes after delay seconds with result; a delay of 0 or less gives way for one turn.";

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    New,
    /// It gave way and ends when resumed.
    GivenWay,
    /// It waits for `future`.
    Waiting,
    Done,
}

/// The data of a sleep.
#[derive(Default)]
pub struct Sleep {
    delay: Slot,
    result: Slot,
    /// The iterator over the future that the timer completes.
    waiting: Slot,
    timer: Slot,
    phase: Cell<Phase>,
    started: Cell<bool>,
    running: Cell<bool>,
}

static SLEEP_CLASS: ClassState = ClassState::new();

/// `sleep(delay, result=None)`.
#[inline]
pub fn sleep<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let sleep = Sleep::create(args.py())?;
    if args.len() == 1 && !args.has_keywords() {
        if let Some(delay) = args.get(0) {
            sleep.delay.put(delay);
        }
    } else {
        sleep.started.set(true);
        let [delay, result] = args.parse(&SLEEP)?;
        sleep.started.set(false);
        sleep.delay.put(delay);
        sleep.result.put(result);
    }
    Ok(sleep.into_any())
}

/// `futures._set_result_unless_cancelled`, as the timer's callback.
pub const WAKE: Signature<2> = Signature::new("_set_result_unless_cancelled", "fut, result");

/// Completes the future unless it is done.
pub fn wake<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [future, result] = args.parse(&WAKE)?;
    match Obj::<Future>::cast(&future) {
        Some(future) if future.state() == State::Pending => futures::set_result(future, result)?,
        Some(_) => {}
        None => {
            if !future.call_method0("cancelled")?.is_truthy()? {
                future.call_method1("set_result", (result,))?;
            }
        }
    }
    Ok(none(args.py()))
}

/// The callable behind every timer of a sleep.
fn waker(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static WAKER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let waker = WAKER.get_or_try_init(py, || {
        let module = py.import("yibu._yibu")?;
        let doc = "Completes a future that is still pending.";
        crate::ffi::class::function(py, module.as_any(), &WAKE, wake, doc).map(Bound::unbind)
    })?;
    Ok(waker.bind(py))
}

/// The first step: gives way, or sets the timer.
fn begin<'py>(sleep: &Obj<'py, Sleep>) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>> {
    let py = sleep.py();
    let delay = sleep.delay.get_or_none(py);
    if delay.le(0)? {
        sleep.phase.set(Phase::GivenWay);
        return Ok(Ok(none(py)));
    }
    if cfg!(Py_3_13) && delay.extract::<f64>().is_ok_and(f64::is_nan) {
        return Err(PyValueError::new_err("Invalid delay: NaN (not a number)"));
    }
    let event_loop = running_loop(py)?;
    let future = event_loop.call_method0(names::create_future(py))?;
    let result = sleep.result.get_or_none(py);
    let timer = event_loop.call_method1(names::call_later(py), (delay, waker(py)?, &future, result))?;
    sleep.timer.put(timer);
    let iterator = match Obj::<Future>::cast(&future) {
        Some(native) => futures::FutureIter::over(native)?,
        None => future.call_method0("__await__")?,
    };
    sleep.waiting.put(iterator);
    sleep.phase.set(Phase::Waiting);
    resume(sleep)
}

/// Asks the future's iterator, which yields the future or ends with the result.
fn resume<'py>(sleep: &Obj<'py, Sleep>) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>> {
    use crate::ffi::send::{Sent, send};
    let py = sleep.py();
    let Some(waiting) = sleep.waiting.get(py) else {
        return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
    };
    match send(&waiting, &none(py)) {
        Sent::Yielded(future) => Ok(Ok(future)),
        Sent::Returned(value) => {
            end(sleep)?;
            Ok(Err(value))
        }
        Sent::Raised(error) => {
            end(sleep)?;
            Err(error)
        }
    }
}

/// Takes the timer back and lets go of everything.
fn end(sleep: &Obj<'_, Sleep>) -> PyResult<()> {
    let py = sleep.py();
    sleep.phase.set(Phase::Done);
    sleep.waiting.clear();
    match sleep.timer.take().map(|timer: Ref| timer.into_any(py)) {
        Some(timer) => timer.call_method0(names::cancel(py)).map(drop),
        None => Ok(()),
    }
}

impl Coroutine for Sleep {
    fn advance<'py>(sleep: &Obj<'py, Self>) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>> {
        if sleep.running.replace(true) {
            return Err(PyValueError::new_err("coroutine already executing"));
        }
        sleep.started.set(true);
        let advanced = match sleep.phase.get() {
            Phase::New => begin(sleep),
            Phase::Waiting => resume(sleep),
            Phase::GivenWay => {
                sleep.phase.set(Phase::Done);
                Ok(Err(sleep.result.get_or_none(sleep.py())))
            }
            Phase::Done => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
        };
        if advanced.is_err() {
            sleep.phase.set(Phase::Done);
        }
        sleep.running.set(false);
        advanced
    }

    fn finish(sleep: &Obj<'_, Self>) -> PyResult<()> {
        end(sleep)
    }

    fn name(&self) -> &'static str {
        "sleep"
    }

    fn started(&self) -> &Cell<bool> {
        &self.started
    }

    fn is_running(&self) -> bool {
        self.running.get()
    }
}

impl Class for Sleep {
    const NAME: &'static CStr = c"yibu.Sleep";
    type Header = Weak;
    const FREELIST: usize = 256;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;

    fn state() -> &'static ClassState {
        &SLEEP_CLASS
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"What sleep() returns: a coroutine.");
        protocol(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.delay, &self.result, &self.waiting, &self.timer] {
            slot.traverse(visitor);
        }
    }

    fn clear(&self) {
        for slot in [&self.delay, &self.result, &self.waiting, &self.timer] {
            slot.clear();
        }
    }

    fn wants_finalizer(&self) -> bool {
        !self.started.get()
    }
}
