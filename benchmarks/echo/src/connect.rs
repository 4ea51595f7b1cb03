//! The connection load: connect, one message there and back, close, and again.
//!
//! One connection at a time: what is measured is what a connection costs the server, not how many it can
//! queue. Started by `main.rs`; says where it is through `phase.rs`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::options::Options;
use crate::phase;

/// Warms up, waits, makes the connections that are measured, waits, and leaves.
pub fn connect(options: &Options) -> io::Result<()> {
    let (server, connections) = (options.server()?, options.number("connections")?);
    let message = vec![b'x'; options.number("size")?];
    visit(server, &message, options.number("warmup")?)?;
    phase::pause("ready")?;
    visit(server, &message, connections)?;
    phase::pause(&format!("done {connections}"))
}

fn visit(server: SocketAddr, message: &[u8], times: usize) -> io::Result<()> {
    let mut answer = vec![0; message.len()];
    for _ in 0..times {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.write_all(message)?;
        stream.read_exact(&mut answer)?;
        if answer != message {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the server did not send back what it was sent",
            ));
        }
    }
    Ok(())
}
