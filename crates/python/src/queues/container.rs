//! [`Items`], `_queue`, where the items are; and [`Limit`], `_maxsize`.
//!
//! The items of a plain queue are hidden in a `VecDeque` until Python code asks for the attribute; from then
//! on they are in the deque that was shown, because the program may change it. The other two kinds have a
//! Python list from the beginning, which is as quick from here: `heapq` works on it with the comparisons that
//! programs expect.

use std::cell::Cell;
use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};
use yibu_driver::memory::MakeRoom;

use crate::errors;
use crate::ffi::{LoopCell, Ref, Slot, Visitor};
use crate::stock;

/// The items, or what a subclass keeps in `_queue`.
#[derive(Default)]
pub struct Items {
    pub(super) hidden: LoopCell<Option<VecDeque<Ref>>>,
    shown: Slot,
}

/// Queues keep the memory for this many items.
const KEEP: usize = 64;

impl Items {
    /// Begins anew.
    pub(super) fn begin(&self, hidden: Option<VecDeque<Ref>>, shown: Option<Ref>) {
        let old_hidden = self.hidden.with(|place| std::mem::replace(place, hidden));
        let old_shown = self.shown.replace(shown);
        drop((old_hidden, old_shown));
    }

    /// How many are hidden; `None` when they are to be looked for elsewhere.
    #[inline]
    pub(super) fn hidden_len(&self) -> Option<usize> {
        self.hidden.with(|hidden| hidden.as_ref().map(VecDeque::len))
    }

    /// Gives the item back when there is nowhere to hide it; MemoryError when there is no memory for it.
    #[inline(always)] // or the item is moved through memory
    pub fn hide(&self, item: Ref) -> PyResult<Option<Ref>> {
        let hidden = self.hidden.with(|hidden| {
            let Some(items) = hidden else { return Ok(Some(item)) };
            if !items.make_room(1) {
                return Err(item);
            }
            items.push_back(item);
            Ok(None)
        });
        hidden.map_err(|_item| errors::no_memory())
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

/// `_maxsize`.
#[derive(Default)]
pub struct Limit {
    object: Slot,
    pub(super) meaning: Cell<Meaning>,
}

/// What it says.
#[derive(Clone, Copy, Default)]
pub(super) enum Meaning {
    /// Zero or less.
    #[default]
    None,
    /// So many.
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
