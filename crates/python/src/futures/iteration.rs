//! `await future`: the iterator behind it, and the exceptions that iterators of coroutines share.
//!
//! Called by the interpreter, and by [`crate::coroutines`] for the exceptions; calls [`super::result`].

use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::outcome::result;
use super::state::{Future, State};
use crate::ffi::{Args, Class, ClassState, Create, Obj, Output, Ref, Signature, Slot, Table, references};
use crate::stock;

/// What `await future` iterates: it yields the future once, then ends with the result.
#[derive(Default)]
pub struct FutureIter {
    future: Slot<Future>,
}

static FUTURE_ITER: ClassState = ClassState::new();

impl FutureIter {
    /// `Future.__await__`.
    #[inline(always)] // the body of a slot
    pub fn over<'py>(future: &Obj<'py, Future>) -> Output<'py> {
        future.ensure_alive()?;
        let iterator = Self::create(future.py())?;
        iterator.future.set(Ref::of(future.clone()));
        Ok(iterator.into_any())
    }

    /// `Ok(Ok(future))` to yield it, `Ok(Err(result))` to return.
    #[inline]
    fn advance<'py>(iterator: &Obj<'py, Self>) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>> {
        let py = iterator.py();
        let Some(future) = iterator.future.obj(py) else {
            return Err(PyStopIteration::new_err(()));
        };
        if future.state.get() == State::Pending {
            if future.blocking.replace(true) {
                return Err(PyRuntimeError::new_err("await wasn't used with future"));
            }
            return Ok(Ok(future.into_any()));
        }
        iterator.future.clear();
        result(&future).map(Err)
    }
}

/// `StopIteration(value)`, also for values that are tuples or exceptions.
pub fn stop_iteration(value: Bound<'_, PyAny>) -> PyErr {
    let py = value.py();
    if value.is_none() {
        return PyStopIteration::new_err(());
    }
    match py.get_type::<PyStopIteration>().call1((value,)) {
        Ok(stop) => PyErr::from_value(stop),
        Err(error) => error,
    }
}

const THROW: Signature<3> =
    Signature::new_native_without_keywords("FutureIter.throw", "typ, val=None, tb=None, /");

impl Class for FutureIter {
    const NAME: &'static CStr = c"_asyncio.FutureIter";
    type Header = crate::ffi::class::Plain;
    const FREELIST: usize = 256;
    const AWAITED: bool = true;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &FUTURE_ITER;

    fn table(t: &mut Table<Self>) {
        t.iter(|iterator| Ok(iterator.as_any().clone()));
        t.send(|iterator, _value| Self::advance(iterator));
        t.one(
            c"send",
            "value",
            |iterator, _value| match Self::advance(iterator)? {
                Ok(future) => Ok(future),
                Err(value) => Err(stop_iteration(value)),
            },
            "Yields the future, then raises StopIteration with its result; the value sent is ignored.",
        );
        t.method(
            &THROW,
            |iterator, args| {
                warn_about_three_arguments(&args)?;
                let [class, value, traceback] = args.parse(&THROW)?;
                let raised = thrown(&class, &value, &traceback, &BY_FUTURE)?;
                iterator.future.clear();
                Err(raised)
            },
            "Raises the exception and lets go of the future.",
        );
        t.action(c"close", |iterator| iterator.future.clear(), "Lets go of the future.");
    }

    references! { future }
}

/// The three-argument form of `throw` is deprecated since 3.12.
pub fn warn_about_three_arguments(args: &Args<'_, '_>) -> PyResult<()> {
    if cfg!(Py_3_12) && args.len() > 1 {
        let text =
            "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead.";
        let category = args.py().get_type::<pyo3::exceptions::PyDeprecationWarning>();
        stock::warn(args.py())?.call1((text, category))?;
    }
    Ok(())
}

/// How `throw` refuses what is no exception.
pub struct Refusals {
    traceback: &'static str,
    exception: fn(&Bound<'_, PyAny>) -> PyResult<String>,
}

static BY_FUTURE: Refusals = Refusals {
    traceback: "throw() third argument must be a traceback",
    exception: |_| {
        Ok("exceptions must be classes deriving BaseException or instances of such a class".to_owned())
    },
};

/// As coroutines of the interpreter refuse it.
pub static BY_COROUTINE: Refusals = Refusals {
    traceback: "throw() third argument must be a traceback object",
    exception: |class| {
        let class = class.get_type().name()?;
        Ok(format!("exceptions must be classes or instances deriving from BaseException, not {class}"))
    },
};

/// The exception that `generator.throw(class, value, traceback)` raises.
pub fn thrown(
    class: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    traceback: &Bound<'_, PyAny>,
    refusals: &Refusals,
) -> PyResult<PyErr> {
    if !traceback.is_none() && !traceback.is_instance_of::<pyo3::types::PyTraceback>() {
        return Err(PyTypeError::new_err(refusals.traceback));
    }
    let instance = if class.is_instance_of::<pyo3::exceptions::PyBaseException>() {
        if !value.is_none() {
            return Err(PyTypeError::new_err("instance exception may not have a separate value"));
        }
        class.clone()
    } else if class
        .cast::<PyType>()
        .is_ok_and(|c| c.is_subclass_of::<pyo3::exceptions::PyBaseException>().unwrap_or(false))
    {
        if value.is_none() {
            class.call0()?
        } else if value.is_instance(class)? {
            value.clone()
        } else if let Ok(args) = value.cast::<PyTuple>() {
            class.call1(args)?
        } else {
            class.call1((value,))?
        }
    } else {
        return Err(PyTypeError::new_err((refusals.exception)(class)?));
    };
    if !traceback.is_none() {
        instance.setattr(name!("__traceback__"), traceback)?;
    }
    Ok(PyErr::from_value(instance))
}
