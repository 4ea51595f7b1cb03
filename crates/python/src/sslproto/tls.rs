//! [`Tls`]: the object that turns bytes into bytes. Ciphertext is fed in and taken out, plain text is read
//! and written.
//!
//! It is the user's own: what `SSLContext.wrap_bio` gives, between two `ssl.MemoryBIO`. So server names,
//! ALPN, sessions, certificates and errors are those of the `ssl` module. Nothing here knows of states or
//! protocols.

use std::cell::Cell;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyType};

use crate::ffi::buffer::Buffer;
use crate::ffi::openssl::{End, Engine, Outcome};
use crate::ffi::{Output, Raised, Slot, Visitor, call, make};
use crate::frames::warn;
use crate::names;
use crate::names::Interned;
use crate::replaced::names::{SSLPROTO, TLS_METHODS};

/// What a record holds at most, and so what one read gives.
const RECORD_SIZE: usize = 16 * 1024;

/// The module `ssl`; RuntimeError where the interpreter has none. Asked of `asyncio.sslproto`, where programs
/// look, too.
pub fn ssl_module(py: Python<'_>) -> Output<'_> {
    let module = py.import("asyncio.sslproto")?.getattr(name!("ssl"))?;
    if module.is_none() {
        return Err(PyRuntimeError::new_err("stdlib ssl module not available"));
    }
    Ok(module)
}

/// The classes of the module `ssl` by which things are told apart.
struct Classes {
    want_read: Py<PyType>,
    syscall_error: Py<PyType>,
    error: Py<PyType>,
    certificate_error: Py<PyType>,
    object: Py<PyType>,
    context: Py<PyType>,
}

fn classes(py: Python<'_>) -> PyResult<&'static Classes> {
    static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();
    CLASSES.get_or_try_init(py, || {
        let module = py.import("ssl")?;
        let class = |name: &str| Ok::<_, PyErr>(module.getattr(name)?.cast_into::<PyType>()?.unbind());
        Ok(Classes {
            want_read: class("SSLWantReadError")?,
            syscall_error: class("SSLSyscallError")?,
            error: class("SSLError")?,
            certificate_error: class("CertificateError")?,
            object: class("SSLObject")?,
            context: class("SSLContext")?,
        })
    })
}

/// Whether it is an `ssl.SSLError`.
pub fn is_ssl_error(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    Ok(error.is_instance(py, classes(py)?.error.bind(py)))
}

/// Whether it is an `ssl.CertificateError`.
pub fn is_certificate_error(raised: &Raised<'_>) -> PyResult<bool> {
    let py = raised.as_any().py();
    Ok(raised.is_instance_of(classes(py)?.certificate_error.bind(py)))
}

/// Whether it is an `ssl.SSLContext`.
pub fn is_context(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.is_instance(classes(object.py())?.context.bind(object.py()))
}

/// What a client is told whose context checks the name of the server and who has none to compare with:
/// the certificate of any server would do. The module `ssl` of CPython 3.11.17, 3.12.15, 3.13.16 and 3.14.8
/// says so in `wrap_bio`, older ones do not. A warning is all that 3.11 and 3.12 give, because asyncio's
/// documentation of these versions offers `server_hostname=""`.
fn require_name(context: &Bound<'_, PyAny>, server_hostname: &Bound<'_, PyAny>) -> PyResult<()> {
    let nameless = server_hostname.is_none()
        && is_context(context)?
        && context.getattr(name!("check_hostname"))?.is_truthy()?;
    if !nameless {
        return Ok(());
    }
    if cfg!(Py_3_13) {
        return Err(PyValueError::new_err("check_hostname requires server_hostname"));
    }
    let py = context.py();
    let version = py.version_info();
    let warns_itself = version >= (3, 11, 17) && version < (3, 12) || version >= (3, 12, 15);
    if warns_itself {
        return Ok(());
    }
    let text =
        "check_hostname requires server_hostname: without it the certificate of any server is accepted";
    warn(py, "DeprecationWarning", text)
}

/// `SSLAgainErrors`: None for one of them, the error otherwise.
fn unless_again<T>(py: Python<'_>, outcome: PyResult<T>) -> PyResult<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let classes = classes(py)?;
            let again = error.is_instance(py, classes.want_read.bind(py))
                || error.is_instance(py, classes.syscall_error.bind(py));
            if again { Ok(None) } else { Err(error) }
        }
    }
}

/// How far a handshake, or a shutdown, came.
pub enum Progress {
    /// It ended.
    Done,
    /// It waits for the peer.
    Waits,
}

/// Plain text, all that there was.
pub struct Plain<'py> {
    /// None when there was nothing.
    pub data: Option<Bound<'py, PyBytes>>,
    /// The peer has said that nothing follows.
    pub closed: bool,
}

/// What was read into a buffer of the caller's.
pub struct Filled {
    /// How much.
    pub count: usize,
    /// The buffer is full, and there may be more.
    pub full: bool,
    /// The peer has said that nothing follows.
    pub closed: bool,
}

/// See the module.
#[derive(Default)]
pub struct Tls {
    object: Slot,
    incoming: Slot,
    outgoing: Slot,
    /// Whether `pending()` of the object tells the truth: it is an `ssl.SSLObject`.
    tells_pending: Cell<bool>,
    /// The same object without the calls into Python, where that is possible.
    engine: Engine,
}

impl Tls {
    /// `context.wrap_bio(...)`. The name of the server is None where there is none.
    pub fn wrap<'py>(
        &self,
        context: &Bound<'py, PyAny>,
        server_side: bool,
        server_hostname: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let py = context.py();
        if !server_side {
            require_name(context, server_hostname)?;
        }
        let memory = SSLPROTO.global(py, "ssl")?.getattr(name!("MemoryBIO"))?;
        let (incoming, outgoing) = (memory.call0()?, memory.call0()?);
        let keywords = PyDict::new(py);
        keywords.set_item("server_side", server_side)?;
        keywords.set_item("server_hostname", server_hostname)?;
        let object = context.call_method(name!("wrap_bio"), (&incoming, &outgoing), Some(&keywords))?;
        self.incoming.put(incoming.clone());
        self.outgoing.put(outgoing.clone());
        self.set_object(&object)
    }

    /// The handshake has ended: from now on OpenSSL is asked directly, where that is possible. Not before,
    /// because callbacks of the handshake may exchange the context.
    pub fn start_engine(&self, py: Python<'_>) -> PyResult<()> {
        if !self.tells_pending.get() || !TLS_METHODS.are_original(py)? {
            return Ok(());
        }
        let object = self.object(py);
        let context = object.getattr(name!("context"))?;
        self.engine.start(&context, &object, &self.incoming(py), &self.outgoing(py))
    }

    /// Whether OpenSSL is asked directly. Not any more once the program has put methods of its own in place
    /// of `ssl.SSLObject`'s.
    #[inline]
    fn is_direct(&self, py: Python<'_>) -> PyResult<bool> {
        if !self.engine.is_running() {
            return Ok(false);
        }
        let original = TLS_METHODS.are_original(py)?;
        if !original {
            self.engine.stop();
        }
        Ok(original)
    }

    /// Replaces the object: tests do.
    pub fn set_object(&self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        self.engine.stop();
        self.tells_pending.set(object.is_instance(classes(object.py())?.object.bind(object.py()))?);
        self.object.put(object.clone());
        Ok(())
    }

    /// Replaces where ciphertext from the peer goes: tests do.
    pub fn set_incoming(&self, memory: &Bound<'_, PyAny>) -> PyResult<()> {
        self.engine.stop();
        self.incoming.put(memory.clone());
        Ok(())
    }

    /// Replaces where ciphertext for the peer comes from: tests do.
    pub fn set_outgoing(&self, memory: &Bound<'_, PyAny>) -> PyResult<()> {
        self.engine.stop();
        self.outgoing.put(memory.clone());
        Ok(())
    }

    /// `_sslobj`.
    pub fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.object.get_or_none(py)
    }

    /// `_incoming`. Who has it may look at it and change it, so OpenSSL works with it from now on.
    pub fn incoming<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.engine.stop();
        self.incoming.get_or_none(py)
    }

    /// `_outgoing`, likewise.
    pub fn outgoing<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.engine.stop();
        self.outgoing.get_or_none(py)
    }

    /// Whether OpenSSL is asked directly, as far as is known without asking whether methods were replaced.
    #[inline]
    pub fn uses_engine(&self) -> bool {
        self.engine.is_running()
    }

    /// A method of the object without arguments.
    pub fn call0<'py>(&self, py: Python<'py>, method: &'static Interned) -> Output<'py> {
        self.object(py).call_method0(method)
    }

    /// Ciphertext from the peer.
    #[inline]
    pub fn feed(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = data.py();
        if self.engine.is_running() {
            if self.engine.feed(Buffer::get(data, false)?.bytes()) {
                return Ok(());
            }
            self.engine.stop();
        }
        call::method(names::write(py), [&self.incoming(py), data]).map(drop)
    }

    /// Ciphertext from the peer, where it can be taken without a call into Python; false where not.
    #[inline]
    pub fn feed_slice(&self, data: &[u8]) -> bool {
        self.engine.is_running() && self.engine.feed(data)
    }

    /// The ciphertext that has come and was not looked at.
    #[inline]
    pub fn incoming_size(&self, py: Python<'_>) -> PyResult<usize> {
        match self.engine.incoming_size() {
            Some(size) => Ok(size),
            None => self.incoming(py).getattr(names::pending(py))?.extract(),
        }
    }

    /// The ciphertext for the peer that was not taken.
    #[inline]
    pub fn outgoing_size(&self, py: Python<'_>) -> PyResult<usize> {
        match self.engine.outgoing_size() {
            Some(size) => Ok(size),
            None => self.outgoing(py).getattr(names::pending(py))?.extract(),
        }
    }

    /// Gives the ciphertext for the peer to `send`, if there is any: as a slice where it can be had without a
    /// call into Python.
    #[inline]
    pub fn send_outgoing<'py>(
        &self,
        py: Python<'py>,
        send: impl FnOnce(Ciphertext<'_, 'py>) -> PyResult<()>,
    ) -> PyResult<()> {
        if self.outgoing_size(py)? == 0 {
            return Ok(());
        }
        match self.engine.take_outgoing() {
            Some(data) => send(Ciphertext::Taken(&data)),
            None => send(Ciphertext::Object(call::method(names::read(py), [&self.outgoing(py)])?)),
        }
    }

    /// Forgets the ciphertext for the peer.
    pub fn discard_outgoing(&self, py: Python<'_>) -> PyResult<()> {
        self.send_outgoing(py, |_| Ok(()))
    }

    /// Goes on with the handshake.
    pub fn handshake(&self, py: Python<'_>) -> PyResult<Progress> {
        self.progress(py, name!("do_handshake"))
    }

    /// Goes on with the shutdown.
    pub fn unwrap(&self, py: Python<'_>) -> PyResult<Progress> {
        self.progress(py, name!("unwrap"))
    }

    fn progress(&self, py: Python<'_>, method: &'static Interned) -> PyResult<Progress> {
        let ended = unless_again(py, self.call0(py, method))?;
        Ok(if ended.is_some() { Progress::Done } else { Progress::Waits })
    }

    /// Whether reading may give something. When it cannot, asking would cost an exception, which is as much
    /// as reading.
    #[inline]
    pub fn may_read(&self, py: Python<'_>) -> PyResult<bool> {
        if let Some(pending) = self.engine.may_read() {
            return Ok(pending);
        }
        if !self.tells_pending.get() || self.incoming_size(py)? > 0 {
            return Ok(true);
        }
        call::method(names::pending(py), [&self.object(py)])?.is_truthy()
    }

    /// All the plain text that there is.
    #[inline]
    pub fn read<'py>(&self, py: Python<'py>) -> PyResult<Plain<'py>> {
        if !self.is_direct(py)? {
            return self.ask(None, py);
        }
        let (data, end) = self.engine.read(py)?;
        match end {
            End::Again => Ok(Plain { data, closed: false }),
            End::Closed => Ok(Plain { data, closed: true }),
            End::Ask => self.ask(data, py),
        }
    }

    /// The same by calls of the object, to follow what was read already.
    fn ask<'py>(&self, first: Option<Bound<'py, PyBytes>>, py: Python<'py>) -> PyResult<Plain<'py>> {
        let size = RECORD_SIZE.into_pyobject(py)?.into_any();
        let mut chunks = Vec::from_iter(first);
        let mut closed = false;
        // A failed connection has nothing pending, and is asked for the reason.
        let mut asks = self.engine.is_running();
        while std::mem::take(&mut asks) || self.may_read(py)? {
            let read = call::method(names::read(py), [&self.object(py), &size]);
            let Some(chunk) = unless_again(py, read)? else { break };
            let chunk = chunk.cast_into::<PyBytes>()?;
            if chunk.as_bytes().is_empty() {
                closed = true;
                break;
            }
            chunks.push(chunk);
        }
        let data = match chunks.as_slice() {
            [_, _, ..] => Some(joined(py, &chunks)?),
            _ => chunks.pop(),
        };
        Ok(Plain { data, closed })
    }

    /// As much plain text as a buffer takes.
    pub fn read_into(&self, buffer: &Bound<'_, PyAny>) -> PyResult<Filled> {
        let py = buffer.py();
        let wanted = buffer.len()?;
        if wanted == 0 {
            return Ok(Filled { count: 0, full: false, closed: true });
        }
        let (mut count, mut asks) = (0, self.is_direct(py)?);
        if asks && let Ok(mut memory) = Buffer::get(buffer, true) {
            let end;
            let memory = memory.bytes_mut();
            let len = wanted.min(memory.len());
            (count, end) = self.engine.read_into(py, &mut memory[..len]);
            asks = matches!(end, End::Ask);
            if !asks {
                return Ok(Filled { count, full: count == wanted, closed: matches!(end, End::Closed) });
            }
        }
        while count < wanted && (std::mem::take(&mut asks) || self.may_read(py)?) {
            let rest = wanted - count;
            let place = if count == 0 { buffer.clone() } else { tail(buffer, count)? };
            let size = rest.into_pyobject(py)?.into_any();
            let read = unless_again(py, call::method(names::read(py), [&self.object(py), &size, &place]))?;
            match read.map(|read| read.extract::<usize>()).transpose()? {
                Some(0) => return Ok(Filled { count, full: false, closed: true }),
                Some(more) => count += more,
                None => break,
            }
        }
        Ok(Filled { count, full: count == wanted, closed: false })
    }

    /// Encrypts `data[start..]`, or a part of it: how many bytes. None when the peer has to say something
    /// first.
    #[inline]
    pub fn write(&self, data: &Bound<'_, PyAny>, start: usize) -> PyResult<Option<usize>> {
        let py = data.py();
        if self.is_direct(py)? {
            let outcome = match data.cast::<PyBytes>() {
                Ok(bytes) => self.engine.write(py, bytes.as_bytes().get(start..).unwrap_or_default()),
                Err(_) => match Buffer::get(data, false) {
                    Ok(buffer) => self.engine.write(py, buffer.bytes().get(start..).unwrap_or_default()),
                    Err(_) => Outcome::Ask,
                },
            };
            match outcome {
                Outcome::Value(count) => return Ok(Some(count)),
                Outcome::Again => return Ok(None),
                Outcome::Ask => {}
            }
        }
        let written = if start == 0 {
            call::method(names::write(py), [&self.object(py), data])
        } else {
            call::method(names::write(py), [&self.object(py), &tail(data, start)?])
        };
        let count = unless_again(py, written)?;
        count.map(|count| count.extract()).transpose()
    }

    /// The references, for the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.object, &self.incoming, &self.outgoing] {
            slot.traverse(visitor);
        }
        self.engine.traverse(visitor);
    }

    /// Lets them go.
    pub fn clear(&self) {
        self.engine.stop();
        for slot in [&self.object, &self.incoming, &self.outgoing] {
            slot.clear();
        }
    }
}

/// Ciphertext for the peer, on its way.
pub enum Ciphertext<'a, 'py> {
    /// In memory of ours.
    Taken(&'a [u8]),
    /// As an object.
    Object(Bound<'py, PyAny>),
}

/// `memoryview(data)[start:]`, in bytes.
fn tail<'py>(data: &Bound<'py, PyAny>, start: usize) -> Output<'py> {
    let view = PyMemoryView::from(data)?.call_method1(name!("cast"), ("B",))?;
    view.get_item(make::slice(data.py(), start, isize::MAX.unsigned_abs())?)
}

fn joined<'py>(py: Python<'py>, chunks: &[Bound<'py, PyBytes>]) -> PyResult<Bound<'py, PyBytes>> {
    let size = chunks.iter().map(|chunk| chunk.as_bytes().len()).sum();
    PyBytes::new_with(py, size, |mut memory| {
        for chunk in chunks.iter().map(|chunk| chunk.as_bytes()) {
            let (first, rest) = memory.split_at_mut(chunk.len());
            first.copy_from_slice(chunk);
            memory = rest;
        }
        Ok(())
    })
}
