//! [`ClassState`]: the static that each class has, with its type object and its freelist.

use std::cell::{Cell, UnsafeCell};
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use crate::combined::functions::Functions;
use crate::originals::state::Originals;
use crate::types::{is_slot, lookup};

/// The type object of a class and its freelist: one static for each class.
///
/// This is interpreter state: it is written once when the module is made, and then only under the interpreter
/// lock.
pub struct ClassState {
    class: Cell<*mut ffi::PyTypeObject>,
    /// The class that most instances are of: this one or a subclass.
    main: Cell<*mut ffi::PyTypeObject>,
    /// The native classes derived from it that [`Obj::cast_native`](super::Obj::cast_native) is to know.
    derived: [Cell<*mut ffi::PyTypeObject>; 2],
    /// Whether `install()` has put the class in the place of asyncio's.
    in_place: Cell<bool>,
    /// Whether asyncio's functions work on instances whose attributes a subclass observes:
    /// [`Class::OBSERVABLE`].
    ///
    /// [`Class::OBSERVABLE`]: super::definition::Class::OBSERVABLE
    observable: Cell<bool>,
    free: UnsafeCell<Vec<*mut ffi::PyObject>>,
    /// What Python code may have replaced.
    pub(crate) originals: Originals,
    /// How parts of objects with data of the class are handled, and with what other class's data it begins:
    /// for classes that are combined.
    pub(crate) functions: Cell<&'static Functions>,
    pub(crate) extends: Cell<Option<&'static ClassState>>,
}

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it
// uses the GIL).
unsafe impl Sync for ClassState {}

impl ClassState {
    /// Before the module is made.
    pub const fn new() -> Self {
        Self {
            class: Cell::new(null_mut()),
            main: Cell::new(null_mut()),
            derived: [const { Cell::new(null_mut()) }; 2],
            in_place: Cell::new(false),
            observable: Cell::new(false),
            free: UnsafeCell::new(Vec::new()),
            originals: Originals::new(),
            functions: Cell::new(Functions::NONE),
            extends: Cell::new(None),
        }
    }

    /// Notes that the type object was made.
    pub(crate) fn set_class(&'static self, class: &Bound<'_, PyType>, observable: bool) {
        self.observable.set(observable);
        self.class.set(class.clone().into_ptr().cast());
        self.main.set(class.as_type_ptr());
        BUILT.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    /// Remembers a class derived from this one as that which most instances are of. It lives as long as the
    /// process then.
    pub(crate) fn set_main_class(&self, class: Bound<'_, PyType>) {
        self.main.set(class.into_ptr().cast());
        self.originals.forget_main_class();
    }

    /// The type object, as the interpreter has it.
    #[inline]
    pub(crate) fn as_type_ptr(&self) -> *mut ffi::PyTypeObject {
        self.class.get()
    }

    /// Whether the type object exists.
    pub(crate) fn is_made(&self) -> bool {
        !self.class.get().is_null()
    }

    /// Whether this is the type object.
    #[inline]
    pub(crate) fn is_class(&self, class: *mut ffi::PyTypeObject) -> bool {
        self.class.get() == class
    }

    /// Whether this is the type object, or that of a derived class that [`ClassState::know_derived`] was told
    /// of.
    #[inline]
    pub(crate) fn is_native(&self, class: *mut ffi::PyTypeObject) -> bool {
        self.is_class(class) || self.derived.iter().any(|derived| derived.get() == class)
    }

    /// Remembers the type object of a native class derived from this one; `false` where there are more than
    /// there are places for.
    pub(crate) fn know_derived(&self, derived: &ClassState) -> bool {
        let class = derived.class.get();
        let place = self.derived.iter().find(|place| place.get().is_null() || place.get() == class);
        place.inspect(|place| place.set(class)).is_some()
    }

    /// Whether asyncio's name for the class means this one now: `install()` was called.
    #[inline]
    pub fn is_in_place(&self) -> bool {
        self.in_place.get()
    }

    /// Whether an object is of the class that most instances are of.
    #[inline(always)]
    pub(crate) fn is_of_main_class(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: attached; the object is alive.
        unsafe { ffi::Py_TYPE(object) == self.main.get() }
    }

    /// The class that most instances are of.
    pub(crate) fn main_class<'py>(&self, py: Python<'py>) -> Bound<'py, PyType> {
        // SAFETY: set when the module was made, and alive as long as the interpreter: the static holds a
        // reference.
        unsafe { Bound::from_borrowed_ptr(py, self.main.get().cast()).cast_into_unchecked::<PyType>() }
    }

    /// Whether that is the native class itself.
    #[inline(always)]
    pub(crate) fn main_is_native(&self) -> bool {
        self.main.get() == self.class.get()
    }

    /// The version tag of the class.
    #[inline]
    pub(crate) fn version(&self) -> u32 {
        // SAFETY: attached; set when the module was made, and alive as long as the interpreter.
        unsafe { (*self.class.get()).tp_version_tag }
    }

    /// Whether an object is an instance of the class.
    #[inline]
    pub(crate) fn has(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: attached; the object and both types are alive.
        self.is_of_main_class(object) || unsafe { ffi::PyObject_TypeCheck(object, self.class.get()) != 0 }
    }

    /// Whether an object is an instance of the class on which native methods may work.
    #[inline]
    pub(crate) fn serves(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: attached; the object is alive.
        self.is_of_main_class(object)
            || self.has(object) && !self.is_observed(unsafe { ffi::Py_TYPE(object) })
    }

    /// Whether a subclass has methods of its own for access to attributes, so that it sees what asyncio's
    /// functions do with those of its instances.
    #[inline]
    pub(crate) fn is_observed(&self, class: *mut ffi::PyTypeObject) -> bool {
        if !self.observable.get() {
            return false;
        }
        // SAFETY: attached; both types are alive.
        let [theirs, own] = [class, self.class.get()].map(|class| unsafe {
            ((*class).tp_setattro.map(|f| f as *const ()), (*class).tp_getattro.map(|f| f as *const ()))
        });
        theirs != own && observes_attributes(class)
    }

    /// The type object.
    #[inline]
    pub(crate) fn class<'py>(&self, py: Python<'py>) -> Bound<'py, PyType> {
        // SAFETY: set when the module was made and alive as long as the interpreter (the static holds a
        // reference).
        unsafe { Bound::from_borrowed_ptr(py, self.class.get().cast()).cast_into_unchecked::<PyType>() }
    }

    /// Takes memory from the freelist.
    #[inline]
    pub(crate) fn pop(&self) -> Option<*mut ffi::PyObject> {
        // SAFETY: no reference to the vector outlives this statement, and pop runs no Python code.
        unsafe { (*self.free.get()).pop() }
    }

    /// Keeps memory for the freelist, unless that is full.
    #[inline]
    pub(crate) fn push(&self, object: *mut ffi::PyObject, limit: usize) -> bool {
        // SAFETY: as in `pop`; the vector's memory comes from Rust's allocator, not the interpreter's.
        let free = unsafe { &mut *self.free.get() };
        let keep = free.len() < limit;
        if keep {
            free.push(object);
        }
        keep
    }
}

impl Default for ClassState {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether access to attributes goes by methods in Python. The functions in the type object differ as well
/// where a class has two native bases, and where it has a `__getattr__`, which is asked only for what the
/// native classes do not have.
#[cold]
fn observes_attributes(class: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: attached; the type is alive.
    let class = unsafe {
        Bound::from_borrowed_ptr(Python::assume_attached(), class.cast()).cast_into_unchecked::<PyType>()
    };
    ["__setattr__", "__delattr__", "__getattribute__"].into_iter().any(|name| {
        let found = lookup(&class, &PyString::intern(class.py(), name));
        // What cannot be looked up counts as a method in Python: then all goes by name.
        found.map_or(true, |found| found.is_some_and(|method| !is_slot(&method)))
    })
}

/// Every class that was built.
static BUILT: Mutex<Vec<&'static ClassState>> = Mutex::new(Vec::new());

/// Notes whether asyncio's name for a native class means that class now. Whether it is a native class.
pub fn put_in_place(class: &Bound<'_, PyType>, in_place: bool) -> bool {
    let built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let state = built.iter().find(|state| state.class.get() == class.as_type_ptr());
    state.map(|state| state.in_place.set(in_place)).is_some()
}

/// Whether a class is one of the native ones, not derived from them by Python code.
pub fn is_native(class: &Bound<'_, PyType>) -> bool {
    let built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.iter().any(|state| state.class.get() == class.as_type_ptr())
}
