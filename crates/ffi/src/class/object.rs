//! [`Obj`]: an owned reference to an object of a native class.

use std::marker::PhantomData;
use std::ops::Deref;

use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::definition::{Class, Extends};
use super::header::Header;
use super::layout::{Instance, data_of};
use crate::objects::new_reference;

/// An owned reference to an instance of native class `T`, or of a subclass; it dereferences to the data.
#[repr(transparent)]
pub struct Obj<'py, T: Class>(Bound<'py, PyAny>, PhantomData<T>);

impl<T: Class> Clone for Obj<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        Self(new_reference(&self.0), PhantomData)
    }
}

impl<T: Class> Deref for Obj<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this reference keeps the instance alive. The data is only ever shared: it has interior
        // mutability, and it is dropped when no reference is left.
        unsafe { data_of(self.0.as_ptr()) }
    }
}

impl<'py, T: Class> Obj<'py, T> {
    /// Names the class of an object.
    ///
    /// # Safety
    /// The object must be an instance of `T`'s type.
    #[inline]
    pub(crate) unsafe fn from_any_unchecked(object: Bound<'py, PyAny>) -> Self {
        Self(object, PhantomData)
    }

    /// The object as one of this class or a subclass.
    #[inline]
    pub fn cast<'a>(object: &'a Bound<'py, PyAny>) -> Option<&'a Self> {
        let state = T::CLASS;
        // SAFETY: the transmuted reference is to a transparent wrapper, and the check just made is the
        // condition of `from_any_unchecked`.
        unsafe { state.has(object.as_ptr()).then(|| &*std::ptr::from_ref(object).cast::<Self>()) }
    }

    /// The object as one of exactly this class.
    #[inline]
    pub fn cast_exact<'a>(object: &'a Bound<'py, PyAny>) -> Option<&'a Self> {
        // SAFETY: as in `cast`.
        unsafe {
            T::CLASS
                .is_class(ffi::Py_TYPE(object.as_ptr()))
                .then(|| &*std::ptr::from_ref(object).cast::<Self>())
        }
    }

    /// The object as one of exactly this class, or of exactly a native class derived from it: no Python
    /// subclass can have replaced its methods. [`know_derived`] says which classes those are.
    #[inline]
    pub fn cast_native<'a>(object: &'a Bound<'py, PyAny>) -> Option<&'a Self> {
        // SAFETY: as in `cast`: objects of derived native classes begin with this class's data.
        unsafe {
            T::CLASS
                .is_native(ffi::Py_TYPE(object.as_ptr()))
                .then(|| &*std::ptr::from_ref(object).cast::<Self>())
        }
    }

    /// The object as one of this class or a subclass, without a second reference.
    #[inline]
    pub fn cast_into(object: Bound<'py, PyAny>) -> Option<Self> {
        Self::cast(&object).is_some().then_some(Self(object, PhantomData))
    }

    /// Remembers the object's class, if no subclass is remembered yet, so that [`Obj::cast`] knows its
    /// instances at a glance. The class lives as long as the process then.
    pub fn expect_this_class(&self) {
        let state = T::CLASS;
        if state.main_is_native() && !state.is_of_main_class(self.0.as_ptr()) {
            state.set_main_class(self.0.get_type());
        }
    }

    /// Shows the object to the collector, if it was made by [`super::Create::create_untracked`].
    #[inline]
    pub fn track(&self) {
        // SAFETY: attached; the object is alive and its data written, so it may be traversed from now on.
        unsafe {
            if ffi::PyObject_GC_IsTracked(self.0.as_ptr()) == 0 {
                ffi::PyObject_GC_Track(self.0.as_ptr().cast());
            }
        }
    }

    /// Whether there are other references to the object.
    #[inline]
    pub fn is_shared(&self) -> bool {
        // SAFETY: attached; reads the count of a live object.
        unsafe { ffi::Py_REFCNT(self.0.as_ptr()) > 1 }
    }

    /// The token of the thread that holds this reference.
    #[inline]
    pub fn py(&self) -> Python<'py> {
        self.0.py()
    }

    /// The object without its class.
    #[inline]
    pub fn as_any(&self) -> &Bound<'py, PyAny> {
        &self.0
    }

    /// The object without its class, owned.
    #[inline]
    pub fn into_any(self) -> Bound<'py, PyAny> {
        self.0
    }

    /// The version tag of the object's class: see [`crate::originals`].
    #[inline]
    pub fn class_version(&self) -> u32 {
        // SAFETY: attached; the type of a live object is alive.
        unsafe { (*ffi::Py_TYPE(self.0.as_ptr())).tp_version_tag }
    }

    /// The instance's own `__dict__`, where it has been made.
    #[inline]
    pub fn own_dict(&self) -> Option<Bound<'py, PyDict>> {
        let field = Instance::<T>::field(self.0.as_ptr(), T::Header::DICT);
        // SAFETY: layout; the field is null or holds an owned reference to a dict, of which this takes
        // another one.
        unsafe {
            if field.is_null() || (*field).is_null() {
                return None;
            }
            Some(Bound::from_borrowed_ptr(self.py(), *field).cast_into_unchecked())
        }
    }

    /// How many attributes the instance has in its own `__dict__`.
    #[inline]
    pub fn attribute_count(&self) -> usize {
        let field = Instance::<T>::field(self.0.as_ptr(), T::Header::DICT);
        // SAFETY: layout; the field is null or holds a dict, whose size is only read.
        unsafe {
            if field.is_null() || (*field).is_null() {
                return 0;
            }
            ffi::PyDict_Size(*field).unsigned_abs()
        }
    }

    /// Whether the instance's own `__dict__` has an attribute.
    pub fn has_own_attribute(&self, name: &Bound<'py, PyString>) -> PyResult<bool> {
        self.own_dict().map_or(Ok(false), |dict| dict.contains(name))
    }

    /// Whether a value lies in the data of the object, and so is dropped with it.
    #[inline]
    pub(crate) fn has_in_data<V>(&self, value: &V) -> bool {
        let (data, value) = (std::ptr::from_ref::<T>(self).addr(), std::ptr::from_ref(value).addr());
        (data..data + size_of::<T>()).contains(&value)
    }

    /// The object as one of its native base class.
    #[inline]
    pub fn upcast<B: Class>(&self) -> &Obj<'py, B>
    where
        T: Extends<B>,
    {
        // SAFETY: transparent wrapper of the same reference; `Extends` promises the layout.
        unsafe { &*std::ptr::from_ref(self).cast::<Obj<'py, B>>() }
    }
}

/// Makes [`Obj::cast_native`] of class `B` know the exact objects of `T`. Called once, when `T` has been
/// made.
pub fn know_derived<T: Extends<B>, B: Class>() -> PyResult<()> {
    if B::CLASS.know_derived(T::CLASS) {
        return Ok(());
    }
    Err(PySystemError::new_err("a native class has more derived classes than there are places for"))
}
