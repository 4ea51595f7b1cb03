//! The idle load: connections that have each exchanged one byte and then only stay open.
//!
//! Started by `main.rs`; says where it is through `phase.rs`, so that the server's memory is read before the
//! first connection exists and while all of them do.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::options::Options;
use crate::phase;

/// Makes one connection to warm the server up, waits, makes all the others, waits, and leaves.
pub fn idle(options: &Options) -> io::Result<()> {
    let (server, count) = (options.server()?, options.number("connections")?);
    let exchange = || -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        Ok(stream)
    };
    let _warm = exchange()?;
    phase::pause("ready")?;
    let held = (0..count).map(|_| exchange()).collect::<io::Result<Vec<_>>>()?;
    phase::pause(&format!("done {}", held.len()))
}
