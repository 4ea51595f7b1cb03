//! From CPython's calling conventions to safe Rust functions and back.
//!
//! Every `extern "C"` function of the crate is made here. Each one catches panics (they become
//! `SystemError`-like exceptions, never an abort), turns `Err` into the interpreter's current exception, and
//! lends its arguments without counting references. The Rust function is a type parameter of zero size, so a
//! table entry costs no indirection.

pub mod borrowing;
pub mod guard;
pub mod methods;
pub mod slots;

pub use borrowing::Stateless;
pub(crate) use guard::guard;
pub use guard::{caught, print_no_lack_of_memory};
pub(crate) use methods::{fast, noargs, one, vectorcall};
pub(crate) use slots::{
    compare, construct, descr_get, finalize, getter, hash, init, invoke, item, next, repr, send, setattr,
    setter, slot, unary,
};
