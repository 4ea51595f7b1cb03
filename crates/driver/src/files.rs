//! Reads of regular files that the kernel answers from its page cache, or not at all: `preadv2` with
//! `RWF_NOWAIT`. And files that are opened without a disk, or not at all: `openat2` with `RESOLVE_CACHED`.
//! And how the writer of a trace writes its file.
//!
//! Called by yibu-python's files, in the thread of a loop, and by the thread of its writer of traces; calls
//! the kernel. What the cache does not have, and what a file system does not support, is an error here, and
//! the caller reads in another thread.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::ptr;

use rustix::fs::{
    CWD, FileType, Mode, OFlags, ResolveFlags, SeekFrom, fcntl_setfl, fstat, fstatfs, openat2, seek,
};
use rustix::io::{Errno, write};

use crate::op::Fd;
use crate::sys::borrow;

/// The kernel reads into this many bytes again and again when only the presence of data is asked.
const PAGE: usize = 4096;

/// How many times it does so in one call. `IOV_MAX` is 1024 on Linux.
const PAGES: usize = 64;

/// The most that one [`cached_part`] covers.
pub const MOST: usize = PAGE * PAGES;

/// What the page cache has of a piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// The whole piece.
    All,
    /// All bytes of the piece that exist: the file ends in it.
    ToTheEnd,
    /// Less than that.
    Less,
    /// The kernel does not tell, of no piece of this file.
    Unknown,
}

/// One `preadv2` with `RWF_NOWAIT`. An offset of -1 is the file's position, which then moves.
fn read_now(fd: Fd, pieces: &[libc::iovec], offset: i64) -> io::Result<usize> {
    let count = i32::try_from(pieces.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the callers of this private function pass pieces that point to memory of theirs, which lives
    // and is not otherwise used during the call. A wrong descriptor is an error of the kernel.
    let read = unsafe { libc::preadv2(fd, pieces.as_ptr(), count, offset, libc::RWF_NOWAIT) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Writes all of the bytes to a descriptor that blocks.
pub fn write_all(fd: Fd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(borrow(fd)?, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Reads what the cache has into `buffer`, at the file's position without an offset, and returns that. It may
/// be less than there is.
pub fn read_cached(fd: Fd, buffer: &mut [MaybeUninit<u8>], offset: Option<u64>) -> io::Result<&mut [u8]> {
    let offset = match offset {
        Some(offset) => i64::try_from(offset).map_err(|_| Errno::INVAL)?,
        None => -1,
    };
    let piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let count = read_now(fd, &[piece], offset)?;
    // SAFETY: the kernel has written the first `count` bytes of the buffer.
    Ok(unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast(), count.min(buffer.len())) })
}

/// Whether a descriptor is that of a regular file.
pub fn is_regular(fd: Fd) -> io::Result<bool> {
    let status = fstat(borrow(fd)?)?;
    Ok(FileType::from_raw_mode(status.st_mode).is_file())
}

/// The position of a file.
pub fn position(fd: Fd) -> io::Result<u64> {
    Ok(seek(borrow(fd)?, SeekFrom::Current(0))?)
}

/// Whether `length` bytes from `offset` on can be read without waiting for a disk. `length` is at most
/// [`MOST`].
pub fn cached_part(fd: Fd, offset: u64, length: usize) -> Cached {
    let length = length.min(MOST);
    match count_cached(fd, offset, length) {
        Ok(count) if count == length => Cached::All,
        Ok(count) => match count_cached(fd, offset.saturating_add(count as u64), 1) {
            Ok(0) => Cached::ToTheEnd,
            Ok(_) | Err(_) => Cached::Less,
        },
        Err(error) if Errno::from_io_error(&error) == Some(Errno::AGAIN) => Cached::Less,
        Err(_) => Cached::Unknown,
    }
}

/// How many bytes from `offset` on the cache has, up to `length`.
fn count_cached(fd: Fd, offset: u64, length: usize) -> io::Result<usize> {
    let offset = i64::try_from(offset).map_err(|_| Errno::INVAL)?;
    let mut page = MaybeUninit::<[u8; PAGE]>::uninit();
    let mut pieces = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; PAGES];
    let mut count = 0;
    let mut left = length.min(MOST);
    while left > 0 {
        // Every piece is the same page: the kernel overwrites it, and no code reads it.
        pieces[count] = libc::iovec { iov_base: page.as_mut_ptr().cast(), iov_len: left.min(PAGE) };
        left -= left.min(PAGE);
        count += 1;
    }
    read_now(fd, &pieces[..count], offset)
}

/// File systems on which opening a file, once its path is known to the kernel, asks no other machine: ext4,
/// XFS, Btrfs, tmpfs.
const LOCAL: [u64; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994];

/// Opens a regular file for reading, if the kernel knows its path and every folder on it without asking a
/// disk.
///
/// The file is looked at before it is opened: to open a pipe or a device waits, or is noticed by others.
pub fn open_cached(path: &CStr) -> io::Result<OwnedFd> {
    let seen = find_cached(path, OFlags::PATH | OFlags::CLOEXEC)?;
    let kind = fstatfs(&seen)?.f_type as u64;
    if !FileType::from_raw_mode(fstat(&seen)?.st_mode).is_file() || !LOCAL.contains(&kind) {
        return Err(Errno::OPNOTSUPP.into());
    }
    // The path may lead to another file by now: that must not be waited for either.
    let file = find_cached(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK)?;
    if !FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() {
        return Err(Errno::OPNOTSUPP.into());
    }
    fcntl_setfl(&file, OFlags::RDONLY)?;
    Ok(file)
}

fn find_cached(path: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)?)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::io::{Seek, Write};
    use std::os::fd::AsRawFd;

    use super::*;

    fn file(content: &[u8]) -> std::fs::File {
        let name = format!("yibu-files-{}-{}", std::process::id(), content.len());
        let path = std::env::temp_dir().join(name);
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .expect("a temporary file");
        std::fs::remove_file(&path).expect("the file is there");
        file.write_all(content).expect("room on the disk");
        file.rewind().expect("a regular file has a position");
        file
    }

    #[test]
    fn what_was_just_written_is_cached_or_unknown() {
        let file = file(&[7; 10_000]);
        let fd = file.as_raw_fd();
        if cached_part(fd, 0, 1) == Cached::Unknown {
            return; // tmpfs answers no such question
        }
        assert_eq!(cached_part(fd, 0, 10_000), Cached::All);
        assert_eq!(cached_part(fd, 0, MOST), Cached::ToTheEnd);
        assert_eq!(cached_part(fd, 20_000, 1), Cached::ToTheEnd);
        assert_eq!(position(fd).expect("a regular file"), 0);
    }

    #[test]
    fn reading_at_the_position_moves_it() {
        let file = file(b"abcdef");
        let fd = file.as_raw_fd();
        let mut room = [MaybeUninit::uninit(); 4];
        if cached_part(fd, 0, 1) == Cached::Unknown {
            return;
        }
        assert_eq!(read_cached(fd, &mut room, None).expect("cached"), b"abcd");
        assert_eq!(position(fd).expect("a regular file"), 4);
        assert_eq!(read_cached(fd, &mut room, Some(1)).expect("cached"), b"bcde");
        assert_eq!(position(fd).expect("a regular file"), 4);
        assert_eq!(read_cached(fd, &mut room, None).expect("cached"), b"ef");
        assert!(read_cached(fd, &mut [], None).expect("nothing is asked").is_empty());
    }

    #[test]
    fn only_regular_files_are_opened() {
        let name = format!("yibu-files-open-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, b"text").expect("room on the disk");
        let c_path = CString::new(path.as_os_str().as_encoded_bytes()).expect("no zero in it");
        if let Ok(file) = open_cached(&c_path) {
            assert_eq!(std::io::read_to_string(std::fs::File::from(file)).expect("it is open"), "text");
        } // else a file system of another kind, or an old kernel
        std::fs::remove_file(&path).expect("it is there");
        assert!(open_cached(&c_path).is_err());
        assert!(open_cached(c"/dev/null").is_err());
        assert!(open_cached(c"/proc/self/status").is_err());
        assert!(open_cached(c"/").is_err());
    }

    #[test]
    fn other_kinds_of_files() {
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        assert!(!is_regular(reader.as_raw_fd()).expect("it is open"));
        assert_eq!(cached_part(reader.as_raw_fd(), 0, 1), Cached::Unknown);
        assert_eq!(cached_part(-1, 0, 1), Cached::Unknown);
        assert!(is_regular(-1).is_err());
        assert!(position(-1).is_err());
    }
}
