//! What the kernel says of the threads of this process: their numbers, the processor time that each has used,
//! and whether one is blocked in a system call. Any thread may ask, with or without the interpreter. And how a
//! thread is started that burdens the others least. Called by what yibu-python has for observers.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::op::Fd;

/// The number of a thread, as the kernel and `threading.get_native_id()` have it.
pub type ThreadId = i32;

thread_local! {
    static CURRENT: Cell<ThreadId> = const { Cell::new(0) };
    static IS_MAIN: Cell<Option<bool>> = const { Cell::new(None) };
}

/// The number of this thread. The kernel is asked once.
#[inline]
pub fn current() -> ThreadId {
    let known = CURRENT.get();
    if known != 0 { known } else { ask_current() }
}

#[cold]
fn ask_current() -> ThreadId {
    // SAFETY: the call has no arguments and cannot fail.
    let number = unsafe { libc::syscall(libc::SYS_gettid) } as ThreadId;
    CURRENT.set(number);
    number
}

/// Whether this is the thread that the process began with; in the child of a fork, the thread that forked.
/// The kernel is asked once.
#[inline]
pub fn is_main() -> bool {
    let is_main = IS_MAIN.get().unwrap_or_else(|| current().cast_unsigned() == std::process::id());
    IS_MAIN.set(Some(is_main));
    is_main
}

/// The child of a fork is another thread to the kernel.
pub fn after_fork_in_child() {
    CURRENT.set(0);
    IS_MAIN.set(None);
}

/// The processor time that a thread of this process has used; `None` when the thread has ended.
pub fn cpu_time(thread: ThreadId) -> Option<Duration> {
    // How the kernel names the clock of a thread: the number inverted, then "of a thread" (4) and "scheduled
    // time" (2).
    let clock = (!thread << 3) | 6;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a place for the answer; a clock that does not exist is refused with an error.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return None;
    }
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// Starts a thread for work that needs no descriptor but `kept`. It gets a table of descriptors of its own,
/// where the kernel can do that: while threads share a table, each system call of each of them counts its
/// descriptor up and down.
///
/// The thread must never run Python: objects of the program that it freed would close numbers of the wrong
/// table. It gets no signals, whose handlers may write to descriptors.
pub fn spawn_apart(
    name: &str,
    kept: Option<Fd>,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let before = block_signals();
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        leave_descriptors(kept);
        work();
    });
    unblock_signals(&before);
    started
}

/// Blocks all signals in this thread, and so in those that it starts. Returns the mask that there was.
fn block_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both are places for a set of signals, and a set of zeros is one. The first call fills the one, the
    // second the other.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn unblock_signals(before: &libc::sigset_t) {
    // SAFETY: sets the mask of this thread to one that it had; no former mask is wanted.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

/// Gives this thread a table of its own with one descriptor at most. Kernels before 5.9 refuse, and so do some
/// sandboxes: then the table stays shared and as it is.
fn leave_descriptors(kept: Option<Fd>) {
    const LAST: libc::c_uint = libc::c_uint::MAX;
    let close = |first: libc::c_uint, last: libc::c_uint, flags: libc::c_uint| {
        // SAFETY: closes descriptors of a table that nobody else has: with the flag the kernel makes it before
        // it closes any, and refuses what it does not know. Without the flag the call follows one with it.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) == 0 }
    };
    match kept.and_then(|fd| libc::c_uint::try_from(fd).ok()) {
        None => {
            close(0, LAST, libc::CLOSE_RANGE_UNSHARE);
        }
        Some(0) => {
            close(1, LAST, libc::CLOSE_RANGE_UNSHARE);
        }
        Some(fd) => {
            if close(0, fd - 1, libc::CLOSE_RANGE_UNSHARE) {
                close(fd + 1, LAST, 0);
            }
        }
    }
}

/// The threads of this process; none where `/proc` is missing.
pub fn all() -> Vec<ThreadId> {
    let Ok(folder) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// What a thread does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It runs, or would if it had a processor.
    Runs,
    /// It waits for a futex: for the interpreter, a lock or another thread.
    Futex,
    /// It is blocked in another system call.
    Blocked,
    /// The kernel does not say.
    Unknown,
}

/// What a thread of this process does at the moment.
pub fn activity(thread: ThreadId) -> Activity {
    let folder = format!("/proc/self/task/{thread}");
    if let Ok(call) = std::fs::read_to_string(format!("{folder}/syscall")) {
        let word = call.split_whitespace().next();
        return match word.and_then(|number| number.parse::<libc::c_long>().ok()) {
            Some(libc::SYS_futex) => Activity::Futex,
            Some(_) => Activity::Blocked,
            None if word == Some("running") => Activity::Runs,
            None => Activity::Unknown,
        };
    }
    // Kernels that keep the number of the call to themselves tell the state of the thread.
    let Ok(status) = std::fs::read_to_string(format!("{folder}/stat")) else { return Activity::Unknown };
    match status.rsplit_once(") ").map(|(_, rest)| rest.starts_with('R')) {
        Some(true) => Activity::Runs,
        _ => Activity::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn threads_are_listed_and_have_clocks() {
        let me = current();
        assert!(all().contains(&me));
        let before = cpu_time(me);
        assert!(before.is_some());
        while cpu_time(me) == before {}
        assert!(cpu_time(me) > before);
        assert!(thread::spawn(move || current() != me).join().is_ok_and(|differs| differs));
        assert!(thread::spawn(|| !is_main()).join().is_ok_and(|differs| differs));
    }

    #[test]
    fn a_thread_apart_closes_nothing_of_others() {
        let (mut reader, mut writer) = io::pipe().expect("a pipe");
        let file = std::fs::File::open("/dev/null").expect("a file");
        let (number, kept) = (file.as_raw_fd(), writer.as_raw_fd());
        let work = move || {
            // SAFETY: the pipe stays open in the other thread until this one has ended.
            let writer = unsafe { BorrowedFd::borrow_raw(kept) };
            assert_eq!(rustix::io::write(writer, b"a").ok(), Some(1));
            // SAFETY: asks about a number, open or not.
            let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
            let is_shared = std::fs::read_dir("/proc/thread-self/fd").map_or(true, |fds| fds.count() > 2);
            assert_eq!(flags >= 0, is_shared);
        };
        assert!(spawn_apart("apart", Some(kept), work).is_ok_and(|thread| thread.join().is_ok()));
        assert!(spawn_apart("alone", None, || {}).is_ok_and(|thread| thread.join().is_ok()));
        assert!(file.metadata().is_ok());
        writer.write_all(b"b").expect("still open");
        drop(writer);
        let mut all = Vec::new();
        assert_eq!(reader.read_to_end(&mut all).ok(), Some(2));
        assert_eq!(all, b"ab");
    }

    #[test]
    fn what_a_thread_does_is_told() {
        assert!(matches!(activity(current()), Activity::Runs | Activity::Blocked | Activity::Unknown));
        let (send, receive) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let waiter = thread::spawn(move || {
            assert!(send.send(current()).is_ok());
            assert!(ended.recv().is_err());
        });
        let number = receive.recv().unwrap_or(0);
        let waits = || matches!(activity(number), Activity::Futex | Activity::Unknown);
        assert!((0..1000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            waits()
        }));
        drop(end);
        assert!(waiter.join().is_ok());
    }
}
