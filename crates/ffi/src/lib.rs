//! Native classes for CPython in safe Rust, and the other uses that yibu makes of the C API.
//!
//! A native class is a Rust struct with interior mutability and an `impl` [`Class`]: its name, what precedes
//! its data in an object ([`class::header`]), a table of methods, properties and slots, and what the garbage
//! collector has to see. Each entry of the table is a safe Rust function, which is a type parameter of the
//! `extern "C"` function that the interpreter calls: no pointer to it is kept and nothing is dispatched.
//! Objects come from a freelist, can be weakly referenced, subclassed and resurrected.
//!
//! ```ignore
//! #[derive(Default)]
//! struct Counter {
//!     count: Cell<usize>,
//!     label: Slot,
//! }
//!
//! static COUNTER: ClassState = ClassState::new();
//! const ADD: Signature<2> = Signature::new("Counter.add", "amount, times=1");
//!
//! fn add<'py>(counter: &Obj<'py, Counter>, args: Args<'_, 'py>) -> Output<'py> {
//!     let [amount, times] = args.parse(&ADD)?;
//!     let times = if times.is_none() { 1 } else { times.extract()? };
//!     counter.count.set(counter.count.get() + amount.extract::<usize>()? * times);
//!     Ok(none(counter.py()))
//! }
//!
//! impl Class for Counter {
//!     const NAME: &'static CStr = c"counter.Counter";
//!     type Header = DictAndWeak;
//!
//!     const CLASS: &'static ClassState = &COUNTER;
//!
//!     fn table(t: &mut Table<Self>) {
//!         t.method(&ADD, add, "Adds an amount so many times.");
//!         t.property(c"label", |c| Ok(c.label.get_or_none(c.py())), set_label);
//!     }
//!
//!     fn traverse(&self, visitor: &mut Visitor) {
//!         self.label.traverse(visitor);
//!     }
//!
//!     fn clear(&self) {
//!         self.label.clear();
//!     }
//! }
//!
//! Table::<Counter>::build(py, None)?; // where the module is made
//! ```
//!
//! `examples/counter.rs` is the whole module, with a derived class and one of a combined layout; `tests/ffi`
//! runs it.
//!
//! The files are floors, and each uses only those below it:
//!
//! - [`objects`], [`gc`], [`cell`], [`thread`], [`depth`], [`versions`], [`make`], [`context`], [`buffer`]
//!   and their like: one use of the C API each
//! - [`args`] and [`call`]: arguments in, and calls out; `running`: what asyncio notes in the state of a
//!   thread
//! - [`class`]: layout, table and life of native classes; [`combined`]: those that a Python class may inherit
//!   from together; [`mod@reference`]: what native objects hold of others
//! - [`originals`]: what a program has replaced of a native class
//! - [`trampoline`]: the interpreter's calling conventions
//! - [`function`]: functions that look like the Python ones in whose place they stand; then what makes the
//!   type object
//! - [`redirection`], [`super_methods`], [`weak_set`], [`weak_map`]: what uses classes
//!
//! Of asyncio nothing is known here: what belongs to a class of the standard library is said by
//! [`Class::stock`], and what a function of a module depends on by [`function::Lookups`].
//!
//! Two invariants hold everywhere in here, and SAFETY notes refer to them by name.
//! - **attached**: the code runs on a thread attached to the interpreter, because CPython called it (a slot,
//!   a method) or because it was given a `Python<'py>` token by code that was. [`Ref`] is not `Send`, so it
//!   cannot leave such a thread except through [`SendRef`], which is only opened with a token.
//! - **layout**: an object whose type is, or derives from, `T`'s type object has
//!   [`Instance<T>`](class::layout::Instance)'s layout, because only [`Create::create`] and `tp_new` of that
//!   type make such objects, and both initialise `data`. An object of a class that [`combined`] serves has
//!   the header, which leads to the data.

pub mod args;
pub mod audit;
pub mod buffer;
pub mod bytes;
pub mod call;
pub mod callable;
pub mod cell;
pub mod class;
pub mod closure;
pub mod combined;
pub mod context;
pub mod depth;
#[cfg(not(Py_3_14))]
pub mod dict;
pub mod frame;
pub mod function;
pub mod gc;
pub mod interpreter;
pub mod make;
pub mod metaclass;
pub mod objects;
pub mod openssl;
pub mod origin;
pub mod originals;
pub mod raised;
pub mod redirection;
pub mod reference;
#[cfg(Py_3_14)]
pub mod running;
pub mod send;
mod shown;
pub mod socket;
mod stop_iteration;
pub mod super_methods;
pub mod thread;
pub mod trampoline;
pub mod types;
pub mod versions;
pub mod weak_map;
pub mod weak_set;

pub use args::{Args, Signature, unexpected_keyword};
pub use cell::LoopCell;
pub use class::{Class, ClassState, Create, Obj, Table};
pub use gc::Visitor;
pub use objects::{Output, boolean, new_reference, none, reference_count};
pub use raised::Raised;
pub use reference::{Ref, SendRef, Slot};
pub use weak_map::{WeakMap, WeakMapEntry};
pub use weak_set::{WeakSet, WeakSetEntry};
