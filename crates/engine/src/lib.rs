//! The event loop of yibu without Python.
//!
//! [`EventLoop`] owns the parts of one turn, each in a file of its own: the ring of what is [`ready`], the
//! [`timers`], the [`inbox`] for other threads, and the driver (the kernel, see `yibu-driver`). What an
//! entry, a timer or the owner of an operation *is* stays open: the embedder says so by implementing
//! [`Host`]. Nothing here calls back: state changes return what has to be done, and the embedder does it with
//! no borrow held. Called by yibu-python; calls yibu-driver.

#![forbid(unsafe_code)]

pub mod backlog;
mod buffer_pool;
pub mod event_loop;
pub mod inbox;
pub mod inet_text;
mod pieces;
pub mod ready;
pub mod separators;
pub mod timers;
mod together;
pub mod transport;
pub mod wait_queue;
mod waves;
pub mod worker_pool;

pub use event_loop::{EventLoop, Host, PARK_MAX, Plan};
pub use inbox::Inbox;
pub use pieces::Pieces;
pub use ready::Ready;
pub use timers::{Cancelled, Timers};
pub use together::Together;
pub use wait_queue::{Ticket, WaitQueue};
pub use worker_pool::WorkerPool;
pub use yibu_driver::{
    Driver, Faults, Fd, Interest, Lease, MAX_RECEIVE, Op, OpId, Outcome, SendingFile, SocketAddrAny, Traffic,
    Wait, Waker, faults_struck, is_again,
};
