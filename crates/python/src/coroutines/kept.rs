//! What a Rust future refers to while it waits, where the garbage collector can see it.
//!
//! The state of an `async` block is opaque: references in it would hide every cycle that goes through a pending coroutine, and a loop
//! that was dropped with `create_connection` pending would live for ever, with its tasks and sockets. So what an `async` block keeps
//! across an `await` it keeps as [`Kept`], never as `Ref`, `Py` or `PyErr`. Each is on the list of its coroutine, a [`Keeper`], which
//! the coroutine shows to the collector. Whose list that is goes without saying: that of the coroutine which is polled, or is being
//! made ([`Keeping`]). Used by whatever is an `async` function; called by [`super`].

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use pyo3::prelude::*;

use crate::ffi::{Class, LoopCell, Obj, Ref, Visitor};

/// What one Rust future refers to.
#[derive(Default)]
pub struct Keeper {
    /// One entry for each `Kept`, in no order.
    objects: LoopCell<Vec<*mut pyo3::ffi::PyObject>>,
    /// The lists of other coroutines whose Rust futures this one runs itself.
    taken_over: LoopCell<Vec<Rc<Keeper>>>,
}

impl Keeper {
    /// Shows everything to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.objects.try_with(|objects| objects.iter().for_each(|object| visitor.visit(*object)));
        self.taken_over.try_with(|others| others.iter().for_each(|other| other.traverse(visitor)));
    }
}

thread_local! {
    static CURRENT: Cell<Option<Rc<Keeper>>> = const { Cell::new(None) };
}

/// The list that is current. Without one there is a mistake, and nobody sees what is kept.
fn current() -> Rc<Keeper> {
    CURRENT.with(|current| {
        let keeper = current.take();
        debug_assert!(keeper.is_some(), "kept by no coroutine");
        let keeper = keeper.unwrap_or_default();
        current.set(Some(Rc::clone(&keeper)));
        keeper
    })
}

/// While it lives, what is [`Kept`] is on one list.
pub struct Keeping {
    keeper: Rc<Keeper>,
    /// Python code that runs meanwhile may make and poll other coroutines.
    outer: Option<Rc<Keeper>>,
}

impl Keeping {
    /// On a new list: of a coroutine that is to be made.
    pub fn begin() -> Self {
        Self::on(Rc::default())
    }

    /// On the list of a coroutine that is being polled.
    pub fn on(keeper: Rc<Keeper>) -> Self {
        let outer = CURRENT.replace(Some(Rc::clone(&keeper)));
        Self { keeper, outer }
    }

    /// The list.
    pub fn keeper(&self) -> Rc<Keeper> {
        Rc::clone(&self.keeper)
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
    }
}

/// The list of another coroutine, for as long as its Rust future is run by the present one.
pub struct TakenOver {
    by: Rc<Keeper>,
    keeper: Rc<Keeper>,
}

impl TakenOver {
    pub fn new(keeper: Rc<Keeper>) -> Self {
        let by = current();
        by.taken_over.with(|others| others.push(Rc::clone(&keeper)));
        Self { by, keeper }
    }
}

impl Drop for TakenOver {
    fn drop(&mut self) {
        let other = self.by.taken_over.with(|others| {
            let place = others.iter().rposition(|other| Rc::ptr_eq(other, &self.keeper));
            place.map(|place| others.swap_remove(place))
        });
        drop(other);
    }
}

/// A reference that a Rust future keeps while it waits.
pub struct Kept<T = PyAny> {
    reference: Ref<T>,
    keeper: Rc<Keeper>,
}

impl<T> Kept<T> {
    fn from_ref(reference: Ref<T>) -> Self {
        let keeper = current();
        keeper.objects.with(|objects| objects.push(reference.as_ptr()));
        Self { reference, keeper }
    }

    /// The object, borrowed.
    pub fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.reference.any(py)
    }

    /// A reference of its own to the object.
    pub fn to_bound<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.reference.any(py).clone()
    }

    /// Whether it is `None`, the Python object.
    pub fn is_none(&self, py: Python<'_>) -> bool {
        self.bind(py).is_none()
    }

    /// The same object, kept once more.
    pub fn again(&self, py: Python<'_>) -> Self {
        Self::from_ref(self.reference.copy(py))
    }
}

impl Kept<PyAny> {
    /// Keeps an object.
    pub fn new<U>(object: Bound<'_, U>) -> Self {
        Self::from_ref(Ref::new(object))
    }

    /// Keeps an argument, `None` where there was none.
    pub fn or_none(py: Python<'_>, object: Option<Bound<'_, PyAny>>) -> Self {
        Self::new(object.unwrap_or_else(|| crate::ffi::none(py)))
    }

    /// Keeps an exception.
    pub fn error(py: Python<'_>, error: PyErr) -> Self {
        Self::new(error.into_value(py).into_bound(py))
    }

    /// The exception.
    pub fn into_error(self, py: Python<'_>) -> PyErr {
        PyErr::from_value(self.to_bound(py))
    }
}

impl<T: Class> Kept<T> {
    /// Keeps a native object.
    pub fn of(object: &Obj<'_, T>) -> Self {
        Self::from_ref(Ref::of(object.clone()))
    }
}

impl<T> Deref for Kept<T> {
    type Target = Ref<T>;

    fn deref(&self) -> &Ref<T> {
        &self.reference
    }
}

impl<'py, T> IntoPyObject<'py> for &Kept<T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(self.to_bound(py))
    }
}

impl<T> Drop for Kept<T> {
    /// Off the list first: the list has nothing that may be gone.
    fn drop(&mut self) {
        let object = self.reference.as_ptr();
        self.keeper.objects.with(|objects| {
            if let Some(place) = objects.iter().rposition(|other| *other == object) {
                objects.swap_remove(place);
            }
        });
    }
}
