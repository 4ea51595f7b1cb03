//! [`Entry`]: one entry of the ready ring. To the core it is an object and a static table of functions that
//! run it.
//!
//! A part that has something to run declares an [`EntryKind`] in its own file and pushes [`Entry`]s of that
//! kind. The turn runs them without knowing the part. Handles, tasks, alarms and jobs are kinds.

use pyo3::exceptions::PySystemError;
use pyo3::prelude::*;
use yibu_engine::OpId;

use super::EventLoop;
use crate::ffi::{Class, Obj, Ref, SendRef, Visitor};

/// Something that is ready to run.
pub enum Entry {
    /// An object that its kind knows how to run.
    Run(Runnable),
    /// What has no kind.
    Other(Other),
}

/// Something that the core knows how to run. Its variants are apart from [`Entry`], so that an entry takes no
/// more memory than a [`Runnable`]: a ring may hold very many.
pub enum Other {
    /// A future is done, and a primitive has left a reaction on it.
    React {
        /// The function to run.
        reaction: &'static Reaction,
        /// The object that the function acts on.
        owner: Ref,
        /// The future that is done.
        future: Ref,
    },
    /// The kernel has reported an operation: it can be finished.
    Io(OpId),
}

const _: () = assert!(size_of::<Entry>() == size_of::<Runnable>());

/// An object to run, and up to two more references that its kind needs.
pub struct Runnable {
    /// The functions of the object's kind.
    pub kind: &'static EntryKind,
    /// The object to run.
    pub object: Ref,
    /// An optional reference; its meaning depends on the kind.
    pub first: Option<Ref>,
    /// An optional reference; its meaning depends on the kind.
    pub second: Option<Ref>,
}

/// The functions of a kind of ready entry.
pub struct EntryKind {
    /// Runs the object. Returns only errors that end the run of the loop, and reports others.
    pub run: for<'a, 'py> fn(&'a Obj<'py, EventLoop>, Runnable) -> PyResult<()>,
    /// The object that debug mode names when the entry was slow.
    pub subject: for<'a, 'py> fn(&'a Runnable, Python<'py>) -> Option<Bound<'py, PyAny>>,
    /// The callable that a handle of the entry would have, for programs that read `loop._ready` and for loops
    /// that are not native; `None` where asyncio's loop has no callable.
    pub callable: Option<Form>,
    /// Whether a callable of Python code stands for an entry of the object.
    pub stands_for: fn(&Bound<'_, PyAny>, &Ref) -> bool,
}

impl EntryKind {
    /// The kind as a base for others: no name, no callable.
    pub const fn new(run: for<'a, 'py> fn(&'a Obj<'py, EventLoop>, Runnable) -> PyResult<()>) -> Self {
        Self { run, subject: unnamed, callable: None, stands_for: no_callable }
    }
}

/// Makes the callable of an entry.
pub type Form = for<'py> fn(Runnable, Python<'py>) -> PyResult<Callable<'py>>;

/// An entry as asyncio would have it.
pub enum Callable<'py> {
    /// It is a handle.
    Handle(Bound<'py, PyAny>),
    /// A handle would call this.
    Call {
        /// The callback.
        callback: Bound<'py, PyAny>,
        /// Its argument.
        argument: Option<Bound<'py, PyAny>>,
        /// The context to call it in; the current one by default.
        context: Option<Bound<'py, PyAny>>,
    },
}

impl<'py> Callable<'py> {
    /// A call without argument, in the current context.
    pub fn bare(callback: Bound<'py, PyAny>) -> Self {
        Self::Call { callback, argument: None, context: None }
    }
}

/// A function that a primitive leaves on a future instead of a callback: `gather` stores a result by it, for
/// instance.
pub struct Reaction {
    /// What asyncio's own callback is called, for reprs.
    pub name: &'static str,
    /// Gets the owner and the future. A function that runs Python code first calls
    /// [`super::current::flush_leave`].
    pub run: for<'a, 'py> fn(&'a Bound<'py, PyAny>, &'a Bound<'py, PyAny>) -> PyResult<()>,
    /// The task that waits for the future through the owner, for call graphs.
    #[cfg_attr(not(Py_3_14), allow(dead_code, reason = "call graphs came with 3.14"))]
    pub waiter: for<'a, 'py> fn(&'a Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>>,
    /// The function of asyncio by whose identity programs know the callback, where they do.
    pub standard: Option<Standard>,
}

/// Gives an object of the standard library.
pub type Standard = for<'py> fn(Python<'py>) -> PyResult<&'py Bound<'py, PyAny>>;

/// The subject of kinds that are named after their object.
pub fn named<'py>(runnable: &Runnable, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
    Some(runnable.object.any(py).clone())
}

/// The `stands_for` of kinds that no callable stands for.
pub fn no_callable(_function: &Bound<'_, PyAny>, _object: &Ref) -> bool {
    false
}

/// The subject of kinds that have no name.
pub fn unnamed<'py>(_runnable: &Runnable, _py: Python<'py>) -> Option<Bound<'py, PyAny>> {
    None
}

impl Runnable {
    /// An object to run.
    #[inline]
    pub fn new(kind: &'static EntryKind, object: Ref) -> Self {
        Self { kind, object, first: None, second: None }
    }

    /// The object as one of the class that the kind is for.
    #[inline(always)]
    pub fn object<'py, T: Class>(self, py: Python<'py>) -> PyResult<Obj<'py, T>> {
        typed(self.object, py)
    }
}

/// A reference as an object of the class that its kind is for. The tables of kinds are private to the parts
/// that push their entries, so a mismatch is a bug of the part.
#[inline(always)]
pub fn typed<T: Class>(object: Ref, py: Python<'_>) -> PyResult<Obj<'_, T>> {
    Obj::cast_into(object.into_any(py)).ok_or_else(mismatch)
}

/// The exception for an object of another class than its kind is for.
#[cold]
pub fn mismatch() -> PyErr {
    PySystemError::new_err(
        "yibu: an entry of the loop is of another kind than its object (a bug, please report it)",
    )
}

impl Entry {
    /// An object to run.
    #[inline]
    pub fn of<T: Class>(kind: &'static EntryKind, object: Obj<'_, T>) -> Self {
        Self::Run(Runnable::new(kind, Ref::new(object.into_any())))
    }

    /// The kind of the entry; `None` for reactions and operations.
    pub fn kind(&self) -> Option<&'static EntryKind> {
        match self {
            Self::Run(runnable) => Some(runnable.kind),
            Self::Other(_) => None,
        }
    }

    /// A second entry that runs the same.
    pub fn copy(&self, py: Python<'_>) -> Self {
        let copied = |reference: &Option<Ref>| reference.as_ref().map(|reference| reference.copy(py));
        match self {
            Self::Run(Runnable { kind, object, first, second }) => Self::Run(Runnable {
                kind,
                object: object.copy(py),
                first: copied(first),
                second: copied(second),
            }),
            Self::Other(Other::React { reaction, owner, future }) => {
                let (owner, future) = (owner.copy(py), future.copy(py));
                Self::Other(Other::React { reaction, owner, future })
            }
            Self::Other(Other::Io(id)) => Self::Other(Other::Io(*id)),
        }
    }

    /// Whether both run the same.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Run(one), Self::Run(other)) => {
                std::ptr::eq(one.kind, other.kind) && one.object.as_ptr() == other.object.as_ptr()
            }
            (
                Self::Other(Other::React { owner: one, future, .. }),
                Self::Other(Other::React { owner: other, future: their, .. }),
            ) => one.as_ptr() == other.as_ptr() && future.as_ptr() == their.as_ptr(),
            (Self::Other(Other::Io(one)), Self::Other(Other::Io(other))) => one == other,
            _ => false,
        }
    }

    /// Has the processor fetch what running the entry needs first. In a large batch it is not in the nearest
    /// cache any more.
    #[inline]
    pub(super) fn prefetch(&self) {
        match self {
            Self::Run(runnable) => runnable.object.prefetch(),
            Self::Other(Other::React { owner, .. }) => owner.prefetch(),
            Self::Other(Other::Io(_)) => {}
        }
    }

    /// The object that debug mode names when the entry was slow.
    pub fn subject<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self {
            Self::Run(runnable) => (runnable.kind.subject)(runnable, py),
            Self::Other(Other::React { owner, .. }) => Some(owner.any(py).clone()),
            Self::Other(Other::Io(_)) => None,
        }
    }

    /// Shows its references to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::Run(Runnable { object, first, second, .. }) => {
                visitor.visit(object.as_ptr());
                first.iter().chain(second).for_each(|more| visitor.visit(more.as_ptr()));
            }
            Self::Other(Other::React { owner, future, .. }) => {
                visitor.visit(owner.as_ptr());
                visitor.visit(future.as_ptr());
            }
            Self::Other(Other::Io(_)) => {}
        }
    }
}

/// A message that another thread sends to the loop.
pub struct Message {
    deliver: fn(Ref) -> Entry,
    object: SendRef,
}

impl Message {
    /// `deliver` makes the entry of the object when the loop has received it.
    pub fn new<T: Class>(deliver: fn(Ref) -> Entry, object: Obj<'_, T>) -> Self {
        Self { deliver, object: SendRef::of(object) }
    }

    /// The entry that the message becomes.
    pub(super) fn entry(self) -> Entry {
        (self.deliver)(self.object.into_ref())
    }
}
