//! Coroutines on the program's own sockets: `sock_recv`, `sock_sendall`, `sock_connect`, `sock_accept` and
//! their kin.
//!
//! Each tries at once, and waits for the kernel's word only when the socket is not ready. Receiving from and
//! sending to a plain `socket.socket` is done by system calls made here; any other object (a subclass, a
//! stand-in) is asked by its own methods. Called by Python code; calls [`super::watch`], [`super::resolve`]
//! and the driver.

use std::io;

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyMemoryView, PyTuple};
use yibu_engine::{Fd, Interest, MAX_RECEIVE};

use super::resolve::{self, Question};
use super::watch::Readiness;
use super::{EventLoop, connect, occupied};
use crate::coroutines::{self, Answer};
use crate::ffi::buffer::Buffer;
use crate::ffi::{Args, Obj, Output, Ref, Signature, Table};
use crate::{errors, stock};

const SOCK_RECV: Signature<2> = Signature::new("EventLoop.sock_recv", "sock, n");
const SOCK_RECV_INTO: Signature<2> = Signature::new("EventLoop.sock_recv_into", "sock, buf");
const SOCK_RECVFROM: Signature<2> = Signature::new("EventLoop.sock_recvfrom", "sock, bufsize");
const SOCK_RECVFROM_INTO: Signature<3> =
    Signature::new("EventLoop.sock_recvfrom_into", "sock, buf, nbytes=0");
const SOCK_SENDALL: Signature<2> = Signature::new("EventLoop.sock_sendall", "sock, data");
const SOCK_SENDTO: Signature<3> = Signature::new("EventLoop.sock_sendto", "sock, data, address");
const SOCK_CONNECT: Signature<2> = Signature::new("EventLoop.sock_connect", "sock, address");
const SOCK_ACCEPT: Signature<1> = Signature::new("EventLoop.sock_accept", "sock");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(&SOCK_RECV, sock_recv, "Coroutine: receives at most n bytes from a socket.");
    t.method(
        &SOCK_RECV_INTO,
        sock_recv_into,
        "Coroutine: receives from a socket into a buffer. Returns the number of bytes.",
    );
    t.method(
        &SOCK_RECVFROM,
        sock_recvfrom,
        "Coroutine: receives a datagram of at most bufsize bytes. Returns (data, address).",
    );
    t.method(
        &SOCK_RECVFROM_INTO,
        sock_recvfrom_into,
        "Coroutine: receives a datagram into a buffer. Returns (number of bytes, address).",
    );
    t.method(&SOCK_SENDALL, sock_sendall, "Coroutine: sends all the data to a connected socket.");
    t.method(
        &SOCK_SENDTO,
        sock_sendto,
        "Coroutine: sends a datagram to an address. Returns the number of bytes sent.",
    );
    t.method(&SOCK_CONNECT, sock_connect, "Coroutine: connects a socket to an address.");
    t.method(
        &SOCK_ACCEPT,
        sock_accept,
        "Coroutine: accepts a connection on a listening socket. Returns (socket, address).",
    );
}

/// A socket as a program passed it.
pub(super) struct Socket {
    event_loop: Ref<EventLoop>,
    object: Ref,
}

impl Socket {
    pub(super) fn new<'py>(event_loop: &Obj<'py, EventLoop>, object: Bound<'py, PyAny>) -> Self {
        Self { event_loop: Ref::of(event_loop.clone()), object: Ref::new(object) }
    }

    /// The object.
    pub(super) fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.object.any(py)
    }

    /// The loop whose method was called.
    pub(super) fn event_loop(&self) -> &EventLoop {
        self.event_loop.data()
    }

    /// What every method begins with: no TLS, and in debug mode no blocking socket.
    pub(super) fn check(&self, py: Python<'_>) -> PyResult<()> {
        let object = self.object.any(py);
        if !self.is_plain(py)? {
            connect::check_ssl_socket(object)?;
        }
        if self.event_loop.data().debug.get() && object.call_method0("gettimeout")?.ne(0)? {
            return Err(PyValueError::new_err("the socket must be non-blocking"));
        }
        Ok(())
    }

    /// Whether it is a `socket.socket` and no subclass, whose methods need not be asked.
    fn is_plain(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.object.any(py).get_type().is(stock::socket(py)?))
    }

    /// Its descriptor; -1 when it is closed.
    pub(super) fn fileno(&self, py: Python<'_>) -> PyResult<Fd> {
        self.object.any(py).call_method0("fileno")?.extract()
    }

    /// The descriptor of a plain socket.
    fn plain(&self, py: Python<'_>) -> PyResult<Option<Fd>> {
        if self.is_plain(py)? { self.fileno(py).map(Some) } else { Ok(None) }
    }

    /// Something to wait with, unless the descriptor belongs to a transport.
    pub(super) fn readiness(&self, py: Python<'_>, interest: Interest) -> PyResult<Readiness> {
        let event_loop = self.event_loop.obj(py);
        let fd = self.object.any(py).call_method0("fileno")?;
        let number = fd.extract()?;
        occupied::check(&event_loop, &fd, number)?;
        Ok(Readiness::of(&event_loop, number, interest))
    }

    /// Tries until there is an answer, waiting in between. `None` says "not now", and so do BlockingIOError
    /// and InterruptedError.
    async fn retry(
        &self,
        interest: Interest,
        mut attempt: impl FnMut(Python<'_>) -> PyResult<Option<Py<PyAny>>>,
    ) -> Answer {
        let mut readiness = None;
        loop {
            if let Some(answer) = Python::attach(|py| unless_blocked(py, attempt(py)))? {
                return Ok(answer);
            }
            let readiness = match &mut readiness {
                Some(readiness) => readiness,
                none => none.insert(Python::attach(|py| self.readiness(py, interest))?),
            };
            readiness.wait().await?;
        }
    }
}

fn unless_blocked<T>(py: Python<'_>, result: PyResult<Option<T>>) -> PyResult<Option<T>> {
    match result {
        Err(error)
            if error.is_instance_of::<PyBlockingIOError>(py)
                || error.is_instance_of::<PyInterruptedError>(py) =>
        {
            Ok(None)
        }
        result => result,
    }
}

/// What a system call made here came to; `None` when the socket is not ready.
fn completed<T>(result: io::Result<T>) -> PyResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(errors::os_error(&error)),
    }
}

/// `loop.sock_recv(sock, n)`.
fn sock_recv<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket, limit] = args.parse(&SOCK_RECV)?;
    let (socket, limit) = (Socket::new(event_loop, socket), Ref::new(limit));
    coroutines::new(event_loop, SOCK_RECV.function, async move {
        Python::attach(|py| socket.check(py))?;
        socket.retry(Interest::Read, |py| receive(&socket, limit.any(py))).await
    })
}

/// Receives into the loop's buffer and makes bytes of what came. More than the buffer holds is left to the
/// socket's method.
fn receive(socket: &Socket, limit: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    let py = limit.py();
    let small = limit.cast_exact::<PyInt>().ok().and_then(|limit| limit.extract::<usize>().ok());
    let (Some(fd), Some(limit @ 1..=MAX_RECEIVE)) = (socket.plain(py)?, small) else {
        return Ok(Some(socket.object.any(py).call_method1("recv", (limit,))?.unbind()));
    };
    let received = socket.event_loop.data().engine.with(|engine| {
        let lease = match engine.driver.recv(fd, limit) {
            Ok(Some(lease)) => lease,
            Ok(None) => return Ok(PyBytes::new(py, b"")),
            Err(error) => return Err(error),
        };
        // Bytes are no concern of the collector: making them runs no Python code.
        let bytes = PyBytes::new(py, engine.driver.bytes(&lease));
        engine.driver.recycle(lease);
        Ok(bytes)
    });
    Ok(completed(received)?.map(|bytes| bytes.into_any().unbind()))
}

/// `loop.sock_recv_into(sock, buf)`.
fn sock_recv_into<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket, buffer] = args.parse(&SOCK_RECV_INTO)?;
    let (socket, buffer) = (Socket::new(event_loop, socket), Ref::new(buffer));
    coroutines::new(event_loop, SOCK_RECV_INTO.function, async move {
        Python::attach(|py| socket.check(py))?;
        socket.retry(Interest::Read, |py| receive_into(&socket, buffer.any(py))).await
    })
}

/// Receives into the program's buffer. What is no buffer, or has no room, is left to the socket's method.
fn receive_into(socket: &Socket, buffer: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    let py = buffer.py();
    if let Some(fd) = socket.plain(py)?
        && let Ok(mut room) = Buffer::get(buffer, true)
        && room.len() > 0
    {
        let received =
            socket.event_loop.data().engine.with(|engine| engine.driver.recv_into(fd, room.bytes_mut()));
        let Some(received) = completed(received)? else { return Ok(None) };
        return Ok(Some(received.into_pyobject(py)?.into_any().unbind()));
    }
    Ok(Some(socket.object.any(py).call_method1("recv_into", (buffer,))?.unbind()))
}

/// `loop.sock_recvfrom(sock, bufsize)`.
fn sock_recvfrom<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket, limit] = args.parse(&SOCK_RECVFROM)?;
    let (socket, limit) = (Socket::new(event_loop, socket), Ref::new(limit));
    coroutines::new(event_loop, SOCK_RECVFROM.function, async move {
        Python::attach(|py| socket.check(py))?;
        let attempt = |py: Python<'_>| {
            let received = socket.object.any(py).call_method1("recvfrom", (limit.any(py),))?;
            Ok(Some(received.unbind()))
        };
        socket.retry(Interest::Read, attempt).await
    })
}

/// `loop.sock_recvfrom_into(sock, buf, nbytes=0)`.
fn sock_recvfrom_into<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket, buffer, limit] = args.parse(&SOCK_RECVFROM_INTO)?;
    let (socket, buffer, limit) = (Socket::new(event_loop, socket), Ref::new(buffer), Ref::new(limit));
    coroutines::new(event_loop, SOCK_RECVFROM_INTO.function, async move {
        let limit = Python::attach(|py| -> PyResult<_> {
            socket.check(py)?;
            if limit.any(py).is_truthy()? {
                return Ok(limit);
            }
            Ok(Ref::new(buffer.any(py).len()?.into_pyobject(py)?))
        })?;
        let attempt = |py: Python<'_>| {
            let args = (buffer.any(py), limit.any(py));
            Ok(Some(socket.object.any(py).call_method1("recvfrom_into", args)?.unbind()))
        };
        socket.retry(Interest::Read, attempt).await
    })
}

/// `loop.sock_sendall(sock, data)`.
fn sock_sendall<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket, data] = args.parse(&SOCK_SENDALL)?;
    let (socket, data) = (Socket::new(event_loop, socket), Ref::new(data));
    coroutines::new(event_loop, SOCK_SENDALL.function, async move {
        let plain = Python::attach(|py| {
            socket.check(py)?;
            if socket.is_plain(py)? { Buffer::get(data.any(py), false).map(Some) } else { Ok(None) }
        })?;
        match plain {
            Some(buffer) => send_buffer(&socket, &buffer).await,
            None => send_by_method(&socket, &data).await,
        }
    })
}

async fn send_buffer(socket: &Socket, buffer: &Buffer) -> Answer {
    let mut sent = 0;
    let attempt = |py: Python<'_>| {
        let fd = socket.fileno(py)?;
        let rest = buffer.bytes().get(sent..).unwrap_or_default();
        let taken = socket.event_loop.data().engine.with(|engine| engine.driver.send(fd, rest));
        sent += completed(taken)?.unwrap_or_default();
        Ok((sent == buffer.len()).then(|| py.None()))
    };
    socket.retry(Interest::Write, attempt).await
}

/// `sock.send(data)`, and `sock.send()` of the rest for as long as there is one.
async fn send_by_method(socket: &Socket, data: &Ref) -> Answer {
    let (mut sent, mut view) = (0_usize, None);
    let attempt = |py: Python<'_>| {
        let (socket, data) = (socket.object.any(py), data.any(py));
        let Some(rest) = &view else {
            let taken = unless_blocked(py, socket.call_method1("send", (data,)).map(Some))?;
            sent = match taken {
                Some(taken) => taken.extract()?,
                None => 0,
            };
            if sent == data.len()? {
                return Ok(Some(py.None()));
            }
            view = Some(Ref::new(PyMemoryView::from(data)?));
            return Ok(None);
        };
        let rest = rest.any(py);
        let length = rest.len()?;
        let slice = pyo3::types::PySlice::new(py, sent.cast_signed(), length.cast_signed(), 1);
        sent += socket.call_method1("send", (rest.get_item(slice)?,))?.extract::<usize>()?;
        Ok((sent == length).then(|| py.None()))
    };
    socket.retry(Interest::Write, attempt).await
}

/// `loop.sock_sendto(sock, data, address)`.
fn sock_sendto<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket, data, address] = args.parse(&SOCK_SENDTO)?;
    let (socket, data, address) = (Socket::new(event_loop, socket), Ref::new(data), Ref::new(address));
    coroutines::new(event_loop, SOCK_SENDTO.function, async move {
        Python::attach(|py| socket.check(py))?;
        let attempt = |py: Python<'_>| {
            let args = (data.any(py), address.any(py));
            Ok(Some(socket.object.any(py).call_method1("sendto", args)?.unbind()))
        };
        socket.retry(Interest::Write, attempt).await
    })
}

/// `loop.sock_connect(sock, address)`.
fn sock_connect<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket, address] = args.parse(&SOCK_CONNECT)?;
    let (socket, address) = (Socket::new(event_loop, socket), Ref::new(address));
    coroutines::new(event_loop, SOCK_CONNECT.function, async move { connect(&socket, address).await })
}

async fn connect(socket: &Socket, address: Ref) -> Answer {
    let question = Python::attach(|py| {
        socket.check(py)?;
        question(socket, &address, py)
    })?;
    let address = match question {
        Some(question) => {
            let infos = resolve::ensure_resolved(&socket.event_loop, question).await?;
            Python::attach(|py| -> PyResult<_> { Ok(Ref::new(infos.bind(py).get_item(0)?.get_item(4)?)) })?
        }
        None => address,
    };
    let mut begun = false;
    let attempt = |py: Python<'_>| {
        let object = socket.object.any(py);
        if std::mem::replace(&mut begun, true) {
            let option = (stock::sol_socket(py)?, stock::so_error(py)?);
            let failure: i32 = object.call_method1("getsockopt", option)?.extract()?;
            if failure != 0 {
                let text = format!("Connect call failed {}", address.any(py).str()?);
                return Err(PyOSError::new_err((failure, text)));
            }
        } else {
            object.call_method1("connect", (address.any(py),))?;
        }
        Ok(Some(py.None()))
    };
    socket.retry(Interest::Write, attempt).await
}

/// What has to be resolved before the socket can connect: Internet addresses.
fn question(socket: &Socket, address: &Ref, py: Python<'_>) -> PyResult<Option<Question>> {
    let object = socket.object.any(py);
    let family = object.getattr("family")?;
    if family.ne(stock::af_inet(py)?)? && family.ne(stock::af_inet6(py)?)? {
        return Ok(None);
    }
    Ok(Some(Question {
        address: address.copy(py),
        family: Ref::new(family),
        kind: Ref::new(object.getattr("type")?),
        protocol: Ref::new(object.getattr("proto")?),
        flags: Ref::new(0_i32.into_pyobject(py)?),
        asked: Ref::new(socket.event_loop.any(py).clone()),
    }))
}

/// `loop.sock_accept(sock)`.
fn sock_accept<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket] = args.parse(&SOCK_ACCEPT)?;
    let socket = Socket::new(event_loop, socket);
    coroutines::new(event_loop, SOCK_ACCEPT.function, async move {
        Python::attach(|py| socket.check(py))?;
        let attempt = |py: Python<'_>| {
            let accepted = socket.object.any(py).call_method0("accept")?;
            let (connection, address): (Bound<'_, PyAny>, Bound<'_, PyAny>) = accepted.extract()?;
            connection.call_method1("setblocking", (false,))?;
            Ok(Some(PyTuple::new(py, [connection, address])?.into_any().unbind()))
        };
        socket.retry(Interest::Read, attempt).await
    })
}
