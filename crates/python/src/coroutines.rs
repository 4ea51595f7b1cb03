//! `NativeCoroutine`: a Rust future that Python awaits.
//!
//! The control plane (`create_connection`, `sock_recv`, `shutdown_asyncgens`, ...) is written as ordinary `async` Rust; [`new`]
//! wraps it into an object with `send`, `throw`, `close` and `__await__`, which asyncio accepts wherever it accepts a coroutine. While the Rust
//! future is pending, the coroutine yields a native Future that the waker completes; throwing into it (a cancellation)
//! drops the Rust future, whose destructors undo what was half-done. Nothing runs before the first `send`, as in any coroutine.
//!
//! What all coroutine objects have in common is [`Coroutine`] and its [`protocol`]; the primitives, which must run on any
//! loop and be quick, are made of the plain functions of a [`Routine`] instead.
//!
//! Rust futures run attached and on the loop's thread; between two awaits they use `Python::attach`, which is a counter there.

mod routine;
mod special;

use std::cell::Cell;
use std::ffi::CStr;
use std::future::{Future as RustFuture, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use yibu_engine::Inbox;

use crate::event_loop::{EventLoop, Message, create_future};
use crate::events::isinstance_class;
use crate::ffi::class::DictAndWeak;
use crate::ffi::{Class, ClassState, LoopCell, Obj, Output, Ref, Signature, Slot, Table, Visitor, thread};
use crate::ffi::{again, boolean, none};
use crate::futures::ensure::ensure;
use crate::futures::likes::is_done;
use crate::futures::{self, Callback, Future, State, stop_iteration, thrown};
use crate::{names, stock};

pub use routine::{Resume, Routine, Start, Step, taken};
pub use special::{Special, hasten};

/// Makes the classes that no other module names.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    Table::<WakerCallback>::build(py, None)?;
    let routine = Table::<Routine>::build(py, None)?;
    Table::<special::BoundRoutine>::build(py, Some(&routine))?;
    Table::<special::SpecialMethod>::build(py, None)?;
    Ok(())
}

/// What a Rust future of the control plane gives Python.
pub type Answer = PyResult<Py<PyAny>>;

type Body = Pin<Box<dyn RustFuture<Output = Answer>>>;

/// The data of a `NativeCoroutine`.
#[derive(Default)]
pub struct NativeCoroutine {
    body: LoopCell<Option<Body>>,
    event_loop: Slot<EventLoop>,
    wake: LoopCell<Option<Arc<WakeState>>>,
    name: Cell<&'static str>,
    started: Cell<bool>,
    running: Cell<bool>,
    /// For bodies that want to know what is thrown.
    thrown: LoopCell<Option<Thrown>>,
}

static NATIVE_COROUTINE: ClassState = ClassState::new();

/// Wraps a Rust future. `name` is what `repr()` and "was never awaited" call it.
pub fn new<'py>(
    event_loop: &Obj<'py, EventLoop>,
    name: &'static str,
    body: impl RustFuture<Output = Answer> + 'static,
) -> Output<'py> {
    let coroutine = NativeCoroutine::create(event_loop.py())?;
    coroutine.name.set(name);
    coroutine.body.with(|slot| *slot = Some(Box::pin(body)));
    coroutine.event_loop.set(Ref::of(event_loop.clone()));
    Ok(coroutine.into_any())
}

/// The same for a body that catches what is thrown into it, instead of being dropped: a cancellation that takes time to
/// carry out.
pub fn catching<'py, F: RustFuture<Output = Answer> + 'static>(
    event_loop: &Obj<'py, EventLoop>,
    name: &'static str,
    body: impl FnOnce(Thrown) -> F,
) -> Output<'py> {
    let thrown = Thrown::default();
    let coroutine = new(event_loop, name, body(thrown.clone()))?;
    if let Some(native) = Obj::<NativeCoroutine>::cast(&coroutine) {
        native.thrown.with(|slot| *slot = Some(thrown));
    }
    Ok(coroutine)
}

/// What is thrown into a coroutine made by [`catching`]. Its body waits for that beside all else it waits for.
#[derive(Clone, Default)]
pub struct Thrown(Rc<Cell<Option<PyErr>>>);

impl Thrown {
    /// The next exception. Throwing polls the body, so no waker is needed.
    pub async fn next(&self) -> PyErr {
        poll_fn(|_| self.0.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

/// Shared between a coroutine and its wakers.
struct WakeState {
    inbox: Arc<Inbox<Message>>,
    /// The thread that polls.
    thread: AtomicU64,
    woken: AtomicBool,
    /// The native Future that the task waits for; a waker completes it.
    waiting: Mutex<Option<Py<PyAny>>>,
}

impl Wake for WakeState {
    fn wake(self: Arc<Self>) {
        if self.thread.load(Ordering::Relaxed) != thread::ident() {
            let inbox = Arc::clone(&self.inbox);
            inbox.post(Message::Wake(Waker::from(self)));
            return;
        }
        if self.woken.swap(true, Ordering::AcqRel) {
            return;
        }
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            Python::attach(|py| {
                let waiting = waiting.into_bound(py);
                let Some(future) = Obj::<Future>::cast(&waiting) else { return };
                if future.state() == State::Pending
                    && let Err(error) = futures::set_result(future, none(py))
                {
                    // Only a closed loop refuses: nobody will resume the coroutine, and nobody can be told.
                    error.write_unraisable(py, Some(&waiting));
                }
            });
        }
    }
}

impl NativeCoroutine {
    fn wake_state(&self, event_loop: &EventLoop) -> Arc<WakeState> {
        self.wake.with(|wake| {
            Arc::clone(wake.get_or_insert_with(|| {
                Arc::new(WakeState {
                    inbox: Arc::clone(event_loop.inbox()),
                    thread: AtomicU64::new(0),
                    woken: AtomicBool::new(false),
                    waiting: Mutex::new(None),
                })
            }))
        })
    }
}

/// Polls once. `Ok(Ok(future))` yields, `Ok(Err(value))` returns.
fn advance<'py>(
    coroutine: &Obj<'py, NativeCoroutine>,
) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>> {
    let py = coroutine.py();
    if coroutine.running.get() {
        return Err(PyValueError::new_err("coroutine already executing"));
    }
    coroutine.started.set(true);
    let (Some(mut body), Some(event_loop)) =
        (coroutine.body.with(Option::take), coroutine.event_loop.obj(py))
    else {
        return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
    };
    let state = coroutine.wake_state(&event_loop);
    state.thread.store(thread::ident(), Ordering::Relaxed);
    state.woken.store(false, Ordering::Release);
    let waker = Waker::from(Arc::clone(&state));
    coroutine.running.set(true);
    // Attaching again is what makes PyO3's own references, which futures hold and drop, be released at once.
    let polled = Python::attach(|_| {
        let polled = body.as_mut().poll(&mut Context::from_waker(&waker));
        (polled.is_pending().then_some(body), polled)
    });
    coroutine.running.set(false);
    let (unfinished, polled) = polled;
    match polled {
        Poll::Ready(answer) => answer.map(|value| Err(value.into_bound(py))),
        Poll::Pending => {
            coroutine.body.with(|slot| *slot = unfinished);
            if state.woken.load(Ordering::Acquire) {
                // Woken while it ran: give way for one turn.
                return Ok(Ok(none(py)));
            }
            let future = create_future(&event_loop)?;
            future.blocking.set(true);
            let waiting = future.as_any().clone().unbind();
            *state.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting);
            Ok(Ok(future.into_any()))
        }
    }
}

/// `asyncio.iscoroutine(object)`.
#[inline]
pub fn is_coroutine(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    if object.get_type().is(stock::coroutine(py)?) || Obj::<Routine>::cast_exact(object).is_some() {
        return Ok(true);
    }
    stock::iscoroutine(py)?.call1((object,))?.is_truthy()
}

/// What an object must do to be a coroutine; [`protocol`] makes the methods and attributes of it.
pub trait Coroutine: Class {
    /// Runs until the next wait: `Ok(Ok(object))` yields, `Ok(Err(value))` returns.
    fn advance<'py>(coroutine: &Obj<'py, Self>) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>;
    /// Throws into it: ends it, unless it has its own way.
    fn throw<'py>(
        coroutine: &Obj<'py, Self>,
        error: PyErr,
    ) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>> {
        coroutine.started().set(true);
        Self::finish(coroutine)?;
        Err(error)
    }
    /// Ends the coroutine and undoes what was half-done.
    fn finish(coroutine: &Obj<'_, Self>) -> PyResult<()>;
    /// What `repr()` and "was never awaited" call it.
    fn name(&self) -> &'static str;
    /// Whether it has run at all; one that never did is reported.
    fn started(&self) -> &Cell<bool>;
    /// Whether it runs at this moment.
    fn is_running(&self) -> bool;
    /// `cr_await`: what it waits for.
    fn awaiting<'py>(&self, _py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        None
    }
}

const THROW: Signature<3> = Signature::new("throw", "typ, val=None, tb=None, /");

fn ensure_idle<T: Coroutine>(coroutine: &Obj<'_, T>) -> PyResult<()> {
    if coroutine.is_running() { Err(PyValueError::new_err("coroutine already executing")) } else { Ok(()) }
}

fn refuse_first_value<T: Coroutine>(coroutine: &Obj<'_, T>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if value.is_none() || coroutine.started().get() {
        return Ok(());
    }
    Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"))
}

/// The coroutine protocol: `send`, `throw`, `close`, iteration, `cr_*`, `repr` and the report of one never awaited.
pub fn protocol<T: Coroutine>(t: &mut Table<T>) {
    t.iter(|coroutine| Ok(again(coroutine.as_any())));
    t.await_(|coroutine| Ok(again(coroutine.as_any())));
    t.send(|coroutine, value| {
        refuse_first_value(coroutine, value)?;
        T::advance(coroutine)
    });
    t.one(
        c"send",
        "value",
        |coroutine, value| match refuse_first_value(coroutine, value).and_then(|()| T::advance(coroutine))? {
            Ok(future) => Ok(future),
            Err(value) => Err(stop_iteration(value)),
        },
        "Runs until the next wait; raises StopIteration with the result at the end.",
    );
    t.method(
        &THROW,
        |coroutine, args| {
            futures::warn_about_three_arguments(&args)?;
            let [class, value, traceback] = args.parse(&THROW)?;
            let error = thrown(&class, &value, &traceback)?;
            ensure_idle(coroutine)?;
            match T::throw(coroutine, error)? {
                Ok(future) => Ok(future),
                Err(value) => Err(stop_iteration(value)),
            }
        },
        "Ends the coroutine: what it was doing is undone and the exception raised.",
    );
    t.noargs(
        c"close",
        |coroutine| {
            ensure_idle(coroutine)?;
            coroutine.started().set(true);
            T::finish(coroutine)?;
            Ok(none(coroutine.py()))
        },
        "Ends the coroutine: what it was doing is undone.",
    );
    t.repr(|coroutine| {
        let text = format!("<coroutine object {} at {:p}>", coroutine.name(), coroutine.as_any().as_ptr());
        Ok(PyString::new(coroutine.py(), &text).into_any())
    });
    // `inspect.iscoroutine()` asks with isinstance().
    t.getter(c"__class__", |coroutine| isinstance_class(coroutine, stock::coroutine));
    t.getter(c"__name__", |coroutine| {
        let name = coroutine.name();
        Ok(PyString::new(coroutine.py(), name.rsplit('.').next().unwrap_or(name)).into_any())
    });
    t.getter(c"__qualname__", |coroutine| Ok(PyString::new(coroutine.py(), coroutine.name()).into_any()));
    t.getter(c"cr_running", |coroutine| Ok(boolean(coroutine.py(), coroutine.is_running())));
    t.getter(c"cr_await", |coroutine| {
        Ok(coroutine.awaiting(coroutine.py()).unwrap_or_else(|| none(coroutine.py())))
    });
    t.getter(c"cr_frame", |coroutine| Ok(none(coroutine.py())));
    t.getter(c"cr_code", |coroutine| Ok(none(coroutine.py())));
    t.getter(c"cr_origin", |coroutine| Ok(none(coroutine.py())));
    t.finalize(|coroutine| {
        if coroutine.started().replace(true) {
            return T::finish(coroutine);
        }
        let py = coroutine.py();
        let text = format!("coroutine '{}' was never awaited", coroutine.name());
        stock::warn(py)?.call1((text, py.get_type::<PyRuntimeWarning>())).map(drop)
    });
}

impl Coroutine for NativeCoroutine {
    fn advance<'py>(coroutine: &Obj<'py, Self>) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>> {
        advance(coroutine)
    }

    fn throw<'py>(
        coroutine: &Obj<'py, Self>,
        error: PyErr,
    ) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>> {
        let alive = coroutine.started.get() && coroutine.body.with(|body| body.is_some());
        if let Some(thrown) = coroutine.thrown.with(|thrown| thrown.clone()).filter(|_| alive) {
            drop(thrown.0.replace(Some(error)));
            return advance(coroutine);
        }
        coroutine.started.set(true);
        Self::finish(coroutine)?;
        Err(error)
    }

    fn finish(coroutine: &Obj<'_, Self>) -> PyResult<()> {
        // With nothing borrowed: the destructors of the Rust future may call Python.
        let body = coroutine.body.with(Option::take);
        Python::attach(|_| drop(body));
        Ok(())
    }

    fn name(&self) -> &'static str {
        self.name.get()
    }

    fn started(&self) -> &Cell<bool> {
        &self.started
    }

    fn is_running(&self) -> bool {
        self.running.get()
    }
}

impl Class for NativeCoroutine {
    const NAME: &'static CStr = c"yibu.NativeCoroutine";
    type Header = DictAndWeak;
    const AWAITED: bool = true;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;

    fn state() -> &'static ClassState {
        &NATIVE_COROUTINE
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"A coroutine whose body is a Rust future.");
        protocol(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.event_loop.traverse(visitor);
    }

    fn clear(&self) {
        self.event_loop.clear();
    }

    fn wants_finalizer(&self) -> bool {
        !self.started.get()
    }
}

/// Awaits a Python awaitable from Rust: `object.await` in Python's sense.
pub struct Awaited(Way);

enum Way {
    /// A future, or a task made for a coroutine.
    Future { future: Ref, registered: bool },
    /// What a native coroutine would have run: it needs no task of its own.
    Body(Body),
    /// Nor does a routine; `on` is the future that it awaits now.
    Routine { routine: Ref<Routine>, on: Option<Ref> },
}

impl Awaited {
    /// Prepares to await `object` on `event_loop`: futures as they are, native coroutines by their bodies, other coroutines
    /// wrapped in a task.
    pub fn on<'py>(event_loop: &Obj<'py, EventLoop>, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Some(body) =
            Obj::<NativeCoroutine>::cast(object).and_then(|native| body_of(native, event_loop))
        {
            return Ok(Self(Way::Body(body)));
        }
        if let Some(routine) = Obj::<Routine>::cast_exact(object).filter(|routine| !routine.started().get()) {
            return Ok(Self(Way::Routine { routine: Ref::of(routine.clone()), on: None }));
        }
        let future = ensure(object, Some(event_loop.as_any()))?;
        Ok(Self(Way::Future { future: Ref::new(future), registered: false }))
    }
}

/// The body of a coroutine of this loop that nobody has begun to await.
fn body_of(coroutine: &Obj<'_, NativeCoroutine>, event_loop: &Obj<'_, EventLoop>) -> Option<Body> {
    let catches = coroutine.thrown.with(|thrown| thrown.is_some());
    if coroutine.started.get() || catches || !coroutine.event_loop.is(event_loop.as_any()) {
        return None;
    }
    coroutine.started.set(true);
    coroutine.body.with(Option::take)
}

impl RustFuture for Awaited {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        match &mut self.0 {
            Way::Body(body) => body.as_mut().poll(context),
            Way::Future { future, registered } => poll_future(future, registered, context),
            Way::Routine { routine, on } => Python::attach(|py| poll_routine(&routine.obj(py), on, context)),
        }
    }
}

fn poll_routine(routine: &Obj<'_, Routine>, on: &mut Option<Ref>, context: &mut Context<'_>) -> Poll<Answer> {
    let py = routine.py();
    loop {
        if let Some(future) = on {
            match is_done(future.any(py)) {
                Ok(true) => *on = None,
                Ok(false) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let yielded = match Routine::advance(routine) {
            Ok(Ok(yielded)) => yielded,
            Ok(Err(value)) => return Poll::Ready(Ok(value.unbind())),
            Err(error) => return Poll::Ready(Err(error)),
        };
        if yielded.is_none() {
            // It gives way.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // What a task does with a future that it is given.
        let awaited = yielded.setattr(names::_asyncio_future_blocking(py), false);
        if let Err(error) = awaited.and_then(|()| wake_when_done(&yielded, context)) {
            return Poll::Ready(Err(error));
        }
        *on = Some(Ref::new(yielded));
    }
}

/// Has the waker fire when a future is done.
fn wake_when_done(future: &Bound<'_, PyAny>, context: &Context<'_>) -> PyResult<()> {
    let (py, waker) = (future.py(), context.waker().clone());
    match Obj::<Future>::cast(future) {
        Some(native) => futures::add_callback(native, Callback::Waker(waker)),
        None => {
            let callback = WakerCallback::of(py, waker)?;
            future.call_method1(names::add_done_callback(py), (callback,)).map(drop)
        }
    }
}

fn poll_future(future: &Ref, registered: &mut bool, context: &mut Context<'_>) -> Poll<Answer> {
    Python::attach(|py| {
        let future = future.any(py).clone();
        match is_done(&future) {
            Ok(true) => return Poll::Ready(future.call_method0(names::result(py)).map(Bound::unbind)),
            Ok(false) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        if !std::mem::replace(registered, true)
            && let Err(error) = wake_when_done(&future, context)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Pending
    })
}

impl Drop for Awaited {
    /// Awaiting was given up: the awaited future is cancelled, as a cancelled task cancels what it waits for.
    fn drop(&mut self) {
        Python::attach(|py| {
            let future = match &self.0 {
                Way::Body(_) => return,
                Way::Routine { routine, .. } => {
                    let routine = routine.obj(py);
                    if let Err(error) = Routine::finish(&routine) {
                        error.write_unraisable(py, Some(routine.as_any()));
                    }
                    return;
                }
                Way::Future { future, .. } => future.any(py),
            };
            let cancelled = future.call_method0("done").and_then(|done| {
                if done.is_truthy()? { Ok(()) } else { future.call_method0(names::cancel(py)).map(drop) }
            });
            if let Err(error) = cancelled {
                error.write_unraisable(py, Some(future));
            }
        });
    }
}

/// A waker as a Python callable, for futures that are not native.
#[derive(Default)]
pub struct WakerCallback {
    waker: LoopCell<Option<Waker>>,
}

static WAKER_CALLBACK: ClassState = ClassState::new();

impl WakerCallback {
    fn of(py: Python<'_>, waker: Waker) -> Output<'_> {
        let callback = Self::create(py)?;
        callback.waker.with(|slot| *slot = Some(waker));
        Ok(callback.into_any())
    }
}

impl Class for WakerCallback {
    const NAME: &'static CStr = c"yibu.WakerCallback";
    type Header = crate::ffi::class::Plain;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;

    fn state() -> &'static ClassState {
        &WAKER_CALLBACK
    }

    fn table(t: &mut Table<Self>) {
        t.call(|callback, _args, _kwargs| {
            if let Some(waker) = callback.waker.with(Option::take) {
                waker.wake();
            }
            Ok(none(callback.py()))
        });
    }

    fn traverse(&self, _visitor: &mut Visitor) {}

    fn clear(&self) {}
}
