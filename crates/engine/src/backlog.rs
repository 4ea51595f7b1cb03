//! [`Backlog`]: what was written and is still to be encrypted, item by item. Used by TLS.

use std::collections::VecDeque;

use yibu_driver::memory::MakeRoom;

/// An item, of which the first `sent` bytes were encrypted.
pub struct Waiting<D> {
    /// The object that has the bytes.
    pub data: D,
    /// How many of them were encrypted.
    pub sent: usize,
    len: usize,
}

/// What waits to be encrypted.
pub struct Backlog<D> {
    waiting: VecDeque<Waiting<D>>,
    size: usize,
}

impl<D> Default for Backlog<D> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), size: 0 }
    }
}

impl<D> Backlog<D> {
    /// In bytes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether there is memory for one more item.
    pub fn make_room(&mut self) -> bool {
        self.waiting.make_room(1)
    }

    /// The first item.
    pub fn first(&self) -> Option<&Waiting<D>> {
        self.waiting.front()
    }

    /// Something more waits.
    pub fn push(&mut self, data: D, len: usize) {
        self.size += len;
        self.waiting.push_back(Waiting { data, sent: 0, len });
    }

    /// Puts an item in front, of which `sent` bytes were encrypted.
    pub fn push_first(&mut self, data: D, len: usize, sent: usize) {
        self.size += len - sent;
        self.waiting.push_front(Waiting { data, sent, len });
    }

    /// Marks `count` bytes of the first item as encrypted; some of it is left.
    pub fn advance(&mut self, count: usize) {
        if let Some(first) = self.waiting.front_mut() {
            let count = count.min(first.len - first.sent);
            first.sent += count;
            self.size -= count;
        }
    }

    /// Takes out the first item, whose rest was encrypted: the data may have become shorter while it waited.
    pub fn pop(&mut self) -> Option<D> {
        let done = self.waiting.pop_front()?;
        self.size -= done.len - done.sent;
        Some(done.data)
    }

    /// Everything that waits.
    pub fn items(&self) -> impl Iterator<Item = &D> {
        self.waiting.iter().map(|waiting| &waiting.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_what_was_not_encrypted() {
        let mut backlog = Backlog::default();
        assert!(backlog.make_room());
        backlog.push("second", 10);
        backlog.push_first("first", 8, 3);
        assert_eq!(
            (backlog.size(), backlog.items().copied().collect::<Vec<_>>()),
            (15, vec!["first", "second"])
        );
        backlog.advance(4);
        assert_eq!((backlog.size(), backlog.first().map(|first| first.sent)), (11, Some(7)));
        assert_eq!((backlog.pop(), backlog.size()), (Some("first"), 10));
        // More than there is: the data has become shorter.
        backlog.advance(99);
        assert_eq!((backlog.size(), backlog.pop(), backlog.is_empty()), (0, Some("second"), true));
    }
}
