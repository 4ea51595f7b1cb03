//! `Function`: a native function that looks and behaves like the Python function that asyncio has in its
//! place, its counterpart.
//!
//! Calls go straight to the Rust code, by one of the functions below for each calling convention. All that
//! can be asked of a function is answered as the counterpart answers it, or as the program has set it
//! (`attributes`). Calls that the fast way does not take (a keyword for a parameter that a C function does
//! not name, a wrong number of arguments) are bound to parameters by the interpreter itself (`binding`), so
//! they do and say what they do and say to a Python function.
//!
//! [`Table::build`](super::Table::build) makes them of the methods of a class (`making`),
//! [`super::class::function`] those of modules.

mod attributes;
mod binding;
pub(crate) mod calls;
pub mod data;
pub(crate) mod making;
pub mod naming;
mod type_object;

pub use data::{Counterpart, Function, Lookups};
