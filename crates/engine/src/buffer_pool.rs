//! Memory of large contents, kept for the next one.
//!
//! A server that reads large messages would have the allocator fetch and return the same pages for every one
//! of them. Called by [`crate::pieces`].

use std::cell::Cell;

/// At most so many pieces of memory are kept by a thread,
const COUNT: usize = 16;
/// of at most so many bytes each.
const SIZE: usize = 256 * 1024;

thread_local! {
    static POOL: Cell<Vec<Vec<u8>>> = const { Cell::new(Vec::new()) };
}

/// Memory for a content: a piece that was kept, or an empty one.
pub fn take() -> Vec<u8> {
    with(Vec::pop).flatten().unwrap_or_default()
}

/// Keeps memory, or gives it back.
pub fn keep(mut memory: Vec<u8>) {
    memory.clear();
    if memory.capacity() <= SIZE {
        with(|pool| {
            if pool.len() < COUNT {
                pool.push(memory);
            }
        });
    }
}

/// `None` when the thread is ending.
fn with<R>(act: impl FnOnce(&mut Vec<Vec<u8>>) -> R) -> Option<R> {
    POOL.try_with(|cell| {
        let mut pool = cell.take();
        let result = act(&mut pool);
        cell.set(pool);
        result
    })
    .ok()
}
