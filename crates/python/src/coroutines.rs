//! `NativeCoroutine`: a Rust future that Python awaits.
//!
//! The control plane (`create_connection`, `sock_recv`, `shutdown_asyncgens`, ...) is written as ordinary `async` Rust; [`new`]
//! wraps it into an object with `send`, `throw`, `close` and `__await__`, which asyncio accepts wherever it accepts a coroutine. While the Rust
//! future is pending, the coroutine yields the Python future that it waits for or, where it waits for something else, a native Future
//! that the waker completes; throwing into it (a cancellation) drops the Rust future, whose destructors undo what was half-done.
//! Nothing runs before the first `send`, as in any coroutine.
//!
//! What all coroutine objects have in common is [`Coroutine`] and its [`protocol()`]; the primitives, which must run on any
//! loop and be quick, are made of the plain functions of a [`Routine`] instead.
//!
//! Rust futures run attached and on the loop's thread; between two awaits they use `Python::attach`, which is a counter there.

mod delegation;
mod details;
#[cfg(Py_3_14)]
mod driving;
mod inner;
mod line;
mod protocol;
mod routine;
mod special;
mod wrapper;

use std::cell::Cell;
use std::ffi::CStr;
use std::future::{Future as RustFuture, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use yibu_engine::Inbox;

use crate::event_loop::{EventLoop, Message, create_future};
use crate::ffi::class::{Weak, hide_slots};
use crate::ffi::thread::attached;
use crate::ffi::{Class, ClassState, LoopCell, Obj, Output, Ref, Slot, Table, Visitor, none, origin, thread};
use crate::futures::ensure::ensure;
use crate::futures::likes::{exception, is_cancelled, is_done};
use crate::futures::{self, Callback, Future, State};
use crate::{names, stock};

use details::Details;
#[cfg(Py_3_14)]
pub use driving::frames_around;
use protocol::{Advanced, Coroutine, protocol};
pub use routine::{Resume, Routine, Start, Step, taken};
pub use special::{Special, hasten};

/// Makes the classes.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    origin::prepare(py)?;
    Table::<WakerCallback>::build(py, None)?;
    Table::<wrapper::CoroutineWrapper>::build(py, None)?;
    let native = Table::<NativeCoroutine>::build(py, None)?;
    let routine = Table::<Routine>::build(py, None)?;
    let inner = Table::<inner::InnerCoroutine>::build(py, None)?;
    for class in [&native, &routine, &inner] {
        // What `await` asks of the object has these names, too; but coroutines are no iterators.
        hide_slots(class, &[c"__iter__", c"__next__"])?;
    }
    Table::<special::BoundRoutine>::build(py, Some(&routine))?;
    Table::<special::SpecialMethod>::build(py, None)?;
    module.add("NativeCoroutine", native)
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
    details: Details,
    /// What the task was given to wait for in the name of the body.
    awaited: Slot,
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
    coroutine.details.note_origin(event_loop.py())?;
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
            attached(|py| {
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
fn advance<'py>(coroutine: &Obj<'py, NativeCoroutine>) -> Advanced<'py> {
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
    coroutine.awaited.clear();
    let state = coroutine.wake_state(&event_loop);
    state.thread.store(thread::ident(), Ordering::Relaxed);
    state.woken.store(false, Ordering::Release);
    let waker = Waker::from(Arc::clone(&state));
    // A body that is told what is thrown into it would find what it waits for cancelled, if its task waited for that, too.
    let delegates = coroutine.thrown.with(|thrown| thrown.is_none());
    coroutine.running.set(true);
    // Attaching again is what makes PyO3's own references, which futures hold and drop, be released at once.
    let polled = attached(|_| {
        let mut offered = None;
        let mut polled = if delegates {
            let polled;
            (polled, offered) = delegation::polled(&state, &waker, |context| body.as_mut().poll(context));
            polled
        } else {
            body.as_mut().poll(&mut Context::from_waker(&waker))
        };
        let woken = || state.woken.load(Ordering::Acquire);
        // Somebody else has kept the waker: the coroutine's own, this one, and `state`.
        if polled.is_pending() && offered.is_some() && !woken() && Arc::strong_count(&state) > 3 {
            offered = None;
            polled = body.as_mut().poll(&mut Context::from_waker(&waker));
        }
        (polled.is_pending().then_some(body), polled, offered)
    });
    coroutine.running.set(false);
    let (unfinished, polled, offered) = polled;
    match polled {
        Poll::Ready(answer) => {
            coroutine.details.end();
            answer.map(|value| Err(value.into_bound(py)))
        }
        Poll::Pending => {
            coroutine.body.with(|slot| *slot = unfinished);
            if state.woken.load(Ordering::Acquire) {
                // Woken while it ran: give way for one turn.
                return Ok(Ok(none(py)));
            }
            if let Some(future) = offered {
                let future = future.into_any(py);
                match Obj::<Future>::cast(&future) {
                    Some(native) => native.blocking.set(true),
                    None => future.setattr(names::_asyncio_future_blocking(py), true)?,
                }
                coroutine.awaited.put(future.clone());
                return Ok(Ok(future));
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

impl Coroutine for NativeCoroutine {
    fn advance<'py>(coroutine: &Obj<'py, Self>) -> Advanced<'py> {
        advance(coroutine)
    }

    fn throw<'py>(coroutine: &Obj<'py, Self>, error: PyErr) -> Advanced<'py> {
        let alive = coroutine.started.get() && coroutine.body.with(|body| body.is_some());
        if let Some(thrown) = coroutine.thrown.with(|thrown| thrown.clone()).filter(|_| alive) {
            drop(thrown.0.replace(Some(error)));
            return advance(coroutine);
        }
        if let Some(awaited) = coroutine.awaited.take().filter(|_| alive)
            && delegation::is_outcome(awaited.any(coroutine.py()), &error)?
        {
            return advance(coroutine);
        }
        coroutine.started.set(true);
        if Self::is_over(coroutine) {
            return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
        }
        Self::finish(coroutine)?;
        Err(error)
    }

    fn finish(coroutine: &Obj<'_, Self>) -> PyResult<()> {
        // With nothing borrowed: the destructors of the Rust future may call Python.
        let body = coroutine.body.with(Option::take);
        attached(|_| drop(body));
        coroutine.details.end();
        coroutine.awaited.clear();
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

    fn is_over(coroutine: &Obj<'_, Self>) -> bool {
        !coroutine.running.get() && coroutine.body.with(|body| body.is_none())
    }

    fn details(&self) -> &Details {
        &self.details
    }

    fn awaiting<'py>(coroutine: &Obj<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = coroutine.py();
        if let Some(awaited) = coroutine.awaited.get(py) {
            return Ok(Some(awaited));
        }
        let Some(state) = coroutine.wake.with(|wake| wake.clone()) else { return Ok(None) };
        let waiting = state.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(waiting.as_ref().map(|future| future.bind(py).clone()))
    }

    fn parameter<'py>(coroutine: &Obj<'py, Self>, name: &str) -> Option<Bound<'py, PyAny>> {
        let of_the_loop = name == "self" && coroutine.name.get().starts_with("EventLoop.");
        of_the_loop.then(|| coroutine.event_loop.get_or_none(coroutine.py()))
    }
}

impl Class for NativeCoroutine {
    const NAME: &'static CStr = c"builtins.coroutine";
    const BARE_NAME: bool = true;
    type Header = Weak;
    const AWAITED: bool = true;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;

    fn state() -> &'static ClassState {
        &NATIVE_COROUTINE
    }

    fn table(t: &mut Table<Self>) {
        protocol(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.event_loop.traverse(visitor);
        self.details.traverse(visitor);
        self.awaited.traverse(visitor);
    }

    fn clear(&self) {
        self.event_loop.clear();
        self.details.clear();
        self.awaited.clear();
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
    /// Nor does a routine; `on` is the future that it awaits now, and whether that keeps our waker.
    Routine { routine: Ref<Routine>, on: Option<(Ref, bool)> },
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
            Way::Routine { routine, on } => attached(|py| poll_routine(&routine.obj(py), on, context)),
        }
    }
}

fn poll_routine(
    routine: &Obj<'_, Routine>,
    on: &mut Option<(Ref, bool)>,
    context: &mut Context<'_>,
) -> Poll<Answer> {
    let py = routine.py();
    loop {
        if let Some((future, registered)) = on {
            let future = future.any(py);
            match is_done(future).and_then(|done| {
                if !done {
                    resume_when_done(future, registered, context)?;
                }
                Ok(done)
            }) {
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
        if let Err(error) = yielded.setattr(names::_asyncio_future_blocking(py), false) {
            return Poll::Ready(Err(error));
        }
        *on = Some((Ref::new(yielded), false));
    }
}

/// Sees to it that the coroutine is resumed when a future is done, unless that was seen to (`registered`).
fn resume_when_done(future: &Bound<'_, PyAny>, registered: &mut bool, context: &Context<'_>) -> PyResult<()> {
    if *registered || delegation::offer(future, context) {
        return Ok(());
    }
    *registered = true;
    wake_when_done(future, context)
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
    attached(|py| {
        let future = future.any(py).clone();
        match is_done(&future) {
            Ok(true) => return Poll::Ready(future.call_method0(names::result(py)).map(Bound::unbind)),
            Ok(false) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        match resume_when_done(&future, registered, context) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    })
}

impl Drop for Awaited {
    /// Awaiting was given up: the awaited future is cancelled, as a cancelled task cancels what it waits for.
    fn drop(&mut self) {
        attached(|py| {
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
                if !done.is_truthy()? {
                    return future.call_method0(names::cancel(py)).map(drop);
                }
                // Somebody has waited for it: its exception is not to be reported as one that nobody wanted.
                if !is_cancelled(future)? {
                    exception(future)?;
                }
                Ok(())
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
