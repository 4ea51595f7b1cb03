//! [`Ring`]: one ring of the kernel, the thread that alone may enter it, and the probe that says whether this
//! kernel and this sandbox have what the driver needs. Used by the io_uring driver; calls the kernel.
//!
//! With `SINGLE_ISSUER` and `DEFER_TASKRUN` the kernel does the work of a request, and posts its completions,
//! only while the thread that made the ring is inside `io_uring_enter`. Without these flags a ring costs more
//! than epoll does, so a kernel that lacks them (before Linux 6.1) gets epoll.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ::io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue};

use super::buffers::{COUNT, Memory, Provided};
use crate::memory;
use crate::op::Fd;

/// Entries that wait for the next `io_uring_enter`. When the queue is full, it is submitted.
const SUBMISSIONS: u32 = 256;

/// Completions that the kernel can keep in the ring. More than there are buffers, so that no received byte is
/// ever in a completion that the kernel has to keep elsewhere.
const COMPLETIONS: u32 = 4096;

/// The group of the provided buffers.
pub(super) const BUFFERS: u16 = 0;

/// The number of the calling thread, which no other thread of the process ever has.
pub(super) fn here() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

/// A completion, taken off the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) key: u64,
    pub(super) result: i32,
    pub(super) flags: u32,
}

impl Completion {
    /// Whether the request posts more completions: the last one of each request says no, exactly once.
    pub(super) fn is_final(self) -> bool {
        !cqueue::more(self.flags)
    }

    /// The provided buffer that the kernel took.
    pub(super) fn buffer(self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// What the kernel knows the address of, and the ring that tells it. A wait has a share in it, because a
/// thread may be inside the kernel when the driver goes.
pub(super) struct Kernel {
    // The first field: the ring is closed before the memory is freed.
    pub(super) uring: IoUring,
    _memory: Arc<Memory>,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernel({})", self.uring.as_raw_fd())
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ring {
    kernel: Arc<Kernel>,
    owner: u64,
}

/// Why this process cannot have a ring; `None` where it can. The kernel is asked once.
pub(crate) fn refusal() -> Option<io::Error> {
    static REFUSAL: OnceLock<Option<(Option<i32>, String)>> = OnceLock::new();
    let (number, text) = REFUSAL.get_or_init(|| probe().err().map(described)).as_ref()?;
    Some(match number {
        Some(number) => io::Error::from_raw_os_error(*number),
        None => io::Error::new(io::ErrorKind::Unsupported, text.clone()),
    })
}

fn described(error: io::Error) -> (Option<i32>, String) {
    (error.raw_os_error(), error.to_string())
}

fn probe() -> io::Result<()> {
    let mut provided = Provided::new().ok_or_else(memory::exhausted)?;
    let ring = Ring::new(&mut provided, |_| false)?;
    let mut probe = Probe::new();
    ring.kernel.uring.submitter().register_probe(&mut probe)?;
    let needed = [opcode::Recv::CODE, opcode::PollAdd::CODE, opcode::AsyncCancel::CODE];
    if !needed.iter().all(|code| probe.is_supported(*code))
        || !ring.kernel.uring.params().is_feature_ext_arg()
    {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel lacks operations of io_uring"));
    }
    Ok(())
}

impl Ring {
    /// A ring of the calling thread, which fills the buffers that are free.
    pub(super) fn new(provided: &mut Provided, in_use: impl Fn(u16) -> bool) -> io::Result<Self> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_defer_taskrun()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        let memory = provided.memory();
        let kernel = Kernel { uring, _memory: memory };
        provided.restart(in_use);
        // SAFETY: the queue has COUNT entries. It lives in the memory that `kernel` keeps until after the
        // ring is closed.
        unsafe {
            let address = provided.memory().queue_address();
            kernel.uring.submitter().register_buf_ring_with_flags(address, COUNT, BUFFERS, 0)?;
        }
        Ok(Self { kernel: Arc::new(kernel), owner: here() })
    }

    /// Whether the calling thread may enter the ring.
    #[inline]
    pub(super) fn is_here(&self) -> bool {
        self.owner == here()
    }

    pub(super) const fn owner(&self) -> u64 {
        self.owner
    }

    pub(super) fn kernel(&self) -> Arc<Kernel> {
        Arc::clone(&self.kernel)
    }

    /// Appends a request, which the kernel gets at the next `enter`.
    ///
    /// # Safety
    /// Memory that the request names is valid until its final completion.
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: `self` is exclusive, and a wait never touches the queue while the driver may, so this
            // is the only queue object. The entry's memory is the caller's promise.
            if unsafe { self.kernel.uring.submission_shared().push(entry) }.is_ok() {
                return Ok(());
            }
            self.enter()?;
        }
    }

    /// Whether an `enter` would do anything: requests wait, or the kernel has work to do for those it has.
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        // SAFETY: as in `push`; the object is dropped at once.
        let queue = unsafe { self.kernel.uring.submission_shared() };
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
    }

    /// Submits what waits and lets the kernel do its work, without blocking. Only in the owner's thread.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        self.kernel.enter_without_blocking()
    }

    /// Takes the completions off the ring; works in every thread.
    pub(super) fn take(&mut self, into: &mut Vec<Completion>) {
        // SAFETY: `self` is exclusive, and a wait never touches the queue, so this is the only queue object.
        let queue = unsafe { self.kernel.uring.completion_shared() };
        into.extend(queue.map(|entry| Completion {
            key: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }
}

impl Kernel {
    /// See [`Ring::enter`].
    pub(super) fn enter_without_blocking(&self) -> io::Result<()> {
        // SAFETY: the length is only read; see `Ring::push` for why no other queue object writes meanwhile.
        let count = unsafe { self.uring.submission_shared().len() } as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: no argument is passed, and the memory of submitted requests is the promise of
        // `Ring::push`'s callers.
        unpressed(unsafe { self.uring.submitter().enter::<libc::sigset_t>(count, 0, flags, None) })
    }

    pub(super) fn descriptor(&self) -> Fd {
        self.uring.as_raw_fd()
    }
}

/// A time-out, a signal, and a kernel that wants its completions taken first are no errors of an `enter`.
pub(super) fn unpressed(entered: io::Result<usize>) -> io::Result<()> {
    match entered {
        Err(error)
            if !matches!(
                error.raw_os_error(),
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
