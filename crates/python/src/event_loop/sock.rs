//! Coroutines on the program's own sockets: `sock_recv`, `sock_sendall`, `sock_connect`, `sock_accept` and
//! their kin.
//!
//! Each coroutine tries at once. Only if the socket is not ready it waits, on a future that the kernel's
//! report completes. Receiving from and sending to a plain `socket.socket` is done by system calls made here;
//! any other object (a subclass, an object with the same methods) is used through its methods. Called by
//! Python code; calls [`crate::core::watched`], [`super::resolve`] and the driver.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyMemoryView, PyTuple};
use yibu_engine::{Fd, Interest, MAX_RECEIVE, OpId};

use super::resolve::{self, Question};
use super::socket::{self, Socket, completed, plain, unless_blocked};
use crate::core::Overrides;
use crate::core::{EventLoop, Overridable, Owner, OwnerKind, finish, ignore_replacement, watched};
use crate::coroutines::{self, Answer, GcRef, GcScope, Routine, Step};
use crate::ffi::buffer::Buffer;
use crate::ffi::thread::attached;
use crate::ffi::{Args, Obj, Output, Ref, Signature, Table, make, none};
use crate::futures::{READY, create_future, create_future_on, future_like, future_maker};
use crate::replaced::sockets;
use crate::stock;
use crate::tasks::Awaited;
use crate::transports::descriptors;

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
    t.method(&SOCK_RECV, begin::<Receive, 2>, "Coroutine: receives at most n bytes from a socket.");
    t.method(
        &SOCK_RECV_INTO,
        begin::<ReceiveInto, 2>,
        "Coroutine: receives from a socket into a buffer. Returns the number of bytes.",
    );
    t.method(
        &SOCK_RECVFROM,
        begin::<ReceiveFrom, 2>,
        "Coroutine: receives a datagram of at most bufsize bytes. Returns (data, address).",
    );
    t.method(
        &SOCK_RECVFROM_INTO,
        begin::<ReceiveFromInto, 3>,
        "Coroutine: receives a datagram into a buffer. Returns (number of bytes, address).",
    );
    t.method(&SOCK_SENDALL, sock_sendall, "Coroutine: sends all the data to a connected socket.");
    t.method(
        &SOCK_SENDTO,
        begin::<SendTo, 3>,
        "Coroutine: sends a datagram to an address. Returns the number of bytes sent.",
    );
    t.method(&SOCK_CONNECT, sock_connect, "Coroutine: connects a socket to an address.");
    t.method(
        &SOCK_ACCEPT,
        begin::<Accept, 1>,
        "Coroutine: accepts a connection on a listening socket. Returns (socket, address).",
    );
}

/// A method of `N` arguments, the first of which is the socket, that tries again whenever the socket is
/// ready.
trait Attempt<const N: usize>: 'static {
    const SIGNATURE: &'static Signature<N>;
    const INTEREST: Interest;

    /// One try.
    fn attempt<'py>(call: &Call<'_, 'py>) -> Tried<'py>;
}

/// The result; `None`, BlockingIOError and InterruptedError mean that the socket is not ready.
type Tried<'py> = PyResult<Option<Bound<'py, PyAny>>>;

/// The arguments of a call.
struct Call<'a, 'py> {
    event_loop: &'a Obj<'py, EventLoop>,
    socket: &'a Bound<'py, PyAny>,
    routine: &'a Obj<'py, Routine>,
}

impl<'py> Call<'_, 'py> {
    fn py(&self) -> Python<'py> {
        self.routine.py()
    }

    /// The argument behind the socket.
    fn second(&self) -> Bound<'py, PyAny> {
        self.routine.second.get_or_none(self.py())
    }

    /// The last argument of three.
    fn third(&self) -> Bound<'py, PyAny> {
        self.routine.third.get_or_none(self.py())
    }
}

/// The coroutine. Its first slot has the socket, the others have the other arguments; the number is the
/// operation waited for.
fn begin<'py, A: Attempt<N>, const N: usize>(
    event_loop: &Obj<'py, EventLoop>,
    args: Args<'_, 'py>,
) -> Output<'py> {
    let given = args.parse(A::SIGNATURE)?;
    let call = Routine::begin(event_loop.as_any(), A::SIGNATURE.function, start::<A, N>)?;
    for (slot, value) in [&call.first, &call.second, &call.third].into_iter().zip(given) {
        slot.put(value);
    }
    Ok(call.into_any())
}

fn start<'py, A: Attempt<N>, const N: usize>(call: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = call.py();
    call.with_owner::<EventLoop, _>(py, |event_loop| {
        let socket = call.first.get_or_none(py);
        socket::check(event_loop, &socket)?;
        attempt::<A, N>(event_loop, &socket, call)
    })
}

fn attempt<'py, A: Attempt<N>, const N: usize>(
    event_loop: &Obj<'py, EventLoop>,
    socket: &Bound<'py, PyAny>,
    call: &Obj<'py, Routine>,
) -> PyResult<Step<'py>> {
    if let Some(answer) = unless_blocked(call.py(), A::attempt(&Call { event_loop, socket, routine: call }))?
    {
        return Ok(Step::Return(answer));
    }
    let fd = sockets::fileno(socket)?;
    descriptors::check_number(event_loop, fd)?;
    event_loop.check_open()?;
    let (ready, owner) = waiter(event_loop)?;
    event_loop.refuse_other_watching()?;
    call.number.set(watched::watch(event_loop, fd, A::INTEREST, owner)?.bits());
    Ok(Step::Await(ready, again::<A, N>))
}

/// `self.create_future()`, and the owner of an operation that completes the future.
fn waiter<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<(Bound<'py, PyAny>, Owner)> {
    match future_maker(event_loop.as_any()) {
        Some(native) => {
            let future = create_future(native)?;
            Ok((future.as_any().clone(), Owner::of(&READY, future)))
        }
        None => {
            let future = create_future_on(event_loop.as_any())?;
            let object = Ref::new(future.clone());
            Ok((future, Owner::Object { kind: &READY_BY_NAME, object }))
        }
    }
}

/// The owner of an operation that completes a future that the program has made.
static READY_BY_NAME: OwnerKind = OwnerKind {
    ready: |event_loop, future, id| {
        let future = future.into_any(event_loop.py());
        if finish(event_loop, id).is_none() || future_like::is_done(&future)? {
            return Ok(());
        }
        future_like::set_result(&future, none(event_loop.py()))
    },
    replaced: ignore_replacement,
};

/// The socket is ready, or waiting was given up.
fn again<'py, A: Attempt<N>, const N: usize>(
    call: &Obj<'py, Routine>,
    waited: Output<'py>,
) -> PyResult<Step<'py>> {
    let py = call.py();
    call.with_owner::<EventLoop, _>(py, |event_loop| {
        // A stale identifier (another watcher took the side, the loop was closed) cancels nothing. That the
        // table of the watched still names it does no harm.
        let owner = event_loop.engine.with(|engine| engine.cancel(OpId::from_bits(call.number.get())));
        drop(owner);
        waited?;
        attempt::<A, N>(event_loop, &call.first.get_or_none(py), call)
    })
}

/// `loop.sock_recv(sock, n)`: into the loop's buffer, of which bytes are made. More than the buffer holds is
/// left to the socket's method.
struct Receive;

impl Attempt<2> for Receive {
    const SIGNATURE: &'static Signature<2> = &SOCK_RECV;
    const INTEREST: Interest = Interest::Read;

    fn attempt<'py>(call: &Call<'_, 'py>) -> Tried<'py> {
        let py = call.py();
        let limit = call.second();
        let small = limit.cast_exact::<PyInt>().ok().and_then(|limit| limit.extract::<usize>().ok());
        let (Some(limit @ 1..=MAX_RECEIVE), Some(fd)) = (small, plain(call.socket)?) else {
            return call.socket.call_method1(name!("recv"), (limit,)).map(Some);
        };
        let received = call.event_loop.engine.with(|engine| {
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
        Ok(completed(received)?.map(Bound::into_any))
    }
}

/// `loop.sock_recv_into(sock, buf)`. What is no buffer, or has no room, is left to the socket's method.
struct ReceiveInto;

impl Attempt<2> for ReceiveInto {
    const SIGNATURE: &'static Signature<2> = &SOCK_RECV_INTO;
    const INTEREST: Interest = Interest::Read;

    fn attempt<'py>(call: &Call<'_, 'py>) -> Tried<'py> {
        let py = call.py();
        let buffer = call.second();
        if let Some(fd) = plain(call.socket)?
            && let Ok(mut room) = Buffer::get(&buffer, true)
            && !room.is_empty()
        {
            let received =
                call.event_loop.engine.with(|engine| engine.driver.recv_into(fd, room.bytes_mut()));
            let Some(received) = completed(received)? else { return Ok(None) };
            return Ok(Some(received.into_pyobject(py)?.into_any()));
        }
        call.socket.call_method1(name!("recv_into"), (buffer,)).map(Some)
    }
}

/// `loop.sock_recvfrom(sock, bufsize)`.
struct ReceiveFrom;

impl Attempt<2> for ReceiveFrom {
    const SIGNATURE: &'static Signature<2> = &SOCK_RECVFROM;
    const INTEREST: Interest = Interest::Read;

    fn attempt<'py>(call: &Call<'_, 'py>) -> Tried<'py> {
        call.socket.call_method1(name!("recvfrom"), (call.second(),)).map(Some)
    }
}

/// `loop.sock_recvfrom_into(sock, buf, nbytes=0)`.
struct ReceiveFromInto;

impl Attempt<3> for ReceiveFromInto {
    const SIGNATURE: &'static Signature<3> = &SOCK_RECVFROM_INTO;
    const INTEREST: Interest = Interest::Read;

    fn attempt<'py>(call: &Call<'_, 'py>) -> Tried<'py> {
        let py = call.py();
        let (buffer, mut limit) = (call.second(), call.third());
        if !limit.is_truthy()? {
            limit = buffer.len()?.into_pyobject(py)?.into_any();
        }
        call.socket.call_method1(name!("recvfrom_into"), (buffer, limit)).map(Some)
    }
}

/// `loop.sock_sendto(sock, data, address)`.
struct SendTo;

impl Attempt<3> for SendTo {
    const SIGNATURE: &'static Signature<3> = &SOCK_SENDTO;
    const INTEREST: Interest = Interest::Write;

    fn attempt<'py>(call: &Call<'_, 'py>) -> Tried<'py> {
        let args = (call.second(), call.third());
        call.socket.call_method1(name!("sendto"), args).map(Some)
    }
}

/// `loop.sock_accept(sock)`.
struct Accept;

impl Attempt<1> for Accept {
    const SIGNATURE: &'static Signature<1> = &SOCK_ACCEPT;
    const INTEREST: Interest = Interest::Read;

    fn attempt<'py>(call: &Call<'_, 'py>) -> Tried<'py> {
        let accepted = call.socket.call_method0(name!("accept"))?;
        let (connection, address): (Bound<'py, PyAny>, Bound<'py, PyAny>) = accepted.extract()?;
        connection.call_method1(name!("setblocking"), (false,))?;
        Ok(Some(PyTuple::new(call.py(), [connection, address])?.into_any()))
    }
}

/// `loop.sock_sendall(sock, data)`. What the socket does not take at once is sent by a coroutine of its own.
fn sock_sendall<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket, data] = args.parse(&SOCK_SENDALL)?;
    let call = Routine::begin(event_loop.as_any(), SOCK_SENDALL.function, start_sending)?;
    call.first.put(socket);
    call.second.put(data);
    Ok(call.into_any())
}

fn start_sending<'py>(call: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = call.py();
    call.with_owner::<EventLoop, _>(py, |event_loop| {
        let (socket, data) = (call.first.get_or_none(py), call.second.get_or_none(py));
        socket::check(event_loop, &socket)?;
        let rest = match plain(&socket)? {
            Some(fd) => {
                let buffer = Buffer::get(&data, false)?;
                let sent = send(event_loop, fd, buffer.bytes())?;
                if sent == buffer.len() {
                    return Ok(Step::Return(none(py)));
                }
                let gc_scope = GcScope::begin();
                let socket = Socket::new(event_loop, socket);
                coroutines::new(gc_scope, event_loop, SOCK_SENDALL.function, async move {
                    send_buffer(&socket, &buffer, sent).await
                })?
            }
            None => {
                let gc_scope = GcScope::begin();
                let (socket, data) = (Socket::new(event_loop, socket), GcRef::new(data));
                coroutines::new(gc_scope, event_loop, SOCK_SENDALL.function, async move {
                    send_by_method(&socket, &data).await
                })?
            }
        };
        Ok(Step::Await(rest, |_, sent| sent.map(Step::Return)))
    })
}

/// How much the socket took.
fn send(event_loop: &EventLoop, fd: Fd, data: &[u8]) -> PyResult<usize> {
    let taken = event_loop.engine.with(|engine| engine.driver.send(fd, data));
    Ok(completed(taken)?.unwrap_or_default())
}

async fn send_buffer(socket: &Socket, buffer: &Buffer, mut sent: usize) -> Answer {
    let attempt = |py: Python<'_>| {
        let rest = buffer.bytes().get(sent..).unwrap_or_default();
        sent += send(socket.event_loop().data(), socket.fileno(py)?, rest)?;
        Ok((sent == buffer.len()).then(|| py.None()))
    };
    socket.retry(Interest::Write, attempt).await
}

/// `sock.send(data)`, and `sock.send()` of the rest for as long as there is one.
async fn send_by_method(socket: &Socket, data: &GcRef) -> Answer {
    let (mut sent, mut view) = (0_usize, None);
    let attempt = |py: Python<'_>| {
        let (socket, data) = (socket.object(py), data.any(py));
        let Some(rest) = &view else {
            let taken = unless_blocked(py, socket.call_method1(name!("send"), (data,)).map(Some))?;
            sent = match taken {
                Some(taken) => taken.extract()?,
                None => 0,
            };
            if sent == data.len()? {
                return Ok(Some(py.None()));
            }
            view = Some(GcRef::new(PyMemoryView::from(data)?));
            return Ok(None);
        };
        let rest = rest.any(py);
        let length = rest.len()?;
        let slice = make::slice(py, sent, length)?;
        sent += socket.call_method1(name!("send"), (rest.get_item(slice)?,))?.extract::<usize>()?;
        Ok((sent == length).then(|| py.None()))
    };
    socket.retry(Interest::Write, attempt).await
}

/// `loop.sock_connect(sock, address)`.
fn sock_connect<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [socket, address] = args.parse(&SOCK_CONNECT)?;
    let gc_scope = GcScope::begin();
    let (socket, address) = (Socket::new(event_loop, socket), GcRef::new(address));
    coroutines::new(
        gc_scope,
        event_loop,
        SOCK_CONNECT.function,
        async move { connect(&socket, address).await },
    )
}

async fn connect(socket: &Socket, address: GcRef) -> Answer {
    let question = attached(|py| {
        socket.check(py)?;
        question(socket, &address, py)
    })?;
    let address = match question {
        Some(question) => {
            let asked = attached(|py| by_name(socket.event_loop(), &question, py))?;
            let infos = match asked {
                Some(infos) => infos.await?,
                None => resolve::ensure_resolved(socket.event_loop(), question).await?,
            };
            attached(|py| -> PyResult<_> { Ok(GcRef::new(infos.bind(py).get_item(0)?.get_item(4)?)) })?
        }
        None => address,
    };
    let mut begun = false;
    let attempt = |py: Python<'_>| {
        let object = socket.object(py);
        if std::mem::replace(&mut begun, true) {
            let option = (stock::sol_socket(py)?, stock::so_error(py)?);
            let failure: i32 = object.call_method1(name!("getsockopt"), option)?.extract()?;
            if failure != 0 {
                let text = text!("Connect call failed {}", address.any(py).str()?)?;
                return Err(PyOSError::new_err((failure, text)));
            }
        } else {
            object.call_method1(name!("connect"), (address.any(py),))?;
        }
        Ok(Some(py.None()))
    };
    socket.retry(Interest::Write, attempt).await
}

/// `self._ensure_resolved(...)` where a program has replaced that.
fn by_name(event_loop: &GcRef<EventLoop>, question: &Question, py: Python<'_>) -> PyResult<Option<Awaited>> {
    let event_loop = event_loop.obj(py);
    if !event_loop.overrides(Overridable::EnsureResolved) {
        return Ok(None);
    }
    let keywords = PyDict::new(py);
    keywords.set_item("family", question.family.any(py))?;
    keywords.set_item("type", question.kind.any(py))?;
    keywords.set_item("proto", question.protocol.any(py))?;
    keywords.set_item("loop", event_loop.as_any())?;
    let address = (question.address.any(py),);
    let asked = event_loop.as_any().call_method(name!("_ensure_resolved"), address, Some(&keywords))?;
    Awaited::on(&event_loop, &asked).map(Some)
}

/// What has to be resolved before the socket can connect: Internet addresses.
fn question(socket: &Socket, address: &GcRef, py: Python<'_>) -> PyResult<Option<Question>> {
    let object = socket.object(py);
    let family = object.getattr(name!("family"))?;
    if family.ne(stock::af_inet(py)?)? && family.ne(stock::af_inet6(py)?)? {
        return Ok(None);
    }
    Ok(Some(Question {
        address: address.clone_ref(py),
        family: GcRef::new(family),
        kind: GcRef::new(object.getattr(name!("type"))?),
        protocol: GcRef::new(object.getattr(name!("proto"))?),
        flags: GcRef::new(0_i32.into_pyobject(py)?),
        asked: GcRef::new(socket.event_loop().to_bound(py)),
    }))
}
