//! [`Engine`]: OpenSSL called directly, on the connection that an object of the module `ssl` has made.
//!
//! A read or write through `ssl.SSLObject` is two Python calls, a release of the interpreter lock, and an
//! exception when nothing is there; that costs more than decrypting a short message. The objects of `_ssl`
//! keep what OpenSSL gave them behind their headers: `_SSLSocket` an owner, its `SSL *` and its context,
//! `MemoryBIO` its `BIO *`. No project promises that: an engine only starts on an interpreter whose layout is
//! listed in `layout`, where the objects have the sizes that belong to it and the context is found in its
//! place, and where all symbols are found in the library that `_ssl` uses. Only then is OpenSSL asked, and
//! has to confirm what was found. Otherwise, and for whatever is not an ordinary read or write, the object is
//! asked: it knows how to raise.
//!
//! While an engine runs, the connection reads and writes a `wire` in the place of the two `MemoryBIO`,
//! whatever asks it. An engine that stops puts them back, with all the ciphertext that waits.
//!
//! Called by `sslproto/tls.rs`.

mod functions;
mod layout;
mod wire;

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr::null;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{ffi, intern};
use yibu_driver::memory::MakeRoom;

use crate::gc::Visitor;
use crate::reference::Slot;
use functions::{Functions, Pointer};
use layout::{Pointers, library, pointers};
pub use wire::Taken;
use wire::Wire;

/// What came of an operation.
pub enum Outcome<T> {
    /// It was done.
    Value(T),
    /// Something has to come from the peer first.
    Again,
    /// The object has to be asked.
    Ask,
}

/// How reading ended.
pub enum End {
    /// Nothing is left.
    Again,
    /// The peer has said that nothing follows.
    Closed,
    /// The object has to be asked.
    Ask,
}

/// A maximal record's content.
const RECORD_SIZE: usize = 16 * 1024;
const SSL_ERROR_WANT_READ: c_int = 2;
const SSL_ERROR_WANT_WRITE: c_int = 3;
const SSL_ERROR_ZERO_RETURN: c_int = 6;
const SSL_RECEIVED_SHUTDOWN: c_int = 2;

unsafe extern "C" {
    /// Of the C API, documented in spite of its name.
    fn _PyBytes_Resize(object: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> c_int;
}

/// What an engine that runs works with.
#[derive(Clone, Copy)]
struct Running {
    functions: &'static Functions,
    pointers: Pointers,
    wire: Wire,
}

/// A connection that OpenSSL is asked about directly.
///
/// Invariant **alive**: `running` is only set together with the slots, which keep the `_SSLSocket` and the
/// two `MemoryBIO` alive; these free what the pointers point to when they die, and never replace it. The
/// `_SSLSocket`'s `SSL` keeps the wire's `BIO` until the engine stops. Where OpenSSL may call Python code,
/// which may stop the engine, the caller holds the `_SSLSocket`, and with it the memory, until OpenSSL has
/// returned. OpenSSL is called with the interpreter locked, so no two threads that come through here are
/// inside at once.
#[derive(Default)]
pub struct Engine {
    running: Cell<Option<Running>>,
    /// A part of a record may have been taken from the wire already.
    holds_part: Cell<bool>,
    socket: Slot,
    incoming: Slot,
    outgoing: Slot,
}

impl Engine {
    /// Starts, if it can: with an object whose methods are the original ones, and without callbacks for
    /// messages and keys.
    pub fn start(
        &self,
        context: &Bound<'_, PyAny>,
        object: &Bound<'_, PyAny>,
        incoming: &Bound<'_, PyAny>,
        outgoing: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = object.py();
        let Some(library) = library(py) else { return Ok(()) };
        let class = object.get_type();
        let original = library.object.bind(py);
        for method in [intern!(py, "read"), intern!(py, "write")] {
            if !class.is(original) && !class.getattr(method)?.is(&original.getattr(method)?) {
                return Ok(());
            }
        }
        for observer in [intern!(py, "_msg_callback"), intern!(py, "keylog_filename")] {
            if context.getattr_opt(observer)?.is_some_and(|observer| !observer.is_none()) {
                return Ok(());
            }
        }
        let Some(pointers) = pointers(library, object, incoming, outgoing)? else { return Ok(()) };
        let functions = &library.functions;
        let Some(wire) = connect(functions, pointers) else { return Ok(()) };
        self.socket.put(object.getattr(intern!(py, "_sslobj"))?);
        self.incoming.put(incoming.clone());
        self.outgoing.put(outgoing.clone());
        self.holds_part.set(false);
        self.running.set(Some(Running { functions, pointers, wire }));
        Ok(())
    }

    /// Lets the connection go, which has its `MemoryBIO` back.
    pub fn stop(&self) {
        if let Some(running) = self.running.take() {
            disconnect(running);
        }
        self.slots().into_iter().for_each(Slot::clear);
    }

    /// Whether it runs.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.running.get().is_some()
    }

    /// Takes ciphertext from the peer; false when it does not run, or memory is short.
    #[inline]
    pub fn feed(&self, data: &[u8]) -> bool {
        self.running.get().is_some_and(|running| data.is_empty() || running.wire.feed(data))
    }

    /// The ciphertext that has come and was not looked at.
    #[inline]
    pub fn incoming_size(&self) -> Option<usize> {
        self.running.get().map(|running| running.wire.incoming_size())
    }

    /// The ciphertext for the peer.
    #[inline]
    pub fn outgoing_size(&self) -> Option<usize> {
        self.running.get().map(|running| running.wire.outgoing_size())
    }

    /// Whether there is something to be read, as far as can be seen.
    #[inline]
    pub fn may_read(&self) -> Option<bool> {
        Some(self.plain_size()? > 0)
    }

    /// An upper bound of the plain text that can be read.
    #[inline]
    fn plain_size(&self) -> Option<usize> {
        let Running { functions, pointers, wire } = self.running.get()?;
        let arrived = wire.incoming_size();
        // SAFETY: alive.
        let decrypted = unsafe { (functions.pending)(pointers.ssl) };
        let part = if arrived > 0 && self.holds_part.get() { RECORD_SIZE } else { 0 };
        Some(arrived + decrypted.unsigned_abs() as usize + part)
    }

    /// Takes the ciphertext for the peer.
    #[inline]
    pub fn take_outgoing(&self) -> Option<Taken> {
        self.running.get().map(|running| running.wire.take_outgoing())
    }

    /// Reads all the plain text that there is, as one object. Everything but an ordinary end is `End::Ask`.
    #[inline]
    pub fn read<'py>(&self, py: Python<'py>) -> PyResult<(Option<Bound<'py, PyBytes>>, End)> {
        let capacity = match self.plain_size() {
            None => return Ok((None, End::Ask)),
            Some(0) => return Ok((None, End::Again)),
            Some(capacity) => capacity,
        };
        // SAFETY: attached; a new object of that size, not yet initialised, that nobody else knows.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(null(), capacity.cast_signed()) };
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: the object's content is `capacity` writable bytes.
        let start = unsafe { ffi::PyBytes_AS_STRING(object) }.cast::<u8>().cast_mut();
        // SAFETY: as said.
        let (filled, end) = unsafe { self.fill(py, start, capacity) };
        let mut object = object;
        // SAFETY: attached; the only reference, to an object whose first `filled` bytes are initialised. On
        // failure it is released and null is in its place.
        unsafe {
            if filled < capacity && _PyBytes_Resize(&mut object, filled.cast_signed()) != 0 {
                return Err(PyErr::fetch(py));
            }
            let object = Bound::from_owned_ptr(py, object).cast_into_unchecked::<PyBytes>();
            Ok(((filled > 0).then_some(object), end))
        }
    }

    /// Reads all the plain text that there is, or as much as a buffer takes. Then `End::Ask` says that there
    /// may be more.
    #[inline]
    pub fn read_into(&self, py: Python<'_>, buffer: &mut [u8]) -> (usize, End) {
        if self.may_read() != Some(true) {
            return (0, End::Again);
        }
        // SAFETY: a writable slice.
        unsafe { self.fill(py, buffer.as_mut_ptr(), buffer.len()) }
    }

    /// # Safety
    /// `len` bytes at `start` must be writable.
    #[inline]
    unsafe fn fill(&self, py: Python<'_>, start: *mut u8, len: usize) -> (usize, End) {
        // OpenSSL calls Python code (names of servers, keys), which may let the connection go.
        let _alive = self.socket.get(py);
        let mut filled = 0;
        while filled < len {
            // SAFETY: the rest of what the caller promises.
            match unsafe { self.read_some(start.add(filled), len - filled) } {
                Outcome::Value(0) => return (filled, End::Closed),
                Outcome::Value(count) => filled += count,
                Outcome::Again => return (filled, End::Again),
                Outcome::Ask => return (filled, End::Ask),
            }
            // OpenSSL has nothing decrypted left where it had room for more.
            if filled < len && self.incoming_size().unwrap_or(0) == 0 {
                return (filled, End::Again);
            }
        }
        (filled, if self.may_read() == Some(true) { End::Ask } else { End::Again })
    }

    /// # Safety
    /// `len` bytes at `start` must be writable.
    #[inline]
    unsafe fn read_some(&self, start: *mut u8, len: usize) -> Outcome<usize> {
        let Some(Running { functions, pointers, .. }) = self.running.get() else { return Outcome::Ask };
        let mut count = 0;
        // SAFETY: alive; the caller's promise.
        let done = unsafe { (functions.read)(pointers.ssl, start, len, &mut count) };
        if done == 1 {
            self.holds_part.set(false);
            return Outcome::Value(count);
        }
        // SAFETY: alive; this asks about the call just made.
        match unsafe { (functions.error)(pointers.ssl, done) } {
            SSL_ERROR_WANT_READ => {
                self.holds_part.set(true);
                Outcome::Again
            }
            SSL_ERROR_WANT_WRITE => Outcome::Again,
            SSL_ERROR_ZERO_RETURN if self.peer_has_finished() => Outcome::Value(0),
            // The error stays in OpenSSL's queue, where the object finds it when it is asked the same.
            _ => Outcome::Ask,
        }
    }

    /// Whether the peer has said that nothing follows, and we have not.
    fn peer_has_finished(&self) -> bool {
        let Some(Running { functions, pointers, .. }) = self.running.get() else { return false };
        // SAFETY: alive.
        unsafe { (functions.shutdown)(pointers.ssl) == SSL_RECEIVED_SHUTDOWN }
    }

    /// Encrypts data, all of it or as much as goes.
    #[inline]
    pub fn write(&self, py: Python<'_>, data: &[u8]) -> Outcome<usize> {
        // As in `fill`.
        let _alive = self.socket.get(py);
        let mut written = 0;
        while written < data.len() {
            let Some(Running { functions, pointers, .. }) = self.running.get() else {
                return if written > 0 { Outcome::Value(written) } else { Outcome::Ask };
            };
            let rest = &data[written..];
            let mut count = 0;
            // SAFETY: alive; `rest` is readable.
            let done = unsafe { (functions.write)(pointers.ssl, rest.as_ptr(), rest.len(), &mut count) };
            if done == 1 {
                written += count;
                continue;
            }
            if written > 0 {
                break;
            }
            // SAFETY: alive; this asks about the call just made.
            return match unsafe { (functions.error)(pointers.ssl, done) } {
                SSL_ERROR_WANT_READ | SSL_ERROR_WANT_WRITE => Outcome::Again,
                _ => Outcome::Ask,
            };
        }
        Outcome::Value(written)
    }

    fn slots(&self) -> [&Slot; 3] {
        [&self.socket, &self.incoming, &self.outgoing]
    }

    /// The references, for the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.slots().into_iter().for_each(|slot| slot.traverse(visitor));
    }
}

/// Gives a connection a wire in the place of its two `MemoryBIO`, with what waits in them; None where memory
/// is short.
fn connect(functions: &'static Functions, pointers: Pointers) -> Option<Wire> {
    let [incoming, outgoing] = [pointers.incoming, pointers.outgoing].map(|memory| {
        let mut room = Vec::new();
        // SAFETY: a live `BIO`.
        let size = unsafe { (functions.bio.pending)(memory) };
        room.make_room(size).then_some((memory, size, room))
    });
    let (incoming, outgoing) = (incoming?, outgoing?);
    let wire = Wire::new(&functions.bio)?;
    let drain = |(memory, size, mut room): (Pointer, usize, Vec<u8>)| {
        let size = c_int::try_from(size).unwrap_or(c_int::MAX);
        // SAFETY: a live `BIO`; so many bytes are reserved, and as many are initialised as the `BIO` says
        // that it has given.
        unsafe {
            let taken = (functions.bio.read)(memory, room.as_mut_ptr(), size);
            room.set_len(usize::try_from(taken).unwrap_or(0));
        }
        room
    };
    wire.begin(drain(incoming), drain(outgoing));
    // SAFETY: a live `SSL`; it gets two references to the `BIO`, that of the `BIO`'s maker and one more.
    unsafe {
        (functions.bio.add_reference)(wire.bio);
        (functions.set_incoming)(pointers.ssl, wire.bio);
        (functions.set_outgoing)(pointers.ssl, wire.bio);
    }
    Some(wire)
}

/// Gives a connection its two `MemoryBIO` back, with what waits. What they have no memory for is lost, which
/// both ends find to be a bad record.
fn disconnect(Running { functions, pointers, wire }: Running) {
    for (memory, data) in
        [(pointers.incoming, wire.take_incoming()), (pointers.outgoing, wire.take_outgoing())]
    {
        if let Ok(size) = c_int::try_from(data.len())
            && size > 0
        {
            // SAFETY: a live `BIO`; so many readable bytes.
            unsafe { (functions.bio.write)(memory, data.as_ptr(), size) };
        }
    }
    // SAFETY: alive; the `SSL` gets references of its own. With the wire's two it frees the wire, which is
    // not used any more.
    unsafe {
        (functions.bio.add_reference)(pointers.incoming);
        (functions.bio.add_reference)(pointers.outgoing);
        (functions.set_incoming)(pointers.ssl, pointers.incoming);
        (functions.set_outgoing)(pointers.ssl, pointers.outgoing);
    }
}
