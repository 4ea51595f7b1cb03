//! [`Table`]: the lists of methods, properties and slots that a class consists of, as the interpreter takes
//! them.
//!
//! [`super::methods`] and [`super::slots`] fill them from safe Rust functions, [`super::build`] makes the
//! type.

use std::any::TypeId;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::null_mut;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Collects what a class consists of, then makes the type.
pub struct Table<T> {
    pub(crate) methods: Vec<ffi::PyMethodDef>,
    pub(crate) properties: Vec<ffi::PyGetSetDef>,
    pub(crate) slots: Vec<ffi::PyType_Slot>,
    /// How the methods are called as [`crate::function::Function`]s.
    pub(crate) vectorcalls: Vec<(&'static CStr, ffi::vectorcallfunc)>,
    /// How a call of the class itself makes an instance, where that is not by `tp_new` and `tp_init`.
    pub(crate) construct: Option<ffi::vectorcallfunc>,
    pub(crate) doc: &'static CStr,
    /// What the Rust functions of the methods are called, for a class that stands for one of asyncio's.
    pub(crate) functions: HashMap<TypeId, Py<PyString>>,
    class: PhantomData<T>,
}

/// A text that lives for ever, as the interpreter needs names and documentation.
pub(crate) fn leak(text: String) -> &'static CStr {
    // Interior NULs cannot be in the literals that table files pass; an empty text would only lose
    // documentation.
    Box::leak(CString::new(text).unwrap_or_default().into_boxed_c_str())
}

/// A list that lives for ever, with what ends it.
pub(crate) fn terminated<E>(mut entries: Vec<E>, last: E) -> *mut E {
    entries.push(last);
    Box::leak(entries.into_boxed_slice()).as_mut_ptr()
}

impl<T> Table<T> {
    /// Nothing is listed yet.
    pub(crate) fn new() -> Self {
        Self {
            methods: Vec::new(),
            properties: Vec::new(),
            slots: Vec::new(),
            vectorcalls: Vec::new(),
            construct: None,
            doc: c"",
            functions: HashMap::new(),
            class: PhantomData,
        }
    }

    /// The class's docstring; `"Name(signature)\n--\n\ntext"` also gives it a signature.
    pub fn doc(&mut self, doc: &'static CStr) {
        self.doc = doc;
    }

    /// Adds a method.
    pub(crate) fn add_method(
        &mut self,
        name: &'static CStr,
        meth: ffi::PyMethodDefPointer,
        flags: c_int,
        doc: &'static CStr,
    ) {
        let (ml_name, ml_doc) = (name.as_ptr(), doc.as_ptr());
        self.methods.push(ffi::PyMethodDef { ml_name, ml_meth: meth, ml_flags: flags, ml_doc });
    }

    /// Adds a property.
    pub(crate) fn add_property(
        &mut self,
        name: &'static CStr,
        get: Option<ffi::getter>,
        set: Option<ffi::setter>,
    ) {
        self.properties.push(ffi::PyGetSetDef {
            name: name.as_ptr(),
            get,
            set,
            doc: std::ptr::null(),
            closure: null_mut(),
        });
    }

    /// Gives the property that was added last its docstring.
    pub(crate) fn document_property(&mut self, doc: &'static CStr) {
        if let Some(property) = self.properties.last_mut() {
            property.doc = doc.as_ptr();
        }
    }

    /// Adds a slot of the type.
    pub(crate) fn slot(&mut self, slot: c_int, pfunc: *mut c_void) {
        self.slots.push(ffi::PyType_Slot { slot, pfunc });
    }
}
