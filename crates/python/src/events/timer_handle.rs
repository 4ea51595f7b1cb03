//! `TimerHandle`: a callback that runs at a time of the loop's clock. `asyncio.events.TimerHandle`, native.
//!
//! Made by `call_later` and `call_at`, and run by the loop's turn when the time has come. A timer is a
//! [`Handle`] with a [`Deadline`]; calls the handle, and the loop when it is cancelled.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyFloat;

use super::{HOOKS, Handle, asked_info, cancel, fill, joined, repr_info, texts_of, type_name};
use crate::core::{EventLoop, Overridable, Overrides};
use crate::ffi::class::Weak;
use crate::ffi::originals;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Signature, Slot, Table, derived, references, stands_for,
};
use crate::ffi::{boolean, call};
use crate::{names, stock};

/// What a `TimerHandle` adds: the deadline. `when` is empty for a plain float.
#[derive(Default)]
pub struct Deadline {
    when: Slot,
    /// The deadline as a number.
    pub seconds: Cell<f64>,
    scheduled: Cell<bool>,
}

derived! {
    /// The data of a `TimerHandle`.
    pub struct TimerHandle { base: Handle, own: Deadline }
}

static TIMER_HANDLE: ClassState = ClassState::new();

const NEW_TIMER: Signature<5> =
    Signature::new_method("TimerHandle.__init__", "when, callback, args, loop, context=None");

/// A deadline on its way into a timer.
pub struct When<'py> {
    /// In seconds of the loop's clock.
    pub seconds: f64,
    /// The object that Python code gave, where it is not a plain float.
    pub given: Option<Bound<'py, PyAny>>,
}

impl Deadline {
    /// The timer goes into the heap.
    #[inline]
    pub fn set(&self, when: &When<'_>) {
        self.seconds.set(when.seconds);
        self.scheduled.set(true);
        if let Some(given) = &when.given {
            self.when.put(given.clone());
        }
    }

    /// `TimerHandle.when()`.
    fn when<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.when.get(py).unwrap_or_else(|| PyFloat::new(py, self.seconds.get()).into_any())
    }

    /// The timer left the heap: it runs, or was dropped.
    #[inline]
    pub fn leave(&self) {
        self.scheduled.set(false);
    }
}

/// A timer for the heap whose callback is a native object.
pub fn timer_for<'py>(
    event_loop: &Bound<'py, PyAny>,
    seconds: f64,
    callback: Bound<'py, PyAny>,
) -> PyResult<Obj<'py, TimerHandle>> {
    let timer = TimerHandle::create(event_loop.py())?;
    timer.base.prepare_bare(event_loop, callback, None)?;
    timer.own.set(&When { seconds, given: None });
    Ok(timer)
}

/// `TimerHandle.cancel`.
pub fn cancel_timer(timer: &Obj<'_, TimerHandle>) -> PyResult<()> {
    let py = timer.py();
    let event_loop = timer.base.event_loop.get(py);
    let native = event_loop.as_ref().and_then(Obj::<EventLoop>::cast);
    let first = !timer.base.is_cancelled();
    if first
        && let Some(event_loop) = &event_loop
        && native.is_none_or(|native| native.overrides(Overridable::TimerHandleCancelled))
    {
        call::method(names::_timer_handle_cancelled(py), [event_loop, timer.as_any()])?;
    }
    match originals::replaced_in_base::<Handle>(py, "cancel")? {
        Some(cancel) => drop(cancel.call1((timer.as_any(),))?),
        None => cancel(timer.upcast())?,
    }
    if let Some(native) = native.filter(|_| first && timer.own.scheduled.get()) {
        native.note_cancelled_timer(py);
    }
    Ok(())
}

/// `TimerHandle._repr_info`.
fn timer_info(timer: &Obj<'_, TimerHandle>) -> PyResult<Vec<String>> {
    let mut info = match originals::replaced_in_base::<Handle>(timer.py(), "_repr_info")? {
        Some(repr_info) => texts_of(&repr_info.call1((timer.as_any(),))?)?,
        None => repr_info(timer.upcast(), &type_name(timer.as_any())?)?,
    };
    let position = if timer.base.is_cancelled() { 2 } else { 1 };
    info.insert(position.min(info.len()), text!("when={}", timer.own.when(timer.py()).str()?)?);
    Ok(info)
}

/// Compares two timers as `TimerHandle.__lt__` and its kin do.
fn compare<'py>(
    timer: &Obj<'py, TimerHandle>,
    other: &Bound<'py, PyAny>,
    decide: impl Fn(&Bound<'py, PyAny>, &Bound<'py, PyAny>, bool) -> PyResult<bool>,
) -> Output<'py> {
    let py = timer.py();
    let Some(other) = Obj::<TimerHandle>::cast(other) else {
        return Ok(py.NotImplemented().into_bound(py));
    };
    let (mine, theirs) = (timer.own.when(py), other.own.when(py));
    Ok(boolean(py, decide(&mine, &theirs, equal(timer, other)?)?))
}

fn equal<'py>(a: &Obj<'py, TimerHandle>, b: &Obj<'py, TimerHandle>) -> PyResult<bool> {
    let py = a.py();
    Ok(a.own.when(py).eq(b.own.when(py))?
        && a.base.callback.get_or_none(py).eq(b.base.callback.get_or_none(py))?
        && a.base.all_args(py)?.eq(b.base.all_args(py)?)?
        && a.base.is_cancelled() == b.base.is_cancelled())
}

impl Class for TimerHandle {
    const NAME: &'static CStr = c"yibu.TimerHandle";
    type Header = Weak;
    const HOOKS: &'static [&'static [&'static str]] = HOOKS;
    const STANDS_FOR_STOCK: bool = true;
    const FREELIST: usize = 512;
    const FUNCTIONS: bool = true;

    stands_for! { TIMER_HANDLE, stock::timer_handle }

    fn table(t: &mut Table<Self>) {
        t.doc(c"TimerHandle(when, callback, args, loop, context=None)\n--\n\nA callback that runs at a time of the loop's clock; returned by call_later() and call_at().");
        t.init(|timer, args, kwargs| {
            let [when, callback, args, event_loop, context] = Args::parse_tuple(&NEW_TIMER, args, kwargs)?;
            let py = timer.py();
            match originals::replaced_in_base::<Handle>(py, "__init__")? {
                Some(init) => drop(init.call1((timer.as_any(), callback, args, event_loop, context))?),
                None => fill(timer.upcast(), callback, args, event_loop, context)?,
            }
            timer.own.seconds.set(when.extract().unwrap_or(f64::NAN));
            timer.own.when.put(when);
            timer.own.scheduled.set(false);
            Ok(())
        });
        t.action(c"cancel", cancel_timer, "Prevents the callback from running.");
        t.noargs(
            c"when",
            |timer| Ok(timer.own.when(timer.py())),
            "The time of the loop's clock, in seconds, at which the callback runs.",
        );
        t.noargs(
            c"_repr_info",
            |h| Ok(timer_info(h)?.into_pyobject(h.py())?.into_any()),
            "The parts of repr().",
        );
        t.repr(|h| {
            let info = if h.is_native() { timer_info(h) } else { asked_info(h.as_any()) };
            joined(h.py(), h.upcast(), info)
        });
        t.hash(|timer| timer.own.when(timer.py()).hash());
        t.compare(|timer, other, op| {
            use pyo3::basic::CompareOp;
            compare(timer, other, |mine, theirs, equal| match op {
                CompareOp::Lt => mine.lt(theirs),
                CompareOp::Le => Ok(mine.lt(theirs)? || equal),
                CompareOp::Gt => mine.gt(theirs),
                CompareOp::Ge => Ok(mine.gt(theirs)? || equal),
                CompareOp::Eq => Ok(equal),
                CompareOp::Ne => Ok(!equal),
            })
        });
        t.getter(c"_when", |timer| Ok(timer.own.when(timer.py())));
        t.property(
            c"_scheduled",
            |timer| Ok(boolean(timer.py(), timer.own.scheduled.get())),
            |timer, value| {
                timer.own.scheduled.set(value.map_or(Ok(false), |v| v.is_truthy())?);
                Ok(())
            },
        );
    }

    references! { base, own.when }
}
