//! `Semaphore` and `BoundedSemaphore`: so many holders at a time. `asyncio.locks.Semaphore`.
//!
//! Releasing hands a unit to the first waiter that has none yet: the count goes down at once, on its behalf,
//! and up again if it is cancelled before it runs.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyTuple};

use super::async_with::{self, AsyncWith};
use super::waiters::{self, HasWaiters, Waiters};
use crate::attributes::assigned;
use crate::copying::{self, Copied};
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::combined::{Combinable, Extended};
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Signature, Slot, Table, derived, references, stands_for,
};
use crate::ffi::{boolean, none};
use crate::mixins::{is_cancelled, is_done, wake};
use crate::{names, stock};

/// A Python number. Mostly that is a small int, which is counted without Python; `Semaphore(math.inf)` is in
/// use too.
#[derive(Default)]
struct Count {
    number: Cell<i64>,
    /// The number where it is something else.
    object: Slot,
}

impl Count {
    fn set(&self, value: &Bound<'_, PyAny>) {
        match value.cast_exact::<PyInt>().ok().and_then(|value| value.extract::<i64>().ok()) {
            Some(number) => self.set_number(number),
            None => self.object.put(value.clone()),
        }
    }

    fn set_number(&self, number: i64) {
        self.number.set(number);
        self.object.clear();
    }

    fn get<'py>(&self, py: Python<'py>) -> Output<'py> {
        match self.object.get(py) {
            Some(object) => Ok(object),
            None => Ok(self.number.get().into_pyobject(py)?.into_any()),
        }
    }

    /// `self += change`
    #[inline]
    fn add(&self, py: Python<'_>, change: i64) -> PyResult<()> {
        if self.object.is_empty()
            && let Some(sum) = self.number.get().checked_add(change)
        {
            self.number.set(sum);
            return Ok(());
        }
        self.set(&self.get(py)?.add(change)?);
        Ok(())
    }

    /// `self == 0`
    #[inline]
    fn is_zero(&self, py: Python<'_>) -> PyResult<bool> {
        match self.object.get(py) {
            None => Ok(self.number.get() == 0),
            Some(object) => object.eq(0),
        }
    }

    /// `self > 0`
    #[inline]
    fn is_positive(&self, py: Python<'_>) -> PyResult<bool> {
        match self.object.get(py) {
            None => Ok(self.number.get() > 0),
            Some(object) => object.gt(0),
        }
    }

    /// `self >= other`
    #[inline]
    fn reaches(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        if self.object.is_empty() && other.object.is_empty() {
            return Ok(self.number.get() >= other.number.get());
        }
        self.get(py)?.ge(other.get(py)?)
    }
}

/// The data of a `Semaphore`.
#[derive(Default)]
pub struct Semaphore {
    waiters: Waiters,
    value: Count,
    /// Of a BoundedSemaphore: the value that it never exceeds.
    bound: Count,
}

/// What a BoundedSemaphore is apart from its data, which is a Semaphore's.
#[derive(Default)]
pub struct Bounded;

derived! {
    /// The data of a `BoundedSemaphore`.
    pub struct BoundedSemaphore { base: Semaphore, own: Bounded }
}

static SEMAPHORE: ClassState = ClassState::new();
static BOUNDED_SEMAPHORE: ClassState = ClassState::new();
const INIT: Signature<1> = Signature::new_method("Semaphore.__init__", "value=1");
const BOUNDED_INIT: Signature<1> = Signature::new_method("BoundedSemaphore.__init__", "value=1");

fn init(
    semaphore: &Semaphore,
    signature: &Signature<1>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    semaphore.waiters.clear();
    if args.is_empty() && kwargs.is_none_or(|kwargs| kwargs.is_empty()) {
        semaphore.value.set_number(1);
        return Ok(());
    }
    let [value] = Args::parse_tuple(signature, args, kwargs)?;
    if value.lt(0)? {
        return Err(PyValueError::new_err("Semaphore initial value must be >= 0"));
    }
    semaphore.value.set(&value);
    Ok(())
}

/// `locked()`: no unit is left, or a task that came before waits.
#[inline]
fn is_locked(semaphore: &Obj<'_, Semaphore>) -> PyResult<bool> {
    let py = semaphore.py();
    Ok(semaphore.value.is_zero(py)? || semaphore.waiters.has_uncancelled(py)?)
}

fn begin<'py>(routine: &Obj<'py, Routine>, semaphore: &Obj<'py, Semaphore>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let locked = if semaphore.is_native() {
        is_locked(semaphore)?
    } else {
        semaphore.as_any().call_method0(names::locked(py))?.is_truthy()?
    };
    if !locked {
        semaphore.value.add(py, -1)?;
        return Ok(Step::Return(taken(py, &routine.first)));
    }
    let (waiter, ticket) = semaphore.waiters.join(semaphore)?;
    routine.number.set(ticket);
    Ok(Step::Await(waiter, resume))
}

fn resume<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    routine.with_owner(py, |semaphore| take_turn(semaphore, routine.number.get(), waited))?;
    Ok(Step::Return(taken(py, &routine.first)))
}

/// The wait is over: the unit was taken on the waiter's behalf, unless something was raised.
fn take_turn(semaphore: &Obj<'_, Semaphore>, ticket: u64, waited: Output<'_>) -> PyResult<()> {
    let py = semaphore.py();
    let waiter = semaphore.waiters.leave(py, ticket)?;
    let cancelled = match &waited {
        Err(error) => waiters::is_cancellation(py, error)?,
        Ok(_) => false,
    };
    // The unit that the task was handed goes to the next waiter.
    if cancelled && !is_cancelled(&waiter)? && is_done(&waiter)? {
        semaphore.value.add(py, 1)?;
    }
    // Meanwhile waiters may have come that stood behind this one.
    while semaphore.value.is_positive(py)? && wake_next(semaphore)? {}
    waited.map(drop)
}

/// `self._wake_up_next()`; before 3.13 nobody asks what it says.
#[inline]
fn wake_next(semaphore: &Obj<'_, Semaphore>) -> PyResult<bool> {
    if semaphore.is_native() {
        return wake_up_next(semaphore);
    }
    semaphore.as_any().call_method0(name!("_wake_up_next"))?.is_truthy()
}

/// `_wake_up_next`: hands a unit to the first waiter without one; whether there was any.
fn wake_up_next(semaphore: &Obj<'_, Semaphore>) -> PyResult<bool> {
    let py = semaphore.py();
    let Some(waiter) = semaphore.waiters.next_pending(py, &mut 0)? else { return Ok(false) };
    semaphore.value.add(py, -1)?;
    wake(&waiter)?;
    Ok(true)
}

fn release(semaphore: &Obj<'_, Semaphore>) -> PyResult<()> {
    semaphore.value.add(semaphore.py(), 1)?;
    wake_next(semaphore).map(drop)
}

impl Copied for Semaphore {}

impl HasWaiters for Semaphore {
    const LAZY_WAITERS: bool = true;

    fn waiters(&self) -> &Waiters {
        &self.waiters
    }
}

impl AsyncWith for Semaphore {
    #[inline]
    fn begin<'py>(routine: &Obj<'py, Routine>, semaphore: &Obj<'py, Self>) -> PyResult<Step<'py>> {
        begin(routine, semaphore)
    }

    #[inline]
    fn release(semaphore: &Obj<'_, Self>) -> PyResult<()> {
        release(semaphore)
    }
}

impl Copied for BoundedSemaphore {}

impl HasWaiters for BoundedSemaphore {
    const LAZY_WAITERS: bool = true;

    fn waiters(&self) -> &Waiters {
        &self.base.waiters
    }
}

impl AsyncWith for BoundedSemaphore {
    #[inline]
    fn begin<'py>(routine: &Obj<'py, Routine>, semaphore: &Obj<'py, Self>) -> PyResult<Step<'py>> {
        begin(routine, semaphore.upcast())
    }

    #[inline]
    fn release(semaphore: &Obj<'_, Self>) -> PyResult<()> {
        if semaphore.base.value.reaches(semaphore.py(), &semaphore.base.bound)? {
            return Err(PyValueError::new_err("BoundedSemaphore released too many times"));
        }
        match semaphore.replaced_super_method::<Semaphore>(names::release(semaphore.py()))? {
            None => release(semaphore.upcast()),
            Some(release) => release.call0().map(drop),
        }
    }
}

impl Class for Semaphore {
    const NAME: &'static CStr = c"yibu.Semaphore";
    type Header = Combinable;
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    const SHOWN: &'static [&'static str] = &["_waiters", "_value"];
    const SHOWN_WHEN_SET: &'static [&'static str] = &["_loop"];

    stands_for! { SEMAPHORE, stock::semaphore }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Semaphore(value=1)\n--\n\nSo many tasks at a time: the others wait in the order of their arrival.");
        t.init(|semaphore, args, kwargs| init(semaphore, &INIT, args, kwargs));
        t.noargs(
            c"acquire",
            |semaphore| {
                async_with::returning_true(
                    semaphore.as_any(),
                    "Semaphore.acquire",
                    async_with::acquire::<Self>,
                )
            },
            "Waits until a unit is left and takes it. Returns True.",
        );
        t.action(c"release", release, "Gives a unit back, and hands it to the first waiting task.");
        t.noargs(
            c"locked",
            |semaphore| Ok(boolean(semaphore.py(), is_locked(semaphore)?)),
            "Whether acquire() would wait.",
        );
        t.noargs(
            c"_wake_up_next",
            |semaphore| {
                let woken = wake_up_next(semaphore)?;
                Ok(if cfg!(Py_3_13) { boolean(semaphore.py(), woken) } else { none(semaphore.py()) })
            },
            "Hands a unit to the first waiting task that has none yet.",
        );
        async_with::context_manager(t);
        waiters::attributes(t);
        t.property(
            c"_value",
            |semaphore| semaphore.value.get(semaphore.py()),
            |semaphore, value| assigned(value).map(|value| semaphore.value.set(value)),
        );
        t.repr(|semaphore| {
            let py = semaphore.py();
            let state = if semaphore.as_any().call_method0(names::locked(py))?.is_truthy()? {
                "locked".to_owned()
            } else {
                text!("unlocked, value:{}", semaphore.value.get(py)?.str()?)?
            };
            waiters::repr(semaphore, &state, semaphore.waiters.len(py)?)
        });
    }

    references! { waiters, value.object, bound.object }
}

impl Class for BoundedSemaphore {
    const NAME: &'static CStr = c"yibu.BoundedSemaphore";
    type Header = Combinable;
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    fn extended() -> Option<Extended<Self>> {
        Some(Extended::by::<Semaphore>())
    }

    const SHOWN: &'static [&'static str] = &["_bound_value", "_waiters", "_value"];
    const SHOWN_WHEN_SET: &'static [&'static str] = &["_loop"];

    stands_for! { BOUNDED_SEMAPHORE, stock::bounded_semaphore }

    fn table(t: &mut Table<Self>) {
        t.doc(c"BoundedSemaphore(value=1)\n--\n\nA Semaphore that is never given back more than was taken.");
        t.init(|semaphore, args, kwargs| {
            let py = semaphore.py();
            if let Some(init) = semaphore.replaced_super_method::<Semaphore>(intern!(py, "__init__"))? {
                let value = if args.is_empty() && kwargs.is_none_or(|kwargs| kwargs.is_empty()) {
                    1_i64.into_pyobject(py)?.into_any()
                } else {
                    let [value] = Args::parse_tuple(&BOUNDED_INIT, args, kwargs)?;
                    value
                };
                semaphore.base.bound.set(&value);
                return init.call1((value,)).map(drop);
            }
            init(&semaphore.base, &BOUNDED_INIT, args, kwargs)?;
            semaphore.base.bound.set(&semaphore.base.value.get(py)?);
            Ok(())
        });
        t.action(c"release", Self::release,
            "Gives a unit back, and hands it to the first waiting task. ValueError when all are back already.",
        );
        async_with::context_manager(t);
        copying::table(t);
        t.property(
            c"_bound_value",
            |semaphore| semaphore.base.bound.get(semaphore.py()),
            |semaphore, value| assigned(value).map(|value| semaphore.base.bound.set(value)),
        );
    }

    references! { base }
}
