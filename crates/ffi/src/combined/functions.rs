//! The operations on the data of a class that code can call without knowing the class.

use std::ffi::c_void;

use crate::gc::Visitor;

/// The operations on data that code can call without knowing its class.
pub(crate) struct Functions {
    pub traverse: unsafe fn(*mut c_void, &mut Visitor),
    pub clear: unsafe fn(*mut c_void),
    pub wants_finalizer: unsafe fn(*mut c_void) -> bool,
    /// Drops the data behind an object.
    pub drop: unsafe fn(*mut c_void),
    /// Drops a part of an object's list with the data in it.
    pub free: unsafe fn(*mut c_void),
}

impl Functions {
    /// Those of a class that is not combinable, or not made yet, and so has no data.
    pub(crate) const NONE: &'static Self =
        &Self { traverse: |_, _| {}, clear: |_| {}, wants_finalizer: |_| false, drop: |_| {}, free: |_| {} };
}
