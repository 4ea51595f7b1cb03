//! `_queue`, where the items are, and what is asked and done about them: `qsize`, `empty`, `full`, `_init`, `_put`, `_get`.
//!
//! The items of a plain queue are hidden in a `VecDeque` until somebody asks for the attribute; from then on they are in the
//! deque that was shown, because whoever has it may change it. The other two kinds have a Python list from the beginning, which
//! is as quick from here: `heapq` works on it with the comparisons that programs expect.

use std::cell::Cell;
use std::collections::VecDeque;

use pyo3::exceptions::{PyAttributeError, PyIndexError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};

use super::Queue;
use super::hooks::{Hook, Hooks};
use crate::errors;
use crate::ffi::{LoopCell, Obj, Output, Ref, Slot, Visitor, call};
use crate::replaced::names::DEQUE_OF_QUEUES;
use crate::{names, stock};
use yibu_driver::memory::MakeRoom;

/// Which item leaves first.
#[derive(Clone, Copy, Default)]
pub enum Kind {
    /// The oldest: `Queue`.
    #[default]
    Fifo,
    /// The least: `PriorityQueue`.
    Priority,
    /// The newest: `LifoQueue`.
    Lifo,
}

/// The items, or what a subclass keeps in `_queue`.
#[derive(Default)]
pub struct Items {
    hidden: LoopCell<Option<VecDeque<Ref>>>,
    shown: Slot,
}

/// Queues keep the memory for this many items.
const KEEP: usize = 64;

impl Items {
    /// Begins anew.
    fn begin(&self, hidden: Option<VecDeque<Ref>>, shown: Option<Ref>) {
        let old_hidden = self.hidden.with(|place| std::mem::replace(place, hidden));
        let old_shown = self.shown.replace(shown);
        drop((old_hidden, old_shown));
    }

    /// How many are hidden; `None` when they are to be looked for elsewhere.
    #[inline]
    fn hidden_len(&self) -> Option<usize> {
        self.hidden.with(|hidden| hidden.as_ref().map(VecDeque::len))
    }

    /// Gives the item back when there is nowhere to hide it; MemoryError when there is no memory for it.
    #[inline]
    pub fn hide(&self, item: Ref) -> PyResult<Option<Ref>> {
        let (has_room, refused) = self.hidden.with(|hidden| match hidden {
            Some(items) => {
                let has_room = items.make_room(1);
                (
                    has_room,
                    if has_room {
                        items.push_back(item);
                        None
                    } else {
                        Some(item)
                    },
                )
            }
            None => (true, Some(item)),
        });
        errors::room(has_room)?;
        Ok(refused)
    }

    /// The first hidden item.
    #[inline]
    pub fn take_hidden(&self) -> Option<Ref> {
        self.hidden.with(|hidden| {
            let items = hidden.as_mut()?;
            let item = items.pop_front()?;
            if items.capacity() > KEEP && items.len() < items.capacity() / 4 {
                items.shrink_to((items.len() * 2).max(KEEP));
            }
            Some(item)
        })
    }

    /// `_queue` as it stands in the object; `None` when `_init` left it out.
    pub fn show<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(items) = self.hidden.with(Option::take) else { return Ok(self.shown.get(py)) };
        let list = PyList::new(py, items.iter().map(|item| item.any(py)))?;
        let shown = stock::deque(py)?.call1((list,))?;
        self.shown.put(shown.clone());
        Ok(Some(shown))
    }

    /// `_queue = content`, or `del _queue`.
    pub fn put(&self, content: Option<&Bound<'_, PyAny>>) {
        self.begin(None, content.map(|content| Ref::new(content.clone())));
    }

    /// A list of the items, for `repr()`; `None` when there are none, or nowhere to look for them.
    pub fn listed<'py>(queue: &Obj<'py, Queue>) -> PyResult<Option<Bound<'py, PyList>>> {
        let py = queue.py();
        let copies: Option<Vec<Ref>> = queue
            .items
            .hidden
            .with(|hidden| hidden.as_ref().map(|items| items.iter().map(|item| item.copy(py)).collect()));
        if let Some(items) = copies {
            let list = PyList::new(py, items.iter().map(|item| item.any(py)))?;
            return Ok((!items.is_empty()).then_some(list));
        }
        match queue.as_any().getattr_opt(names::_queue(py))? {
            Some(content) if content.is_truthy()? => {
                let list = PyList::empty(py);
                content.try_iter()?.try_for_each(|item| list.append(item?))?;
                Ok(Some(list))
            }
            _ => Ok(None),
        }
    }

    /// Shows every reference to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.shown.traverse(visitor);
        self.hidden.try_with(|hidden| hidden.iter().flatten().for_each(|item| visitor.visit(item.as_ptr())));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.put(None);
    }
}

/// `self._queue`.
fn content<'py>(queue: &Obj<'py, Queue>, hooks: Hooks) -> Output<'py> {
    let py = queue.py();
    if hooks.replace(Hook::Queue) {
        return queue.as_any().getattr(names::_queue(py));
    }
    queue.items.show(py)?.map_or_else(|| Err(no_content(queue)), Ok)
}

/// What asking for `_queue` raises when `_init` left it out.
#[cold]
pub fn no_content(queue: &Obj<'_, Queue>) -> PyErr {
    match queue.as_any().get_type().name() {
        Ok(class) => PyAttributeError::new_err(format!("'{class}' object has no attribute '_queue'")),
        Err(error) => error,
    }
}

/// `len(self._queue)`.
#[inline]
pub fn len(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<usize> {
    match queue.items.hidden_len() {
        Some(len) if !hooks.replace(Hook::Queue) => Ok(len),
        _ => content(queue, hooks)?.len(),
    }
}

/// `not self._queue`.
#[inline]
pub fn holds_nothing(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<bool> {
    match queue.items.hidden_len() {
        Some(len) if !hooks.replace(Hook::Queue) => Ok(len == 0),
        _ => Ok(!content(queue, hooks)?.is_truthy()?),
    }
}

/// `self.empty()`.
#[inline]
pub fn is_empty(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<bool> {
    if hooks.replace(Hook::Empty) {
        Hook::Empty.call(queue)?.is_truthy()
    } else {
        holds_nothing(queue, hooks)
    }
}

/// `_maxsize`.
#[derive(Default)]
pub struct Limit {
    object: Slot,
    meaning: Cell<Meaning>,
}

#[derive(Clone, Copy, Default)]
enum Meaning {
    /// Zero or less.
    #[default]
    None,
    Items(usize),
    /// No int, or none that fits: Python compares.
    Unknown,
}

impl Limit {
    /// `_maxsize = object`.
    pub fn put(&self, object: Bound<'_, PyAny>) {
        let number = object.cast_exact::<PyInt>().ok().and_then(|int| int.extract::<i64>().ok());
        self.meaning.set(match number {
            None => Meaning::Unknown,
            Some(..=0) => Meaning::None,
            Some(items) => Meaning::Items(items.unsigned_abs() as usize),
        });
        self.object.put(object);
    }

    /// `_maxsize`.
    pub fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.object.get_or_none(py)
    }

    /// Shows the reference to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.object.traverse(visitor);
    }

    /// Lets go of the reference.
    pub fn clear(&self) {
        self.object.clear();
    }
}

/// `self.full()`.
#[inline]
pub fn is_full(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<bool> {
    if hooks.replace(Hook::Full) { Hook::Full.call(queue)?.is_truthy() } else { fills_limit(queue, hooks) }
}

/// Whether there are `maxsize` items.
#[inline]
pub fn fills_limit(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<bool> {
    match queue.limit.meaning.get() {
        Meaning::None => Ok(false),
        Meaning::Items(limit) if !hooks.replace(Hook::Qsize) => Ok(len(queue, hooks)? >= limit),
        _ => fills_odd_limit(queue, hooks),
    }
}

fn fills_odd_limit(queue: &Obj<'_, Queue>, hooks: Hooks) -> PyResult<bool> {
    let limit = queue.limit.object(queue.py());
    if limit.le(0)? {
        return Ok(false);
    }
    if hooks.replace(Hook::Qsize) {
        Hook::Qsize.call(queue)?.ge(limit)
    } else {
        len(queue, hooks)?.into_pyobject(queue.py())?.ge(limit)
    }
}

/// `_init` of a kind: makes `_queue`.
pub fn init(queue: &Obj<'_, Queue>, hooks: Hooks, kind: Kind) -> PyResult<()> {
    let py = queue.py();
    let fresh = match kind {
        Kind::Fifo if !hooks.replace(Hook::Queue) && !DEQUE_OF_QUEUES.is_replaced(py) => {
            queue.items.begin(Some(VecDeque::new()), None);
            return Ok(());
        }
        Kind::Fifo => DEQUE_OF_QUEUES.current(py)?.call0()?,
        Kind::Priority | Kind::Lifo => PyList::empty(py).into_any(),
    };
    queue.as_any().setattr(names::_queue(py), fresh)
}

/// `_put` of a kind.
#[inline]
pub fn put<'py>(queue: &Obj<'py, Queue>, hooks: Hooks, kind: Kind, item: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = queue.py();
    match kind {
        Kind::Priority => return put_on_heap(queue, hooks, item, stock::heappush(py)?),
        Kind::Fifo if !hooks.replace(Hook::Queue) => {
            if queue.items.hide(Ref::new(item.clone()))?.is_none() {
                return Ok(());
            }
        }
        Kind::Fifo | Kind::Lifo => {}
    }
    let content = content(queue, hooks)?;
    match content.cast_exact::<PyList>() {
        Ok(list) => list.append(item),
        Err(_) => call::method(names::append(py), [&content, item]).map(drop),
    }
}

/// `_get` of a kind.
#[inline]
pub fn get<'py>(queue: &Obj<'py, Queue>, hooks: Hooks, kind: Kind) -> Output<'py> {
    let py = queue.py();
    match kind {
        Kind::Priority => get_from_heap(queue, hooks, stock::heappop(py)?),
        Kind::Fifo => {
            if !hooks.replace(Hook::Queue) {
                let items = &queue.items;
                if let Some(item) = items.take_hidden() {
                    return Ok(item.into_any(py));
                }
                if items.hidden_len().is_some() {
                    return Err(PyIndexError::new_err("pop from an empty deque"));
                }
            }
            call::method(names::popleft(py), [&content(queue, hooks)?])
        }
        Kind::Lifo => {
            let content = content(queue, hooks)?;
            match content.cast_exact::<PyList>() {
                Ok(list) if !list.is_empty() => {
                    let last = list.len() - 1;
                    let item = list.get_item(last)?;
                    list.del_item(last)?;
                    Ok(item)
                }
                _ => call::method(names::pop(py), [&content]),
            }
        }
    }
}

/// `heappush(self._queue, item)`.
pub fn put_on_heap<'py>(
    queue: &Obj<'py, Queue>,
    hooks: Hooks,
    item: &Bound<'py, PyAny>,
    heappush: &Bound<'py, PyAny>,
) -> PyResult<()> {
    call::call(heappush, [&content(queue, hooks)?, item]).map(drop)
}

/// `heappop(self._queue)`.
pub fn get_from_heap<'py>(queue: &Obj<'py, Queue>, hooks: Hooks, heappop: &Bound<'py, PyAny>) -> Output<'py> {
    call::call1(heappop, &content(queue, hooks)?)
}
