//! A trace: what loops do, step by step, in a file that Perfetto shows.
//!
//! A loop asks its [`Steps`] what is to be recorded and pushes that into the [`Ring`]; a thread of its own
//! takes it out, and [`Story`] makes the text of the file of it.

mod heads;
mod json;
mod number;
mod ring;
mod steps;
mod story;

pub use ring::{Kind, NO_NAME, OTHER_NAME, Record, Ring, halves, now};
pub use steps::{Arrival, Origin, Readiness, Step, Steps, Subject, View};
pub use story::Story;
