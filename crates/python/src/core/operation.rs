//! The owners of the driver's operations: the loop tells an owner when its operation can be finished.

use std::io;
use std::rc::Rc;

use pyo3::prelude::*;
use yibu_engine::transport::Ops;
use yibu_engine::{Driver, Op, OpId, Outcome};

use super::{Engine, EventLoop};
use crate::ffi::{Class, Obj, Ref, Visitor};

/// The owner of an operation, which gets its outcomes.
pub enum Owner {
    /// An object of a kind.
    Object {
        /// The functions of the kind.
        kind: &'static OwnerKind,
        /// The object.
        object: Ref,
    },
    /// The loop itself, for a purpose of its own.
    Loop(LoopOwner),
    /// A Rust future.
    Future(Box<dyn Waiting>),
}

/// The function that the loop calls when an operation of its own can be finished.
pub type LoopOwner = for<'a, 'py> fn(&'a Obj<'py, EventLoop>) -> PyResult<()>;

/// The functions of a kind of owners.
pub struct OwnerKind {
    /// The operation can be finished, by [`finish`].
    pub ready: for<'a, 'py> fn(&'a Obj<'py, EventLoop>, Ref, OpId) -> PyResult<()>,
    /// Another owner has taken its place.
    pub replaced: for<'py> fn(Python<'py>, Ref) -> PyResult<()>,
}

/// The `replaced` of kinds that do nothing when they are replaced.
pub fn ignore_replacement(_py: Python<'_>, _object: Ref) -> PyResult<()> {
    Ok(())
}

/// The waker of a Rust future that waits for an operation.
pub trait Waiting {
    /// Wakes the Rust future.
    fn share(&self) -> Rc<dyn Report>;
    /// Shows the waiting coroutine to the collector.
    fn traverse(&self, visitor: &mut Visitor);
}

/// The object to tell that an operation can be finished.
pub trait Report {
    /// The waiting Rust future is woken.
    fn report(&self);
}

impl Owner {
    /// An object of a kind.
    #[inline]
    pub fn of<T: Class>(kind: &'static OwnerKind, object: Obj<'_, T>) -> Self {
        Self::Object { kind, object: Ref::new(object.into_any()) }
    }

    /// Another owner has taken its place.
    pub fn replaced(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Object { kind, object } => (kind.replaced)(py, object),
            Self::Loop(_) | Self::Future(_) => Ok(()),
        }
    }

    /// Shows its references to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::Object { object, .. } => visitor.visit(object.as_ptr()),
            Self::Loop(_) => {}
            Self::Future(waiting) => waiting.traverse(visitor),
        }
    }
}

/// Finishes an operation; `None` when it was cancelled since it was reported.
#[inline]
pub fn finish(event_loop: &EventLoop, id: OpId) -> Option<Outcome> {
    event_loop.engine.with(|engine| engine.finish(id, |_| ())).map(|((), outcome)| outcome)
}

/// The object that owns an operation, if one does.
pub fn owner<'py>(event_loop: &Obj<'py, EventLoop>, id: OpId) -> Option<Bound<'py, PyAny>> {
    let py = event_loop.py();
    event_loop.engine.with(|engine| match engine.owner(id)? {
        Owner::Object { object, .. } => Some(object.copy(py).into_any(py)),
        Owner::Loop(_) | Owner::Future(_) => None,
    })
}

/// Tells the owner of an operation that it can be finished.
#[inline]
pub(super) fn ready(event_loop: &Obj<'_, EventLoop>, id: OpId) -> PyResult<()> {
    enum Told {
        Object(&'static OwnerKind, Ref),
        Loop(LoopOwner),
        Future(Rc<dyn Report>),
    }
    let py = event_loop.py();
    let told = event_loop.engine.with(|engine| {
        let told = match engine.owner(id)? {
            // Its own function finishes the operation, when it has made sure that the descriptor is still its
            // own.
            Owner::Object { kind, object } => return Some(Told::Object(kind, object.copy(py))),
            Owner::Loop(function) => Told::Loop(*function),
            Owner::Future(waiting) => Told::Future(waiting.share()),
        };
        engine.finish(id, |_| ()).map(|_| told)
    });
    match told {
        Some(Told::Object(kind, object)) => (kind.ready)(event_loop, object, id),
        Some(Told::Loop(function)) => function(event_loop),
        Some(Told::Future(waiting)) => {
            waiting.report();
            Ok(())
        }
        // Cancelled since it was reported.
        None => Ok(()),
    }
}

/// The access of the engine's transport machines to the kernel. Operations are submitted for the owner that
/// `owner` makes.
pub struct Kernel<'a> {
    engine: &'a mut Engine,
    closed: bool,
    owner: &'a dyn Fn() -> Owner,
}

impl Kernel<'_> {
    /// Lets `f` act on the kernel of `event_loop`, which is borrowed meanwhile: `f` must not call Python.
    #[inline]
    pub fn with<R>(
        event_loop: &EventLoop,
        owner: &dyn Fn() -> Owner,
        f: impl FnOnce(&mut Kernel<'_>) -> R,
    ) -> R {
        let closed = event_loop.is_closed();
        event_loop.engine.with(|engine| f(&mut Kernel { engine, closed, owner }))
    }
}

impl Ops for Kernel<'_> {
    #[inline]
    fn driver(&mut self) -> &mut Driver {
        &mut self.engine.driver
    }

    fn submit(&mut self, op: Op) -> io::Result<OpId> {
        if self.closed {
            return Err(io::Error::other("the loop is closed"));
        }
        // The caller holds another reference to the returned owner, so dropping it here frees nothing and
        // runs no Python code.
        self.engine.submit(op, (self.owner)()).map_err(|(error, _owner)| error)
    }

    fn cancel(&mut self, id: OpId) {
        // As in `submit`.
        drop(self.engine.cancel(id));
    }
}
