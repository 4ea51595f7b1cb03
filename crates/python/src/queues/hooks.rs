//! Which of a queue's methods Python code has replaced.
//!
//! asyncio's queues call their own methods by name, and programs make use of it: subclasses define `_init`,
//! `_put` and `_get`, wrap `put_nowait`, patch a method of an instance. A method that is still the native one
//! is called directly. The class is asked by [`originals`]; which methods the attributes of the object hide
//! is remembered until its attributes change. Called by all files of `queues/`.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::data::{Kind, LifoQueue, PriorityQueue, Queue};
use crate::ffi::originals::{self, Replaced};
use crate::ffi::thread::outlive_interpreter;
use crate::ffi::{Class, Obj, Output, call};
use crate::names;

/// What asyncio's queues look up on `self`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// `_init()`
    Init,
    /// `_get()`
    Get,
    /// `_put()`
    Put,
    /// `_format()`
    Format,
    /// `_wakeup_next()`
    WakeupNext,
    /// `_get_loop()`
    GetLoop,
    /// `qsize()`
    Qsize,
    /// `empty()`
    Empty,
    /// `full()`
    Full,
    /// `put_nowait()`
    PutNowait,
    /// `get_nowait()`
    GetNowait,
    /// The attribute `_queue`
    Queue,
    /// The methods of `_finished`
    Finished,
}

const METHODS: [Hook; 11] = [
    Hook::Init,
    Hook::Get,
    Hook::Put,
    Hook::Format,
    Hook::WakeupNext,
    Hook::GetLoop,
    Hook::Qsize,
    Hook::Empty,
    Hook::Full,
    Hook::PutNowait,
    Hook::GetNowait,
];

impl Hook {
    fn name(self, py: Python<'_>) -> &Bound<'_, PyString> {
        match self {
            Self::Init => names::_init(py),
            Self::Get => names::_get(py),
            Self::Put => names::_put(py),
            Self::Format => names::_format(py),
            Self::WakeupNext => names::_wakeup_next(py),
            Self::GetLoop => names::_get_loop(py),
            Self::Qsize => names::qsize(py),
            Self::Empty => names::empty(py),
            Self::Full => names::full(py),
            Self::PutNowait => names::put_nowait(py),
            Self::GetNowait => names::get_nowait(py),
            Self::Queue => names::_queue(py),
            Self::Finished => names::_finished(py),
        }
    }

    pub const fn bit(self) -> Replaced {
        1 << self as u32
    }

    /// `self.hook()`.
    pub fn call<'py>(self, queue: &Obj<'py, Queue>) -> Output<'py> {
        outlive_interpreter(|| call::method(self.name(queue.py()), [queue.as_any()]))
    }

    /// `self.hook(argument)`.
    pub fn call_with<'py>(self, queue: &Obj<'py, Queue>, argument: &Bound<'py, PyAny>) -> Output<'py> {
        outlive_interpreter(|| call::method(self.name(queue.py()), [queue.as_any(), argument]))
    }
}

/// The names of [`Hook`], in its order.
pub const NAMES: [&[&str]; 13] = [
    &["_init"],
    &["_get"],
    &["_put"],
    &["_format"],
    &["_wakeup_next"],
    &["_get_loop"],
    &["qsize"],
    &["empty"],
    &["full"],
    &["put_nowait"],
    &["get_nowait"],
    &["_queue"],
    &["_finished"],
];

/// How an object stands to the hooks, for the time of one operation.
#[derive(Clone, Copy, Default)]
pub struct Hooks {
    replaced: Replaced,
    /// Which native class it is or derives from.
    pub kind: Kind,
}

impl Hooks {
    /// Those of a `Queue` without any of its own.
    pub const PLAIN: Self = Self { replaced: 0, kind: Kind::Fifo };

    /// Whether that is what the object is.
    #[inline]
    pub fn are_plain(self) -> bool {
        self.are_native() && matches!(self.kind, Kind::Fifo)
    }

    /// Whether the object has another `hook` than the native one.
    #[inline]
    pub fn replace(self, hook: Hook) -> bool {
        self.replaced & hook.bit() != 0
    }

    /// Whether everything is native: asking twice gives the same answer, then, and it does not show that it
    /// is asked once.
    #[inline]
    pub fn are_native(self) -> bool {
        const ALL: Replaced = (1 << NAMES.len()) - 1;
        self.replaced & ALL == 0
    }
}

/// The hooks of `queue` as they are now.
#[inline(always)]
pub fn of(queue: &Obj<'_, Queue>) -> PyResult<Hooks> {
    if queue.is_known() && queue.attribute_count() == 0 {
        return Ok(Hooks { replaced: queue.replaced(), kind: Kind::Fifo });
    }
    find(queue)
}

/// The same for those of other classes, and with attributes of their own.
fn find(queue: &Obj<'_, Queue>) -> PyResult<Hooks> {
    let known = &queue.known;
    let version = queue.class_version();
    if version == 0 || known.class_version.get() != version {
        known.kind.set(kind_of(queue)?);
        known.class_version.set(queue.class_version());
    }
    let attributes = queue.attribute_count();
    if known.attributes.get() != attributes {
        known.hidden.set(hidden(queue)?);
        known.attributes.set(attributes);
    }
    let replaced = queue.replaced() | known.hidden.get() | Queue::replaced_elsewhere(queue.py());
    Ok(Hooks { replaced, kind: known.kind.get() })
}

/// The hooks that attributes of the object hide. A property of the class is not hidden.
#[cold]
fn hidden(queue: &Obj<'_, Queue>) -> PyResult<Replaced> {
    let mut hidden = 0;
    for hook in METHODS {
        if queue.has_own_attribute(hook.name(queue.py()))? {
            hidden |= hook.bit();
        }
    }
    Ok(hidden)
}

#[cold]
fn kind_of(queue: &Obj<'_, Queue>) -> PyResult<Kind> {
    let native = originals::nearest(Queue::CLASS, &queue.as_any().get_type())?;
    Ok(match native {
        native if std::ptr::eq(native, PriorityQueue::CLASS) => Kind::Priority,
        native if std::ptr::eq(native, LifoQueue::CLASS) => Kind::Lifo,
        _ => Kind::Fifo,
    })
}
