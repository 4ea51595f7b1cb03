//! Which of a queue's methods Python code has replaced.
//!
//! asyncio's queues call their own methods by name, and programs make use of it: subclasses define `_init`, `_put` and `_get`,
//! wrap `put_nowait`, patch a method of an instance. A method that is still the native one is called directly. What was found
//! out about an object holds as long as its class has the same version and the object as many attributes of its own.
//! Called by all files of this room.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};

use super::items::Kind;
use super::{LifoQueue, PriorityQueue, Queue};
use crate::ffi::{Class, Obj, Output, call, class};
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
}

const HOOKS: [Hook; 12] = [
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
    Hook::Queue,
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
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }

    /// `self.hook()`.
    pub fn call<'py>(self, queue: &Obj<'py, Queue>) -> Output<'py> {
        call::method(self.name(queue.py()), [queue.as_any()])
    }

    /// `self.hook(argument)`.
    pub fn call_with<'py>(self, queue: &Obj<'py, Queue>, argument: &Bound<'py, PyAny>) -> Output<'py> {
        call::method(self.name(queue.py()), [queue.as_any(), argument])
    }
}

/// How an object stands to the hooks, for the time of one operation.
#[derive(Clone, Copy, Default)]
pub struct Hooks {
    replaced: u16,
    /// Which native class it is or derives from.
    pub kind: Kind,
}

impl Hooks {
    /// Whether the object has another `hook` than the native one.
    #[inline]
    pub fn replace(self, hook: Hook) -> bool {
        self.replaced & hook.bit() != 0
    }

    /// Whether everything is native: asking twice gives the same answer, then, and nobody sees that it is asked once.
    #[inline]
    pub fn are_native(self) -> bool {
        self.replaced == 0
    }
}

/// What was found out about an object.
#[derive(Default)]
pub struct Known {
    class_version: Cell<u32>,
    attributes: Cell<usize>,
    hooks: Cell<Hooks>,
}

/// A native class as it was made.
struct Original {
    version: u32,
    hooks: [Py<PyAny>; HOOKS.len()],
}

static ORIGINALS: PyOnceLock<[Original; 3]> = PyOnceLock::new();

/// Takes note of the native classes, in the order of [`Kind`].
pub fn remember(py: Python<'_>) -> PyResult<()> {
    let originals = [
        Original::of(&Queue::class(py))?,
        Original::of(&PriorityQueue::class(py))?,
        Original::of(&LifoQueue::class(py))?,
    ];
    // Only importing the module a second time finds it full, and then it is right.
    let _ = ORIGINALS.set(py, originals);
    Ok(())
}

impl Original {
    fn of(class: &Bound<'_, PyType>) -> PyResult<Self> {
        let py = class.py();
        let mut hooks = std::array::from_fn(|_| py.None());
        for (place, hook) in hooks.iter_mut().zip(HOOKS) {
            *place = class.getattr(hook.name(py))?.unbind();
        }
        // Looking attributes up gave the class its version.
        Ok(Self { version: class::version(class), hooks })
    }
}

/// The hooks of `queue` as they are now.
#[inline]
pub fn of(queue: &Obj<'_, Queue>) -> PyResult<Hooks> {
    let known = &queue.known;
    let version = known.class_version.get();
    if version == 0 || version != queue.class_version() || known.attributes.get() != queue.attribute_count() {
        look(queue)?;
    }
    Ok(known.hooks.get())
}

#[cold]
fn look(queue: &Obj<'_, Queue>) -> PyResult<()> {
    let py = queue.py();
    let known = &queue.known;
    let class = queue.as_any().get_type();
    let kind = kind_of(&class);
    let Some(original) = ORIGINALS.get(py).map(|originals| &originals[kind as usize]) else { return Ok(()) };
    let attributes = queue.attribute_count();
    let mut replaced = 0;
    if attributes != 0 || queue.class_version() != original.version {
        for (hook, native) in HOOKS.into_iter().zip(&original.hooks) {
            let name = hook.name(py);
            let inherited = class.getattr_opt(name)?.is_some_and(|found| found.is(native));
            // An attribute of the instance hides a method, but not a property.
            if !inherited || (hook != Hook::Queue && queue.has_own_attribute(name)?) {
                replaced |= hook.bit();
            }
        }
    }
    known.hooks.set(Hooks { replaced, kind });
    known.attributes.set(attributes);
    known.class_version.set(queue.class_version());
    Ok(())
}

fn kind_of(class: &Bound<'_, PyType>) -> Kind {
    let py = class.py();
    let (priority, lifo) = (PriorityQueue::class(py), LifoQueue::class(py));
    let native = class.mro().iter().find_map(|base| match base {
        base if base.is(&priority) => Some(Kind::Priority),
        base if base.is(&lifo) => Some(Kind::Lifo),
        _ => None,
    });
    native.unwrap_or(Kind::Fifo)
}
