//! Where in an object its data is: behind the head and the header of the class, or where the header of a
//! combined class says.

use std::mem::offset_of;
use std::ptr::null_mut;

use pyo3::ffi;

use super::definition::Class;
use super::header::Header;
use crate::combined::data;

/// The memory of an instance of `T`.
#[repr(C)]
pub struct Instance<T: Class> {
    object: ffi::PyObject,
    pub(crate) header: T::Header,
    pub(crate) data: T,
}

impl<T: Class> Instance<T> {
    pub(crate) const HEADER: usize = offset_of!(Instance<T>, header);

    /// A field of the header; null where the class has none such.
    #[inline]
    pub(crate) fn field(object: *mut ffi::PyObject, offset: Option<usize>) -> *mut *mut ffi::PyObject {
        match offset {
            // SAFETY: layout; the header's offsets stay inside the instance.
            Some(offset) => unsafe { object.byte_add(Self::HEADER + offset).cast() },
            None => null_mut(),
        }
    }
}

/// The data of an instance.
///
/// # Safety
/// `object` must be a live instance of `T`'s type, and stay alive as long as the result.
#[inline]
pub(crate) unsafe fn data_of<'a, T: Class>(object: *mut ffi::PyObject) -> &'a T {
    // SAFETY: layout, and the caller's promise.
    unsafe {
        if T::Header::COMBINES {
            return data::data_of(object);
        }
        &(*object.cast::<Instance<T>>()).data
    }
}
