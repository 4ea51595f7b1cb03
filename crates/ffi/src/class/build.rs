//! The type object of a class is made from its [`Table`]. Called by the class files and where the module is
//! made.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::allocation::{alloc, new};
use super::deallocation::{clear, dealloc, traverse};
use super::definition::Class;
use super::header::Header;
use super::identity::{first_weak_reference, has_weakref, set_class, stock_class};
use super::layout::Instance;
use super::likeness;
use super::table::{Table, terminated};
use crate::combined::{base, header as combined, life};
use crate::function::making;
use crate::originals::natives;
use crate::shown;

impl<T: Class> Table<T> {
    /// Makes the type, deriving from `base` when given, and stores it in the class's state.
    pub fn build<'py>(py: Python<'py>, base: Option<&Bound<'py, PyType>>) -> PyResult<Bound<'py, PyType>> {
        Self::build_on(py, base.map(|base| base.as_any()))
    }

    /// The same with several bases; the first decides about the layout.
    pub fn build_with_bases<'py>(bases: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyType>> {
        Self::build_on(bases.py(), Some(bases.as_any()))
    }

    fn build_on<'py>(py: Python<'py>, bases: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyType>> {
        let mut table = Self::new();
        T::table(&mut table);
        if T::Header::DICT.is_some() {
            let get = match T::SHOWN {
                [] => ffi::PyObject_GenericGetDict,
                _ => shown::getter::<T>(),
            };
            table.add_property(c"__dict__", Some(get), Some(ffi::PyObject_GenericSetDict));
        }
        if T::Header::WEAK.is_some() && has_weakref(T::stock(py)?)? {
            table.getter(c"__weakref__", first_weak_reference);
        }
        if !T::DERIVES_FROM_STOCK && T::stock(py)?.is_some() {
            table.property(c"__class__", stock_class, set_class);
        }
        if T::CALLABLE {
            table.slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void);
        }
        if T::Header::COMBINES {
            // `object`'s `tp_new` calls it.
            table.slot(ffi::Py_tp_alloc, alloc::<T> as *mut c_void);
            let (dealloc, traverse) = life::life::<T>();
            table.slot(ffi::Py_tp_dealloc, dealloc as *mut c_void);
            table.slot(ffi::Py_tp_traverse, traverse as *mut c_void);
            table.slot(ffi::Py_tp_clear, life::clear as *mut c_void);
            life::prepare::<T>();
        } else {
            table.slot(ffi::Py_tp_dealloc, dealloc::<T> as *mut c_void);
            table.slot(ffi::Py_tp_traverse, traverse::<T> as *mut c_void);
            table.slot(ffi::Py_tp_clear, clear::<T> as *mut c_void);
        }
        if T::CONSTRUCTIBLE && !T::Header::COMBINES {
            table.slot(ffi::Py_tp_new, new::<T> as *mut c_void);
        }
        if !table.doc.is_empty() {
            table.slot(ffi::Py_tp_doc, table.doc.as_ptr().cast_mut().cast());
        }
        if let Some(stock) = T::stock(py)? {
            likeness::take_texts(&mut table.methods, stock)?;
        }
        let members = table.member_list();
        table.slot(ffi::Py_tp_members, members.cast());
        let methods = terminated(table.methods, ffi::PyMethodDef::zeroed());
        let properties = terminated(table.properties, ffi::PyGetSetDef::default());
        table.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: methods.cast() });
        table.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_getset, pfunc: properties.cast() });
        table.slots.push(ffi::PyType_Slot { slot: 0, pfunc: null_mut() });
        let mut flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC;
        if T::SUBCLASSABLE {
            flags |= ffi::Py_TPFLAGS_BASETYPE;
        }
        if T::CALLABLE {
            flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL;
        }
        if T::METHOD {
            flags |= ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
        }
        if T::IMMUTABLE {
            flags |= ffi::Py_TPFLAGS_IMMUTABLETYPE;
        }
        if !T::CONSTRUCTIBLE {
            flags |= ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
        }
        let mut spec = ffi::PyType_Spec {
            name: T::NAME.as_ptr(),
            basicsize: if T::Header::COMBINES { combined::SIZE } else { size_of::<Instance<T>>() } as c_int,
            itemsize: 0,
            flags: flags as _,
            slots: table.slots.as_mut_ptr(),
        };
        let bases = if T::Header::COMBINES { base::bases(py, bases)? } else { bases.cloned() };
        let bases = bases.as_ref().map_or(null_mut(), |b| b.as_ptr());
        // SAFETY: attached; the spec's arrays end with zeroed entries, method and property tables are leaked
        // on purpose because the type refers to them for ever; slots are copied by the call.
        let class = unsafe {
            let class = ffi::PyType_FromSpecWithBases(&mut spec, bases);
            Bound::from_owned_ptr_or_err(py, class)?.cast_into_unchecked::<PyType>()
        };
        if T::BARE_NAME {
            let module = T::NAME.to_bytes().iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
            // SAFETY: attached; the type is new and nobody else's, and its name becomes the end of a text
            // that lives for ever.
            unsafe { (*class.as_type_ptr()).tp_name = T::NAME.as_ptr().add(module) };
        }
        // SAFETY: attached; the type is new and nobody else's. Classes derived from it do not inherit the
        // field.
        unsafe { (*class.as_type_ptr()).tp_vectorcall = table.construct };
        T::CLASS.set_class(&class, T::OBSERVABLE);
        T::CLASS.originals.name_functions(py, table.functions);
        natives::expect::<T>(&class);
        if let Some(stock) = T::stock(py)? {
            likeness::repeat_inherited(&class, stock)?;
            making::make_functions(&class, T::CLASS, &table.vectorcalls, stock, T::stock_of_part(py)?)?;
        }
        Ok(class)
    }

    fn member_list(&self) -> *mut ffi::PyMemberDef {
        let member = |name: &'static CStr, offset: usize| ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: (Instance::<T>::HEADER + offset).cast_signed(),
            flags: ffi::Py_READONLY,
            doc: std::ptr::null(),
        };
        let mut members = Vec::new();
        members.extend(T::Header::DICT.map(|offset| member(c"__dictoffset__", offset)));
        members.extend(T::Header::WEAK.map(|offset| member(c"__weaklistoffset__", offset)));
        members.extend(
            T::Header::VECTORCALL
                .filter(|_| T::CALLABLE)
                .map(|offset| member(c"__vectorcalloffset__", offset)),
        );
        terminated(members, ffi::PyMemberDef::default())
    }
}

/// Lets no program derive from a class, from which native ones are derived already.
pub fn refuse_subclasses(class: &Bound<'_, PyType>) {
    // SAFETY: attached; the type is new, and only its maker has it.
    unsafe { (*class.as_type_ptr()).tp_flags &= !ffi::Py_TPFLAGS_BASETYPE };
}

/// Takes the names of slots out of a class, so that abstract classes which look for them do not find them.
/// The slots stay.
pub fn hide_slots(class: &Bound<'_, PyType>, names: &[&CStr]) -> PyResult<()> {
    for name in names {
        // SAFETY: attached; the type is new and has its own dictionary, which holds a name for each of its
        // slots. Nobody has looked anything up in it yet, and the interpreter is told of the change.
        unsafe {
            if ffi::PyDict_DelItemString((*class.as_type_ptr()).tp_dict, name.as_ptr()) != 0 {
                return Err(PyErr::fetch(class.py()));
            }
            ffi::PyType_Modified(class.as_type_ptr());
        }
    }
    Ok(())
}
