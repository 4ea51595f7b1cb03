//! What is seen of running loops, without Python.
//!
//! [`Counters`] and [`Pulse`] are what every loop counts. A [`Watched`](blocked::Watched) is a loop that a
//! watchdog looks at. [`Marks`] and [`Observation`] are the use of functions, while loops are observed; a
//! [`trace`] is everything that loops do. Nothing here calls back. Called by yibu-python, above all by the
//! core's turn; calls yibu-driver for what the kernel knows of threads.

#![forbid(unsafe_code)]

pub mod blocked;
mod counters;
pub mod histogram;
mod marks;
mod observation;
mod pulse;
mod stop;
mod tallies;
pub mod trace;
mod uptime;

pub use counters::Counters;
pub use marks::{LagMark, Marks, TICK, birth, lifetime, tick};
pub use observation::{Ending, Function, Observation};
pub use pulse::{Pulse, Snapshot};
pub use stop::Stop;
pub use tallies::Tallies;
pub use uptime::nanoseconds;
