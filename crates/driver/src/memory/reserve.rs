//! A megabyte that is kept for the time when the system has none: slots of three sizes, each taken and given
//! back by one atomic operation. The operating system gives it pages only when they are used. Called by the
//! allocator; calls nothing.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What each shelf has room for, and how many slots of what size share it.
const SHELF: usize = 256 * 1024;
const SIZES: [usize; 4] = [512, 4 * 1024, 32 * 1024, 128 * 1024];
const WORDS: usize = SHELF / SIZES[0] / 64;

/// No slot is aligned to more.
const ALIGN: usize = 4096;

#[repr(align(4096))]
struct Slots(UnsafeCell<[u8; SHELF * SIZES.len()]>);

// SAFETY: its bytes are reached only through a slot that `take` gave to one caller, which has it until
// `give_back`.
unsafe impl Sync for Slots {}

static SLOTS: Slots = Slots(UnsafeCell::new([0; SHELF * SIZES.len()]));

/// A bit for each slot that is in use.
static USED: [[AtomicU64; WORDS]; SIZES.len()] =
    [const { [const { AtomicU64::new(0) }; WORDS] }; SIZES.len()];

/// How many bytes the slots in use have.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// From so many bytes in use on, what can wait is refused.
const LOW: usize = SHELF / 2;

#[inline]
fn start() -> usize {
    SLOTS.0.get() as usize
}

/// Whether a block is a slot.
#[inline]
pub(super) fn owns(block: *const u8) -> bool {
    (block as usize).wrapping_sub(start()) < SHELF * SIZES.len()
}

/// Whether much is in use.
#[inline]
pub(super) fn is_low() -> bool {
    BYTES.load(Ordering::Relaxed) >= LOW
}

/// A slot for such a block; null where none is free or large enough.
#[cold]
pub(super) fn take(layout: Layout) -> *mut u8 {
    for (shelf, size) in SIZES.into_iter().enumerate() {
        if size < layout.size() || layout.align() > size.min(ALIGN) {
            continue;
        }
        if let Some(slot) = take_of(shelf, SHELF / size) {
            BYTES.fetch_add(size, Ordering::Relaxed);
            return SLOTS.0.get().cast::<u8>().wrapping_add(shelf * SHELF + slot * size);
        }
    }
    null_mut()
}

/// The number of a slot of a shelf that was free until now.
fn take_of(shelf: usize, slots: usize) -> Option<usize> {
    let words = USED[shelf].iter().take(slots.div_ceil(64)).enumerate();
    let none_beyond = if slots < 64 { u64::MAX << slots } else { 0 };
    for (index, word) in words {
        let mut used = word.load(Ordering::Relaxed);
        while used | none_beyond != u64::MAX {
            let free = (used | none_beyond).trailing_ones();
            // Acquire: what the last owner did to the slot comes before what the next one does.
            used = word.fetch_or(1 << free, Ordering::Acquire);
            if used & (1 << free) == 0 {
                return Some(index * 64 + free as usize);
            }
        }
    }
    None
}

/// Frees a slot.
#[cold]
pub(super) fn give_back(block: *const u8) {
    let place = block as usize - start();
    let (shelf, size) = (place / SHELF, SIZES[place / SHELF]);
    let slot = place % SHELF / size;
    BYTES.fetch_sub(size, Ordering::Relaxed);
    USED[shelf][slot / 64].fetch_and(!(1 << (slot % 64)), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_whole_aligned_and_nobody_else_s_until_none_is_left() {
        let layout = |size, align| Layout::from_size_align(size, align).expect("a power of two");
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for wanted in
            [layout(100, 8), layout(513, 4096), layout(30_000, 16), layout(128 * 1024, 4096)].repeat(600)
        {
            let slot = take(wanted);
            if !slot.is_null() {
                assert_eq!(slot as usize % wanted.align(), 0);
                assert!(owns(slot) && owns(slot.wrapping_add(wanted.size() - 1)));
                taken.push((slot as usize, wanted.size()));
            }
        }
        assert!(is_low());
        assert!(take(layout(1, 1)).is_null());
        assert!(taken.len() > 512);
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
        taken.iter().for_each(|(slot, _)| give_back(*slot as *const u8));
        assert_eq!(BYTES.load(Ordering::Relaxed), 0);
        assert!(!is_low());
        assert!(take(layout(128 * 1024 + 1, 1)).is_null());
        assert!(take(layout(1, 8192)).is_null());
    }
}
