//! `gather`: a future that stands for several. Of `asyncio.tasks`, native.
//!
//! Each child has one [`Reaction`] for the gathering future, which counts them and collects their results.
//! Called by Python code and by tasks (which cancel what they await); calls the children, natively where they
//! are native.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::callbacks::{Reaction, no_longer_awaited, react};
use crate::classes;
use crate::core::current;
use crate::coroutines::Routine;
use crate::errors;
use crate::ffi::class::DictAndWeak;
use crate::ffi::originals::{self, Replaced};
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Signature, Slot, Table, boolean, depth, derived, make,
    none, references, stands_for,
};
use crate::futures::{self, Future, State, future_like};
use crate::mixins::create_future;
use crate::replaced::names;
use crate::replaced::names::running_loop::OF_GATHER;
use crate::tasks::ensure::ensure;
use crate::{functions, stock, tasks};
use yibu_driver::memory::MakeRoom;

const GATHER: Signature<1> = Signature::new("gather", "*coros_or_futures, return_exceptions=False");
const INIT: Signature<2> = Signature::new_method("_GatheringFuture.__init__", "children, *, loop");
/// `cancel` of a gathering future.
const CANCELS: Replaced = 1;
/// `__init__` of a gathering future.
const INITIALIZES: Replaced = originals::INIT;
const CANCEL: Signature<1> = Signature::new_method("_GatheringFuture.cancel", "msg=None");

/// What a gathering future adds to a Future.
#[derive(Default)]
pub struct Gathering {
    /// The list of the children, in the order of the arguments.
    children: Slot,
    /// How many different children there are.
    expected: Cell<usize>,
    /// How many of them are done.
    finished: Cell<usize>,
    return_exceptions: Cell<bool>,
    /// Whether `cancel()` reached a child: the children may refuse, the gathering future will not.
    cancel_requested: Cell<bool>,
    /// The task that called `gather()`, for call graphs.
    waiter: Slot,
}

derived! {
    /// The data of the future that `gather` returns.
    pub struct GatheringFuture { base: Future, own: Gathering }
}

static GATHERING_FUTURE: ClassState = ClassState::new();

static CHILD_DONE: Reaction = Reaction {
    name: "gather.<locals>._done_callback",
    run: child_done,
    waiter: |owner| {
        let outer = Obj::<GatheringFuture>::cast(owner)?;
        outer.own.waiter.get(owner.py()).filter(|_| outer.base.state() == State::Pending)
    },
    standard: None,
};

/// Builds the class and adds the function.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    classes::add_known::<GatheringFuture, Future>(module)?;
    future_like::register_cancel(|future, message| {
        let outer = Obj::<GatheringFuture>::cast_exact(future)?;
        (outer.replaced() & CANCELS == 0).then(|| cancel(outer, message))
    })?;
    let doc = "A future for the results of all the awaitables, in their order.";
    functions::add(module, &GATHER, gather, doc)
}

/// `asyncio.gather(*coros_or_futures, return_exceptions=False)`.
fn gather<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [return_exceptions] = args.parse(&GATHER)?;
    gather_all(args.py(), args.positional(), return_exceptions.is_truthy()?)
}

/// The same by the name that a module has of it, for what calls it in asyncio.
pub fn gather_by_name<'py>(
    py: Python<'py>,
    awaitables: impl ExactSizeIterator<Item = Bound<'py, PyAny>> + Clone,
    return_exceptions: bool,
) -> Output<'py> {
    match names::GATHER.replacement(py)? {
        None => gather_all(py, awaitables, return_exceptions),
        Some(gather) if return_exceptions => {
            let keywords = PyDict::new(py);
            keywords.set_item(name!("return_exceptions"), true)?;
            gather.call(PyTuple::new(py, awaitables)?, Some(&keywords))
        }
        Some(gather) => gather.call1(PyTuple::new(py, awaitables)?),
    }
}

/// The same for what Rust has at hand.
pub fn gather_all<'py>(
    py: Python<'py>,
    awaitables: impl ExactSizeIterator<Item = Bound<'py, PyAny>> + Clone,
    return_exceptions: bool,
) -> Output<'py> {
    if awaitables.len() == 0 {
        let outer = create_future(&functions::current_loop(py)?)?;
        future_like::set_result(&outer, PyList::empty(py).into_any())?;
        return Ok(outer);
    }
    let outer = GatheringFuture::create(py)?;
    outer.own.return_exceptions.set(return_exceptions);
    let mut event_loop = None;
    if cfg!(Py_3_14) {
        event_loop = functions::asked(py, &OF_GATHER)?;
        if let Some(task) = event_loop.as_ref().map(current::running_task).transpose()?.flatten() {
            outer.own.waiter.put(task);
        }
    }
    let seen = if may_repeat(py, awaitables.clone()) { Some(make::dict(py)?) } else { None };
    let mut children = Vec::new();
    errors::room(children.make_room(awaitables.len()))?;
    let mut done = Vec::new();
    let mut expected = 0;
    for arg in awaitables {
        if let Some(child) = seen.as_ref().map(|seen| seen.get_item(&arg)).transpose()?.flatten() {
            children.push(child);
            continue;
        }
        let child = ensure(&arg, event_loop.as_ref())?;
        if event_loop.is_none() {
            event_loop = Some(future_like::loop_of(&child)?);
        }
        if !child.is(&arg) {
            // The caller has no hold of this task, and cannot be blamed for dropping it.
            tasks::expect_destruction(&child)?;
        }
        expected += 1;
        if let Some(seen) = &seen {
            seen.set_item(arg, &child)?;
        }
        if cfg!(Py_3_12) && future_like::is_done(&child)? {
            errors::room(done.make_room(1))?;
            done.push(child.clone());
        } else {
            react(&child, &CHILD_DONE, outer.as_any())?;
        }
        children.push(child);
    }
    outer.own.expected.set(expected);
    // A child that is done before this only counts.
    initialize(&outer, PyList::new(py, children)?, event_loop.unwrap_or_else(|| none(py)))?;
    for child in done {
        child_done(outer.as_any(), &child)?;
    }
    Ok(outer.into_any())
}

/// `_GatheringFuture(children, loop=event_loop)`, the object being there.
fn initialize<'py>(
    outer: &Obj<'py, GatheringFuture>,
    children: Bound<'py, PyList>,
    event_loop: Bound<'py, PyAny>,
) -> PyResult<()> {
    if outer.replaced() & INITIALIZES == 0 {
        outer.own.children.put(children);
        return futures::init(outer.upcast(), event_loop);
    }
    let keywords = make::dict(outer.py())?;
    keywords.set_item("loop", event_loop)?;
    outer.as_any().call_method(name!("__init__"), (children,), Some(&keywords)).map(drop)
}

/// Whether an argument may be there twice. Coroutines and native futures are equal to themselves only, which
/// makes that a question of addresses; anything else must be asked.
fn may_repeat<'py>(py: Python<'py>, awaitables: impl ExactSizeIterator<Item = Bound<'py, PyAny>>) -> bool {
    // A table in which an address has the place of its hash, or the next free one; 0 is a free place. Sorting the
    // addresses takes up to four times as long.
    let mut table: Vec<usize> = Vec::new();
    let size = (2 * awaitables.len()).next_power_of_two();
    // Where there is no memory to compare them, it is asked.
    if !table.make_room(size) {
        return true;
    }
    table.resize(size, 0);
    for arg in awaitables {
        let plain = stock::coroutine(py).is_ok_and(|class| arg.get_type().is(class))
            || futures::exact(&arg).is_some()
            || Obj::<Routine>::cast_exact(&arg).is_some();
        if !plain {
            return true;
        }
        let address = arg.as_ptr().addr();
        let mut place = address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & (size - 1);
        while table[place] != 0 {
            if table[place] == address {
                return true;
            }
            place = (place + 1) & (size - 1);
        }
        table[place] = address;
    }
    false
}

/// A child is done.
fn child_done(owner: &Bound<'_, PyAny>, child: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(outer) = Obj::<GatheringFuture>::cast(owner) else { return Ok(()) };
    let (py, own) = (outer.py(), &outer.own);
    own.finished.set(own.finished.get() + 1);
    if !outer.base.is_alive() || outer.base.state() != State::Pending {
        return future_like::mark_retrieved(child);
    }
    if !own.return_exceptions.get() {
        let failure = if future_like::is_cancelled(child)? {
            Some(future_like::make_cancelled_error(child)?)
        } else {
            future_like::exception(child)?
        };
        if let Some(failure) = failure {
            for child in own.children.get_or_none(py).try_iter()? {
                // Those that outlive the gathering future are not awaited any more.
                no_longer_awaited(&child?, &CHILD_DONE, owner)?;
            }
            return futures::set_exception(outer.upcast(), &failure);
        }
    }
    if own.finished.get() == own.expected.get() { complete(outer) } else { Ok(()) }
}

/// All children are done: collects what became of them.
fn complete(outer: &Obj<'_, GatheringFuture>) -> PyResult<()> {
    let py = outer.py();
    let children = outer.own.children.get_or_none(py).cast_into::<PyList>()?;
    let mut results = Vec::new();
    errors::room(results.make_room(children.len()))?;
    for child in children.iter() {
        results.push(outcome(&child)?);
    }
    if outer.own.cancel_requested.get() {
        // As the last one listed was cancelled, if it was, and not the last one to end.
        let last = children.get_item(children.len() - 1)?;
        return futures::set_exception(outer.upcast(), &future_like::make_cancelled_error(&last)?);
    }
    futures::set_result(outer.upcast(), PyList::new(py, results)?.into_any())
}

/// The result of a child, or its exception.
#[inline]
fn outcome<'py>(child: &Bound<'py, PyAny>) -> Output<'py> {
    if future_like::is_cancelled(child)? {
        // Not the child's own CancelledError, which it gives away only once.
        let error = stock::cancelled_error(child.py())?;
        let message = future_like::cancel_message(child)?;
        return if message.is_none() { error.call1(("",)) } else { error.call1((message,)) };
    }
    match future_like::exception(child)? {
        Some(exception) => Ok(exception),
        None => future_like::result(child),
    }
}

/// `_GatheringFuture.cancel`: cancels the children. Whether there was one left to cancel.
pub fn cancel<'py>(outer: &Obj<'py, GatheringFuture>, message: &Bound<'py, PyAny>) -> PyResult<bool> {
    let py = outer.py();
    if outer.base.state() != State::Pending {
        return Ok(false);
    }
    depth::enter()?;
    let mut any = false;
    for child in outer.own.children.get_or_none(py).try_iter()? {
        any |= future_like::cancel_with(&child?, message)?;
    }
    if any {
        outer.own.cancel_requested.set(true);
    }
    Ok(any)
}

impl Class for GatheringFuture {
    const NAME: &'static CStr = c"yibu._GatheringFuture";
    type Header = DictAndWeak;
    const HOOKS: &'static [&'static [&'static str]] = &[&["cancel"]];
    const STANDS_FOR_STOCK: bool = true;
    const FREELIST: usize = 64;
    const FUNCTIONS: bool = true;

    stands_for! { GATHERING_FUTURE, stock::gathering_future }

    fn table(t: &mut Table<Self>) {
        t.doc(c"_GatheringFuture(children, *, loop)\n--\n\nThe future that gather() returns: cancelling it cancels its children.");
        t.init(|outer, args, kwargs| {
            let [children, event_loop] = Args::parse_tuple(&INIT, args, kwargs)?;
            futures::init(outer.upcast(), event_loop)?;
            outer.own.children.put(children);
            outer.own.cancel_requested.set(false);
            Ok(())
        });
        t.method(
            &CANCEL,
            |outer, args| {
                let [message] = args.parse(&CANCEL)?;
                Ok(boolean(outer.py(), cancel(outer, &message)?))
            },
            "Cancels the children. Returns False when all of them are done already.",
        );
        t.getter(c"_children", |outer| Ok(outer.own.children.get_or_none(outer.py())));
        t.value(c"_cancel_requested", |outer| outer.own.cancel_requested.get());
        t.finalize(|outer| futures::report_unretrieved(outer.upcast()));
    }

    references! { base, own.children, own.waiter }

    fn wants_finalizer(&self) -> bool {
        self.base.has_unretrieved_exception()
    }
}
