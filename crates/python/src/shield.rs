//! `shield`: a future that can be cancelled in the place of another one. Of `asyncio.tasks`, native.
//!
//! Called by Python code; calls both futures, natively where they are native.

use std::ffi::CStr;

use pyo3::prelude::*;

use crate::callbacks::{Reaction, forget, react};
use crate::core::current;
use crate::ffi::class::Plain;
use crate::ffi::{Args, Class, ClassState, Create, Obj, Output, Signature, Slot, Table, references};
use crate::functions;
use crate::futures::future_like;
use crate::mixins::{create_future, is_cancelled, is_done};
use crate::tasks::ensure::ensure;

const SHIELD: Signature<1> = Signature::new("shield", "arg");

/// What is between the two futures of a `shield()`.
#[derive(Default)]
pub struct Shielding {
    /// The one that goes on when the other is cancelled.
    inner: Slot,
    outer: Slot,
    /// The task that called `shield()`, for call graphs.
    waiter: Slot,
}

static SHIELDING: ClassState = ClassState::new();

static INNER_DONE: Reaction = Reaction {
    name: "shield.<locals>._inner_done_callback",
    run: |shield, inner| match Obj::<Shielding>::cast(shield) {
        Some(shield) => inner_done(inner, &shield.outer.get_or_none(shield.py())),
        None => Ok(()),
    },
    waiter: |shield| Obj::<Shielding>::cast(shield)?.waiter.get(shield.py()),
    standard: None,
};

static OUTER_DONE: Reaction = Reaction {
    name: "shield.<locals>._outer_done_callback",
    run: |shield, _outer| {
        let Some(native) = Obj::<Shielding>::cast(shield) else { return Ok(()) };
        let inner = native.inner.get_or_none(shield.py());
        if is_done(&inner)? { Ok(()) } else { forget(&inner, &INNER_DONE, shield) }
    },
    waiter: |_| None,
    standard: None,
};

/// Builds the class and adds the function.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    Table::<Shielding>::build(module.py(), None)?;
    let doc = "A future for an awaitable that goes on when the future is cancelled.";
    functions::add(module, &SHIELD, shield, doc)
}

/// `asyncio.shield(arg)`.
fn shield<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [arg] = args.parse(&SHIELD)?;
    protect(&arg)
}

/// The same for what Rust has at hand.
pub fn protect<'py>(arg: &Bound<'py, PyAny>) -> Output<'py> {
    let py = arg.py();
    let inner = ensure(arg, None)?;
    if is_done(&inner)? {
        return Ok(inner);
    }
    let event_loop = future_like::loop_of(&inner)?;
    let outer = create_future(&event_loop)?;
    let shield = Shielding::create(py)?;
    shield.inner.put(inner.clone());
    shield.outer.put(outer.clone());
    if cfg!(Py_3_14)
        && let Some(task) = current::running_task(&event_loop)?
    {
        shield.waiter.put(task);
    }
    react(&inner, &INNER_DONE, shield.as_any())?;
    react(&outer, &OUTER_DONE, shield.as_any())?;
    Ok(outer)
}

/// The outer future becomes what the inner one became, unless it was cancelled before.
fn inner_done(inner: &Bound<'_, PyAny>, outer: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_cancelled(outer)? {
        // Since 3.14 the exception, which no awaiting task gets, is reported.
        return if cfg!(Py_3_14) { Ok(()) } else { future_like::mark_retrieved(inner) };
    }
    if is_cancelled(inner)? {
        return future_like::cancel(outer).map(drop);
    }
    match future_like::exception(inner)? {
        Some(exception) => future_like::set_exception(outer, &exception),
        None => future_like::set_result(outer, future_like::result(inner)?),
    }
}

impl Class for Shielding {
    const NAME: &'static CStr = c"yibu.Shielding";
    type Header = Plain;
    const FREELIST: usize = 64;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &SHIELDING;

    fn table(t: &mut Table<Self>) {
        t.doc(c"What is between the two futures of a shield().");
        t.getter(c"_inner", |shield| Ok(shield.inner.get_or_none(shield.py())));
        t.getter(c"_outer", |shield| Ok(shield.outer.get_or_none(shield.py())));
    }

    references! { inner, outer, waiter }
}
