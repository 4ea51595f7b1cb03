//! [`Backlog`]: what the application has written and was not encrypted yet.

use std::collections::VecDeque;

use pyo3::prelude::*;

use crate::ffi::{Ref, Visitor};

/// Something written by the application that was not encrypted yet.
pub(super) struct Waiting {
    pub(super) data: Ref,
    pub(super) sent: usize,
    len: usize,
}

/// What waits to be encrypted.
#[derive(Default)]
pub struct Backlog {
    pub(super) waiting: VecDeque<Waiting>,
    size: usize,
}

impl Backlog {
    /// In bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Something more waits.
    pub(super) fn push(&mut self, data: Ref, len: usize) {
        self.size += len;
        self.waiting.push_back(Waiting { data, sent: 0, len });
    }

    /// Puts an item in front, of which `sent` bytes were encrypted.
    pub(super) fn push_first(&mut self, data: Ref, len: usize, sent: usize) {
        self.size += len - sent;
        self.waiting.push_front(Waiting { data, sent, len });
    }

    /// Marks `count` bytes of the first item as encrypted; some of it is left.
    pub(super) fn advance(&mut self, count: usize) {
        if let Some(first) = self.waiting.front_mut() {
            let count = count.min(first.len - first.sent);
            first.sent += count;
            self.size -= count;
        }
    }

    /// Takes out the first item, whose rest was encrypted: the data may have become shorter while it waited.
    pub(super) fn pop(&mut self) -> Option<Ref> {
        let done = self.waiting.pop_front()?;
        self.size -= done.len - done.sent;
        Some(done.data)
    }

    /// Everything that waits, for Python code to look at.
    pub fn objects<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        self.waiting.iter().map(|waiting| waiting.data.any(py).clone()).collect()
    }

    /// The references, for the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.waiting.iter().for_each(|waiting| visitor.visit(waiting.data.as_ptr()));
    }
}
