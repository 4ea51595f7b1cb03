//! The loop without its methods: what is ready, what is due, whose the kernel's operations are, and the order
//! of a turn.
//!
//! The core knows no future, task, transport, stream or lock. What they have to run, to schedule or to wait
//! for reaches the core as a reference and a static table of functions, which each of them declares in its
//! own file: [`EntryKind`], [`TimerKind`], [`OwnerKind`], [`Reaction`]. Adding a kind changes no file here.
//! The methods of the class are in `event_loop`, above all of them.

pub mod after_entry;
pub mod clock;
pub mod contexts;
pub mod current;
pub mod entry;
pub mod event_loop;
pub mod naming;
mod noted_task;
pub mod operation;
pub mod overridable;
pub mod overridden;
pub mod parts;
pub mod recording;
pub mod timer;
pub mod tracing;
pub mod turn;
pub mod watched;

pub use clock::{is_due, now, seconds};
pub use contexts::Copied;
pub use entry::{
    Callable, Entry, EntryKind, Message, Other, Reaction, Runnable, mismatch, named, no_callable, typed,
    unnamed,
};
pub use event_loop::{Engine, EventLoop, Observation, Services};
pub use operation::{Kernel, Owner, OwnerKind, Report, Waiting, finish, ignore_replacement};
pub use overridable::{Overridable, bit};
pub use overridden::Overrides;
pub use parts::Part;
pub use timer::{Scheduled, TimerKind};
