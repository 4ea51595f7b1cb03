//! What Ctrl-C does while a [`Runner`] runs: the first one cancels the task, which then ends as programs want
//! to end; the next ones interrupt the program where it is. Called by `Runner.run` and, as a signal handler,
//! by the interpreter.

use std::ffi::CStr;

use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;

use super::Runner;
use crate::ffi::class::Plain;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Ref, Signature, Slot, Table, none, references,
};
use crate::futures::future_like;
use crate::names::Interned;
use crate::{names, stock};

/// What leaves `run` when its task was cancelled: KeyboardInterrupt, if it was Ctrl-C and nobody else that
/// cancelled it.
pub(super) fn explain(runner: &Obj<'_, Runner>, task: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = runner.py();
    let by_interrupt = || -> PyResult<bool> {
        if runner.interrupts.get() == 0 || !error.is_instance(py, stock::cancelled_error(py)?) {
            return Ok(false);
        }
        // The tasks of a task factory need not know uncancel().
        match task.getattr_opt(name!("uncancel"))? {
            Some(uncancel) => uncancel.call0()?.eq(0),
            None => Ok(false),
        }
    };
    let raised = match by_interrupt() {
        Ok(false) => return error,
        Ok(true) => PyKeyboardInterrupt::new_err(()),
        Err(raised) => raised,
    };
    let raised = Raised::from_err(py, raised);
    match raised.as_any().setattr(name!("__context__"), error.into_value(py)) {
        Ok(()) => raised.into_err(),
        Err(error) => error,
    }
}

fn signal<'py>(py: Python<'py>, name: &'static Interned) -> Output<'py> {
    stock::signal_module(py)?.getattr(name)
}

/// Whether the SIGINT handler of the process is this object.
fn is_interrupt_handler(handler: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = handler.py();
    Ok(signal(py, name!("getsignal"))?.call1((signal(py, name!("SIGINT"))?,))?.is(handler))
}

fn set_interrupt_handler(handler: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = handler.py();
    signal(py, name!("signal"))?.call1((signal(py, name!("SIGINT"))?, handler)).map(drop)
}

/// From now on Ctrl-C cancels `task`: in the main thread, unless the program has a handler of its own.
pub(super) fn catch<'py>(
    runner: &Obj<'py, Runner>,
    task: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = runner.py();
    let threading = stock::threading_module(py)?;
    let main_thread = threading.call_method0(name!("main_thread"))?;
    if !threading.call_method0(name!("current_thread"))?.is(&main_thread)
        || !is_interrupt_handler(&signal(py, name!("default_int_handler"))?)?
    {
        return Ok(None);
    }
    let handler = Interrupt::create(py)?;
    handler.runner.set(Ref::of(runner.clone()));
    handler.task.put(task.clone());
    match set_interrupt_handler(handler.as_any()) {
        Ok(()) => Ok(Some(handler.into_any())),
        // An interpreter inside another program may have no signals.
        Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives Ctrl-C its ordinary meaning back, unless the program has set a handler since.
pub(super) fn forget(handler: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_interrupt_handler(handler)? {
        set_interrupt_handler(&signal(handler.py(), name!("default_int_handler"))?)?;
    }
    Ok(())
}

/// The SIGINT handler while a runner runs a task.
#[derive(Default)]
pub(super) struct Interrupt {
    runner: Slot<Runner>,
    task: Slot,
}

static INTERRUPT: ClassState = ClassState::new();
const INTERRUPT_CALL: Signature<2> = Signature::new("Runner._on_sigint", "signum, frame");

/// `Runner._on_sigint`: the first Ctrl-C cancels the task, the next ones interrupt the program where it is.
pub(super) fn interrupt<'py>(runner: &Obj<'py, Runner>, task: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = runner.py();
    runner.interrupts.set(runner.interrupts.get() + 1);
    if runner.interrupts.get() > 1 || future_like::is_done(task)? {
        return Err(PyKeyboardInterrupt::new_err(()));
    }
    future_like::cancel(task)?;
    // A loop that is parked wakes up for any callback; this one does nothing.
    let nothing = task.getattr(names::done(py))?;
    runner.event_loop.get_or_none(py).call_method1(names::call_soon_threadsafe(py), (nothing,)).map(drop)
}

impl Class for Interrupt {
    const NAME: &'static CStr = c"yibu.Interrupt";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &INTERRUPT;

    fn table(t: &mut Table<Self>) {
        t.doc(c"What Ctrl-C does while a Runner runs.");
        t.call(|handler, args, kwargs| {
            let py = handler.py();
            let [signal, frame] = Args::parse_tuple(&INTERRUPT_CALL, args, kwargs)?;
            let (Some(runner), Some(task)) = (handler.runner.obj(py), handler.task.get(py)) else {
                return Err(PyKeyboardInterrupt::new_err(()));
            };
            if runner.is_native() {
                return interrupt(&runner, &task).map(|()| none(py));
            }
            runner.as_any().call_method1(name!("_on_sigint"), (signal, frame, task))
        });
    }

    references! { runner, task }
}
