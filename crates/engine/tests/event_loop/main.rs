//! The event loop on the simulated kernel: the order of a turn, when the kernel is asked, messages, owners of
//! operations.

mod inbox;
mod machine;
mod operations;
mod polling;
mod turn;
mod waves;
