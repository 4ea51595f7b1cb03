//! Native classes: their layout, allocation, life and death, built from one declarative [`Table`] each.
//!
//! A class is a Rust struct with interior mutability (cells and [`super::Slot`]s) plus `impl Class`. Its
//! `table` lists name, calling convention and safe Rust function of every method, property and slot;
//! everything else (allocation through a freelist, collection, weak references, finalisation with
//! resurrection, subclassing from Python) is in the files of this folder, once. They stand in this order, and
//! each uses those before it:
//!
//! - [`header`]: what stands between the head of an object and its data; [`state`]: the static of each class
//! - [`table`]: the lists that a class consists of; [`definition`]: the trait [`Class`]
//! - [`layout`]: where in an object the data is; [`object`]: references to objects of a class
//! - [`allocation`] and [`deallocation`]: how objects are made, collected and freed
//! - [`methods`], [`slots`] and [`identity`]: what can be listed; `likeness`: the texts of asyncio's C
//!   functions; [`build`]: the type object is made

pub mod allocation;
pub mod build;
pub mod deallocation;
pub mod definition;
pub mod header;
pub mod identity;
pub mod layout;
mod likeness;
pub mod methods;
pub mod object;
pub mod slots;
pub mod state;
pub mod table;

pub use allocation::Create;
pub use build::{hide_slots, refuse_subclasses};
pub use definition::{Class, Extends};
pub use header::{AfterSlots, Callable, DictAndWeak, Header, Plain, Weak};
pub use identity::isinstance_class;
pub use methods::function;
pub use object::{Obj, know_derived};
pub use slots::make_callable;
pub use state::{ClassState, is_native, put_in_place};
pub use table::Table;
