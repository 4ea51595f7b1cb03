//! [`GcRef`]: a reference that a Rust future holds across an `await` and that the garbage collector sees.
//!
//! The state of an `async` block is opaque: references in it would hide every cycle that goes through a
//! pending coroutine, and a loop that was dropped with `create_connection` pending would live for ever, with
//! its tasks and sockets. So an `async` block holds references across an `await` as [`GcRef`], never as
//! `Ref`, `Py` or `PyErr`. Each `GcRef` is on the [`GcRefList`] of its coroutine, which the coroutine shows
//! to the collector. A new `GcRef` goes to the list of the [`GcScope`] that is current: that of the coroutine
//! which is being polled or made. Used by every `async` function; called by [`super`].

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use pyo3::prelude::*;

use crate::ffi::{Class, LoopCell, Obj, Ref, Visitor};

/// The references that one Rust future holds.
#[derive(Default)]
pub struct GcRefList {
    /// One entry for each `GcRef`, in no order.
    objects: LoopCell<Vec<*mut pyo3::ffi::PyObject>>,
    /// The lists of other coroutines whose Rust futures this one runs itself.
    taken_over: LoopCell<Vec<Rc<GcRefList>>>,
}

impl GcRefList {
    /// Shows every reference to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.objects.try_with(|objects| objects.iter().for_each(|object| visitor.visit(*object)));
        self.taken_over.try_with(|others| others.iter().for_each(|other| other.traverse(visitor)));
    }
}

thread_local! {
    static CURRENT: Cell<Option<Rc<GcRefList>>> = const { Cell::new(None) };
}

/// The current list. Without a [`GcScope`], which is a bug, the collector does not see the reference.
fn current() -> Rc<GcRefList> {
    CURRENT.with(|current| {
        let gc_refs = current.take();
        debug_assert!(gc_refs.is_some(), "a GcRef outside a GcScope");
        let gc_refs = gc_refs.unwrap_or_default();
        current.set(Some(Rc::clone(&gc_refs)));
        gc_refs
    })
}

/// While a `GcScope` lives, every new [`GcRef`] goes to its list.
pub struct GcScope {
    gc_refs: Rc<GcRefList>,
    /// The scope to return to: Python code that a coroutine calls may make and poll other coroutines.
    outer: Option<Rc<GcRefList>>,
}

impl GcScope {
    /// With a new list, for a coroutine that is about to be made.
    pub fn begin() -> Self {
        Self::on(Rc::default())
    }

    /// With the list of a coroutine that is being polled.
    pub fn on(gc_refs: Rc<GcRefList>) -> Self {
        let outer = CURRENT.replace(Some(Rc::clone(&gc_refs)));
        Self { gc_refs, outer }
    }

    /// The list.
    pub fn gc_refs(&self) -> Rc<GcRefList> {
        Rc::clone(&self.gc_refs)
    }
}

impl Drop for GcScope {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
    }
}

/// The list of another coroutine, for as long as its Rust future is run by the present one.
pub struct TakenOver {
    by: Rc<GcRefList>,
    gc_refs: Rc<GcRefList>,
}

impl TakenOver {
    pub fn new(gc_refs: Rc<GcRefList>) -> Self {
        let by = current();
        by.taken_over.with(|others| others.push(Rc::clone(&gc_refs)));
        Self { by, gc_refs }
    }
}

impl Drop for TakenOver {
    fn drop(&mut self) {
        let other = self.by.taken_over.with(|others| {
            let place = others.iter().rposition(|other| Rc::ptr_eq(other, &self.gc_refs));
            place.map(|place| others.swap_remove(place))
        });
        drop(other);
    }
}

/// A reference that a Rust future holds while it waits.
pub struct GcRef<T = PyAny> {
    reference: Ref<T>,
    gc_refs: Rc<GcRefList>,
}

impl<T> GcRef<T> {
    fn from_ref(reference: Ref<T>) -> Self {
        let gc_refs = current();
        gc_refs.objects.with(|objects| objects.push(reference.as_ptr()));
        Self { reference, gc_refs }
    }

    /// The object, as a borrowed reference.
    pub fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.reference.any(py)
    }

    /// A new reference to the object.
    pub fn to_bound<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.reference.any(py).clone()
    }

    /// Whether it is `None`, the Python object.
    pub fn is_none(&self, py: Python<'_>) -> bool {
        self.bind(py).is_none()
    }

    /// One more `GcRef` to the same object.
    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self::from_ref(self.reference.copy(py))
    }
}

impl GcRef<PyAny> {
    /// A `GcRef` to an object.
    pub fn new<U>(object: Bound<'_, U>) -> Self {
        Self::from_ref(Ref::new(object))
    }

    /// A `GcRef` to an argument, or to `None` where the argument is missing.
    pub fn or_none(py: Python<'_>, object: Option<Bound<'_, PyAny>>) -> Self {
        Self::new(object.unwrap_or_else(|| crate::ffi::none(py)))
    }

    /// A `GcRef` to an exception.
    pub fn error(py: Python<'_>, error: PyErr) -> Self {
        Self::new(error.into_value(py).into_bound(py))
    }

    /// The exception.
    pub fn into_error(self, py: Python<'_>) -> PyErr {
        PyErr::from_value(self.to_bound(py))
    }
}

impl<T: Class> GcRef<T> {
    /// A `GcRef` to a native object.
    pub fn of(object: &Obj<'_, T>) -> Self {
        Self::from_ref(Ref::of(object.clone()))
    }
}

impl<T> Deref for GcRef<T> {
    type Target = Ref<T>;

    fn deref(&self) -> &Ref<T> {
        &self.reference
    }
}

impl<'py, T> IntoPyObject<'py> for &GcRef<T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(self.to_bound(py))
    }
}

impl<T> Drop for GcRef<T> {
    /// Leaves the list before the reference is dropped: the list must have no freed object.
    fn drop(&mut self) {
        let object = self.reference.as_ptr();
        self.gc_refs.objects.with(|objects| {
            if let Some(place) = objects.iter().rposition(|other| *other == object) {
                objects.swap_remove(place);
            }
        });
    }
}
