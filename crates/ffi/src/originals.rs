//! What Python code has replaced of a native class: in the class itself, in a subclass, or in the class of
//! asyncio's that it stands for. The one answer to that question: class files ask
//! [`Obj::is_native`](super::Obj::is_native), or [`Obj::replaced`](super::Obj::replaced) for single names.
//!
//! Every class has a version tag, which no other class has and which changes with the class and with each of
//! its bases. What was found out about a class is kept with its tag, so asking again is two loads and a
//! comparison. Finding out compares what the class has under each name with what the native class had when
//! the module was made ([`mod@remember`]), so it is exact, and what was replaced and put back counts as never
//! replaced. A class without a tag (newer interpreters give a class only so many) is looked at each time.

pub(crate) mod natives;
pub mod questions;
pub mod remember;
pub mod state;

pub use questions::{is_known, nearest, replaced_base_inits, replaced_in, replaced_in_base};
pub use remember::remember;
pub use state::{INIT, NOT_CALLED, ORDER, Replaced};
