//! What the kernel says of the threads of this process: their numbers, the processor time that each has used,
//! and whether one is blocked in a system call. Any thread may ask, with or without the interpreter. Called
//! by the watchdog of yibu-python.

use std::cell::Cell;
use std::time::Duration;

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
    use std::sync::mpsc;
    use std::thread;

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
