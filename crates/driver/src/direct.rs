//! The system calls of every message, made by the processor's instruction in the place of the C library:
//! `recv`, `send`, `read`, `write` and `epoll_pwait`.
//!
//! For the C library these are places where `pthread_cancel` may end a thread. As soon as a process has a
//! second thread, each of them takes some forty instructions more for that, and nothing here is ended so.
//! Where a program has put functions of its own in the place of the C library's, those are called. Record 18
//! says why. Called by the system calls of the epoll driver and by its waits.

use std::ffi::{c_int, c_long, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use self::instruction::call;

/// Receives from a socket.
#[inline]
pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8], flags: c_int) -> io::Result<usize> {
    let (fd, room, length) = (fd.as_raw_fd(), buf.as_mut_ptr(), buf.len());
    // SAFETY: at most `length` bytes are written, which `buf` has. No place for the sender is given.
    unsafe {
        if is_direct() {
            answer(call(libc::SYS_recvfrom, [fd as usize, room as usize, length, flags as usize, 0, 0]))
        } else {
            answer_of_library(libc::recv(fd, room.cast(), length, flags))
        }
    }
}

/// Sends to the peer of a socket.
#[inline]
pub(crate) fn send(fd: BorrowedFd<'_>, data: &[u8], flags: c_int) -> io::Result<usize> {
    let (fd, start, length) = (fd.as_raw_fd(), data.as_ptr(), data.len());
    // SAFETY: at most `length` bytes are read, which `data` has. No address is given.
    unsafe {
        if is_direct() {
            answer(call(libc::SYS_sendto, [fd as usize, start as usize, length, flags as usize, 0, 0]))
        } else {
            answer_of_library(libc::send(fd, start.cast(), length, flags))
        }
    }
}

/// Reads from a descriptor.
#[inline]
pub(crate) fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    let (fd, room, length) = (fd.as_raw_fd(), buf.as_mut_ptr(), buf.len());
    // SAFETY: at most `length` bytes are written, which `buf` has.
    unsafe {
        if is_direct() {
            answer(call(libc::SYS_read, [fd as usize, room as usize, length, 0, 0, 0]))
        } else {
            answer_of_library(libc::read(fd, room.cast(), length))
        }
    }
}

/// Writes to a descriptor.
#[inline]
pub(crate) fn write(fd: BorrowedFd<'_>, data: &[u8]) -> io::Result<usize> {
    let (fd, start, length) = (fd.as_raw_fd(), data.as_ptr(), data.len());
    // SAFETY: at most `length` bytes are read, which `data` has.
    unsafe {
        if is_direct() {
            answer(call(libc::SYS_write, [fd as usize, start as usize, length, 0, 0, 0]))
        } else {
            answer_of_library(libc::write(fd, start.cast(), length))
        }
    }
}

/// Waits for events of an epoll descriptor; the first of `room` are those that the kernel has written.
#[inline]
pub(crate) fn epoll_wait(
    fd: BorrowedFd<'_>,
    room: &mut [MaybeUninit<libc::epoll_event>],
    millis: c_int,
) -> io::Result<usize> {
    let (fd, events) = (fd.as_raw_fd(), room.as_mut_ptr());
    let length = c_int::try_from(room.len()).unwrap_or(c_int::MAX);
    // SAFETY: at most `length` events are written, for which `room` has memory. No set of signals is given, so
    // its size is not looked at.
    unsafe {
        if is_direct() {
            let arguments = [fd as usize, events as usize, length as usize, millis as usize, 0, 0];
            answer(call(libc::SYS_epoll_pwait, arguments))
        } else {
            answer_of_library(libc::epoll_pwait(fd, events.cast(), length, millis, ptr::null()) as isize)
        }
    }
}

/// What the kernel has answered: the last 4095 numbers are errors, negated.
#[inline]
fn answer(answered: isize) -> io::Result<usize> {
    if (-4095..0).contains(&answered) {
        return Err(io::Error::from_raw_os_error(answered.unsigned_abs() as c_int));
    }
    Ok(answered.cast_unsigned())
}

/// What a function of the C library has answered.
#[inline]
fn answer_of_library(answered: isize) -> io::Result<usize> {
    usize::try_from(answered).map_err(|_| io::Error::last_os_error())
}

/// Whether the instruction is used; the C library is asked once.
#[inline]
fn is_direct() -> bool {
    const UNKNOWN: u8 = 0;
    const DIRECT: u8 = 1;
    const BY_LIBRARY: u8 = 2;
    static CHOSEN: AtomicU8 = AtomicU8::new(UNKNOWN);

    #[cold]
    fn choose() -> bool {
        let is_direct = instruction::IS_KNOWN && functions_are_the_librarys();
        CHOSEN.store(if is_direct { DIRECT } else { BY_LIBRARY }, Ordering::Relaxed);
        is_direct
    }

    match CHOSEN.load(Ordering::Relaxed) {
        UNKNOWN => choose(),
        chosen => chosen == DIRECT,
    }
}

/// Whether the five functions are those of the C library, and not those of a library that was loaded before
/// it: a network stack of its own, a checker of memory, a limit of bandwidth.
fn functions_are_the_librarys() -> bool {
    let functions: [*const c_void; 5] = [
        libc::recv as *const c_void,
        libc::send as *const c_void,
        libc::read as *const c_void,
        libc::write as *const c_void,
        libc::epoll_pwait as *const c_void,
    ];
    // Nobody has a reason to replace this one.
    let library = object_of(libc::__errno_location as *const c_void);
    library.is_some() && functions.into_iter().all(|function| object_of(function) == library)
}

/// The address of the loaded file that a function is in.
fn object_of(function: *const c_void) -> Option<usize> {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `found` is a place for the answer, of which zeroes are a value.
    let found = unsafe {
        let is_found = libc::dladdr(function, found.as_mut_ptr()) != 0;
        is_found.then(|| found.assume_init())
    };
    found.map(|found| found.dli_fbase as usize)
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod instruction {
    use super::c_long;

    pub(super) const IS_KNOWN: bool = true;

    /// Makes a system call.
    ///
    /// # Safety
    /// As for the call: the memory that the arguments name must be there for it.
    #[inline(always)]
    pub(super) unsafe fn call(number: c_long, arguments: [usize; 6]) -> isize {
        let [first, second, third, fourth, fifth, sixth] = arguments;
        let answered;
        // SAFETY: the kernel keeps the stack and all registers but rax, rcx and r11; the rest is the caller's
        // promise.
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") number as isize => answered,
                in("rdi") first,
                in("rsi") second,
                in("rdx") third,
                in("r10") fourth,
                in("r8") fifth,
                in("r9") sixth,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack, preserves_flags),
            );
        }
        answered
    }
}

#[cfg(all(target_arch = "aarch64", target_pointer_width = "64"))]
mod instruction {
    use super::c_long;

    pub(super) const IS_KNOWN: bool = true;

    /// Makes a system call.
    ///
    /// # Safety
    /// As for the call: the memory that the arguments name must be there for it.
    #[inline(always)]
    pub(super) unsafe fn call(number: c_long, arguments: [usize; 6]) -> isize {
        let [first, second, third, fourth, fifth, sixth] = arguments;
        let answered;
        // SAFETY: the kernel keeps the stack and all registers but x0; the rest is the caller's promise.
        unsafe {
            std::arch::asm!(
                "svc 0",
                in("x8") number,
                inlateout("x0") first.cast_signed() => answered,
                in("x1") second,
                in("x2") third,
                in("x3") fourth,
                in("x4") fifth,
                in("x5") sixth,
                options(nostack, preserves_flags),
            );
        }
        answered
    }
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), target_pointer_width = "64")))]
mod instruction {
    use super::c_long;

    pub(super) const IS_KNOWN: bool = false;

    /// Makes a system call by the C library, which is told of all arguments.
    ///
    /// # Safety
    /// As for the call: the memory that the arguments name must be there for it.
    pub(super) unsafe fn call(number: c_long, arguments: [usize; 6]) -> isize {
        let [first, second, third, fourth, fifth, sixth] = arguments;
        // SAFETY: the caller's promise.
        unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) as isize }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::fd::AsFd;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn bytes_go_there_and_back() {
        let (left, right) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).expect("a pair");
        let mut buf = [0; 8];
        let none = recv(right.as_fd(), &mut buf, libc::MSG_DONTWAIT).expect_err("nothing was sent");
        assert_eq!(none.kind(), ErrorKind::WouldBlock);
        assert_eq!(send(left.as_fd(), b"abc", libc::MSG_NOSIGNAL).ok(), Some(3));
        assert_eq!(write(left.as_fd(), b"de").ok(), Some(2));
        assert_eq!(recv(right.as_fd(), &mut buf[..4], 0).ok(), Some(4));
        assert_eq!(read(right.as_fd(), &mut buf[4..]).ok(), Some(1));
        assert_eq!(&buf, b"abcde\0\0\0");
        drop(right);
        let broken = send(left.as_fd(), b"f", libc::MSG_NOSIGNAL).expect_err("the peer is gone");
        assert_eq!(broken.raw_os_error(), Some(libc::EPIPE));
        assert_eq!(recv(left.as_fd(), &mut buf, 0).ok(), Some(0));
    }

    #[test]
    fn errors_are_those_of_the_kernel() {
        let file = std::fs::File::open("/dev/null").expect("a file");
        let mut room = [MaybeUninit::uninit(); 2];
        let errors = [
            recv(file.as_fd(), &mut [0], 0).expect_err("no socket").raw_os_error(),
            send(file.as_fd(), &[0], 0).expect_err("no socket").raw_os_error(),
            write(file.as_fd(), &[0]).expect_err("not open for writing").raw_os_error(),
            epoll_wait(file.as_fd(), &mut room, 0).expect_err("no epoll descriptor").raw_os_error(),
        ];
        assert_eq!(errors, [libc::ENOTSOCK, libc::ENOTSOCK, libc::EBADF, libc::EINVAL].map(Some));
    }

    #[test]
    fn a_function_that_was_replaced_is_noticed() {
        extern "C" fn replaced() {}
        let library = object_of(libc::__errno_location as *const c_void);
        assert!(library.is_some());
        assert_ne!(object_of(replaced as *const c_void), library);
        assert_eq!(is_direct(), instruction::IS_KNOWN && functions_are_the_librarys());
    }
}
