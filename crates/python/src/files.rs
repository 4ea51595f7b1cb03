//! What `yibu.files` asks about the page cache: reads that need no disk, which a loop's thread does itself.
//!
//! Called by `python/yibu/files/`; calls the driver. A read that fails here is repeated by a worker of the
//! executor, so the exception is always the one of Python's own function.

use std::ffi::CString;
use std::os::fd::IntoRawFd;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};
use yibu_driver::files::{self, Cached, MOST};

use crate::ffi::{Args, Output, Signature, boolean, make, none};
use crate::functions;

const OPEN_CACHED: Signature<1> = Signature::new("_open_cached", "path");
const READ_CACHED: Signature<3> = Signature::new("_read_cached", "descriptor, length, offset");
const CACHED_UP_TO: Signature<3> = Signature::new("_is_cached_up_to", "descriptor, end, more");
const CACHED_TO_THE_END: Signature<1> = Signature::new("_is_cached_to_the_end", "descriptor");

/// Larger reads are left to a worker: a copy of this size takes the loop's thread some tens of microseconds.
const LARGEST_READ: usize = MOST;

/// Adds the functions.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc =
        "A descriptor of a regular file opened for reading, if to open it waits for nothing; else None.";
    functions::add(module, &OPEN_CACHED, open_cached, doc)?;
    let doc = "The bytes of a file that a read of this length gives, if that waits for no disk; else None. An offset of -1 is \
               the position, which then moves.";
    functions::add(module, &READ_CACHED, read_cached, doc)?;
    let doc = "Whether a regular file can be read from its position up to `end`, and then `more` bytes, without waiting for a \
               disk; None where the kernel never tells.";
    functions::add(module, &CACHED_UP_TO, is_cached_up_to, doc)?;
    let doc = "Whether the rest of a regular file can be read without waiting for a disk, and is small; None where the kernel \
               never tells.";
    functions::add(module, &CACHED_TO_THE_END, is_cached_to_the_end, doc)
}

fn open_cached<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [path] = args.parse(&OPEN_CACHED)?;
    let opened =
        CString::new(path.cast::<PyBytes>()?.as_bytes()).ok().and_then(|path| files::open_cached(&path).ok());
    match opened {
        // The descriptor is the caller's from now on.
        Some(file) => Ok(file.into_raw_fd().into_pyobject(args.py())?.into_any()),
        None => Ok(none(args.py())),
    }
}

/// The result is shorter than asked at the end of the file, and where the cache ends: the caller asks again
/// for the rest.
fn read_cached<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [descriptor, length, offset] = args.parse(&READ_CACHED)?;
    let (descriptor, length, offset) = (descriptor.extract()?, length.extract()?, offset.extract::<i64>()?);
    if length > LARGEST_READ || !files::is_regular(descriptor).unwrap_or(false) {
        return Ok(none(args.py()));
    }
    let offset = u64::try_from(offset).ok();
    let read = make::bytes_filled(args.py(), length, |room| files::read_cached(descriptor, room, offset))?;
    Ok(read.map_or_else(|| none(args.py()), Bound::into_any))
}

fn is_cached_up_to<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [descriptor, end, more] = args.parse(&CACHED_UP_TO)?;
    let (descriptor, end, more) = (descriptor.extract()?, end.extract::<u64>()?, more.extract::<usize>()?);
    let Ok(position) = files::position(descriptor) else { return Ok(none(args.py())) };
    if position >= end {
        // What is asked for was read before, into a buffer of the program.
        return Ok(boolean(args.py(), true));
    }
    let length = usize::try_from(end - position).unwrap_or(usize::MAX).saturating_add(more);
    match files::cached_part(descriptor, position, length) {
        Cached::All => Ok(boolean(args.py(), length <= MOST)),
        Cached::ToTheEnd => Ok(boolean(args.py(), true)),
        Cached::Less => Ok(boolean(args.py(), false)),
        Cached::Unknown => Ok(none(args.py())),
    }
}

fn is_cached_to_the_end<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [descriptor] = args.parse(&CACHED_TO_THE_END)?;
    let descriptor = descriptor.extract()?;
    let Ok(position) = files::position(descriptor) else { return Ok(none(args.py())) };
    match files::cached_part(descriptor, position, MOST) {
        Cached::ToTheEnd => Ok(boolean(args.py(), true)),
        Cached::All | Cached::Less => Ok(boolean(args.py(), false)),
        Cached::Unknown => Ok(none(args.py())),
    }
}
