//! [`AsyncWith`]: `async with` for locks, conditions and semaphores. `asyncio.locks._ContextManagerMixin`,
//! native.

use pyo3::prelude::*;

use super::waiters::HasWaiters;
use crate::coroutines::{Routine, Special, Start, Step, install_special};
use crate::ffi::{Args, Obj, Output, Signature, Table, boolean, none};
use crate::names;

/// A class that `async with` takes and gives back: `_ContextManagerMixin`.
pub(super) trait AsyncWith: HasWaiters {
    /// `acquire()` up to its first await. It returns what the routine has in its first slot.
    fn begin<'py>(routine: &Obj<'py, Routine>, object: &Obj<'py, Self>) -> PyResult<Step<'py>>;
    /// `release()`.
    fn release(object: &Obj<'_, Self>) -> PyResult<()>;
}

const ENTER: Signature<0> = Signature::new_method("_ContextManagerMixin.__aenter__", "");
const EXIT: Signature<3> = Signature::new_method("_ContextManagerMixin.__aexit__", "exc_type, exc, tb");

/// `async with`, by way of `acquire` and `release`.
pub(super) fn context_manager<T: AsyncWith>(t: &mut Table<T>) {
    t.noargs(c"__aenter__", entering, "Acquires; `async with` gives None.");
    t.method(
        &EXIT,
        |object, args| {
            ignore_exception(&args, &EXIT)?;
            Ok(Routine::begin(object.as_any(), EXIT.function, exit::<T>)?.into_any())
        },
        "Releases.",
    );
}

pub(super) fn install_special_context<T: AsyncWith>(py: Python<'_>) -> PyResult<()> {
    let entering = const {
        &Special {
            name: ENTER.function,
            begin: enter::<T>,
            arguments: 0,
            check: |args| args.parse(&ENTER).map(drop),
            keep: None,
            in_cycles: false,
        }
    };
    let exiting = const {
        &Special {
            name: EXIT.function,
            begin: exit::<T>,
            arguments: 3,
            check: |args| args.parse(&EXIT).map(drop),
            keep: None,
            in_cycles: true,
        }
    };
    install_special(&T::class(py), "__aenter__", entering)?;
    install_special(&T::class(py), "__aexit__", exiting)
}

/// `__aenter__`
pub(super) fn entering<'py, T: AsyncWith>(object: &Obj<'py, T>) -> Output<'py> {
    Ok(Routine::begin(object.as_any(), ENTER.function, enter::<T>)?.into_any())
}

/// Checks the arguments of `__aexit__`, which takes no interest in them.
#[inline]
fn ignore_exception(args: &Args<'_, '_>, signature: &Signature<3>) -> PyResult<()> {
    if args.len() == 3 && !args.has_keywords() {
        return Ok(());
    }
    args.parse(signature).map(drop)
}

fn enter<'py, T: AsyncWith>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    routine.with_owner(py, |object: &Obj<'py, T>| {
        if object.is_native() {
            return T::begin(routine, object);
        }
        Ok(Step::Await(object.as_any().call_method0(names::acquire(py))?, entered))
    })
}

pub(super) fn entered<'py>(routine: &Obj<'py, Routine>, acquired: Output<'py>) -> PyResult<Step<'py>> {
    acquired?;
    Ok(Step::Return(none(routine.py())))
}

fn exit<'py, T: AsyncWith>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    routine.with_owner(py, |object: &Obj<'py, T>| {
        if object.is_native() {
            T::release(object)?;
        } else {
            object.as_any().call_method0(names::release(py))?;
        }
        Ok(Step::Return(none(py)))
    })
}

/// `acquire()` as the first piece of a routine.
pub(super) fn acquire<'py, T: AsyncWith>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    routine.with_owner(routine.py(), |object| T::begin(routine, object))
}

/// A coroutine that returns True.
#[inline]
pub(super) fn returning_true<'py>(
    owner: &Bound<'py, PyAny>,
    name: &'static str,
    begin: Start,
) -> Output<'py> {
    let routine = Routine::begin(owner, name, begin)?;
    routine.first.put(boolean(owner.py(), true));
    Ok(routine.into_any())
}
