//! [`SendingFile`]: sends bytes of a file to a socket. Detached from the driver, so that the interpreter can
//! be released around the call, which may read from a disk.
//!
//! Made by [`Driver::begin_send_file`](crate::Driver::begin_send_file); calls the kernel, or the simulated
//! one.

use std::io;
use std::sync::Arc;

use rustix::fs::sendfile;

use crate::op::Fd;
use crate::sim::Shared;
use crate::sys::borrow;

/// Some bytes of a file on their way to a socket.
#[derive(Debug)]
pub struct SendingFile {
    pub(crate) socket: Fd,
    pub(crate) file: Fd,
    pub(crate) offset: u64,
    pub(crate) count: usize,
    /// The simulated kernel; none for the real one.
    pub(crate) world: Option<Arc<Shared>>,
}

impl SendingFile {
    /// Sends what the socket takes; 0 at the end of the file.
    pub fn run(self) -> io::Result<usize> {
        let Self { socket, file, mut offset, count, world } = self;
        match world {
            Some(world) => world.send_file(socket, file, offset, count),
            None => Ok(sendfile(borrow(socket)?, borrow(file)?, Some(&mut offset), count)?),
        }
    }
}
