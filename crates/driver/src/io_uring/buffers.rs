//! The buffers that a ring hands to the kernel, of which the kernel takes one for each receive, and the queue
//! by which it gets them. Used by the io_uring driver; calls nothing.
//!
//! A buffer is either in the queue, where the kernel may write to it during a call of `io_uring_enter`, or
//! held by the driver from the completion that names it until the driver gives it back.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use ::io_uring::types::BufRingEntry;

/// How many buffers there are; a power of two, as the kernel wants it.
pub(super) const COUNT: u16 = 128;

/// How many bytes one holds.
pub(super) const SIZE: usize = 16 * 1024;

/// From the beginning of one buffer to that of the next. Not a power of two, so that the first bytes of all
/// buffers, the only ones that short messages touch, do not share one line of the processor's cache.
const STRIDE: usize = SIZE + 64;

const PAGE: usize = 4096;

/// Zeroed memory that begins a page.
#[derive(Debug)]
struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory is owned by this value alone, and a pointer to it means the same in every thread. Who
// reads and writes it is for `Provided` to order.
unsafe impl Send for Pages {}
// SAFETY: as above: no method of `Pages` reads or writes the memory.
unsafe impl Sync for Pages {}

impl Pages {
    /// `None` where there is no memory.
    fn new(size: usize) -> Option<Self> {
        let layout = Layout::from_size_align(size, PAGE).ok()?;
        // SAFETY: the size is not zero: both callers pass constants.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, layout })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// The memory that the kernel reads and writes. A ring keeps it alive for as long as the kernel knows its
/// address.
#[derive(Debug)]
pub(super) struct Memory {
    queue: Pages,
    data: Pages,
}

impl Memory {
    /// The address of the queue, for the kernel.
    pub(super) fn queue_address(&self) -> u64 {
        self.queue.start.as_ptr() as u64
    }
}

/// The buffers, and which of them the driver holds.
#[derive(Debug)]
pub(super) struct Provided {
    memory: std::sync::Arc<Memory>,
    tail: u16,
    in_driver: Vec<bool>,
}

impl Provided {
    /// Fresh memory; `None` where there is none.
    pub(super) fn new() -> Option<Self> {
        let queue = Pages::new(usize::from(COUNT) * size_of::<BufRingEntry>())?;
        let data = Pages::new(usize::from(COUNT) * STRIDE)?;
        let mut in_driver = Vec::new();
        in_driver.try_reserve_exact(usize::from(COUNT)).ok()?;
        in_driver.resize(usize::from(COUNT), true);
        Some(Self { memory: std::sync::Arc::new(Memory { queue, data }), tail: 0, in_driver })
    }

    pub(super) fn memory(&self) -> std::sync::Arc<Memory> {
        std::sync::Arc::clone(&self.memory)
    }

    /// Begins the queue of a new ring, which holds every buffer that the driver does not hold. No ring uses
    /// the memory now.
    pub(super) fn restart(&mut self, in_use: impl Fn(u16) -> bool) {
        self.tail = 0;
        for buffer in 0..COUNT {
            self.in_driver[usize::from(buffer)] = true;
            if !in_use(buffer) {
                self.give_back(buffer);
            }
        }
        if self.tail == 0 {
            self.publish();
        }
    }

    /// The kernel has filled a buffer, which is the driver's until it is given back.
    pub(super) fn hold(&mut self, buffer: u16) {
        if let Some(in_driver) = self.in_driver.get_mut(usize::from(buffer)) {
            *in_driver = true;
        }
    }

    /// The first `len` bytes of a buffer that the driver holds.
    #[inline]
    pub(super) fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        if !self.in_driver.get(usize::from(buffer)).copied().unwrap_or(false) {
            return &[];
        }
        let len = len.min(SIZE);
        // SAFETY: the buffer lies within the memory, which is initialised and lives as long as `self`. The
        // driver holds it, so the kernel does not write to it before `give_back`, which needs `self`
        // exclusively.
        unsafe {
            let start = self.memory.data.start.as_ptr().add(usize::from(buffer) * STRIDE);
            std::slice::from_raw_parts(start, len)
        }
    }

    /// Puts a buffer that the driver holds into the queue again.
    #[inline]
    pub(super) fn give_back(&mut self, buffer: u16) {
        match self.in_driver.get_mut(usize::from(buffer)) {
            Some(in_driver) if *in_driver => *in_driver = false,
            _ => return,
        }
        let place = usize::from(self.tail & (COUNT - 1));
        // SAFETY: `place` and `buffer` are below COUNT, so both addresses lie within the memory. The entry is
        // not between the kernel's head and the tail, for there are as many entries as buffers and this
        // buffer is not in the queue: the kernel does not read the entry before `publish`.
        unsafe {
            let entry = &mut *self.memory.queue.start.as_ptr().cast::<BufRingEntry>().add(place);
            entry.set_addr(self.memory.data.start.as_ptr().add(usize::from(buffer) * STRIDE) as u64);
            entry.set_len(SIZE as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
        self.publish();
    }

    /// Shows the kernel the entries up to the tail.
    #[inline]
    fn publish(&self) {
        // SAFETY: the address is that of the queue's first entry, which is initialised, and the tail lies in
        // a field of that entry that nothing else uses; it is aligned for 16 bits, and the kernel and this
        // method access it atomically.
        let tail = unsafe {
            let base = self.memory.queue.start.as_ptr().cast::<BufRingEntry>();
            AtomicU16::from_ptr(BufRingEntry::tail(base).cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_given_back_once() {
        let mut provided = Provided::new().expect("there is memory");
        provided.restart(|buffer| buffer == 3);
        assert_eq!(provided.tail, COUNT - 1);
        assert_eq!(provided.bytes(3, 5), [0; 5]);
        assert_eq!(provided.bytes(4, 5), [0; 0], "the kernel may write to it");
        provided.give_back(3);
        provided.give_back(3);
        provided.give_back(COUNT);
        assert_eq!(provided.tail, COUNT);
        provided.hold(4);
        assert_eq!(provided.bytes(4, 2 * SIZE).len(), SIZE);
    }
}
