//! Memory that runs out: the allocator of the extension module, and the question whether a container may
//! grow.
//!
//! Where the system has no memory, small requests are served from a `reserve`, so that code which cannot fail
//! (a box, a short vector, the text of an error) goes on; what grows with a program's data asks [`MakeRoom`]
//! first, and the program gets a MemoryError. See `docs/decisions/0012-memory.md`. Called by the engine, the
//! Python crate and this crate; calls the system's allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::io;
use std::ptr::copy_nonoverlapping;

#[cfg(feature = "failing-allocator")]
mod failing;
mod reserve;

#[cfg(feature = "failing-allocator")]
pub use failing::{Failures, fail};

/// The allocator: the system's, and the reserve where the system's has nothing.
#[derive(Debug)]
pub struct Memory;

/// What the system has; in a build for tests, nothing where a failure is due.
#[inline]
fn system(layout: Layout, allocate: impl FnOnce() -> *mut u8) -> *mut u8 {
    #[cfg(feature = "failing-allocator")]
    if failing::is_due(layout.size()) {
        return std::ptr::null_mut();
    }
    let _ = layout;
    allocate()
}

// SAFETY: a block is the system allocator's or a slot of the reserve with no other owner, it is at least as
// large and as aligned as asked for, and `reserve::owns` tells which of the two gets it back. Nothing in here
// unwinds.
unsafe impl GlobalAlloc for Memory {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is handed on.
        let block = system(layout, || unsafe { System.alloc(layout) });
        if block.is_null() { reserve::take(layout) } else { block }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is handed on.
        let block = system(layout, || unsafe { System.alloc_zeroed(layout) });
        if !block.is_null() {
            return block;
        }
        let block = reserve::take(layout);
        if !block.is_null() {
            // SAFETY: the slot has at least `layout.size()` bytes and is this call's alone.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if reserve::owns(block) {
            reserve::give_back(block);
        } else {
            // SAFETY: a block that is not the reserve's came from the system's allocator with this layout.
            unsafe { System.dealloc(block, layout) };
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !reserve::owns(block) {
            // SAFETY: a block that is not the reserve's came from the system's allocator with this layout;
            // the caller's promise about `size` is handed on.
            let moved = system(layout, || unsafe { System.realloc(block, layout, size) });
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: as `layout` is one and the caller promises that `size`, rounded up to its alignment, is no
        // more than `isize::MAX`.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller promises that `size` is not zero.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both blocks have that many bytes and are different ones; the old one is the caller's to
            // give up.
            unsafe {
                copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}

/// Whether memory is so short that nothing may grow: much of the reserve is in use, and the system still has
/// nothing.
#[inline]
pub fn is_short() -> bool {
    reserve::is_low() && !system_has_some()
}

/// Whether the system's allocator has a block of some size again.
#[cold]
fn system_has_some() -> bool {
    const PROBE: Layout = Layout::new::<[u8; 64 * 1024]>();
    // SAFETY: the size is not zero.
    let block = system(PROBE, || unsafe { System.alloc(PROBE) });
    if block.is_null() {
        return false;
    }
    // SAFETY: the block was allocated just now with this layout.
    unsafe { System.dealloc(block, PROBE) };
    true
}

/// A container that can be asked to have room, where a program decides how much it is to hold.
pub trait MakeRoom {
    /// Has room for so many more entries; `false` where there is no memory for them.
    #[must_use]
    fn make_room(&mut self, more: usize) -> bool;
}

macro_rules! make_room {
    ($([$($parameters:tt)*] $container:ty),*) => {$(
        impl<$($parameters)*> MakeRoom for $container {
            #[inline]
            fn make_room(&mut self, more: usize) -> bool {
                self.capacity() - self.len() >= more || (!is_short() && self.try_reserve(more).is_ok())
            }
        }
    )*};
}

make_room!(
    [] String,
    [T] Vec<T>,
    [T] VecDeque<T>,
    [T: Ord] BinaryHeap<T>,
    [K: Eq + Hash, V, S: BuildHasher] HashMap<K, V, S>
);

/// There is no memory.
#[cold]
pub fn exhausted() -> io::Error {
    io::ErrorKind::OutOfMemory.into()
}

/// A copy of bytes of which a program decides how many they are; `None` where there is no memory for it.
pub fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    if is_short() || copy.try_reserve_exact(bytes.len()).is_err() {
        return None;
    }
    copy.extend_from_slice(bytes);
    Some(copy)
}

/// Collects what a program decides the number of; `None` where there is no memory for it.
pub fn collect<T>(items: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let items = items.into_iter();
    let mut all = Vec::new();
    if !all.make_room(items.size_hint().0) {
        return None;
    }
    for item in items {
        if !all.make_room(1) {
            return None;
        }
        all.push(item);
    }
    Some(all)
}
