//! The interface between the event loop and the kernel.
//!
//! [`Driver`] is an enum of drivers with one `match` per method; the engine does not know which one runs. The
//! engine submits operations, waits, and finishes what a wait reported. Called by yibu-engine; calls the
//! kernel. Unsafe code that faces the kernel lives in this crate only.
//!
//! ```text
//! submit ──► (begin_wait, block, end_wait | poll_now) ──► finish ──► recycle
//!    └───────────────────────── cancel ────────────────────────┘
//! ```
//!
//! # What every driver owes the engine
//!
//! The interface has the shape of completions, because a driver for readiness can imitate completions and not
//! the reverse.
//!
//! 1. *One operation a side.* A descriptor carries at most one read-side and one write-side operation; a
//!    second submission on a side fails with `AlreadyExists`. What the kernel cannot watch fails at
//!    submission with the kernel's error (a regular file: `EPERM`).
//! 2. *Reports run nothing.* A wait only names operations that can be finished, in the kernel's order. A
//!    report may be spurious; `finish` then says [`Outcome::Again`], except of `Poll`, which says `Ready`
//!    whatever was reported.
//! 3. *Finishing is repeatable.* `finish` on an armed operation takes the next outcome there is, reported or
//!    not, and `Again` when there is none. So an owner may take several connections after one report.
//! 4. *Level-triggered.* What was reported and not taken is reported at the next wait again.
//! 5. *Cancel is synchronous.* After `cancel`, or in a report fetched before it, the identifier is stale: it
//!    is not reported, `finish` says `None` and `cancel` says `false`. A driver whose kernel still uses a
//!    buffer keeps that buffer itself until the kernel is done.
//! 6. *Stale means stale.* No event of an earlier registration reaches the next owner of a descriptor's
//!    number, nor the next operation in a slot.
//! 7. *Final outcomes.* After [`Outcome::Eof`] and [`Outcome::Failed`] the operation is over, yet it is its
//!    owner who cancels it, before the next wait. A failed `RecvFrom` goes on.
//! 8. *Closed without cancel.* When an owner closes a descriptor with operations on it, the operations are
//!    not reported any more, and operations on the next file of that number can be submitted. Cancelling them
//!    is still the owner's duty.
//! 9. *Leases.* Received bytes stay where they are until `recycle`. Buffers are freed after the kernel object
//!    is closed.
//! 10. *Waits.* While a [`Wait`] is out, other threads may submit and cancel; such a submission can end the
//!     wait. A wait never ends before its time-out for lack of precision, and may end early with nothing to
//!     report (a signal).
//! 11. *Wakers.* A wake ends the wait under way or the next one that blocks. A wait that does not block may
//!     swallow it: look at what was posted after every wait, and between making known that the loop is parked
//!     and blocking.
//! 12. *Laziness.* A driver that never submitted, never blocked and gave out no waker has asked the kernel
//!     for nothing.
//! 13. *Activity.* `take_activity` tells whether descriptors were submitted, cancelled, written to, shut down
//!     or closed since it was last asked: then the kernel may have something new to say.
//! 14. *Forks.* After `after_fork_in_child` every identifier is stale, wakers wake the child, and the parent
//!     notices nothing.

mod buffers;
mod clock;
mod direct;
mod driver;
mod epoll;
mod faults;
mod fd_table;
pub mod files;
mod io_uring;
pub mod memory;
mod op;
mod sending_file;
mod sim;
pub mod sockets;
mod sys;
pub mod threads;
mod traffic;
mod wait;
mod waker;

pub use driver::{Driver, MAX_PIECES, MAX_RECEIVE};
pub use epoll::Epoll;
pub use faults::{Faults, faults_struck};
pub use io_uring::Uring;
pub use op::{Fd, Interest, Lease, Op, OpId, Outcome, SocketAddrAny, is_again};
pub use sending_file::SendingFile;
pub use sim::{Peer, Sim, SimNet};
pub use traffic::Traffic;
pub use wait::Wait;
pub use waker::Waker;
