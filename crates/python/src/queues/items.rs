//! What is asked and done about the items: `qsize`, `empty`, `full`, `_init`, `_put`, `_get`.

use std::collections::VecDeque;

use pyo3::exceptions::{PyAttributeError, PyIndexError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::container::Meaning;
use super::data::{Kind, Queue};
use super::hooks::{Hook, Hooks};
use crate::ffi::{Obj, Output, Ref, call};
use crate::replaced::names::DEQUE_OF_QUEUES;
use crate::{names, stock};

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
