//! The command line as `--name number` pairs, which is all the clients need.
//!
//! Made by `main.rs`, asked by every client for its own names.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;

use rustix::fd::OwnedFd;

/// The numbers given on the command line, by name.
pub struct Options(HashMap<String, usize>);

impl Options {
    /// Reads `--name number` pairs until the arguments end.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut numbers = HashMap::new();
        while let Some(argument) = arguments.next() {
            let name =
                argument.strip_prefix("--").ok_or_else(|| invalid(format!("what is {argument:?}?")))?;
            let number = arguments
                .next()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| invalid(format!("--{name} needs a number")))?;
            numbers.insert(name.to_owned(), number);
        }
        Ok(Self(numbers))
    }

    /// The number given for `name`; every number asked for must have been given.
    pub fn number(&self, name: &str) -> io::Result<usize> {
        self.0.get(name).copied().ok_or_else(|| invalid(format!("--{name} is missing")))
    }

    /// A connection to the server under load, by TCP to its `--port`, or to the Unix socket whose abstract name has the number `--unix`.
    pub fn connect(&self) -> io::Result<OwnedFd> {
        if let Some(number) = self.0.get("unix") {
            let name = format!("yibu-benchmark-{number}");
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            return Ok(UnixStream::connect_addr(&address)?.into());
        }
        let stream = TcpStream::connect(self.server()?)?;
        stream.set_nodelay(true)?;
        Ok(stream.into())
    }

    /// The server under load: always on the loopback interface.
    pub fn server(&self) -> io::Result<SocketAddr> {
        let port =
            u16::try_from(self.number("port")?).map_err(|_| invalid("--port is too large".to_owned()))?;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
