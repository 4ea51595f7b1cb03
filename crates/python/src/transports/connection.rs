//! The descriptor of a connection, the Python socket around it, and what `get_extra_info` says about both.
//!
//! A connection that the loop accepted itself has a bare descriptor: most are never asked for more. The
//! Python socket is made when it is asked for, and takes the descriptor over. Used by
//! [`super::SocketTransport`]; calls the kernel and `socket`.

use std::cell::Cell;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use rustix::net::{AddressFamily, SocketAddrAny, SocketType, sockopt};
use yibu_engine::Fd;

use crate::addresses;
use crate::core::EventLoop;
use crate::errors;
use crate::ffi::{Output, Raised, Slot, call, none};
use crate::names::Interned;
use crate::replaced::names::{TRANSPORT_SOCKET, sockets};
use crate::replaced::sockets::fileno;
use crate::{names, stock};

/// A connection as the kernel gives it to a listening socket.
pub struct Accepted {
    /// Non-blocking and close-on-exec.
    pub fd: OwnedFd,
    /// The address of the peer.
    pub peer: Option<SocketAddrAny>,
    /// The family of the listening socket.
    pub family: i32,
    /// The protocol that the listening socket was made with.
    pub protocol: i32,
}

impl Accepted {
    /// As a Python socket, with the address of the peer.
    pub fn into_socket(self, py: Python<'_>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
        let Self { fd, peer, family, protocol } = self;
        let socket = make_socket(py, family, protocol, fd)?;
        let peer = match peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
            Some(peer) => addresses::of(py, peer)?,
            None => name_of(&socket, name!("getpeername"))?,
        };
        Ok((socket, peer))
    }
}

/// See the module.
pub struct Connection {
    fd: Cell<Fd>,
    /// Until a Python socket takes over.
    owned: Cell<Option<OwnedFd>>,
    socket: Slot,
    open: Cell<bool>,
    protocol: Cell<i32>,
    peer: Cell<Option<SocketAddr>>,
    local: Cell<Option<SocketAddr>>,
    extra: Slot,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            fd: Cell::new(-1),
            owned: Cell::new(None),
            socket: Slot::default(),
            open: Cell::new(false),
            protocol: Cell::new(0),
            peer: Cell::new(None),
            local: Cell::new(None),
            extra: Slot::default(),
        }
    }
}

const SOCK_STREAM: i32 = SocketType::STREAM.as_raw() as i32;
/// `SOCK_NONBLOCK`: tells a Python socket that its descriptor does not block.
const SOCK_NONBLOCK: i32 = rustix::net::SocketFlags::NONBLOCK.bits() as i32;
const IPPROTO_TCP: i32 = 6;

/// `base_events._set_nodelay`'s condition.
pub fn wants_nodelay(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    let family = socket.getattr(name!("family"))?;
    let (inet, inet6) = (AddressFamily::INET.as_raw(), AddressFamily::INET6.as_raw());
    Ok((family.eq(inet)? || family.eq(inet6)?)
        && socket.getattr(name!("type"))?.eq(SOCK_STREAM)?
        && socket.getattr(name!("proto"))?.eq(IPPROTO_TCP)?)
}

impl Connection {
    /// Takes a Python socket, and says all there is about it in `extra`, as `_SelectorTransport.__init__`
    /// does.
    pub fn adopt<'py>(&self, socket: &Bound<'py, PyAny>, extra: Bound<'py, PyAny>) -> PyResult<()> {
        let py = socket.py();
        let extra = if extra.is_none() { PyDict::new(py).into_any() } else { extra };
        extra.set_item("socket", TRANSPORT_SOCKET.current(py)?.call1((socket,))?)?;
        extra.set_item("sockname", name_of(socket, name!("getsockname"))?)?;
        if !extra.contains("peername")? {
            extra.set_item("peername", name_of(socket, name!("getpeername"))?)?;
        }
        self.fd.set(fileno(socket)?);
        self.socket.put(socket.clone());
        self.extra.put(extra);
        self.open.set(true);
        Ok(())
    }

    /// Takes an accepted connection. Says whether Nagle's algorithm is to be switched off.
    pub fn take_over(&self, py: Python<'_>, accepted: Accepted) -> PyResult<bool> {
        let Accepted { fd, peer, family, protocol } = accepted;
        self.fd.set(fd.as_raw_fd());
        self.protocol.set(protocol);
        self.open.set(true);
        if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
            self.peer.set(Some(peer));
            self.owned.set(Some(fd));
            return Ok(protocol == IPPROTO_TCP);
        }
        // Not of the Internet: the `socket` module knows how such addresses look.
        let socket = make_socket(py, family, protocol, fd)?;
        self.adopt(&socket, none(py))?;
        Ok(false)
    }

    /// asyncio's `_sock_fd`: the descriptor, also after it was closed.
    #[inline]
    pub fn fd(&self) -> Fd {
        self.fd.get()
    }

    /// Whether the descriptor is open, as far as the transport knows.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Whether there is no socket object yet.
    pub fn is_bare(&self) -> bool {
        self.socket.is_empty()
    }

    /// Whether the socket object still has the descriptor.
    pub fn is_intact(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(socket) = self.socket.get(py) else { return Ok(true) };
        Ok(fileno(&socket)? == self.fd.get())
    }

    /// Switches Nagle's algorithm off.
    pub fn set_nodelay(&self, py: Python<'_>) -> PyResult<()> {
        let owned = self.owned.take();
        if let Some(fd) = &owned {
            let set = sockopt::set_tcp_nodelay(fd, true);
            self.owned.set(owned);
            return set.map_err(|error| errors::os_error(&error.into()));
        }
        let Some(socket) = self.socket.get(py) else { return Ok(()) };
        // IPPROTO_TCP, TCP_NODELAY
        socket.call_method1(name!("setsockopt"), (IPPROTO_TCP, 1, 1)).map(drop)
    }

    /// The Python socket, made when it is first asked for.
    pub fn socket<'py>(&self, py: Python<'py>) -> Output<'py> {
        if let Some(socket) = self.socket.get(py) {
            return Ok(socket);
        }
        let Some(peer) = self.peer.get() else {
            return Err(PyRuntimeError::new_err("_SelectorSocketTransport object is not initialized."));
        };
        let family = if peer.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let family = i32::from(family.as_raw());
        let socket = match self.owned.take() {
            Some(fd) => make_socket(py, family, self.protocol.get(), fd)?,
            None => {
                // The connection is closed, and so is what is made to show for it.
                let socket = sockets::CLASS_FOR_ACCEPT.current(py)?.call1((
                    family,
                    SOCK_STREAM,
                    self.protocol.get(),
                ))?;
                socket.call_method0(name!("close"))?;
                socket
            }
        };
        self.socket.put(socket.clone());
        Ok(socket)
    }

    /// The mapping behind `get_extra_info`.
    pub fn extra<'py>(&self, py: Python<'py>) -> Output<'py> {
        if let Some(extra) = self.extra.get(py) {
            return Ok(extra);
        }
        let extra = PyDict::new(py);
        if let Some(peer) = self.peer.get() {
            extra.set_item("peername", addresses::of(py, peer)?)?;
            extra.set_item("socket", stock::transport_socket(py)?.call1((self.socket(py)?,))?)?;
            let local = match self.local.get() {
                Some(local) => addresses::of(py, local)?,
                None => name_of(&self.socket(py)?, name!("getsockname"))?,
            };
            extra.set_item("sockname", local)?;
        }
        self.extra.put(extra.clone());
        Ok(extra.into_any())
    }

    /// Replaces the mapping behind `get_extra_info`.
    pub fn set_extra(&self, extra: Bound<'_, PyAny>) {
        self.extra.put(extra);
    }

    /// `get_extra_info`: for a name that was never put there, no object is made.
    pub fn extra_info<'py>(&self, name: &Bound<'py, PyAny>, default: Bound<'py, PyAny>) -> Output<'py> {
        let py = name.py();
        let known = |name: &Bound<'_, PyString>| {
            name.to_str().is_ok_and(|name| matches!(name, "socket" | "peername" | "sockname"))
        };
        if self.extra.is_empty() && name.cast_exact::<PyString>().is_ok_and(|name| !known(name)) {
            return Ok(default);
        }
        self.extra(py)?.call_method1(name!("get"), (name, default))
    }

    /// Closes the socket. The loop's driver closes what is only a descriptor: then it need not take it off
    /// its list.
    pub fn close(&self, py: Python<'_>, event_loop: Option<&EventLoop>) -> PyResult<()> {
        self.open.set(false);
        if let Some(fd) = self.owned.take() {
            if self.extra.is_empty() {
                // Python code may still ask for the address.
                let local = rustix::net::getsockname(&fd).ok();
                self.local.set(local.and_then(|local| SocketAddr::try_from(local).ok()));
            }
            match event_loop {
                Some(event_loop) => event_loop.engine.with(|engine| engine.driver.close(fd)),
                None => drop(fd),
            }
            return Ok(());
        }
        if let Some(event_loop) = event_loop {
            event_loop.engine.with(|engine| engine.driver.share(self.fd.get()));
        }
        match self.socket.get(py) {
            Some(socket) => call::method(names::close(py), [&socket]).map(drop),
            None => Ok(()),
        }
    }

    /// The references, for the collector.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        [&self.socket, &self.extra].into_iter()
    }
}

/// Whether the answer of `get_extra_info(name)` may be the socket.
pub fn shows_socket(name: &Bound<'_, PyAny>) -> bool {
    let harmless = |name: &str| matches!(name, "peername" | "sockname");
    !name.cast_exact::<PyString>().is_ok_and(|name| name.to_str().is_ok_and(harmless))
}

/// `sock.getsockname()` or `sock.getpeername()`; None where the kernel has no answer.
fn name_of<'py>(socket: &Bound<'py, PyAny>, method: &'static Interned) -> Output<'py> {
    let py = socket.py();
    socket.call_method0(method).or_else(|error| {
        let raised = Raised::from_err(py, error);
        if raised.is::<PyOSError>() { Ok(none(py)) } else { Err(raised.into_err()) }
    })
}

/// A Python socket around a descriptor. The socket closes it; where no socket can be made, it is closed now.
fn make_socket(py: Python<'_>, family: i32, protocol: i32, fd: OwnedFd) -> Output<'_> {
    let keywords = PyDict::new(py);
    keywords.set_item("fileno", fd.as_raw_fd())?;
    let socket = sockets::CLASS_FOR_ACCEPT
        .current(py)?
        .call((family, SOCK_STREAM | SOCK_NONBLOCK, protocol), Some(&keywords))?;
    let _ = fd.into_raw_fd(); // the Python socket closes it
    Ok(socket)
}
