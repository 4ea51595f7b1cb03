//! Native classes of which a Python class may inherit several at once, as it may from Python classes: the
//! memory of their instances.
//!
//! The interpreter lets a class have two native bases only where both lay out their instances alike. So the
//! classes whose header is [`Combinable`] derive from [`Base`] and add nothing to it. The data of the class
//! that makes an object lies behind the object, and a word of the header says whose data that is. Data of
//! further bases is made when it is first asked for, on the heap, and the header leads to all of them; so the
//! making of a subclass need not know of it, and `object.__class__ = Other` needs no care. Where a subclass
//! has slots, or made the object without a native class knowing, all data is made so.
//!
//! Memory comes from `tp_alloc`, so there is no `__new__` but `object`'s, as in asyncio.
//!
//! [`header`]: what an object consists of; [`data`]: finding the data of a class in it; [`creation`], with
//! memory from `memory.rs`, and [`life`]: how it is made, collected and freed; [`base`]: the class that all
//! derive from. Called by [`super::class`]; calls the interpreter.

pub mod base;
pub mod creation;
pub mod data;
pub mod extended;
pub mod functions;
pub mod header;
pub mod life;
mod memory;

pub use base::Base;
pub use extended::Extended;
pub use header::Combinable;
