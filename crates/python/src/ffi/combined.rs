//! Native classes of which a Python class may inherit several at once, as it may from Python classes: the memory of their
//! instances.
//!
//! The interpreter lets a class have two native bases only where both lay out their instances alike. So the classes whose header
//! is [`Combinable`] derive from [`Base`] and add nothing to it. The data of the class that makes an object lies behind the
//! object, and a word of the header says whose data that is. Data of further bases is made when it is first asked for, on the
//! heap, and the header leads to all of them; so the making of a subclass need not know of it, and `object.__class__ = Other`
//! needs no care. Where a subclass has slots, or made the object without a native class knowing, all data is made so.
//!
//! Memory comes from `tp_alloc`, so there is no `__new__` but `object`'s, as in asyncio.
//! Called by [`super::class`]; calls the interpreter.

mod life;
mod memory;

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PySuper, PyTuple, PyType};
use pyo3::{ffi, intern};

pub(super) use life::{clear, dealloc, traverse};

use super::class::{self, Class, ClassState, Extends, Header, Obj, Table};
use super::trampoline::guard;
use super::{Output, Visitor};

/// A `__dict__`, weak references, and where the data is. Without something behind the list of weak references Python 3.11 takes
/// the layout for that of a Python class, from which any other may derive.
#[repr(C)]
pub struct Combinable {
    dict: *mut ffi::PyObject,
    weak: *mut ffi::PyObject,
    parts: Parts,
}

// SAFETY: the offsets are the compiler's.
unsafe impl Header for Combinable {
    const DICT: Option<usize> = Some(offset_of!(Combinable, dict));
    const WEAK: Option<usize> = Some(offset_of!(Combinable, weak));
    const COMBINES: bool = true;
}

/// An object as all combinable classes have it.
#[repr(C)]
struct Object {
    object: ffi::PyObject,
    header: Combinable,
}

/// What all combinable classes derive from, and what the interpreter compares when they are combined.
#[derive(Default)]
pub struct Base;

static BASE: ClassState = ClassState::new();

/// `__getstate__`: classes that can be copied have their own.
fn refuse_copy<'py>(object: &Obj<'py, Base>) -> Output<'py> {
    let name = object.as_any().get_type().name()?;
    Err(PyTypeError::new_err(format!("cannot pickle '{name}' object")))
}

impl Class for Base {
    const NAME: &'static CStr = c"yibu._NativeBase";
    type Header = Combinable;

    fn state() -> &'static ClassState {
        &BASE
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"What native classes derive from that a class may inherit from together.");
        t.noargs(c"__getstate__", refuse_copy, "Refuses to be copied.");
        t.init_subclass(init_subclass);
    }

    fn traverse(&self, _visitor: &mut Visitor) {}

    fn clear(&self) {}
}

/// `__init_subclass__`: has the class make its instances with the data of its native base behind them, then does what `object`'s
/// or that of another base does.
unsafe extern "C" fn init_subclass(
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called by CPython, attached, as a class method of a class that derives from `Base`, with arguments by the vectorcall
    // protocol.
    unsafe {
        let py = Python::assume_attached();
        take_allocator(class.cast());
        guard(py, null_mut(), || {
            let class = Bound::from_borrowed_ptr(py, class);
            let next = PySuper::new(&Base::class(py), &class)?.getattr(intern!(py, "__init_subclass__"))?;
            let result = ffi::PyObject_Vectorcall(next.as_ptr(), args, count.cast_unsigned(), names);
            Bound::from_owned_ptr_or_err(py, result).map(Bound::into_ptr)
        })
    }
}

/// Gives a class the allocator of its native base, if its instances have room for the data where that has it. The interpreter
/// gives every Python class its own, which knows of no data.
///
/// # Safety
/// Attached; the class derives from `Base`.
unsafe fn take_allocator(class: *mut ffi::PyTypeObject) {
    let is_python = |class: *mut ffi::PyTypeObject| {
        // SAFETY: attached; the class and its bases are alive.
        unsafe {
            (*class)
                .tp_alloc
                .is_none_or(|own| std::ptr::fn_addr_eq(own, ffi::PyType_GenericAlloc as ffi::allocfunc))
        }
    };
    // SAFETY: attached; the class and its bases are alive, and the first that is no Python class is a combinable one, because the
    // layout of the class is theirs.
    unsafe {
        if !is_python(class) || (*class).tp_basicsize != SIZE.cast_signed() {
            return;
        }
        let mut base = (*class).tp_base;
        while !base.is_null() && is_python(base) {
            base = (*base).tp_base;
        }
        if !base.is_null() {
            (*class).tp_alloc = (*base).tp_alloc;
        }
    }
}

/// The bases of a combinable class: those it is given, and [`Base`] unless one of them derives from it.
pub(super) fn bases<'py>(
    py: Python<'py>,
    given: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !BASE.is_made() {
        return Ok(None);
    }
    let base = Base::class(py);
    let mut bases: Vec<Bound<'py, PyAny>> = match given {
        None => Vec::new(),
        Some(given) => {
            given.cast::<PyTuple>().map_or_else(|_| vec![given.clone()], |all| all.iter().collect())
        }
    };
    let mut derives = false;
    for given in &bases {
        derives |= given.cast::<PyType>()?.is_subclass(&base)?;
    }
    if !derives {
        bases.push(base.into_any());
    }
    Ok(Some(PyTuple::new(py, bases)?.into_any()))
}

/// Where the data of an object is.
///
/// Null: there is none yet. The address of a class's static: it is behind the object, of that class and of no other. An odd
/// address: in the list that begins one byte before.
#[repr(transparent)]
struct Parts(Cell<*mut c_void>);

/// What [`Parts`] says.
enum Found {
    Nothing,
    Behind(*const ClassState),
    List(*mut Part<()>),
}

impl Parts {
    #[inline]
    fn find(&self) -> Found {
        let word = self.0.get();
        if word.is_null() {
            Found::Nothing
        } else if word.addr() & 1 == 0 {
            Found::Behind(word.cast_const().cast())
        } else {
            Found::List(word.map_addr(|address| address & !1).cast())
        }
    }

    /// Whether data of this kind is behind the object, and there is no other.
    #[inline]
    fn is_only(&self, kind: &'static ClassState) -> bool {
        std::ptr::eq(self.0.get().cast_const().cast(), kind)
    }

    #[inline]
    fn set_behind(&self, kind: &'static ClassState) {
        self.0.set(std::ptr::from_ref(kind).cast_mut().cast());
    }

    fn set_list(&self, first: *mut Part<()>) {
        self.0.set(first.map_addr(|address| address | 1).cast());
    }
}

/// The data of one native class in an object that has data of several, boxed.
#[repr(C)]
struct Part<T> {
    next: Cell<*mut Part<()>>,
    /// Whose data it is: the static of the class, of which there is one.
    of: *const ClassState,
    /// Where the data is: here, or behind the object.
    place: *mut c_void,
    data: T,
}

impl<T> Part<T> {
    fn boxed(of: *const ClassState, place: *mut c_void, data: T) -> *mut Part<()> {
        let part = Box::into_raw(Box::new(Self { next: Cell::new(null_mut()), of, place, data }));
        if place.is_null() {
            // SAFETY: the part has just been made, and nobody else knows it.
            unsafe { (*part).place = (&raw mut (*part).data).cast() };
        }
        part.cast()
    }
}

/// What is done with data by whoever does not know its class.
pub(super) struct Functions {
    traverse: unsafe fn(*mut c_void, &mut Visitor),
    clear: unsafe fn(*mut c_void),
    wants_finalizer: unsafe fn(*mut c_void) -> bool,
    /// Drops the data behind an object.
    drop: unsafe fn(*mut c_void),
    /// Drops a part with the data in it.
    free: unsafe fn(*mut Part<()>),
}

impl Functions {
    /// Those of a class that is not combinable, or not made yet, and so has no data.
    pub(super) const NONE: &'static Self = &Self::of::<Base>();

    pub(super) const fn of<T: Class>() -> Self {
        const {
            if T::Header::COMBINES {
                assert!(align_of::<T>() <= align_of::<usize>(), "the header ends at such addresses");
                assert!(!T::AWAITED, "its death would have to be told");
            }
        };
        // What the SAFETY notes refer to: the caller passes data of a class with these functions, so it is a T.
        Self {
            // SAFETY: the data is a T, and only shared.
            traverse: |data, visitor| unsafe { (*data.cast::<T>()).traverse(visitor) },
            // SAFETY: the data is a T, and only shared.
            clear: |data| unsafe { (*data.cast::<T>()).clear() },
            // SAFETY: the data is a T, and only shared.
            wants_finalizer: |data| unsafe { (*data.cast::<T>()).wants_finalizer() },
            // SAFETY: the data is a T; it is dropped once, when nobody else can reach the object.
            drop: |data| unsafe { std::ptr::drop_in_place(data.cast::<T>()) },
            // SAFETY: the part has a T, in a box of its own; it is dropped once, when nobody else can reach the object.
            free: |part| unsafe { drop(Box::from_raw(part.cast::<Part<T>>())) },
        }
    }
}

/// That the data of class `T` begins with that of another native class.
pub struct Extended<T> {
    base: &'static ClassState,
    /// Whether there is nothing more in it.
    whole: bool,
    dealloc: ffi::destructor,
    traverse: ffi::traverseproc,
    class: std::marker::PhantomData<T>,
}

impl<T: Class> Extended<T> {
    /// `B` is that class.
    #[inline]
    pub fn by<B: Class>() -> Self
    where
        T: Extends<B>,
    {
        Self {
            base: kind::<B>(),
            whole: size_of::<T>() == size_of::<B>(),
            dealloc: dealloc::<B>,
            traverse: traverse::<B>,
            class: std::marker::PhantomData,
        }
    }
}

/// Whose data objects of `T` have: that of the native base where the class adds nothing.
#[inline]
fn kind<T: Class>() -> &'static ClassState {
    match T::extended() {
        Some(extended) if extended.whole => extended.base,
        _ => T::state(),
    }
}

/// Notes how the data of a class is handled.
pub(super) fn prepare<T: Class>() {
    let state = T::state();
    state.functions.set(const { &Functions::of::<T>() });
    state.extends.set(T::extended().map(|extended| extended.base));
}

/// `tp_dealloc` and `tp_traverse` of a class: those of its native base where it adds nothing, by which the interpreter knows that
/// `__class__` may be assigned.
pub(super) fn life<T: Class>() -> (ffi::destructor, ffi::traverseproc) {
    match T::extended() {
        Some(extended) if extended.whole => (extended.dealloc, extended.traverse),
        _ => (dealloc::<T>, traverse::<T>),
    }
}

/// How large an object is, without its data.
pub(super) const SIZE: usize = size_of::<Object>();

/// The header of an object.
#[inline]
unsafe fn header(object: *mut ffi::PyObject) -> *mut Combinable {
    // SAFETY: layout.
    unsafe { &raw mut (*object.cast::<Object>()).header }
}

/// Where the data of the class that made an object is.
#[inline]
unsafe fn behind<T>(object: *mut ffi::PyObject) -> *mut T {
    // SAFETY: the caller knows by the header that there is data.
    unsafe { object.byte_add(SIZE).cast() }
}

/// The data of `T` in an object.
///
/// # Safety
/// As for [`super::class::data_of`].
#[inline]
pub(super) unsafe fn data_of<'a, T: Class>(object: *mut ffi::PyObject) -> &'a T {
    // SAFETY: layout. Data of T's kind is a T; what `find` gives is, too.
    unsafe {
        let data = if (*header(object)).parts.is_only(kind::<T>()) { behind(object) } else { find(object) };
        &*data
    }
}

/// The data of `T`, wherever it is. It is made where there is none: for a second native base, or because the object was made by
/// another class than it has now.
#[cold]
#[inline(never)]
unsafe fn find<T: Class>(object: *mut ffi::PyObject) -> *mut T {
    let wanted = kind::<T>();
    // SAFETY: layout; data lives as long as the object, in one place. New data is linked before anybody else sees it, after all
    // other, so that who was given some is given it again; making it runs no Python code.
    unsafe {
        let parts = &(*header(object)).parts;
        let first = match parts.find() {
            Found::Nothing => {
                take_allocator(ffi::Py_TYPE(object));
                null_mut()
            }
            Found::Behind(kind) if (*kind).begins_with(wanted) => return behind(object),
            Found::Behind(kind) => Part::boxed(kind, behind(object), ()),
            Found::List(first) => first,
        };
        let (mut last, mut next) = (null_mut::<Part<()>>(), first);
        while !next.is_null() {
            if (*(*next).of).begins_with(wanted) {
                return (*next).place.cast();
            }
            last = next;
            next = (*next).next.get();
        }
        let part = Part::boxed(wanted, null_mut(), T::default());
        if last.is_null() {
            parts.set_list(part);
        } else {
            (*last).next.set(part);
            parts.set_list(first);
        }
        (*part).place.cast()
    }
}

impl ClassState {
    /// Whether data of this class is, or begins with, that of another one.
    fn begins_with(&self, other: &ClassState) -> bool {
        let mut state = self;
        loop {
            if std::ptr::eq(state, other) {
                return true;
            }
            match state.extends.get() {
                Some(base) => state = base,
                None => return false,
            }
        }
    }
}

/// `tp_alloc` of class `T`: an instance in its default state.
pub(super) unsafe extern "C" fn alloc<T: Class>(
    class: *mut ffi::PyTypeObject,
    _items: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this, attached, for `T`'s class or one that `take_allocator` gave it to, which derives from that.
    unsafe {
        if !T::state().is_class(class) {
            return class::allocate::<T>(class);
        }
        let py = Python::assume_attached();
        match T::create(py) {
            Ok(object) => object.into_any().into_ptr(),
            Err(error) => {
                error.restore(py);
                null_mut()
            }
        }
    }
}

/// Makes an instance of a class in its default state, which the collector does not know of yet; null with an exception set when
/// there is no memory.
///
/// # Safety
/// Attached; `class` is the type of `T`, or one that derives from it and adds nothing to its layout.
#[inline]
pub(super) unsafe fn create<T: Class>(class: *mut ffi::PyTypeObject) -> *mut ffi::PyObject {
    // SAFETY: the memory is zeroed, which is an empty header, and has room for the data. The collector and other code see the
    // object when that is there.
    unsafe {
        let object = memory::allocate(class, size_of::<T>());
        if !object.is_null() {
            fill::<T>(object);
        }
        object
    }
}

/// Makes an instance of exactly `T`'s class of memory that [`dealloc`] has kept.
///
/// # Safety
/// Attached; the memory is an `Object` and a `T`, with neither `__dict__` nor weak references.
#[inline]
pub(super) unsafe fn revive<T: Class>(object: *mut ffi::PyObject, class: *mut ffi::PyTypeObject) {
    // SAFETY: `PyObject_Init` makes it an object again, with a reference to its type.
    unsafe {
        ffi::PyObject_Init(object, class);
        fill::<T>(object);
    }
}

#[inline]
unsafe fn fill<T: Class>(object: *mut ffi::PyObject) {
    // SAFETY: the caller passes memory with room for the data, which holds none.
    unsafe {
        (*header(object)).parts.set_behind(kind::<T>());
        behind::<T>(object).write(T::default());
    }
}

/// Calls `visit` with all data of an object.
unsafe fn each(object: *mut ffi::PyObject, mut visit: impl FnMut(*mut c_void, &'static Functions)) {
    // SAFETY: layout. What is visited may add data behind all other, and frees none.
    unsafe {
        match (*header(object)).parts.find() {
            Found::Nothing => {}
            Found::Behind(kind) => visit(behind(object), (*kind).functions.get()),
            Found::List(mut part) => {
                while !part.is_null() {
                    visit((*part).place, (*(*part).of).functions.get());
                    part = (*part).next.get();
                }
            }
        }
    }
}
