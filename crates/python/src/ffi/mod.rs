//! The only room of this crate that speaks the C API.
//!
//! It turns raw objects into a few safe tools, which every class file uses and none of them re-invents:
//! owned references ([`Ref`], [`Slot`]), native classes built from one table each ([`Class`], [`Obj`]), argument
//! parsing ([`Args`], [`Signature`]), calls, contexts, coroutine sends, buffers and caught exceptions.
//! Called by every other file of the crate; calls `pyo3::ffi` only.
//!
//! Two invariants hold everywhere in here, and SAFETY notes refer to them by name.
//! - **attached**: the code runs on a thread attached to the interpreter, because CPython called it (a slot, a
//!   method) or because it was given a `Python<'py>` token by code that was. [`Ref`] is not `Send`, so it cannot leave
//!   such a thread except through [`SendRef`], which is only opened with a token.
//! - **layout**: an object whose type is, or derives from, `T`'s type object has [`Instance<T>`]'s layout, because
//!   only [`Class::create`] and `tp_new` of that type make such objects, and both initialise `data`. An object of a class that
//!   [`combined`] serves has the header, which leads to the data.

#![allow(unsafe_code, reason = "this room exists to hold it")]

pub mod args;
pub mod audit;
pub mod buffer;
pub mod bytes;
pub mod call;
pub mod cell;
pub mod class;
pub mod closure;
pub mod combined;
pub mod context;
pub mod depth;
#[cfg(not(Py_3_14))]
pub mod dict;
pub mod directory;
pub mod frame;
pub mod function;
pub mod gc;
pub mod interpreter;
pub mod make;
pub mod metaclass;
pub mod openssl;
pub mod origin;
pub mod originals;
pub mod parent;
pub mod raised;
pub mod reference;
pub mod registry;
pub mod send;
pub mod stand_ins;
mod stop;
pub mod thread;
pub mod trampoline;
pub mod versions;

pub use args::{Args, Signature};
pub use cell::LoopCell;
pub use class::{Class, ClassState, Obj, Table};
pub use directory::{Directory, Listing};
pub use gc::Visitor;
pub use raised::Raised;
pub use reference::{Ref, SendRef, Slot, again};
pub use registry::{Registration, Registry};

use pyo3::prelude::*;

/// What every function in a class table returns.
pub type Output<'py> = PyResult<Bound<'py, PyAny>>;

/// `None` as an owned object.
#[inline]
pub fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// A Python bool as an owned object.
#[inline]
pub fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    pyo3::types::PyBool::new(py, value).to_owned().into_any()
}
