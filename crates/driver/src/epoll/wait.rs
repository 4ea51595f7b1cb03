//! Waiting for events of an epoll descriptor. Called by the epoll driver and, with the interpreter released,
//! by [`Wait`](crate::Wait); calls the kernel.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::direct;

/// One event as the kernel writes it. (That of rustix may hold a pointer and cannot go to another thread.)
pub(crate) type Event = libc::epoll_event;

/// Events fetched by one system call; more wait in the kernel for the next.
const EVENTS_PER_WAIT: usize = 1024;

/// The epoll descriptor and room for its events.
#[derive(Debug)]
pub(crate) struct EpollWait {
    pub(crate) epoll: Arc<OwnedFd>,
    pub(crate) events: Vec<Event>,
    /// The latest change of a registration that the events can know of.
    pub(crate) stamp: u32,
}

impl EpollWait {
    /// The epoll descriptor, which becomes readable when blocking would end.
    pub(crate) fn descriptor(&self) -> i32 {
        self.epoll.as_raw_fd()
    }

    /// Nothing was asked: the events are those of an earlier wait.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
    }

    /// Blocks for `timeout` at most.
    pub(crate) fn block(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        wait(&self.epoll, &mut self.events, timeout)
    }
}

/// Fetches events into the emptied `events`, blocking for `timeout` at most.
pub(crate) fn wait(epoll: &OwnedFd, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
    events.clear();
    events.reserve(EVENTS_PER_WAIT);
    let result = match timeout {
        None => pwait(epoll, events, -1),
        Some(Duration::ZERO) => pwait(epoll, events, 0),
        Some(timeout) => wait_nanoseconds(epoll, events, timeout),
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// Waits with the clock's own resolution where the kernel can (Linux 5.11), else rounds up to milliseconds.
fn wait_nanoseconds(epoll: &OwnedFd, events: &mut Vec<Event>, timeout: Duration) -> io::Result<()> {
    static LACKS_PWAIT2: AtomicBool = AtomicBool::new(false);
    if !LACKS_PWAIT2.load(Ordering::Relaxed) {
        match pwait2(epoll, events, timeout) {
            // A sandbox answers EPERM to calls that it does not know.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                LACKS_PWAIT2.store(true, Ordering::Relaxed);
            }
            result => return result,
        }
    }
    pwait(epoll, events, whole_millis(timeout))
}

/// At least `timeout`; where that is no `int`, the longest there is, for waking up with nothing to report is
/// allowed.
fn whole_millis(timeout: Duration) -> libc::c_int {
    timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX)
}

fn pwait(epoll: &OwnedFd, events: &mut Vec<Event>, millis: libc::c_int) -> io::Result<()> {
    let fetched = direct::epoll_wait(epoll.as_fd(), events.spare_capacity_mut(), millis)?;
    // SAFETY: the vector was empty, and the kernel has just written that many events to its storage.
    unsafe { events.set_len(fetched) };
    Ok(())
}

/// `epoll_pwait2`, through its number because older C libraries lack it.
fn pwait2(epoll: &OwnedFd, events: &mut Vec<Event>, timeout: Duration) -> io::Result<()> {
    /// `struct __kernel_timespec`.
    #[repr(C)]
    struct KernelTimespec {
        sec: i64,
        nsec: i64,
    }
    let timeout = KernelTimespec {
        sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nsec: timeout.subsec_nanos().into(),
    };
    let (room, capacity) = (events.as_mut_ptr(), room_for(events));
    let no_mask = ptr::null::<libc::sigset_t>();
    // SAFETY: the kernel reads `timeout`, which has its layout and outlives the call, and writes at most
    // `capacity` whole events to the vector's own storage. No signal mask is given, so its size is not looked
    // at.
    let fetched = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            room,
            capacity,
            &raw const timeout,
            no_mask,
            0usize,
        )
    };
    // SAFETY: see above.
    unsafe { take_events(events, fetched) }
}

fn room_for(events: &Vec<Event>) -> libc::c_int {
    events.capacity().try_into().unwrap_or(libc::c_int::MAX)
}

/// Takes the kernel's answer.
///
/// # Safety
/// When `fetched` is not negative, the kernel has just written that many events to the storage of `events`,
/// and no more than its capacity.
unsafe fn take_events(events: &mut Vec<Event>, fetched: libc::c_long) -> io::Result<()> {
    let Ok(fetched) = usize::try_from(fetched) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the caller's promise.
    unsafe { events.set_len(fetched) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_round_up_and_stop_at_the_longest() {
        assert_eq!(whole_millis(Duration::from_nanos(1)), 1);
        assert_eq!(whole_millis(Duration::from_millis(3)), 3);
        assert_eq!(whole_millis(Duration::from_micros(3001)), 4);
        assert_eq!(whole_millis(Duration::MAX), libc::c_int::MAX);
    }
}
