//! [`Class`]: what a native class says of itself. `impl Class` is all that a class file needs to write.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::header::Header;
use super::state::ClassState;
use super::table::Table;
use crate::combined::extended::Extended;
use crate::gc::Visitor;
use crate::originals::state::Replaced;

/// A native class. `Default` is the state of an object whose `__init__` has not run.
pub trait Class: Default + Sized + 'static {
    /// `module.name`.
    const NAME: &'static CStr;
    /// What precedes the data.
    type Header: Header;
    /// The static that holds the type.
    const CLASS: &'static ClassState;
    /// How many dead instances are kept for reuse.
    const FREELIST: usize = 0;
    /// Whether programs do not know of it: they can neither subclass it nor make instances.
    const INTERNAL: bool = false;
    /// Whether Python may subclass it.
    const SUBCLASSABLE: bool = !Self::INTERNAL;
    /// Whether the type itself refuses attribute assignment, as C types do.
    const IMMUTABLE: bool = false;
    /// Whether Python may call the type; internal iterators and the like say no.
    const CONSTRUCTIBLE: bool = !Self::INTERNAL;
    /// Whether `await` iterates instances themselves, and lets go of them when they have ended.
    const AWAITED: bool = false;
    /// Whether instances are called by the function that [`super::make_callable`] gives them.
    const CALLABLE: bool = Self::Header::VECTORCALL.is_some();
    /// Whether messages of the interpreter leave the module out. Where there is [`Class::stock`], they say
    /// what they say of that.
    const BARE_NAME: bool = false;
    /// Whether instances are methods: a call of one as an attribute makes no bound object.
    const METHOD: bool = false;

    /// Names whose replacement is asked about by itself, and those that share a bit; see
    /// [`super::Obj::replaced`].
    const HOOKS: &'static [&'static [&'static str]] = &[];
    /// What `vars()` shows of an object: attributes that asyncio's objects have in their `__dict__`.
    const SHOWN: &'static [&'static str] = &[];
    /// The same, where asyncio's objects have the attribute only once there is something to say.
    const SHOWN_WHEN_SET: &'static [&'static str] = &[];
    /// An attribute that is None until `__init__` was called: then `vars()` shows nothing, as on asyncio.
    const NONE_BEFORE_INIT: Option<&'static str> = None;

    /// Bits for what is replaced in other classes, whose methods this one calls.
    fn replaced_elsewhere(_py: Python<'_>) -> Replaced {
        0
    }

    /// Whether methods are [`crate::function::Function`]s: what [`Class::stock`] has in Python.
    const FUNCTIONS: bool = false;
    /// Methods that are there for others to call, and that native code does not call where asyncio does:
    /// replacing one is refused.
    const NOT_CALLED: &'static [&'static str] = &[];
    /// Whether asyncio's functions work on instances of a subclass that has a `__setattr__` or a
    /// `__getattribute__`: these see what the functions do with attributes. All that the functions use must
    /// be there, and be settable.
    const OBSERVABLE: bool = false;
    /// Whether methods look for replacements in [`Class::stock`].
    const STANDS_FOR_STOCK: bool = false;
    /// Whether instances are of classes that derive from that class.
    const DERIVES_FROM_STOCK: bool = false;

    /// The standard library's class that this one stands for. Where that has Python functions, the methods
    /// here look like them, and instances answer `__class__` with it.
    fn stock(_py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        Ok(None)
    }
    /// A class of asyncio's whose methods are attributes of asyncio's objects: that of a Condition's lock.
    /// What such methods here look like.
    fn stock_of_part(_py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        Ok(None)
    }
    /// For a class whose header combines: the native class with whose data its own begins.
    #[inline]
    fn extended() -> Option<Extended<Self>> {
        None
    }
    /// Lists methods, properties and slots.
    fn table(table: &mut Table<Self>);
    /// Shows every reference to the collector.
    fn traverse(&self, visitor: &mut Visitor);
    /// Releases every reference that may be part of a cycle.
    fn clear(&self);
    /// Whether dying now would call for `tp_finalize`; asked so that ordinary deaths skip the resurrection
    /// protocol.
    fn wants_finalizer(&self) -> bool {
        false
    }

    /// The type object.
    fn class(py: Python<'_>) -> Bound<'_, PyType> {
        Self::CLASS.class(py)
    }
}

/// A class whose data begins with the data of class `B`, and whose Python type derives from `B`'s.
///
/// # Safety
/// `Instance<Self>` must begin with the fields of `Instance<B>`.
pub unsafe trait Extends<B: Class>: Class {}

/// Writes `traverse` and `clear` of a class whose references are all in these fields; inside of its
/// `impl Class`.
///
/// Each field has methods of these names itself, as a [`Slot`](crate::Slot) has. A class that owns references
/// in other ways writes both itself.
///
/// ```ignore
/// references! { callback, context, own.waiter }
/// ```
#[macro_export]
macro_rules! references {
    ($($field:tt $(. $inner:tt)*),* $(,)?) => {
        fn traverse(&self, visitor: &mut $crate::Visitor) {
            _ = visitor;
            $(self.$field $(. $inner)*.traverse(visitor);)*
        }

        fn clear(&self) {
            $(self.$field $(. $inner)*.clear();)*
        }
    };
}

/// Writes `CLASS` and `stock` of a class that stands for a class of the standard library; inside of its
/// `impl Class`.
///
/// ```ignore
/// stands_for! { LOCK, stock::lock }
/// ```
#[macro_export]
macro_rules! stands_for {
    ($state:ident, $($stock:ident)::+) => {
        const CLASS: &'static $crate::ClassState = &$state;

        fn stock(
            py: ::pyo3::Python<'_>,
        ) -> ::pyo3::PyResult<Option<&::pyo3::Bound<'_, ::pyo3::types::PyType>>> {
            $($stock)::+(py).map(Some)
        }
    };
}

/// Declares the data of a class that derives from a native class: first the data of that, then its own.
///
/// ```ignore
/// derived! {
///     /// A future that runs a coroutine.
///     pub struct Task { base: Future, own: TaskState }
/// }
/// ```
#[macro_export]
macro_rules! derived {
    ($(#[$attribute:meta])* $vis:vis struct $name:ident { base: $base:ty, own: $own:ty }) => {
        $(#[$attribute])*
        #[derive(Default)]
        #[repr(C)]
        $vis struct $name {
            /// The base class's data.
            $vis base: $base,
            /// The derived class's own.
            $vis own: $own,
        }

        // The data of both begins at the same place in an object.
        const _: () = assert!(align_of::<$name>() == align_of::<$base>());

        // SAFETY: both instances are repr(C) with equal headers and data of equal alignment, and `base` is
        // the first field of the data.
        unsafe impl $crate::class::Extends<$base> for $name where
            $name: $crate::class::Class<Header = <$base as $crate::class::Class>::Header>
        {
        }
    };
}
