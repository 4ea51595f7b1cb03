//! `Handle` and `TimerHandle`: callbacks on their way to run. `asyncio.events.Handle`, native.
//!
//! Made by the loop's `call_*` methods; run by the loop's turn (`Handle::run`). Calls the callback, and the loop's
//! exception handler when it raises.

mod contexts;
pub mod entries;
pub mod replacing;
#[cfg(Py_3_14)]
mod thread_safe_handle;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyType};

use crate::arguments::Arguments;
use crate::attributes::{assigned, flags, objects};
use crate::core::Overrides;
use crate::core::{EventLoop, Overridable, current};
use crate::ffi::class::Weak;
use crate::ffi::originals;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Signature, Slot, Table, derived, make, references,
};
use crate::ffi::{boolean, call, none};
use crate::replaced::copy_context;
use crate::replaced::names::{EXTRACT_STACK, FORMAT_CALLBACK, Name};
use crate::{names, stock, texts};

pub use replacing::*;

/// What is true of a `Handle`.
struct Flags {
    cancelled: Cell<bool>,
    /// The context is one that nothing runs in, shared with other handles.
    shares_context: Cell<bool>,
}

/// The data of a `Handle`.
pub struct Handle {
    callback: Slot,
    args: Arguments<Flags>,
    context: Slot,
    pub(crate) event_loop: Slot,
    source_traceback: Slot,
    /// What `repr()` said when the handle was cancelled in debug mode.
    repr: Slot,
}

impl Default for Handle {
    /// A constant, because a new object is filled by a copy of it: from memory that was just written that would have to wait.
    #[inline(always)]
    fn default() -> Self {
        const {
            Self {
                callback: Slot::new(),
                args: Arguments::new(Flags { cancelled: Cell::new(false), shares_context: Cell::new(false) }),
                context: Slot::new(),
                event_loop: Slot::new(),
                source_traceback: Slot::new(),
                repr: Slot::new(),
            }
        }
    }
}

/// What a `TimerHandle` adds: the deadline. `when` is empty for a plain float.
#[derive(Default)]
pub struct Deadline {
    when: Slot,
    /// The deadline as a number.
    pub seconds: Cell<f64>,
    scheduled: Cell<bool>,
}

/// What `call_soon_threadsafe` returns.
#[cfg(Py_3_14)]
pub use thread_safe_handle::{ThreadSafeHandle as PostedHandle, run_guarded as run_posted};

/// What `call_soon_threadsafe` returns.
#[cfg(not(Py_3_14))]
pub type PostedHandle = Handle;

/// Runs a posted callback.
#[cfg(not(Py_3_14))]
#[inline]
pub fn run_posted<'a, 'py>(
    handle: &'a Obj<'py, Handle>,
    run: impl FnOnce(&'a Obj<'py, Handle>) -> PyResult<()>,
) -> PyResult<()> {
    run(handle)
}

/// A posted handle as the handle that it is.
pub fn posted<'a, 'py>(handle: &'a Obj<'py, PostedHandle>) -> &'a Obj<'py, Handle> {
    #[cfg(Py_3_14)]
    return handle.upcast();
    #[cfg(not(Py_3_14))]
    handle
}

derived! {
    /// The data of a `TimerHandle`.
    pub struct TimerHandle { base: Handle, own: Deadline }
}

static HANDLE: ClassState = ClassState::new();
static TIMER_HANDLE: ClassState = ClassState::new();

const NEW_HANDLE: Signature<4> =
    Signature::new_method("Handle.__init__", "callback, args, loop, context=None");
const NEW_TIMER: Signature<5> =
    Signature::new_method("TimerHandle.__init__", "when, callback, args, loop, context=None");

impl Handle {
    /// Makes it a handle for `callback(*args)`, the arguments being those of a native call from `first` on.
    #[inline]
    pub fn prepare<'py>(
        &self,
        event_loop: &Obj<'py, EventLoop>,
        callback: Bound<'py, PyAny>,
        args: &Args<'_, 'py>,
        first: usize,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        self.args.keep(args, first)?;
        match context {
            Some(context) => self.context.put(context),
            None => self.copy_context(event_loop)?,
        }
        self.callback.put(callback);
        self.event_loop.put(event_loop.as_any().clone());
        Ok(())
    }

    /// A handle for `callback(arg)`, or for `callback()`.
    pub fn with_arg<'py>(
        event_loop: &Bound<'py, PyAny>,
        callback: Bound<'py, PyAny>,
        arg: Option<Bound<'py, PyAny>>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Obj<'py, Self>> {
        let handle = Self::create(event_loop.py())?;
        handle.prepare_bare(event_loop, callback, context)?;
        if let Some(arg) = arg {
            handle.args.keep_one(arg);
        }
        Ok(handle)
    }

    /// Makes it a handle for `callback(arg)`.
    pub fn prepare_for<'py>(
        &self,
        event_loop: &Bound<'py, PyAny>,
        callback: Bound<'py, PyAny>,
        arg: Bound<'py, PyAny>,
    ) -> PyResult<()> {
        self.args.keep_one(arg);
        self.prepare_bare(event_loop, callback, None)
    }

    #[inline]
    fn prepare_bare<'py>(
        &self,
        event_loop: &Bound<'py, PyAny>,
        callback: Bound<'py, PyAny>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        self.context.put(match context {
            Some(context) => context,
            None => copy_context(event_loop.py())?,
        });
        self.callback.put(callback);
        self.event_loop.put(event_loop.clone());
        Ok(())
    }

    /// Keeps the stack of the code that made the handle, for debug mode.
    pub fn remember_source(&self, py: Python<'_>) -> PyResult<()> {
        self.source_traceback.put(extract_stack(py, &EXTRACT_STACK)?);
        Ok(())
    }

    /// Whether `cancel()` was called.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.args.flags.cancelled.get()
    }

    /// What it calls, and with what; `None` when it was cancelled.
    pub fn call<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        self.callback.get(py).map(|callback| Ok((callback, self.args.all(py)?))).transpose()
    }

    fn all_args<'py>(&self, py: Python<'py>) -> Output<'py> {
        if self.callback.is_empty() { Ok(none(py)) } else { self.args.all(py) }
    }
}

/// `Handle.cancel`.
pub fn cancel(handle: &Obj<'_, Handle>) -> PyResult<()> {
    if handle.args.flags.cancelled.replace(true) {
        return Ok(());
    }
    let py = handle.py();
    if let Some(event_loop) = handle.event_loop.get(py)
        && loop_debug(&event_loop)?
    {
        handle.repr.put(handle.as_any().repr()?);
    }
    handle.callback.clear();
    handle.args.clear();
    Ok(())
}

/// `loop.get_debug()`, without a call when the loop is native and does not override it.
#[inline]
pub fn loop_debug(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    match EventLoop::plain(event_loop) {
        Some(native) => Ok(native.debug.get()),
        None => call::method(names::get_debug(event_loop.py()), [event_loop])?.is_truthy(),
    }
}

/// `Handle._run`: runs the callback in its context. Only SystemExit and KeyboardInterrupt come out; anything else goes to the
/// loop's exception handler.
#[inline]
pub fn run(handle: &Obj<'_, Handle>) -> PyResult<()> {
    let py = handle.py();
    let (Some(callback), Some(context)) = (handle.callback.get(py), contexts::own(handle)?) else {
        return Ok(());
    };
    match handle.args.call_in(&context, &callback) {
        Ok(_) => Ok(()),
        Err(error) => report(handle, error),
    }
}

/// What `Handle._run` does with an exception.
#[cold]
pub fn report(handle: &Obj<'_, Handle>, error: PyErr) -> PyResult<()> {
    let py = handle.py();
    handle.track();
    let raised = Raised::from_err(py, error);
    if raised.is::<PySystemExit>() || raised.is::<PyKeyboardInterrupt>() {
        return Err(raised.into_err());
    }
    let Some(event_loop) = handle.event_loop.get(py) else {
        return Err(raised.into_err());
    };
    let source = describe(handle.callback.get_or_none(py), handle.all_args(py)?, loop_debug(&event_loop)?)?;
    let report = make::dict(py)?;
    report.set_item(names::message(py), format!("Exception in callback {source}"))?;
    report.set_item(names::exception(py), raised.as_any())?;
    report.set_item(names::handle(py), handle.as_any())?;
    if let Some(source) = handle.source_traceback.get(py).filter(|s| s.is_truthy().unwrap_or(false)) {
        report.set_item(names::source_traceback(py), source)?;
    }
    raised
        .handling(|| call::method(names::call_exception_handler(py), [&event_loop, report.as_any()]))
        .map(drop)
}

/// `format_helpers.extract_stack(frame)`, with the frame of the code that called a native function.
pub fn extract_stack<'py>(py: Python<'py>, function: &Name<2>) -> Output<'py> {
    match function.replacement(py)? {
        None => stock::extract_stack(py)?.call0(),
        Some(function) => function.call1((stock::getframe(py)?.call0()?,)),
    }
}

/// What a native function raised goes where the exception of a callback goes.
#[cold]
pub fn report_of<'py>(
    event_loop: &Obj<'py, EventLoop>,
    callback: &Bound<'py, PyAny>,
    argument: Option<Bound<'py, PyAny>>,
    error: PyErr,
) -> PyResult<()> {
    current::flush_leave(event_loop)?;
    report(&Handle::with_arg(event_loop.as_any(), callback.clone(), argument, None)?, error)
}

/// `format_helpers._format_callback_source`, whose signature grew a `debug` in 3.13.
fn describe<'py>(
    callback: Bound<'py, PyAny>,
    args: Bound<'py, PyAny>,
    debug: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = callback.py();
    let format = FORMAT_CALLBACK.current(py)?;
    if cfg!(Py_3_13) {
        let keywords = make::dict(py)?;
        keywords.set_item("debug", debug)?;
        format.call((callback, args), Some(&keywords))
    } else {
        format.call1((callback, args))
    }
}

/// The parts of `repr()`, shared with `TimerHandle`.
fn repr_info<'py>(handle: &Obj<'py, Handle>, name: &str) -> PyResult<Vec<String>> {
    let py = handle.py();
    let mut info = vec![name.to_owned()];
    if handle.is_cancelled() {
        info.push("cancelled".into());
    }
    if let Some(callback) = handle.callback.get(py) {
        let debug = match handle.event_loop.get(py) {
            Some(event_loop) => loop_debug(&event_loop)?,
            None => false,
        };
        info.push(describe(callback, handle.all_args(py)?, debug)?.to_string());
    }
    if let Some(source) = handle.source_traceback.get(py).filter(|s| s.is_truthy().unwrap_or(false)) {
        let frame = source.get_item(-1)?;
        info.push(format!("created at {}:{}", frame.get_item(0)?, frame.get_item(1)?));
    }
    Ok(info)
}

fn joined<'py>(py: Python<'py>, handle: &Obj<'py, Handle>, info: PyResult<Vec<String>>) -> Output<'py> {
    if let Some(kept) = handle.repr.get(py) {
        return Ok(kept);
    }
    Ok(make::text(py, &text!("<{}>", texts::joined(&info?, " ")?)?)?.into_any())
}

fn type_name(object: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(object.get_type().name()?.to_string())
}

fn timer_info(timer: &Obj<'_, TimerHandle>) -> PyResult<Vec<String>> {
    let mut info = repr_info(timer.upcast(), &type_name(timer.as_any())?)?;
    let position = if timer.base.is_cancelled() { 2 } else { 1 };
    info.insert(position, text!("when={}", timer.own.when(timer.py()).str()?)?);
    Ok(info)
}

/// Keeps what `__init__` of both classes shares.
fn fill<'py>(
    handle: &Obj<'py, Handle>,
    callback: Bound<'py, PyAny>,
    args: Bound<'py, PyAny>,
    event_loop: Bound<'py, PyAny>,
    context: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = handle.py();
    let context = if context.is_none() { copy_context(py)? } else { context };
    handle.callback.put(callback);
    handle.args.keep_all(args);
    handle.args.flags.cancelled.set(false);
    handle.context.put(context);
    handle.args.flags.shares_context.set(false);
    handle.repr.clear();
    handle.source_traceback.clear();
    if loop_debug(&event_loop)? {
        handle.remember_source(py)?;
    }
    handle.event_loop.put(event_loop);
    Ok(())
}

impl Class for Handle {
    const NAME: &'static CStr = c"yibu.Handle";
    type Header = Weak;
    const HOOKS: &'static [&'static [&'static str]] = HOOKS;
    const STANDS_FOR_STOCK: bool = true;
    const FREELIST: usize = 4096;
    const FUNCTIONS: bool = true;

    fn state() -> &'static ClassState {
        &HANDLE
    }

    fn stock(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        stock::handle(py).map(Some)
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Handle(callback, args, loop, context=None)\n--\n\nA callback on its way to run; returned by call_soon() and its kin.");
        t.init(|handle, args, kwargs| {
            let [callback, args, event_loop, context] = Args::parse_tuple(&NEW_HANDLE, args, kwargs)?;
            fill(handle, callback, args, event_loop, context)
        });
        t.noargs(
            c"cancel",
            |handle| cancel(handle).map(|()| none(handle.py())),
            "Prevents the callback from running.",
        );
        t.noargs(c"cancelled", |h| Ok(boolean(h.py(), h.is_cancelled())), "Whether cancel() was called.");
        #[cfg(Py_3_12)]
        t.noargs(
            c"get_context",
            |h| Ok(contexts::own(h)?.unwrap_or_else(|| none(h.py()))),
            "The contextvars.Context the callback runs in.",
        );
        t.noargs(c"_run", |handle| run(handle).map(|()| none(handle.py())), "Runs the callback.");
        t.noargs(
            c"_repr_info",
            |h| Ok(repr_info(h, &type_name(h.as_any())?)?.into_pyobject(h.py())?.into_any()),
            "The parts of repr().",
        );
        t.repr(|h| joined(h.py(), h, type_name(h.as_any()).and_then(|name| repr_info(h, &name))));
        objects! { t: c"_callback" => callback }
        t.property(
            c"_args",
            |h| h.all_args(h.py()),
            |h, v| {
                h.args.keep_all(assigned(v)?.clone());
                Ok(())
            },
        );
        flags! { t: c"_cancelled" => args.flags.cancelled }
        contexts::attribute(t);
        objects! { t: c"_repr" => repr, c"_loop" => event_loop }
        objects! { t: c"_source_traceback" => source_traceback }
    }

    references! { args, callback, context, event_loop, source_traceback, repr }
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

/// A deadline on its way into a timer.
pub struct When<'py> {
    /// In seconds of the loop's clock.
    pub seconds: f64,
    /// The object that Python code gave, where it is not a plain float.
    pub given: Option<Bound<'py, PyAny>>,
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

    fn state() -> &'static ClassState {
        &TIMER_HANDLE
    }

    fn stock(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        stock::timer_handle(py).map(Some)
    }

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
        t.noargs(
            c"cancel",
            |timer| cancel_timer(timer).map(|()| none(timer.py())),
            "Prevents the callback from running.",
        );
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
        t.repr(|h| joined(h.py(), h.upcast(), timer_info(h)));
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
