//! Owned references that live inside native objects: [`Ref`], [`Slot`] and, for crossing threads,
//! [`SendRef`].
//!
//! Unlike `pyo3::Py`, dropping one decrements at once: native objects are only dropped by the interpreter or
//! by code that it called (the *attached* invariant of [`super`]), so the question whether the thread is
//! attached is never asked.

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use pyo3::prelude::*;
use pyo3::{ffi, types::PyAny};

use crate::class::definition::Class;
use crate::class::layout::data_of;
use crate::class::object::Obj;
use crate::gc::Visitor;
use crate::objects::{new_reference, none};

/// An owned reference to a Python object of native class `T` (or to any object).
pub struct Ref<T = PyAny>(ManuallyDrop<Py<PyAny>>, PhantomData<(*const (), T)>);

impl<T> Drop for Ref<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this Ref owns one reference and is dropped on an attached thread (module invariant).
        unsafe { ffi::Py_DECREF(self.0.as_ptr()) }
    }
}

impl<T> Ref<T> {
    #[inline]
    fn from_bound(object: Bound<'_, PyAny>) -> Self {
        Self(ManuallyDrop::new(object.unbind()), PhantomData)
    }

    /// The object, borrowed.
    #[inline]
    pub fn any<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.bind(py)
    }

    /// A second reference to the same object.
    #[inline]
    pub fn copy(&self, py: Python<'_>) -> Self {
        Self::from_bound(new_reference(self.any(py)))
    }

    /// The object, giving up this reference.
    #[inline]
    pub fn into_any(self, py: Python<'_>) -> Bound<'_, PyAny> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so the reference is taken exactly once.
        let object = unsafe { ManuallyDrop::take(&mut this.0) };
        object.into_bound(py)
    }

    /// The address, for identity and for the collector.
    #[inline]
    pub fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    /// Has the processor fetch the beginning of the object into its cache while something else is done.
    #[inline]
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing as far as the program can tell: any address will do.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(self.as_ptr().wrapping_byte_add(64).cast());
        }
    }
}

impl Ref<PyAny> {
    /// Takes over an object's reference.
    #[inline]
    pub fn new<U>(object: Bound<'_, U>) -> Self {
        Self::from_bound(object.into_any())
    }

    /// The data of the object, if it is of native class `T` or a subclass.
    #[inline]
    pub fn data_as<T: Class>(&self) -> Option<&T> {
        // SAFETY: the condition of `data_of` is what is checked, and the result lives as long as the borrow
        // of the reference.
        T::CLASS.has(self.as_ptr()).then(|| unsafe { data_of(self.as_ptr()) })
    }
}

impl<T: Class> Ref<T> {
    /// Takes over a native object's reference.
    #[inline]
    pub fn of(object: Obj<'_, T>) -> Self {
        Self::from_bound(object.into_any())
    }

    /// The native object, giving up this reference.
    #[inline]
    pub fn into_obj(self, py: Python<'_>) -> Obj<'_, T> {
        // SAFETY: a `Ref<T>` is only made from an `Obj<T>`.
        unsafe { Obj::from_any_unchecked(self.into_any(py)) }
    }

    /// The native object's data, without touching the reference count.
    #[inline]
    pub fn data(&self) -> &T {
        // SAFETY: as in `into_obj`; the reference keeps the object alive while the data is borrowed.
        unsafe { data_of(self.as_ptr()) }
    }

    /// Another strong reference, as an object to work with.
    #[inline]
    pub fn obj<'py>(&self, py: Python<'py>) -> Obj<'py, T> {
        // SAFETY: as in `into_obj`.
        unsafe { Obj::from_any_unchecked(new_reference(self.any(py))) }
    }
}

/// A field of a native object: a reference, or nothing. Readable and writable through a shared reference.
pub struct Slot<T = PyAny>(Cell<Option<Ref<T>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Cell::new(None))
    }
}

impl<T> Slot<T> {
    /// Nothing.
    pub const fn new() -> Self {
        Self(Cell::new(None))
    }

    #[inline]
    fn peek(&self) -> Option<&Ref<T>> {
        // SAFETY: the reference is used by the callers below for an identity test or to make a new strong
        // reference, neither of which runs Python code, so the cell cannot be written while it lives.
        unsafe { (*self.0.as_ptr()).as_ref() }
    }

    /// A new strong reference to the content.
    #[inline]
    pub fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.peek().map(|r| new_reference(r.any(py)))
    }

    /// A new strong reference to the content, or `None` the Python object.
    #[inline]
    pub fn get_or_none<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.get(py).unwrap_or_else(|| none(py))
    }

    /// Whether nothing is there.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.peek().is_none()
    }

    /// Whether the content is this very object.
    #[inline]
    pub fn is(&self, other: &Bound<'_, PyAny>) -> bool {
        self.peek().is_some_and(|r| r.as_ptr() == other.as_ptr())
    }

    /// The address of the content, null when empty.
    #[inline]
    pub fn as_ptr(&self) -> *mut ffi::PyObject {
        self.peek().map_or(std::ptr::null_mut(), Ref::as_ptr)
    }

    /// Empties the slot.
    #[inline]
    pub fn take(&self) -> Option<Ref<T>> {
        self.0.take()
    }

    /// Fills the slot and gives back what was there; drop it when no state is half-written.
    #[inline]
    #[must_use = "dropping the old content may run Python code: choose when"]
    pub fn replace(&self, value: Option<Ref<T>>) -> Option<Ref<T>> {
        self.0.replace(value)
    }

    /// Fills the slot; the old content is released after the new one is in place.
    #[inline]
    pub fn set(&self, value: Ref<T>) {
        drop(self.0.replace(Some(value)));
    }

    /// Empties the slot and releases the content.
    #[inline]
    pub fn clear(&self) {
        drop(self.0.take());
    }

    /// Shows the content to the garbage collector.
    #[inline]
    pub fn traverse(&self, visitor: &mut Visitor) {
        if let Some(r) = self.peek() {
            visitor.visit(r.as_ptr());
        }
    }
}

impl Slot<PyAny> {
    /// Fills the slot with a Python object.
    #[inline]
    pub fn put<U>(&self, object: Bound<'_, U>) {
        self.set(Ref::new(object));
    }
}

impl<T: Class> Slot<T> {
    /// A new strong reference to the native object in the slot.
    #[inline]
    pub fn obj<'py>(&self, py: Python<'py>) -> Option<Obj<'py, T>> {
        self.peek().map(|r| r.obj(py))
    }
}

/// A reference on its way from another thread to the loop.
pub struct SendRef(Py<PyAny>);

impl SendRef {
    /// Takes over an object's reference.
    pub fn of<T: Class>(object: Obj<'_, T>) -> Self {
        Self(object.into_any().unbind())
    }

    /// The reference, on an attached thread again: the loop delivers messages while it runs.
    pub fn into_ref(self) -> Ref {
        Ref(ManuallyDrop::new(self.0), PhantomData)
    }
}
