//! `NativeCoroutine`: a Rust future that Python awaits.
//!
//! The control plane (`create_connection`, `sock_recv`, `shutdown_asyncgens`, ...) is written as ordinary
//! `async` Rust; [`new`] wraps it into an object with `send`, `throw`, `close` and `__await__`, which asyncio
//! accepts wherever it accepts a coroutine. While the Rust future is pending, the coroutine yields the Python
//! future that it waits for or, where it waits for something else, a native Future that the waker completes;
//! throwing into it (a cancellation) drops the Rust future, whose destructors undo what was half-done.
//! Nothing runs before the first `send`, as in any coroutine.
//!
//! What all coroutine objects have in common is [`Coroutine`] and its [`protocol()`]; the primitives, which
//! must run on any loop and be quick, are made of the plain functions of a [`Routine`] instead.
//!
//! Rust futures run attached and on the loop's thread; between two awaits they use `Python::attach`, which is
//! a counter there.

pub mod delegation;
mod details;
#[cfg(Py_3_14)]
mod driving;
pub mod gc_refs;
mod inner;
mod line;
mod place;
pub mod protocol;
mod readiness;
mod routine;
mod special;
mod unstarted;
mod unwinding;
pub mod waking;
mod wrapper;

use std::cell::Cell;
use std::ffi::CStr;
use std::future::Future as RustFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::core::EventLoop;
use crate::ffi::class::{Weak, hide_slots, refuse_subclasses};
use crate::ffi::thread::attached;
use crate::ffi::{
    Class, ClassState, Create, LoopCell, Obj, Output, Ref, Slot, Table, Visitor, none, origin, thread,
    trampoline,
};
use crate::futures::Future;
use crate::futures::create_future;
use crate::{names, stock};

use details::Details;
#[cfg(Py_3_14)]
pub use driving::frames_around;
use gc_refs::GcRefList;
pub use gc_refs::{GcRef, GcScope};
pub use inner::{acquire_awaited, names_shown};
pub use place::place;
use protocol::{Advanced, Coroutine, protocol};
pub use readiness::Readiness;
pub use routine::{Resume, Routine, Start, Step, taken};
pub use special::{Special, install_special};
pub use waking::yield_turn;

/// Makes the classes.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let (get, set) =
        (stock::get_coroutine_origin_tracking_depth(py)?, stock::set_coroutine_origin_tracking_depth(py)?);
    origin::prepare(get, set)?;
    Table::<waking::WakerCallback>::build(py, None)?;
    Table::<wrapper::CoroutineWrapper>::build(py, None)?;
    let native = Table::<NativeCoroutine>::build(py, None)?;
    let routine = Table::<Routine>::build(py, None)?;
    let inner = Table::<inner::InnerCoroutine>::build(py, None)?;
    for class in [&native, &routine, &inner] {
        // What `await` asks of the object has these names, too; but coroutines are no iterators.
        hide_slots(class, &[c"__iter__", c"__next__"])?;
    }
    Table::<special::BoundRoutine>::build(py, Some(&routine))?;
    refuse_subclasses(&routine);
    Table::<special::SpecialMethod>::build(py, None)?;
    module.add("NativeCoroutine", native)
}

/// What a Rust future of the control plane gives Python.
pub type Answer = PyResult<Py<PyAny>>;

pub type Body = Pin<Box<dyn RustFuture<Output = Answer>>>;

/// The data of a `NativeCoroutine`.
#[derive(Default)]
pub struct NativeCoroutine {
    body: LoopCell<Option<Body>>,
    /// What the body refers to.
    gc_refs: LoopCell<Rc<GcRefList>>,
    event_loop: Slot<EventLoop>,
    /// The thread that polled it last.
    thread: Cell<u64>,
    /// Whether it was woken since then.
    woken: Cell<bool>,
    /// How many wakers there are.
    wakers: Cell<usize>,
    /// The Future that the task waits for until it is woken.
    waiting: Slot<Future>,
    name: Cell<&'static str>,
    started: Cell<bool>,
    iterated: Cell<bool>,
    running: Cell<bool>,
    details: Details,
    /// What the task was given to wait for in the name of the body.
    awaited: Slot,
}

static NATIVE_COROUTINE: ClassState = ClassState::new();

/// Wraps a Rust future. `name` stands in `repr()` and in "was never awaited". The future holds the [`GcRef`]s
/// that were made since `gc_scope` began.
pub fn new<'py>(
    gc_scope: GcScope,
    event_loop: &Obj<'py, EventLoop>,
    name: &'static str,
    body: impl RustFuture<Output = Answer> + 'static,
) -> Output<'py> {
    let coroutine = NativeCoroutine::create(event_loop.py())?;
    coroutine.name.set(name);
    coroutine.body.with(|slot| *slot = Some(Box::pin(body)));
    let gc_refs = coroutine.gc_refs.with(|slot| std::mem::replace(slot, gc_scope.gc_refs()));
    drop(gc_refs);
    coroutine.event_loop.set(Ref::of(event_loop.clone()));
    coroutine.details.note_origin(event_loop.py())?;
    Ok(coroutine.into_any())
}

impl NativeCoroutine {
    /// The body and what it refers to, if this coroutine of the loop was not awaited before: the caller
    /// awaits it.
    pub fn give_up(&self, event_loop: &Obj<'_, EventLoop>) -> Option<(Body, Rc<GcRefList>)> {
        if self.started.get() || !self.event_loop.is(event_loop.as_any()) {
            return None;
        }
        self.started.set(true);
        let body = self.body.with(Option::take)?;
        Some((body, self.gc_refs.with(std::mem::take)))
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
    coroutine.waiting.clear();
    coroutine.thread.set(thread::ident());
    coroutine.woken.set(false);
    let gc_scope = GcScope::on(coroutine.gc_refs.with(|gc_refs| Rc::clone(gc_refs)));
    coroutine.running.set(true);
    // Attaching again is what makes PyO3's own references, which futures hold and drop, be released at once.
    // A panic, as where PyO3 has no memory for an object, ends the coroutine.
    let polled = attached(|_| {
        trampoline::caught(|| {
            // Futures and operations hold a `waking::Waker`; the one of `std::task` is not used.
            let context = &mut Context::from_waker(std::task::Waker::noop());
            let (mut polled, mut offered) =
                delegation::polled(coroutine, true, || body.as_mut().poll(context));
            if polled.is_pending()
                && offered.is_some()
                && !coroutine.woken.get()
                && coroutine.wakers.get() > 0
            {
                (polled, offered) = delegation::polled(coroutine, false, || body.as_mut().poll(context));
            }
            Ok((polled.is_pending().then_some(body), polled, offered))
        })
    });
    drop(gc_scope);
    coroutine.running.set(false);
    let (unfinished, polled, offered) = match polled {
        Ok(polled) => polled,
        Err(error) => (None, Poll::Ready(Err(error)), None),
    };
    match polled {
        Poll::Ready(answer) => {
            let_go(coroutine);
            answer.map(|value| Err(value.into_bound(py)))
        }
        Poll::Pending => {
            coroutine.body.with(|slot| *slot = unfinished);
            let yielded = wait(coroutine, &event_loop, offered);
            if yielded.is_err() {
                end(coroutine, false);
            }
            yielded.map(Ok)
        }
    }
}

/// What the coroutine yields after a poll: `None` for one turn, what its Rust future has offered, or a Future
/// that a waker completes.
fn wait<'py>(
    coroutine: &Obj<'py, NativeCoroutine>,
    event_loop: &Obj<'py, EventLoop>,
    offered: Option<Ref>,
) -> Output<'py> {
    let py = coroutine.py();
    if coroutine.woken.get() {
        // Woken while it ran: give way for one turn.
        return Ok(none(py));
    }
    if let Some(future) = offered {
        let future = future.into_any(py);
        match Obj::<Future>::cast(&future) {
            Some(native) => native.blocking.set(true),
            None => future.setattr(names::_asyncio_future_blocking(py), true)?,
        }
        coroutine.awaited.put(future.clone());
        return Ok(future);
    }
    let future = create_future(event_loop)?;
    future.blocking.set(true);
    coroutine.waiting.set(Ref::of(future.clone()));
    Ok(future.into_any())
}

/// An ended coroutine keeps nothing alive, as one of the interpreter's has no frame any more.
fn let_go(coroutine: &Obj<'_, NativeCoroutine>) {
    coroutine.details.end();
    coroutine.event_loop.clear();
}

/// What the coroutine was doing is undone.
fn end(coroutine: &Obj<'_, NativeCoroutine>, closes: bool) {
    // With nothing borrowed: the destructors of the Rust future may call Python.
    let body = coroutine.body.with(Option::take);
    attached(|_| delegation::dropped(body, closes));
    let_go(coroutine);
    coroutine.awaited.clear();
    coroutine.waiting.clear();
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
        if let Some(awaited) = coroutine.awaited.take().filter(|_| alive)
            && delegation::is_outcome(awaited.any(coroutine.py()), &error)?
        {
            return advance(coroutine);
        }
        coroutine.started.set(true);
        if Self::is_over(coroutine) {
            return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
        }
        end(coroutine, error.is_instance_of::<PyGeneratorExit>(coroutine.py()));
        Err(error)
    }

    fn finish(coroutine: &Obj<'_, Self>) -> PyResult<()> {
        end(coroutine, true);
        Ok(())
    }

    fn name(&self) -> &'static str {
        self.name.get()
    }

    fn started(&self) -> &Cell<bool> {
        &self.started
    }

    fn iterated(&self) -> &Cell<bool> {
        &self.iterated
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
        Ok(coroutine.waiting.get(py))
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
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &NATIVE_COROUTINE;

    fn table(t: &mut Table<Self>) {
        protocol(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.event_loop.traverse(visitor);
        self.details.traverse(visitor);
        self.awaited.traverse(visitor);
        self.waiting.traverse(visitor);
        self.gc_refs.try_with(|gc_refs| gc_refs.traverse(visitor));
    }

    fn clear(&self) {
        let body = self.body.with(Option::take);
        attached(|_| delegation::dropped(body, true));
        self.event_loop.clear();
        self.details.clear();
        self.awaited.clear();
        self.waiting.clear();
    }

    fn wants_finalizer(&self) -> bool {
        !self.started.get() || self.body.with(|body| body.is_some())
    }
}
