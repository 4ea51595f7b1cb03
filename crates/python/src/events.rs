//! `Handle`: a callback on its way to run. `asyncio.events.Handle`, native.
//!
//! Made by the loop's `call_*` methods; run by the loop's turn (`Handle::run`). Calls the callback, and the
//! loop's exception handler when it raises.

mod contexts;
pub mod entries;
mod noted;
pub mod replacing;
#[cfg(Py_3_14)]
mod thread_safe_handle;
mod timer_handle;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;

use crate::arguments::Arguments;
use crate::attributes::{assigned, flags, objects};
use crate::core::{EventLoop, current};
use crate::ffi::class::Weak;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Raised, Signature, Slot, Table, make, references,
    stands_for,
};
use crate::ffi::{boolean, call, none};
use crate::replaced::copy_context;
use crate::replaced::names::{EXTRACT_STACK, FORMAT_CALLBACK, Name};
use crate::{names, sources, stock, texts};

use self::noted::Noted;
pub use replacing::*;
pub use timer_handle::{TimerHandle, When, timer_for};

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
    noted: Noted,
}

// With what the collector puts before it, a multiple of 16 bytes, as the interpreter hands memory out.
const _: () = assert!(size_of::<Handle>() == 48);

impl Default for Handle {
    /// A constant, because a new object is filled by a copy of it: from memory that was just written that
    /// would have to wait.
    #[inline(always)]
    fn default() -> Self {
        const {
            Self {
                callback: Slot::new(),
                args: Arguments::new(Flags { cancelled: Cell::new(false), shares_context: Cell::new(false) }),
                context: Slot::new(),
                event_loop: Slot::new(),
                noted: Noted::new(),
            }
        }
    }
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

static HANDLE: ClassState = ClassState::new();

const NEW_HANDLE: Signature<4> =
    Signature::new_method("Handle.__init__", "callback, args, loop, context=None");

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
        self.noted.keep_source(extract_stack(py, &EXTRACT_STACK)?)
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
        handle.noted.keep_repr(handle.as_any().repr()?.into_any())?;
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

/// `Handle._run`: runs the callback in its context. Only SystemExit and KeyboardInterrupt come out; anything
/// else goes to the loop's exception handler.
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
    report
        .set_item(names::message(py), make::text(py, &text!("Exception in callback {}", source.str()?)?)?)?;
    report.set_item(names::exception(py), raised.as_any())?;
    report.set_item(names::handle(py), handle.as_any())?;
    if let Some(source) = handle.noted.source(py)?.filter(|s| s.is_truthy().unwrap_or(false)) {
        report.set_item(names::source_traceback(py), source)?;
    }
    raised
        .handling(|| call::method(names::call_exception_handler(py), [&event_loop, report.as_any()]))
        .map(drop)
}

/// `format_helpers.extract_stack(frame)`, with the frame of the code that called a native function: for a
/// slot that [`sources::shown`] reads.
pub fn extract_stack<'py>(py: Python<'py>, function: &Name<2>) -> Output<'py> {
    match function.replacement(py)? {
        None => sources::capture(py),
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
    if let Some(callback) = handle.callback.get(py).filter(|callback| !callback.is_none()) {
        let debug = match handle.event_loop.get(py) {
            Some(event_loop) => loop_debug(&event_loop)?,
            None => false,
        };
        info.push(text!("{}", describe(callback, handle.all_args(py)?, debug)?.str()?)?);
    }
    if let Some((file, line)) = handle.noted.place(py)? {
        info.push(text!("created at {}:{}", file.str()?, line.str()?)?);
    }
    Ok(info)
}

/// The same by name: the program's class has a `_repr_info` of its own, or may have one.
fn asked_info(handle: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    texts_of(&handle.call_method0(name!("_repr_info"))?)
}

/// What a `_repr_info` has returned.
fn texts_of(info: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    info.extract::<Vec<Bound<'_, PyAny>>>()?.iter().map(texts::copied).collect()
}

fn joined<'py>(py: Python<'py>, handle: &Obj<'py, Handle>, info: PyResult<Vec<String>>) -> Output<'py> {
    if let Some(kept) = handle.noted.repr(py) {
        return Ok(kept);
    }
    Ok(make::text(py, &text!("<{}>", texts::joined(&info?, " ")?)?)?.into_any())
}

fn type_name(object: &Bound<'_, PyAny>) -> PyResult<String> {
    text!("{}", object.get_type().name()?)
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
    handle.noted.clear();
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

    stands_for! { HANDLE, stock::handle }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Handle(callback, args, loop, context=None)\n--\n\nA callback on its way to run; returned by call_soon() and its kin.");
        t.init(|handle, args, kwargs| {
            let [callback, args, event_loop, context] = Args::parse_tuple(&NEW_HANDLE, args, kwargs)?;
            fill(handle, callback, args, event_loop, context)
        });
        t.action(c"cancel", cancel, "Prevents the callback from running.");
        t.noargs(c"cancelled", |h| Ok(boolean(h.py(), h.is_cancelled())), "Whether cancel() was called.");
        #[cfg(Py_3_12)]
        t.noargs(
            c"get_context",
            |h| Ok(contexts::own(h)?.unwrap_or_else(|| none(h.py()))),
            "The contextvars.Context the callback runs in.",
        );
        t.action(c"_run", run, "Runs the callback.");
        t.noargs(
            c"_repr_info",
            |h| Ok(repr_info(h, &type_name(h.as_any())?)?.into_pyobject(h.py())?.into_any()),
            "The parts of repr().",
        );
        t.repr(|h| {
            if h.is_native() {
                joined(h.py(), h, type_name(h.as_any()).and_then(|name| repr_info(h, &name)))
            } else {
                joined(h.py(), h, asked_info(h.as_any()))
            }
        });
        objects! { t: c"_callback" => callback }
        t.property(c"_args", |h| h.all_args(h.py()), |h, v| assigned(v).map(|v| h.args.keep_all(v.clone())));
        flags! { t: c"_cancelled" => args.flags.cancelled }
        contexts::attribute(t);
        objects! { t: c"_loop" => event_loop }
        noted::attributes(t);
    }

    references! { args, callback, context, event_loop, noted }
}
