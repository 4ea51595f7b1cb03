//! Files to connections: `sendfile` and `sock_sendfile`.
//!
//! The kernel copies where it can; [`copying`] does where it cannot (TLS, a file that is none). The private
//! methods are there because programs and tests force copying by replacing them. Called by Python code; calls
//! the driver's [`SendingFile`](yibu_engine::SendingFile) and [`super::sock`].

mod copying;
pub mod protocol;

use std::io;

use futures_util::future::{Either, FutureExt, select};
use pyo3::exceptions::{
    PyAttributeError, PyBlockingIOError, PyConnectionError, PyInterruptedError, PyOSError, PyRuntimeError,
    PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt};
use rustix::fs::FileType;
use rustix::io::Errno;
use yibu_engine::{Fd, Interest, is_again};

use super::connect::SOCK_STREAM;
use super::socket::Socket;
use crate::core::{EventLoop, Overridable, Overrides};
use crate::coroutines::{self, GcRef, GcScope};
use crate::errors;
use crate::ffi::thread::attached;
use crate::ffi::{Args, Obj, Output, Raised, Signature, Table};
use crate::frames;
use crate::replaced::names::OS_SENDFILE;
use crate::tasks::Awaited;
use crate::transports::{self, SocketTransport, descriptors};
use crate::{names, stock};

const SENDFILE: Signature<5> =
    Signature::new("EventLoop.sendfile", "transport, file, offset=0, count=None, *, fallback=True");
const SOCK_SENDFILE: Signature<5> =
    Signature::new("EventLoop.sock_sendfile", "sock, file, offset=0, count=None, *, fallback=True");
const SENDFILE_NATIVE: Signature<4> =
    Signature::new("EventLoop._sendfile_native", "transp, file, offset, count");
const SOCK_SENDFILE_NATIVE: Signature<4> =
    Signature::new("EventLoop._sock_sendfile_native", "sock, file, offset, count");

const CHECK: Signature<4> =
    Signature::new_method("EventLoop._check_sendfile_params", "sock, file, offset, count");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.command(
        &CHECK,
        |_, args| {
            let [sock, file, offset, count] = args.parse(&CHECK)?;
            let _gc_scope = GcScope::begin();
            check(&sock, &Piece::new(file, offset, count))
        },
        "All that can be wrong with the arguments of sock_sendfile().",
    );
    t.method(
        &SENDFILE,
        sendfile,
        "Coroutine: sends a file, or count bytes of it, over a transport. Returns the number of bytes sent.",
    );
    t.method(
        &SOCK_SENDFILE,
        sock_sendfile,
        "Coroutine: sends a file, or count bytes of it, to a socket. Returns the number of bytes sent.",
    );
    t.method(
        &SENDFILE_NATIVE,
        sendfile_native,
        "Coroutine: sendfile() by the kernel, or SendfileNotAvailableError.",
    );
    t.method(
        &SOCK_SENDFILE_NATIVE,
        sock_sendfile_native,
        "Coroutine: sock_sendfile() by the kernel, or SendfileNotAvailableError.",
    );
}

/// What is to be sent.
struct Piece {
    file: GcRef,
    offset: GcRef,
    count: GcRef,
}

impl Piece {
    fn new<'py>(file: Bound<'py, PyAny>, offset: Bound<'py, PyAny>, count: Bound<'py, PyAny>) -> Self {
        Self { file: GcRef::new(file), offset: GcRef::new(offset), count: GcRef::new(count) }
    }
}

/// A call of one of the public methods: where to, what, and whether copying through Python is allowed.
fn request<'py>(
    args: &Args<'_, 'py>,
    signature: &Signature<5>,
) -> PyResult<(Bound<'py, PyAny>, Piece, bool)> {
    let py = args.py();
    let [target, file, offset, count, fallback] = args.parse_given(signature)?;
    let or_none = |value: Option<Bound<'py, PyAny>>| value.unwrap_or_else(|| crate::ffi::none(py));
    let offset = match offset {
        Some(offset) => offset,
        None => PyInt::new(py, 0).into_any(),
    };
    let fallback = fallback.map_or(Ok(true), |fallback| fallback.is_truthy())?;
    Ok((or_none(target), Piece::new(or_none(file), offset, or_none(count)), fallback))
}

fn unavailable(text: &'static str) -> PyErr {
    attached(|py| match stock::sendfile_not_available_error(py) {
        Ok(class) => errors::raise(class, text),
        Err(error) => error,
    })
}

fn is_unavailable(py: Python<'_>, error: &PyErr) -> bool {
    stock::sendfile_not_available_error(py).is_ok_and(|class| error.is_instance(py, class))
}

/// `loop.sendfile(transport, file, offset, count, fallback=...)`.
fn sendfile<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    let (transport, piece, fallback) = request(&args, &SENDFILE)?;
    let transport = GcRef::new(transport);
    coroutines::new(gc_scope, event_loop, SENDFILE.function, async move {
        let native = attached(|py| {
            let target = transport.any(py);
            if target.call_method0(names::is_closing(py))?.is_truthy()? {
                return Err(PyRuntimeError::new_err("Transport is closing"));
            }
            let modes = stock::sendfile_mode(py)?;
            let unsupported = modes.getattr(name!("UNSUPPORTED"))?;
            let mode =
                target.getattr_opt(name!("_sendfile_compatible"))?.unwrap_or_else(|| unsupported.clone());
            if mode.is(&unsupported) {
                let text = text!("sendfile is not supported for transport {}", target.repr()?)?;
                return Err(PyRuntimeError::new_err(text));
            }
            if !mode.is(&modes.getattr(name!("TRY_NATIVE"))?) {
                return Ok(None);
            }
            let args = (target, piece.file.any(py), piece.offset.any(py), piece.count.any(py));
            let event_loop = own.obj(py);
            let native = event_loop.as_any().call_method1(name!("_sendfile_native"), args)?;
            Awaited::on(&event_loop, &native).map(Some)
        })?;
        if let Some(native) = native {
            match native.await {
                Err(error) if fallback && attached(|py| is_unavailable(py, &error)) => {}
                answer => return answer,
            }
        }
        if !fallback {
            return Err(attached(|py| match transport.any(py).repr() {
                Ok(transport) => PyRuntimeError::new_err(format!(
                    "fallback is disabled and native sendfile is not supported for transport {transport}"
                )),
                Err(error) => error,
            }));
        }
        copying::over_transport(&own, &transport, piece).await
    })
}

/// `loop.sock_sendfile(sock, file, offset, count, fallback=...)`.
fn sock_sendfile<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    let (sock, piece, fallback) = request(&args, &SOCK_SENDFILE)?;
    let socket = Socket::new(event_loop, sock);
    coroutines::new(gc_scope, event_loop, SOCK_SENDFILE.function, async move {
        let native = attached(|py| {
            socket.check(py)?;
            let (event_loop, sock) = (own.obj(py), socket.object(py));
            let args = (sock, piece.file.any(py), piece.offset.any(py), piece.count.any(py));
            if event_loop.overrides(Overridable::CheckSendfile) {
                event_loop.as_any().call_method1(name!("_check_sendfile_params"), args)?;
            } else {
                check(sock, &piece)?;
            }
            let native = event_loop.as_any().call_method1(name!("_sock_sendfile_native"), args)?;
            Awaited::on(&event_loop, &native)
        })?;
        match native.await {
            Err(error) if fallback && attached(|py| is_unavailable(py, &error)) => {}
            answer => return answer,
        }
        copying::to_socket(&own, &socket, piece).await
    })
}

/// `_check_sendfile_params`.
fn check(sock: &Bound<'_, PyAny>, piece: &Piece) -> PyResult<()> {
    let py = sock.py();
    let (file, offset, count) = (piece.file.any(py), piece.offset.any(py), piece.count.any(py));
    if let Some(mode) = file.getattr_opt(name!("mode"))?
        && !mode.contains("b")?
    {
        return Err(PyValueError::new_err("file should be opened in binary mode"));
    }
    if !sock.getattr(name!("type"))?.eq(SOCK_STREAM)? {
        return Err(PyValueError::new_err("only SOCK_STREAM type sockets are supported"));
    }
    if !count.is_none() {
        let text = || Ok::<_, PyErr>(text!("count must be a positive integer (got {})", count.repr()?)?);
        if !count.is_instance_of::<PyInt>() {
            return Err(PyTypeError::new_err(text()?));
        }
        if count.le(0)? {
            return Err(PyValueError::new_err(text()?));
        }
    }
    let text = || Ok::<_, PyErr>(text!("offset must be a non-negative integer (got {})", offset.repr()?)?);
    if !offset.is_instance_of::<PyInt>() {
        return Err(PyTypeError::new_err(text()?));
    }
    if offset.lt(0)? {
        return Err(PyValueError::new_err(text()?));
    }
    Ok(())
}

/// `_sendfile_native`.
fn sendfile_native<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    let [transport, file, offset, count] = args.parse(&SENDFILE_NATIVE)?;
    let native = Obj::<SocketTransport>::cast(&transport).map(GcRef::of);
    let piece = Piece::new(file, offset, count);
    coroutines::new(gc_scope, event_loop, SENDFILE_NATIVE.function, async move {
        let Some(transport) = native else { return Err(unavailable("sendfile syscall is not supported")) };
        let (direct, drained) = attached(|py| Direct::begin(&own.obj(py), &transport.obj(py)))?;
        drained.await?;
        let (sending, lost) = attached(|py| {
            let event_loop = own.obj(py);
            let lost = transports::watch_for_loss(&transport.obj(py))?;
            let socket = transports::socket(&transport.obj(py))?;
            let args = (socket, piece.file.any(py), piece.offset.any(py), piece.count.any(py));
            let keywords = PyDict::new(py);
            keywords.set_item("fallback", false)?;
            let sending = event_loop.as_any().call_method(name!("sock_sendfile"), args, Some(&keywords))?;
            Ok::<_, PyErr>((Awaited::on(&event_loop, &sending)?, Awaited::on(&event_loop, lost.as_any())?))
        })?;
        let answer = match select(sending, lost).await {
            Either::Left((answer, lost)) => {
                // The exception is not needed, and must not be reported as never retrieved.
                drop(lost.now_or_never());
                answer
            }
            Either::Right((Err(lost), _)) => Err(lost),
            Either::Right((Ok(_), sending)) => sending.await,
        };
        attached(|py| direct.end(py))?;
        answer
    })
}

/// A transport whose socket is used directly meanwhile: it neither reads nor writes, and its descriptor is
/// free to be watched.
struct Direct {
    event_loop: GcRef<EventLoop>,
    transport: GcRef<SocketTransport>,
    resume_reading: bool,
    over: bool,
}

impl Direct {
    /// Begins. The socket may be used when what was written before has been sent.
    fn begin<'py>(
        event_loop: &Obj<'py, EventLoop>,
        transport: &Obj<'py, SocketTransport>,
    ) -> PyResult<(Self, Awaited)> {
        let py = event_loop.py();
        let fd = transports::descriptor(transport);
        descriptors::leave(event_loop, fd, transport.as_any(), &transport.listing)?;
        let object = transport.as_any();
        let resume_reading = object.call_method0(name!("is_reading"))?.is_truthy()?;
        let direct = Self {
            event_loop: GcRef::of(event_loop),
            transport: GcRef::of(transport),
            resume_reading,
            over: false,
        };
        object.call_method0(names::pause_reading(py))?;
        let drained = object.call_method0(name!("_make_empty_waiter"))?;
        Ok((direct, Awaited::on(event_loop, &drained)?))
    }

    /// Gives the socket back to the transport.
    fn end(mut self, py: Python<'_>) -> PyResult<()> {
        self.restore(py)
    }

    fn restore(&mut self, py: Python<'_>) -> PyResult<()> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(());
        }
        let transport = self.transport.obj(py);
        let object = transport.as_any();
        object.call_method0(name!("_reset_empty_waiter"))?;
        if self.resume_reading {
            object.call_method0(names::resume_reading(py))?;
        }
        if transport.stream(|stream| stream.is_closing()) {
            return Ok(());
        }
        let fd = transports::descriptor(&transport);
        descriptors::enter(&self.event_loop.obj(py), fd, &transport, &transport.listing)
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        attached(|py| {
            if let Err(error) = self.restore(py) {
                error.write_unraisable(py, Some(self.transport.any(py)));
            }
        });
    }
}

/// `_sock_sendfile_native`.
fn sock_sendfile_native<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [sock, file, offset, count] = args.parse(&SOCK_SENDFILE_NATIVE)?;
    let gc_scope = GcScope::begin();
    let socket = Socket::new(event_loop, sock);
    let piece = Piece::new(file, offset, count);
    coroutines::new(gc_scope, event_loop, SOCK_SENDFILE_NATIVE.function, async move {
        let Some(mut transfer) = attached(|py| Transfer::of(&piece, py))? else {
            return attached(|py| Ok(PyInt::new(py, 0).into_any().unbind()));
        };
        let sent = transfer.run(&socket).await;
        attached(|py| {
            transfer.seek_behind_sent(py)?;
            sent?;
            Ok(transfer.sent.into_pyobject(py)?.into_any().unbind())
        })
    })
}

/// A file on its way to a socket, copied by the kernel.
struct Transfer {
    file: Fd,
    offset: u64,
    sent: u64,
    /// How much is still wanted; none for all there is.
    left: Option<u64>,
    /// How much to ask for at once where all is wanted: as much as there was at first.
    size: u64,
    /// Whether the file has a position that can be set; pipes have none.
    has_position: bool,
    /// Whether the file's position tells what was sent.
    position_is_set: bool,
}

/// What `os.sendfile` takes at once.
const MAX_ASKED: u64 = 1 << 30;

/// A count as a number. No file is longer than fits into one.
fn amount(count: &Bound<'_, PyAny>) -> u64 {
    count.extract::<i64>().map_or(u64::MAX, i64::cast_unsigned)
}

impl Transfer {
    /// None when there is nothing to send.
    fn of(piece: &Piece, py: Python<'_>) -> PyResult<Option<Self>> {
        let no_file = |error: PyErr, foreseen: &dyn Fn(&Raised<'_>) -> PyResult<bool>| {
            let error = Raised::from_err(py, error);
            match foreseen(&error) {
                Ok(true) => {
                    error.handling(|| Raised::from_err(py, unavailable("not a regular file")).raise())
                }
                Ok(false) => error.into_err(),
                Err(other) => other,
            }
        };
        let file = piece.file.any(py).call_method0(names::fileno(py)).map_err(|error| {
            no_file(error, &|error| {
                Ok(error.is::<PyAttributeError>() || error.is_instance_of(stock::unsupported_operation(py)?))
            })
        })?;
        let os = stock::module(py, "os")?;
        let status = os
            .call_method1(name!("fstat"), (&file,))
            .map_err(|error| no_file(error, &|error| Ok(error.is::<PyOSError>())))?;
        let count = piece.count.any(py);
        let left = if count.is_truthy()? { Some(amount(count)) } else { None };
        let size: u64 = status.getattr(name!("st_size"))?.extract()?;
        if left.is_none() && size == 0 {
            return Ok(None);
        }
        let offset: i64 = piece.offset.any(py).extract()?;
        let mode: u32 = status.getattr(name!("st_mode"))?.extract()?;
        Ok(Some(Self {
            file: file.extract()?,
            offset: offset.cast_unsigned(),
            sent: 0,
            left,
            size,
            has_position: FileType::from_raw_mode(mode) == FileType::RegularFile,
            position_is_set: false,
        }))
    }

    async fn run(&mut self, socket: &Socket) -> PyResult<()> {
        let mut waited = false;
        let attempt = |py: Python<'_>| {
            let sent = self.send(socket, std::mem::replace(&mut waited, true), py)?;
            Ok(sent.then(|| py.None()))
        };
        socket.retry(Interest::Write, attempt).await.map(drop)
    }

    /// Sends a piece; true when nothing was left. After each the loop has a turn, as on asyncio: small files
    /// one after the other would leave it none.
    fn send(&mut self, socket: &Socket, waited: bool, py: Python<'_>) -> PyResult<bool> {
        let asked = self.left.unwrap_or(self.size).min(MAX_ASKED);
        if asked == 0 {
            return Ok(true);
        }
        let fd = socket.fileno(py)?;
        if let Some(function) = OS_SENDFILE.replacement(py)? {
            let args = (fd, self.file, self.offset, asked).into_pyobject(py)?;
            return match frames::SENDFILE.call(&function, args, None) {
                Ok(sent) => Ok(self.went(sent.extract()?)),
                Err(error) if error.is_instance_of::<PyBlockingIOError>(py) => Ok(false),
                Err(error) if error.is_instance_of::<PyInterruptedError>(py) => Ok(false),
                Err(error) if error.is_instance_of::<PyOSError>(py) && self.sent == 0 => {
                    Err(unavailable("os.sendfile call failed"))
                }
                Err(error) => Err(error),
            };
        }
        let begun = socket
            .event_loop()
            .data()
            .engine
            .with(|engine| engine.driver.begin_send_file(fd, self.file, self.offset, asked as usize));
        match begun.and_then(|sending| py.detach(|| sending.run())) {
            Ok(sent) => Ok(self.went(sent as u64)),
            Err(error) if is_again(&error) => Ok(false),
            Err(error) => Err(self.failed(&error, waited, py)),
        }
    }

    /// So much was sent; whether it was the end of the file.
    fn went(&mut self, sent: u64) -> bool {
        self.offset += sent;
        self.sent += sent;
        self.left = self.left.map(|left| left.saturating_sub(sent));
        sent == 0
    }

    /// An error before anything was sent may be about the kind of file; later ones are the connection's.
    fn failed(&self, error: &io::Error, waited: bool, py: Python<'_>) -> PyErr {
        if self.sent == 0 {
            return unavailable("os.sendfile call failed");
        }
        let not_connected = Errno::NOTCONN.raw_os_error();
        let cause = errors::os_error(error);
        if !waited || error.raw_os_error() != Some(not_connected) {
            return cause;
        }
        let error = PyConnectionError::new_err(("socket is not connected", not_connected));
        error.set_cause(py, Some(cause));
        error
    }

    /// Moves the position of the file behind what was sent, once, also if nothing was sent.
    fn seek_behind_sent(&mut self, py: Python<'_>) -> PyResult<()> {
        if std::mem::replace(&mut self.position_is_set, true) || (self.sent == 0 && !self.has_position) {
            return Ok(());
        }
        let os = stock::module(py, "os")?;
        os.call_method1(name!("lseek"), (self.file, self.offset, os.getattr(name!("SEEK_SET"))?)).map(drop)
    }
}

impl Drop for Transfer {
    /// The coroutine was cancelled.
    fn drop(&mut self) {
        attached(|py| {
            if let Err(error) = self.seek_behind_sent(py) {
                error.write_unraisable(py, None);
            }
        });
    }
}
