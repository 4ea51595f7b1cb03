//! Memory of large contents, kept for the next one.
//!
//! A server that reads large messages would have the allocator fetch and return the same pages for every one of them.
//! Called by [`super::content`].

use std::cell::Cell;

/// At most so many pieces of memory are kept by a thread,
const COUNT: usize = 16;
/// of at most so many bytes each.
const SIZE: usize = 256 * 1024;

thread_local! {
    static SPARE: Cell<Vec<Vec<u8>>> = const { Cell::new(Vec::new()) };
}

/// Empty memory; none if there is none to spare.
pub fn take() -> Vec<u8> {
    with(Vec::pop).flatten().unwrap_or_default()
}

/// Keeps memory, or gives it back.
pub fn keep(mut memory: Vec<u8>) {
    memory.clear();
    if memory.capacity() <= SIZE {
        with(|spare| {
            if spare.len() < COUNT {
                spare.push(memory);
            }
        });
    }
}

/// `None` when the thread is ending.
fn with<R>(act: impl FnOnce(&mut Vec<Vec<u8>>) -> R) -> Option<R> {
    SPARE
        .try_with(|cell| {
            let mut spare = cell.take();
            let result = act(&mut spare);
            cell.set(spare);
            result
        })
        .ok()
}
