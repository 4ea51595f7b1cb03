//! Native classes: their layout, allocation, life and death, built from one declarative [`Table`] each.
//!
//! A class is a Rust struct with interior mutability (cells and [`super::Slot`]s) plus `impl Class`. Its `table` lists name,
//! calling convention and safe Rust function of every method, property and slot; everything else (allocation through a
//! freelist, collection, weak references, finalisation with resurrection, subclassing from Python) is here, once.
//! Called by the class files and `lib.rs`; calls the interpreter.

use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use pyo3::basic::CompareOp;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::Ref;
use super::originals::{self, Originals};
use super::trampoline::{self as tramp, Stateless};
use super::{Args, Output, Signature, Visitor, again, combined, function, none};

/// What stands between the object header and the data of an instance.
///
/// # Safety
/// `DICT` and `WEAK` must be offsets of pointer-sized fields inside the type, which is `repr(C)` and valid when zeroed.
pub unsafe trait Header: 'static {
    /// Where the instance `__dict__` is kept.
    const DICT: Option<usize>;
    /// Where the list of weak references is kept.
    const WEAK: Option<usize>;
    /// Where the function is kept that a call of the instance runs.
    const VECTORCALL: Option<usize> = None;
    /// Whether classes with it are combined: see [`super::combined`].
    const COMBINES: bool = false;
}

/// Neither `__dict__` nor weak references.
#[repr(C)]
pub struct Plain;

/// Weak references only, like a class with `__slots__ = ("__weakref__", ...)`.
#[repr(C)]
pub struct Weak {
    weak: *mut ffi::PyObject,
}

/// A `__dict__` and weak references, like an ordinary Python class.
#[repr(C)]
pub struct DictAndWeak {
    dict: *mut ffi::PyObject,
    weak: *mut ffi::PyObject,
}

/// Behind a class of asyncio's whose instances have `N` slots of their own, left empty.
#[repr(C)]
pub struct Behind<const N: usize> {
    slots: [*mut ffi::PyObject; N],
    dict: *mut ffi::PyObject,
    weak: *mut ffi::PyObject,
}

/// Behind `asyncio.transports._FlowControlMixin`: `_extra`, `_loop`, `_protocol_paused`, `_high_water`, `_low_water`.
pub type BehindTransport = Behind<5>;

/// Behind `asyncio.ReadTransport`: `_extra`.
pub type BehindReadTransport = Behind<1>;

/// Behind `asyncio.SubprocessTransport`: `_extra`.
pub type BehindSubprocessTransport = Behind<1>;

/// Weak references, and instances that are called by the vectorcall protocol ([`Table::vectorcall`]).
#[repr(C)]
pub struct Callable {
    weak: *mut ffi::PyObject,
    vectorcall: Option<ffi::vectorcallfunc>,
}

// SAFETY: the offsets are the compiler's; a null function pointer is `None`.
unsafe impl Header for Callable {
    const DICT: Option<usize> = None;
    const WEAK: Option<usize> = Some(offset_of!(Callable, weak));
    const VECTORCALL: Option<usize> = Some(offset_of!(Callable, vectorcall));
}

// SAFETY: no offsets.
unsafe impl Header for Plain {
    const DICT: Option<usize> = None;
    const WEAK: Option<usize> = None;
}
// SAFETY: the offset is the compiler's.
unsafe impl Header for Weak {
    const DICT: Option<usize> = None;
    const WEAK: Option<usize> = Some(offset_of!(Weak, weak));
}
// SAFETY: the offsets are the compiler's.
unsafe impl Header for DictAndWeak {
    const DICT: Option<usize> = Some(offset_of!(DictAndWeak, dict));
    const WEAK: Option<usize> = Some(offset_of!(DictAndWeak, weak));
}
// SAFETY: the offsets are the compiler's.
unsafe impl<const N: usize> Header for Behind<N> {
    const DICT: Option<usize> = Some(offset_of!(Behind<N>, dict));
    const WEAK: Option<usize> = Some(offset_of!(Behind<N>, weak));
}

/// The memory of an instance of `T`.
#[repr(C)]
pub struct Instance<T: Class> {
    object: ffi::PyObject,
    header: T::Header,
    data: T,
}

impl<T: Class> Instance<T> {
    const HEADER: usize = offset_of!(Instance<T>, header);

    /// What precedes the data.
    pub(super) fn header(&mut self) -> &mut T::Header {
        &mut self.header
    }

    fn field(object: *mut ffi::PyObject, offset: Option<usize>) -> *mut *mut ffi::PyObject {
        match offset {
            // SAFETY: layout; the header's offsets stay inside the instance.
            Some(offset) => unsafe { object.byte_add(Self::HEADER + offset).cast() },
            None => null_mut(),
        }
    }
}

/// The type object of a class and its freelist: one static for each class.
///
/// This is interpreter state: it is written once when the module is made, and then only under the interpreter lock.
pub struct ClassState {
    class: Cell<*mut ffi::PyTypeObject>,
    /// The class that most instances are of: this one or a subclass.
    usual: Cell<*mut ffi::PyTypeObject>,
    /// Whether `install()` has put the class in the place of asyncio's.
    in_place: Cell<bool>,
    free: UnsafeCell<Vec<*mut ffi::PyObject>>,
    /// What Python code may have replaced.
    pub(super) originals: Originals,
    /// How parts of objects with data of the class are handled, and with what other class's data it begins: for classes that
    /// are combined.
    pub(super) functions: Cell<&'static combined::Functions>,
    pub(super) extends: Cell<Option<&'static ClassState>>,
}

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it uses the GIL).
unsafe impl Sync for ClassState {}

impl ClassState {
    /// Before the module is made.
    pub const fn new() -> Self {
        Self {
            class: Cell::new(null_mut()),
            usual: Cell::new(null_mut()),
            in_place: Cell::new(false),
            free: UnsafeCell::new(Vec::new()),
            originals: Originals::new(),
            functions: Cell::new(combined::Functions::NONE),
            extends: Cell::new(None),
        }
    }

    /// Whether the type object exists.
    pub(super) fn is_made(&self) -> bool {
        !self.class.get().is_null()
    }

    /// Whether this is the type object.
    #[inline]
    pub(super) fn is_class(&self, class: *mut ffi::PyTypeObject) -> bool {
        self.class.get() == class
    }

    /// Whether asyncio's name for the class means this one now: `install()` was called.
    #[inline]
    pub fn is_in_place(&self) -> bool {
        self.in_place.get()
    }

    /// Whether an object is of the class that most instances are of.
    #[inline(always)]
    pub(super) fn is_usual(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: attached; the object is alive.
        unsafe { ffi::Py_TYPE(object) == self.usual.get() }
    }

    /// The class that most instances are of.
    pub(super) fn usual<'py>(&self, py: Python<'py>) -> Bound<'py, PyType> {
        // SAFETY: set when the module was made, and alive as long as the interpreter: the static holds a reference.
        unsafe { Bound::from_borrowed_ptr(py, self.usual.get().cast()).cast_into_unchecked::<PyType>() }
    }

    /// Whether that is the native class itself.
    #[inline(always)]
    pub(super) fn is_usually_native(&self) -> bool {
        self.usual.get() == self.class.get()
    }

    /// The version tag of the class.
    #[inline]
    pub(super) fn version(&self) -> u32 {
        // SAFETY: attached; set when the module was made, and alive as long as the interpreter.
        unsafe { (*self.class.get()).tp_version_tag }
    }

    /// Whether an object is an instance of the class.
    #[inline]
    pub(super) fn has(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: attached; the object and both types are alive.
        self.is_usual(object) || unsafe { ffi::PyObject_TypeCheck(object, self.class.get()) != 0 }
    }

    /// The type object.
    pub(super) fn class<'py>(&self, py: Python<'py>) -> Bound<'py, PyType> {
        // SAFETY: set when the module was made and alive as long as the interpreter (the static holds a reference).
        unsafe { Bound::from_borrowed_ptr(py, self.class.get().cast()).cast_into_unchecked::<PyType>() }
    }

    fn pop(&self) -> Option<*mut ffi::PyObject> {
        // SAFETY: no reference to the vector outlives this statement, and pop runs no Python code.
        unsafe { (*self.free.get()).pop() }
    }

    pub(super) fn push(&self, object: *mut ffi::PyObject, limit: usize) -> bool {
        // SAFETY: as in `pop`; the vector's memory comes from Rust's allocator, not the interpreter's.
        let free = unsafe { &mut *self.free.get() };
        let keep = free.len() < limit;
        if keep {
            free.push(object);
        }
        keep
    }
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

/// A native class. `Default` is the state of an object whose `__init__` has not run.
pub trait Class: Default + Sized + 'static {
    /// `module.name`.
    const NAME: &'static CStr;
    /// What precedes the data.
    type Header: Header;
    /// How many dead instances are kept for reuse.
    const FREELIST: usize = 0;
    /// Whether Python may subclass it.
    const SUBCLASSABLE: bool = true;
    /// Whether the type itself refuses attribute assignment, as C types do.
    const IMMUTABLE: bool = false;
    /// Whether Python may call the type; internal iterators and the like say no.
    const CONSTRUCTIBLE: bool = true;
    /// Whether `await` iterates instances themselves, and lets go of them when they have ended.
    const AWAITED: bool = false;
    /// Whether instances are called by the function that [`make_callable`] gives them.
    const CALLABLE: bool = Self::Header::VECTORCALL.is_some();
    /// Whether messages of the interpreter leave the module out. Where there is [`Class::stock`], they say what they say of that.
    const BARE_NAME: bool = false;
    /// Whether instances are methods: a call of one as an attribute makes no bound object.
    const METHOD: bool = false;

    /// Names whose replacement is asked about by itself, and those that share a bit; see [`Obj::replaced`].
    const HOOKS: &'static [&'static [&'static str]] = &[];
    /// Bits for what is replaced in other classes, whose methods this one calls.
    fn replaced_elsewhere(_py: Python<'_>) -> originals::Replaced {
        0
    }

    /// Whether methods are [`function::Function`]s: what [`Class::stock`] has in Python.
    const FUNCTIONS: bool = false;
    /// Methods that are there for others to call, and that native code does not call where asyncio does: replacing one is refused.
    const UNHEARD: &'static [&'static str] = &[];
    /// Whether methods look for replacements in [`Class::stock`].
    const STANDS_FOR_STOCK: bool = false;
    /// Whether instances are of classes that derive from that class.
    const DERIVES_FROM_STOCK: bool = false;

    /// The standard library's class that this one stands for. Where that has Python functions, the methods here look like them,
    /// and instances answer `__class__` with it.
    fn stock(_py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        Ok(None)
    }
    /// For a class whose header combines: the native class with whose data its own begins.
    #[inline]
    fn extended() -> Option<combined::Extended<Self>> {
        None
    }
    /// The static that holds the type.
    fn state() -> &'static ClassState;
    /// Lists methods, properties and slots.
    fn table(table: &mut Table<Self>);
    /// Shows every reference to the collector.
    fn traverse(&self, visitor: &mut Visitor);
    /// Releases every reference that may be part of a cycle.
    fn clear(&self);
    /// Whether dying now would call for `tp_finalize`; asked so that ordinary deaths skip the resurrection protocol.
    fn wants_finalizer(&self) -> bool {
        false
    }

    /// Makes an instance in its default state; the caller fills it in place, because moving a half-warm struct of this size
    /// costs more than everything else here (its stores are still on their way to the cache).
    #[inline]
    fn create(py: Python<'_>) -> PyResult<Obj<'_, Self>> {
        let state = Self::state();
        let class = state.class.get();
        if Self::FREELIST > 0
            && let Some(object) = state.pop()
        {
            // SAFETY: the freelist holds dead, untracked memory of exactly this class, data dropped and header zeroed;
            // PyObject_Init makes it an object again (with a reference to its type), then data is written, then it is tracked.
            unsafe {
                if Self::Header::COMBINES {
                    combined::revive::<Self>(object, class);
                } else {
                    ffi::PyObject_Init(object, class);
                    (&raw mut (*object.cast::<Instance<Self>>()).data).write(Self::default());
                }
                ffi::PyObject_GC_Track(object.cast());
                return Ok(Obj::from_any_unchecked(Bound::from_owned_ptr(py, object)));
            }
        }
        // SAFETY: attached; `class` is a ready type (set before any instance can be asked for). The memory is zeroed, and
        // no collection can run before `data` is written, because nothing is allocated in between.
        unsafe {
            let object = Bound::from_owned_ptr_or_err(py, allocate::<Self>(class))?;
            Ok(Obj::from_any_unchecked(object))
        }
    }

    /// Makes an instance that the collector does not know of until [`Obj::track`]: for what mostly dies young. Whoever
    /// keeps it vouches that it can be part of garbage only after that.
    #[inline]
    fn create_untracked(py: Python<'_>) -> PyResult<Obj<'_, Self>> {
        const { assert!(!Self::Header::COMBINES, "what combines is made by `create`") };
        let state = Self::state();
        let class = state.class.get();
        // SAFETY: as in `create`; new memory has its header (what is before the data) zeroed here, and no collection looks
        // at an object that is not tracked.
        unsafe {
            let object = if Self::FREELIST > 0
                && let Some(object) = state.pop()
            {
                ffi::PyObject_Init(object, class)
            } else {
                let short = yibu_driver::memory::is_short();
                let object = if short { ffi::PyErr_NoMemory() } else { ffi::PyObject_GC_New(class) };
                if object.is_null() {
                    return Err(PyErr::fetch(py));
                }
                object
                    .byte_add(Instance::<Self>::HEADER)
                    .cast::<u8>()
                    .write_bytes(0, size_of::<Self::Header>());
                object
            };
            (&raw mut (*object.cast::<Instance<Self>>()).data).write(Self::default());
            Ok(Obj::from_any_unchecked(Bound::from_owned_ptr(py, object)))
        }
    }

    /// The type object.
    fn class(py: Python<'_>) -> Bound<'_, PyType> {
        Self::state().class(py)
    }
}

/// A class whose data begins with the data of class `B`, and whose Python type derives from `B`'s.
///
/// # Safety
/// `Instance<Self>` must begin with the fields of `Instance<B>`.
pub unsafe trait Extends<B: Class>: Class {}

/// The data of a class derived from native class `B`.
#[repr(C)]
#[derive(Default)]
pub struct Derived<B, D> {
    /// The base class's data.
    pub base: B,
    /// The derived class's own.
    pub own: D,
}

// SAFETY: both instances are repr(C) with equal headers, and `base` is the first field of the data.
unsafe impl<B: Class, D: 'static> Extends<B> for Derived<B, D> where Self: Class<Header = B::Header> {}

/// An owned reference to an instance of native class `T`, or of a subclass; it dereferences to the data.
#[repr(transparent)]
pub struct Obj<'py, T: Class>(Bound<'py, PyAny>, PhantomData<T>);

impl<T: Class> Clone for Obj<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        Self(again(&self.0), PhantomData)
    }
}

impl<T: Class> Deref for Obj<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this reference keeps the instance alive. The data is only ever shared: it has interior mutability, and it is
        // dropped when no reference is left.
        unsafe { data_of(self.0.as_ptr()) }
    }
}

impl<'py, T: Class> Obj<'py, T> {
    /// Names the class of an object.
    ///
    /// # Safety
    /// The object must be an instance of `T`'s type.
    #[inline]
    pub(super) unsafe fn from_any_unchecked(object: Bound<'py, PyAny>) -> Self {
        Self(object, PhantomData)
    }

    /// The object as one of this class or a subclass.
    #[inline]
    pub fn cast<'a>(object: &'a Bound<'py, PyAny>) -> Option<&'a Self> {
        let state = T::state();
        // SAFETY: the transmuted reference is to a transparent wrapper, and the check just made is the condition of
        // `from_any_unchecked`.
        unsafe { state.has(object.as_ptr()).then(|| &*std::ptr::from_ref(object).cast::<Self>()) }
    }

    /// The object as one of exactly this class.
    #[inline]
    pub fn cast_exact<'a>(object: &'a Bound<'py, PyAny>) -> Option<&'a Self> {
        // SAFETY: as in `cast`.
        unsafe {
            (ffi::Py_TYPE(object.as_ptr()) == T::state().class.get())
                .then(|| &*std::ptr::from_ref(object).cast::<Self>())
        }
    }

    /// The object as one of this class or a subclass, without a second reference.
    #[inline]
    pub fn cast_into(object: Bound<'py, PyAny>) -> Option<Self> {
        Self::cast(&object).is_some().then_some(Self(object, PhantomData))
    }

    /// Remembers the object's class, if no subclass is remembered yet, so that [`Obj::cast`] knows its instances at a glance. The
    /// class lives as long as the process then.
    pub fn expect_this_class(&self) {
        let state = T::state();
        if state.is_usually_native() && !state.is_usual(self.0.as_ptr()) {
            state.usual.set(self.0.get_type().into_ptr().cast());
            state.originals.forget_usual();
        }
    }

    /// Shows the object to the collector, if it was made by [`Class::create_untracked`].
    #[inline]
    pub fn track(&self) {
        // SAFETY: attached; the object is alive and its data written, so it may be traversed from now on.
        unsafe {
            if ffi::PyObject_GC_IsTracked(self.0.as_ptr()) == 0 {
                ffi::PyObject_GC_Track(self.0.as_ptr().cast());
            }
        }
    }

    /// Whether anybody else has a reference, too.
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

    /// The version tag of the object's class: see [`super::originals`].
    #[inline]
    pub fn class_version(&self) -> u32 {
        // SAFETY: attached; the type of a live object is alive.
        unsafe { (*ffi::Py_TYPE(self.0.as_ptr())).tp_version_tag }
    }

    /// The instance's own `__dict__`, where it has been made.
    #[inline]
    fn own_dict(&self) -> Option<Bound<'py, PyDict>> {
        let field = Instance::<T>::field(self.0.as_ptr(), T::Header::DICT);
        // SAFETY: layout; the field is null or holds an owned reference to a dict, of which this takes another one.
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

/// The data of an instance.
///
/// # Safety
/// `object` must be a live instance of `T`'s type, and stay alive as long as the result.
#[inline]
pub(super) unsafe fn data_of<'a, T: Class>(object: *mut ffi::PyObject) -> &'a T {
    // SAFETY: layout, and the caller's promise.
    unsafe {
        if T::Header::COMBINES {
            return combined::data_of(object);
        }
        &(*object.cast::<Instance<T>>()).data
    }
}

/// The data of an object, if it is an instance of `T`'s type. The reference that the caller holds keeps it alive.
#[inline]
pub(super) fn data_if<T: Class>(object: &Ref) -> Option<&T> {
    // SAFETY: the condition of `data_of` is what is checked, and the result lives as long as the borrow of the reference.
    T::state().has(object.as_ptr()).then(|| unsafe { data_of(object.as_ptr()) })
}

/// Collects what a class consists of, then makes the type.
pub struct Table<T: Class> {
    methods: Vec<ffi::PyMethodDef>,
    properties: Vec<ffi::PyGetSetDef>,
    slots: Vec<ffi::PyType_Slot>,
    /// How the methods are called as [`function::Function`]s.
    ways: Vec<(&'static CStr, ffi::vectorcallfunc)>,
    doc: &'static CStr,
    /// What the Rust functions of the methods are called, for a class that stands for one of asyncio's.
    functions: HashMap<TypeId, Py<PyString>>,
    class: PhantomData<T>,
}

type Kwargs<'a, 'py> = Option<&'a Bound<'py, PyDict>>;

fn leak(text: String) -> &'static CStr {
    // Interior NULs cannot be in the literals that table files pass; an empty text would only lose documentation.
    Box::leak(CString::new(text).unwrap_or_default().into_boxed_c_str())
}

impl<T: Class> Table<T> {
    /// The class's docstring; `"Name(signature)\n--\n\ntext"` also gives it a signature.
    pub fn doc(&mut self, doc: &'static CStr) {
        self.doc = doc;
    }

    /// Adds the method that function `F` is.
    fn add<F: Stateless>(
        &mut self,
        name: &'static CStr,
        meth: ffi::PyMethodDefPointer,
        flags: c_int,
        doc: &'static CStr,
    ) {
        self.name_function::<F>(&name.to_string_lossy());
        self.add_method(name, meth, flags, doc);
    }

    /// Notes what the function `F` is called.
    fn name_function<F: Stateless>(&mut self, text: &str) {
        if T::STANDS_FOR_STOCK {
            let name = Python::attach(|py| PyString::intern(py, text).unbind());
            let other = self.functions.insert(TypeId::of::<F>(), name);
            assert!(other.is_none(), "two methods of one function, which could not tell them apart: {text}");
        }
    }

    fn add_method(
        &mut self,
        name: &'static CStr,
        meth: ffi::PyMethodDefPointer,
        flags: c_int,
        doc: &'static CStr,
    ) {
        let (ml_name, ml_doc) = (name.as_ptr(), doc.as_ptr());
        self.methods.push(ffi::PyMethodDef { ml_name, ml_meth: meth, ml_flags: flags, ml_doc });
    }

    /// A method without arguments.
    pub fn noargs<F>(&mut self, name: &'static CStr, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        let text = leak(format!("{}($self)\n--\n\n{doc}", name.to_string_lossy()));
        let code = if T::FUNCTIONS { function::noargs::<T, F> } else { tramp::noargs::<T, F> };
        self.add::<F>(name, ffi::PyMethodDefPointer { PyCFunction: code }, ffi::METH_NOARGS, text);
        if T::FUNCTIONS {
            self.ways.push((name, function::call_noargs::<T, F>));
        }
    }

    /// A method without arguments that has the name of a slot, for whoever asks by that name.
    pub fn instead_of_slot<F>(&mut self, name: &'static CStr, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        let text = leak(format!("{}($self)\n--\n\n{doc}", name.to_string_lossy()));
        let meth = ffi::PyMethodDefPointer { PyCFunction: tramp::unary::<T, F> };
        self.add_method(name, meth, ffi::METH_NOARGS | ffi::METH_COEXIST, text);
        if T::FUNCTIONS {
            self.ways.push((name, function::call_noargs::<T, F>));
        }
    }

    /// A method of any positional arguments.
    pub fn any<F>(&mut self, name: &'static CStr, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
    {
        let text = leak(format!("{}($self, *args)\n--\n\n{doc}", name.to_string_lossy()));
        let code = if T::FUNCTIONS { function::fast::<T, F> } else { tramp::fast::<T, F> };
        let meth = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: code };
        self.add_method(name, meth, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, text);
        if T::FUNCTIONS {
            self.ways.push((name, function::call_fast::<T, F>));
        }
    }

    /// A method of one positional argument; `parameter` is its name in the documentation.
    pub fn one<F>(&mut self, name: &'static CStr, parameter: &str, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>) -> Output<'py>,
    {
        let text = leak(format!("{}($self, {parameter}, /)\n--\n\n{doc}", name.to_string_lossy()));
        let code = if T::FUNCTIONS { function::one::<T, F> } else { tramp::one::<T, F> };
        self.add::<F>(name, ffi::PyMethodDefPointer { PyCFunction: code }, ffi::METH_O, text);
        if T::FUNCTIONS {
            self.ways.push((name, function::call_one::<T, F>));
        }
    }

    /// A method with the arguments of `signature`, whose name is what follows the last dot of `signature.function`.
    pub fn method<const N: usize, F>(&mut self, signature: &'static Signature<N>, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
    {
        let name = signature.function.rsplit('.').next().unwrap_or(signature.function);
        let comma = if signature.text.is_empty() { "" } else { ", " };
        let text = leak(format!("{name}($self{comma}{})\n--\n\n{doc}", signature.text));
        let code = if T::FUNCTIONS { function::fast::<T, F> } else { tramp::fast::<T, F> };
        let meth = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: code };
        let name = leak(name.to_owned());
        self.add::<F>(name, meth, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, text);
        if T::FUNCTIONS {
            self.ways.push((name, function::call_fast::<T, F>));
        }
    }

    /// `__class_getitem__`, giving a `types.GenericAlias`.
    pub fn generic(&mut self) {
        let meth = ffi::PyMethodDefPointer { PyCFunction: ffi::Py_GenericAlias };
        self.add_method(c"__class_getitem__", meth, ffi::METH_O | ffi::METH_CLASS, c"See PEP 585");
    }

    /// `__init_subclass__`.
    pub(super) fn init_subclass(&mut self, function: ffi::PyCFunctionFastWithKeywords) {
        let meth = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function };
        let flags = ffi::METH_FASTCALL | ffi::METH_KEYWORDS | ffi::METH_CLASS;
        self.add_method(c"__init_subclass__", meth, flags, c"Prepares a class that derives from this one.");
    }

    /// A read-only property.
    pub fn getter<F>(&mut self, name: &'static CStr, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.add_property(name, Some(tramp::getter::<T, F>), None);
    }

    /// A property that can be written; the setter gets `None` for `del`.
    pub fn property<G, S>(&mut self, name: &'static CStr, _: G, _: S)
    where
        G: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
        S: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Option<&'a Bound<'py, PyAny>>) -> PyResult<()>,
    {
        self.add_property(name, Some(tramp::getter::<T, G>), Some(tramp::setter::<T, S>));
    }

    fn add_property(&mut self, name: &'static CStr, get: Option<ffi::getter>, set: Option<ffi::setter>) {
        self.properties.push(ffi::PyGetSetDef {
            name: name.as_ptr(),
            get,
            set,
            doc: std::ptr::null(),
            closure: null_mut(),
        });
    }

    fn slot(&mut self, slot: c_int, pfunc: *mut c_void) {
        self.slots.push(ffi::PyType_Slot { slot, pfunc });
    }

    /// `__init__`.
    pub fn init<F>(&mut self, _: F)
    where
        F: Stateless
            + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyTuple>, Kwargs<'a, 'py>) -> PyResult<()>,
    {
        self.name_function::<F>("__init__");
        self.slot(ffi::Py_tp_init, tramp::init::<T, F> as *mut c_void);
    }

    /// `__call__`.
    pub fn call<F>(&mut self, _: F)
    where
        F: Stateless
            + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyTuple>, Kwargs<'a, 'py>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_call, tramp::invoke::<T, F> as *mut c_void);
    }

    /// `__get__`: the function gets the object that the attribute was asked of, nothing when that was the class.
    pub fn descriptor<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Option<&'a Bound<'py, PyAny>>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_descr_get, tramp::descr_get::<T, F> as *mut c_void);
    }

    /// `__repr__`.
    pub fn repr<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_repr, tramp::repr::<T, F> as *mut c_void);
    }

    /// `__str__`.
    pub fn str<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_str, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__hash__`.
    pub fn hash<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<isize>,
    {
        self.slot(ffi::Py_tp_hash, tramp::hash::<T, F> as *mut c_void);
    }

    /// The six comparisons.
    pub fn compare<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>, CompareOp) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_richcompare, tramp::compare::<T, F> as *mut c_void);
    }

    /// `__iter__`.
    pub fn iter<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_iter, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__await__`.
    pub fn await_<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_am_await, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__aiter__`.
    pub fn aiter<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_am_aiter, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__anext__`.
    pub fn anext<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_am_anext, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__next__` of an iterator that is nothing else.
    pub fn next<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<Option<Bound<'py, PyAny>>>,
    {
        self.slot(ffi::Py_tp_iternext, tramp::item::<T, F> as *mut c_void);
    }

    /// What `PyIter_Send` and `__next__` (with None) ask: `Ok(Ok(v))` yields v, `Ok(Err(v))` returns v.
    pub fn send<F>(&mut self, _: F)
    where
        F: Stateless
            + for<'a, 'py> Fn(
                &'a Obj<'py, T>,
                &'a Bound<'py, PyAny>,
            ) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>,
    {
        self.slot(ffi::Py_am_send, tramp::send::<T, F> as *mut c_void);
        self.slot(ffi::Py_tp_iternext, tramp::next::<T, F> as *mut c_void);
    }

    /// Observes attribute assignment on instances: the function gets the name and whether a value was set (or deleted).
    pub fn setattr<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>, bool) -> PyResult<()>,
    {
        self.slot(ffi::Py_tp_setattro, tramp::setattr::<T, F> as *mut c_void);
    }

    /// `__del__`, with resurrection allowed; see [`Class::wants_finalizer`].
    pub fn finalize<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<()>,
    {
        self.slot(ffi::Py_tp_finalize, tramp::finalize::<T, F> as *mut c_void);
    }

    /// Makes the type, deriving from `base` when given, and stores it in the class's state.
    pub fn build<'py>(py: Python<'py>, base: Option<&Bound<'py, PyType>>) -> PyResult<Bound<'py, PyType>> {
        Self::build_on(py, base.map(|base| base.as_any()))
    }

    /// The same with several bases; the first decides about the layout.
    pub fn build_with_bases<'py>(bases: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyType>> {
        Self::build_on(bases.py(), Some(bases.as_any()))
    }

    fn build_on<'py>(py: Python<'py>, bases: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyType>> {
        let mut table = Self {
            methods: Vec::new(),
            properties: Vec::new(),
            slots: Vec::new(),
            ways: Vec::new(),
            doc: c"",
            functions: HashMap::new(),
            class: PhantomData,
        };
        T::table(&mut table);
        if T::Header::DICT.is_some() {
            table.add_property(
                c"__dict__",
                Some(ffi::PyObject_GenericGetDict),
                Some(ffi::PyObject_GenericSetDict),
            );
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
            table.slot(ffi::Py_tp_alloc, combined::alloc::<T> as *mut c_void);
            let (dealloc, traverse) = combined::life::<T>();
            table.slot(ffi::Py_tp_dealloc, dealloc as *mut c_void);
            table.slot(ffi::Py_tp_traverse, traverse as *mut c_void);
            table.slot(ffi::Py_tp_clear, combined::clear as *mut c_void);
            combined::prepare::<T>();
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
        let bases = if T::Header::COMBINES { combined::bases(py, bases)? } else { bases.cloned() };
        let bases = bases.as_ref().map_or(null_mut(), |b| b.as_ptr());
        // SAFETY: attached; the spec's arrays end with zeroed entries, method and property tables are leaked on purpose
        // because the type refers to them for ever; slots are copied by the call.
        let class = unsafe {
            let class = ffi::PyType_FromSpecWithBases(&mut spec, bases);
            Bound::from_owned_ptr_or_err(py, class)?.cast_into_unchecked::<PyType>()
        };
        if T::BARE_NAME {
            let module = T::NAME.to_bytes().iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
            // SAFETY: attached; the type is new and nobody else's, and its name becomes the end of a text that lives for ever.
            unsafe { (*class.as_type_ptr()).tp_name = T::NAME.as_ptr().add(module) };
        }
        T::state().class.set(class.clone().into_ptr().cast());
        T::state().usual.set(class.as_type_ptr());
        BUILT.lock().unwrap_or_else(PoisonError::into_inner).push(T::state());
        T::state().originals.name_functions(py, table.functions);
        originals::expect::<T>(&class);
        if let Some(stock) = T::stock(py)? {
            function::dress(&class, T::state(), &table.ways, stock)?;
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

fn terminated<E>(mut entries: Vec<E>, last: E) -> *mut E {
    entries.push(last);
    Box::leak(entries.into_boxed_slice()).as_mut_ptr()
}

/// `tp_new`: an object whose `__init__` has not run.
unsafe extern "C" fn new<T: Class>(
    class: *mut ffi::PyTypeObject,
    _args: *mut ffi::PyObject,
    _kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython passes T's type or a subclass; the default state is written before anything else can see the memory.
    unsafe {
        if class == T::state().class.get() {
            let made = T::create(Python::assume_attached());
            return made.map_or_else(
                |error| {
                    error.restore(Python::assume_attached());
                    null_mut()
                },
                |object| object.into_any().into_ptr(),
            );
        }
        allocate::<T>(class)
    }
}

/// An instance of a class in its default state; null with an exception set when there is no memory.
///
/// # Safety
/// Attached; the class is ready, and `T`'s or one that derives from it. If it combines, it adds nothing to the layout.
#[inline]
pub(super) unsafe fn allocate<T: Class>(class: *mut ffi::PyTypeObject) -> *mut ffi::PyObject {
    // SAFETY: the caller passes T's ready type or a subclass, whose instances are at least as large. The memory is zeroed, and no
    // collection can run before the data is written, because nothing is allocated in between.
    unsafe {
        if yibu_driver::memory::is_short() {
            return ffi::PyErr_NoMemory();
        }
        if T::Header::COMBINES {
            let object = combined::create::<T>(class);
            if !object.is_null() {
                ffi::PyObject_GC_Track(object.cast());
            }
            return object;
        }
        let object = ffi::PyType_GenericAlloc(class, 0);
        if !object.is_null() {
            (&raw mut (*object.cast::<Instance<T>>()).data).write(T::default());
        }
        object
    }
}

/// `tp_dealloc`: however many objects hold each other, their deaths do not nest.
unsafe extern "C" fn dealloc<T: Class>(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, when the last reference is gone.
    unsafe { super::depth::free(object, free::<T>) }
}

#[inline(always)] // into `dealloc`
unsafe fn free<T: Class>(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, when the last reference is gone (a resurrecting finalizer makes us return early).
    // Order: finalizer, untrack, weak references, dict, data, memory, type. Dropping data may run Python code, which
    // cannot reach this object any more.
    unsafe {
        let instance = object.cast::<Instance<T>>();
        if (*instance).data.wants_finalizer() && ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return;
        }
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_UnTrack(object.cast());
        let weak = Instance::<T>::field(object, T::Header::WEAK);
        if !weak.is_null() && !(*weak).is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        let dict = Instance::<T>::field(object, T::Header::DICT);
        if !dict.is_null() && !(*dict).is_null() {
            let content = std::mem::replace(&mut *dict, null_mut());
            ffi::Py_DECREF(content);
        }
        std::ptr::drop_in_place(&raw mut (*instance).data);
        // Under a sanitizer memory goes back at once, so that using it afterwards is seen (scripts/sanitize).
        let reusable = cfg!(not(no_freelists))
            && T::FREELIST > 0
            && class == T::state().class.get()
            && ffi::PyObject_GC_IsFinalized(object) == 0;
        if !(reusable && T::state().push(object, T::FREELIST)) {
            ffi::PyObject_GC_Del(object.cast());
        }
        ffi::Py_DECREF(class.cast());
        #[cfg(Py_3_12)]
        if T::AWAITED {
            super::stop::release();
        }
    }
}

unsafe extern "C" fn traverse<T: Class>(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called by the collector on a live instance; nothing here touches a reference count.
    unsafe {
        let mut visitor = Visitor::new(visit, arg);
        visitor.visit(ffi::Py_TYPE(object).cast());
        let dict = Instance::<T>::field(object, T::Header::DICT);
        if !dict.is_null() {
            visitor.visit(*dict);
        }
        (*object.cast::<Instance<T>>()).data.traverse(&mut visitor);
        visitor.answer()
    }
}

unsafe extern "C" fn clear<T: Class>(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: called by the collector on a live instance that is part of unreachable garbage.
    unsafe {
        let dict = Instance::<T>::field(object, T::Header::DICT);
        if !dict.is_null() && !(*dict).is_null() {
            let content = std::mem::replace(&mut *dict, null_mut());
            ffi::Py_DECREF(content);
        }
        (*object.cast::<Instance<T>>()).data.clear();
        0
    }
}

/// Takes the names of slots out of a class, so that abstract classes which look for them do not find them. The slots stay.
pub fn hide_slots(class: &Bound<'_, PyType>, names: &[&CStr]) -> PyResult<()> {
    for name in names {
        // SAFETY: attached; the type is new and has its own dictionary, which holds a name for each of its slots. Nobody has
        // looked anything up in it yet, and the interpreter is told of the change.
        unsafe {
            if ffi::PyDict_DelItemString((*class.as_type_ptr()).tp_dict, name.as_ptr()) != 0 {
                return Err(PyErr::fetch(class.py()));
            }
            ffi::PyType_Modified(class.as_type_ptr());
        }
    }
    Ok(())
}

/// Makes an instance callable: a call of it runs `function(instance, args)`.
pub fn make_callable<T, F>(object: &Obj<'_, T>, _: F)
where
    T: Class<Header = Callable>,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: layout; the field is written before Python code can call the object, and read by CPython only.
    unsafe {
        (*object.0.as_ptr().cast::<Instance<T>>()).header.vectorcall = Some(tramp::vectorcall::<T, F>);
    }
}

/// `__class__`: the standard library's class, as proxies answer, so that `isinstance(x, asyncio.Handle)` holds before `install()`
/// has put the native class in its place. After that, and for a subclass, it is the object's own class.
pub fn isinstance_class<'py, T: Class>(
    object: &Obj<'py, T>,
    stock: for<'a> fn(Python<'a>) -> PyResult<&'a Bound<'a, PyType>>,
) -> Output<'py> {
    match Obj::<T>::cast_exact(object.as_any()) {
        Some(_) if !T::state().is_in_place() => Ok(stock(object.py())?.clone().into_any()),
        _ => Ok(object.as_any().get_type().into_any()),
    }
}

/// The same for a class that has [`Class::stock`].
fn stock_class<'py, T: Class>(object: &Obj<'py, T>) -> Output<'py> {
    let class = object.as_any().get_type();
    match T::stock(object.py())? {
        Some(stock) if class.is(T::class(object.py())) && !T::state().is_in_place() => {
            Ok(stock.clone().into_any())
        }
        _ => Ok(class.into_any()),
    }
}

/// Whether instances of a class of asyncio's show `__weakref__`: code that adds slots to a subclass looks for it.
fn has_weakref(stock: Option<&Bound<'_, PyType>>) -> PyResult<bool> {
    stock.map_or(Ok(false), |class| class.as_any().hasattr("__weakref__"))
}

/// `__weakref__`: a weak reference to the object, where there is one.
fn first_weak_reference<'py, T: Class>(object: &Obj<'py, T>) -> Output<'py> {
    let field = Instance::<T>::field(object.as_any().as_ptr(), T::Header::WEAK);
    // SAFETY: attached; layout. The field is null or holds the first of the living weak references, as the interpreter's own
    // `__weakref__` finds it.
    unsafe {
        let first = if field.is_null() { null_mut() } else { *field };
        Ok(Bound::from_borrowed_ptr_or_opt(object.py(), first).unwrap_or_else(|| none(object.py())))
    }
}

/// Assigning `__class__`: as `object` does it, which refuses where the layouts differ.
fn set_class<'py, T: Class>(object: &Obj<'py, T>, class: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
    let py = object.py();
    let descriptor = py.get_type::<PyAny>().getattr("__dict__")?.get_item("__class__")?;
    match class {
        Some(class) => descriptor.call_method1("__set__", (object.as_any(), class)),
        None => descriptor.call_method1("__delete__", (object.as_any(),)),
    }
    .map(drop)
}

/// Makes a module-level function; `signature.function` is its name. With a twin, Python's function of that name, it looks like that.
pub fn function<'py, const N: usize, F>(
    module: &Bound<'py, PyAny>,
    signature: &'static Signature<N>,
    _: F,
    doc: &str,
    twin: Option<function::Twin<'py>>,
) -> PyResult<Bound<'py, PyAny>>
where
    F: Stateless + for<'a, 'p> Fn(Args<'a, 'p>) -> Output<'p>,
{
    let text = leak(format!("{}({})\n--\n\n{doc}", signature.function, signature.text));
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: leak(signature.function.to_owned()).as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function::free::<F> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: text.as_ptr(),
    }));
    let name = module.getattr("__name__")?;
    // SAFETY: attached; the definition is leaked because the function refers to it for ever.
    let native = unsafe {
        let function = ffi::PyCFunction_NewEx(definition, module.as_ptr(), name.as_ptr());
        Bound::from_owned_ptr_or_err(module.py(), function)?
    };
    match twin {
        Some(twin) => function::of_module(function::call_free::<F>, native, twin),
        None => Ok(native),
    }
}
