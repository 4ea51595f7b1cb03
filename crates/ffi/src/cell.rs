//! [`LoopCell`]: the one cell type for data that belongs to a loop and is more than a flag or a reference.

use std::cell::{Cell, UnsafeCell};

/// Data reached only inside short closures that never call into Python.
///
/// The interpreter lock serialises threads; the flag refuses nesting on one thread, so that two exclusive
/// references can never exist. A refused entry is a bug of this crate and panics, which the trampolines turn
/// into an exception.
#[derive(Default)]
#[repr(C)] // the flag is beside what is used first
pub struct LoopCell<T> {
    busy: Cell<bool>,
    value: UnsafeCell<T>,
}

struct Leave<'a>(&'a Cell<bool>);

impl Drop for Leave<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl<T> LoopCell<T> {
    /// A cell around `value`.
    pub const fn new(value: T) -> Self {
        Self { busy: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// Runs `f` on the content. `f` must not call into Python, nor drop references that could.
    #[inline(always)] // the closures are a few instructions each
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        assert!(!self.busy.replace(true), "yibu: loop data entered twice (a bug, please report it)");
        let _leave = Leave(&self.busy);
        // SAFETY: `busy` was false, so no other reference exists; the interpreter lock is held throughout,
        // because `f` does not call into Python, so no other thread can enter meanwhile.
        f(unsafe { &mut *self.value.get() })
    }

    /// Runs `f` unless the content is in use: for the collector, which may come at any allocation.
    #[inline]
    pub fn try_with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        (!self.busy.get()).then(|| self.with(f))
    }
}
