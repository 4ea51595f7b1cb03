//! [`Engine`]: OpenSSL called directly, on the connection that an object of the module `ssl` has made.
//!
//! A read or write through `ssl.SSLObject` is two Python calls, a release of the interpreter lock, and an exception when nothing
//! is there; that costs more than decrypting a short message. The objects of `_ssl` keep what OpenSSL gave them behind their
//! headers: `_SSLSocket` an owner, its `SSL *` and its context, `MemoryBIO` its `BIO *`. That is nobody's promise: an engine only
//! starts on an interpreter whose layout is listed in [`LAYOUTS`], where the objects have the sizes that belong to it and the context
//! is found in its place, and where all symbols are found in the library that `_ssl` uses. Only then is OpenSSL asked, and has to
//! confirm what was found. Otherwise, and for whatever is not an ordinary read or write, the object is asked: it knows how to raise.
//!
//! Called by `sslproto/tls.rs`.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyType};
use pyo3::{ffi, intern};

use super::{Slot, Visitor};

/// An `SSL`, a `BIO` or an object.
type Pointer = *mut c_void;

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
/// The size from which memory for ciphertext is given back instead of kept.
const SCRATCH_LIMIT: usize = 1024 * 1024;
const SSL_ERROR_WANT_READ: c_int = 2;
const SSL_ERROR_WANT_WRITE: c_int = 3;
const SSL_ERROR_ZERO_RETURN: c_int = 6;
const SSL_RECEIVED_SHUTDOWN: c_int = 2;
const RTLD_NOW: c_int = 2;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    /// Of the C API, documented in spite of its name.
    fn _PyBytes_Resize(object: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> c_int;
}

/// The functions of OpenSSL, from the library that `_ssl` itself uses.
struct Functions {
    read: unsafe extern "C" fn(Pointer, *mut u8, usize, *mut usize) -> c_int,
    write: unsafe extern "C" fn(Pointer, *const u8, usize, *mut usize) -> c_int,
    error: unsafe extern "C" fn(Pointer, c_int) -> c_int,
    pending: unsafe extern "C" fn(Pointer) -> c_int,
    shutdown: unsafe extern "C" fn(Pointer) -> c_int,
    incoming: unsafe extern "C" fn(Pointer) -> Pointer,
    outgoing: unsafe extern "C" fn(Pointer) -> Pointer,
    bio_read: unsafe extern "C" fn(Pointer, *mut u8, c_int) -> c_int,
    bio_write: unsafe extern "C" fn(Pointer, *const u8, c_int) -> c_int,
    bio_pending: unsafe extern "C" fn(Pointer) -> usize,
}

// SAFETY: addresses of functions, valid for the life of the process: the library is never closed.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

impl Functions {
    /// None where one is missing.
    fn load(path: Option<&CStr>) -> Option<Self> {
        // SAFETY: a library that is loaded already, or the program itself; the path is a C string.
        let library = unsafe { dlopen(path.map_or(null(), CStr::as_ptr), RTLD_NOW) };
        if library.is_null() {
            return None;
        }
        /// # Safety
        /// `F` must be the type of the function of that name.
        unsafe fn find<F: Copy>(library: *mut c_void, name: &CStr) -> Option<F> {
            const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
            // SAFETY: an open library and a C string; a pointer to a function is a pointer, and its type is the caller's promise.
            unsafe {
                let symbol = dlsym(library, name.as_ptr());
                if symbol.is_null() { None } else { Some(std::mem::transmute_copy(&symbol)) }
            }
        }
        // SAFETY: the types are those of OpenSSL's headers, unchanged since 1.1.1.
        unsafe {
            Some(Self {
                read: find(library, c"SSL_read_ex")?,
                write: find(library, c"SSL_write_ex")?,
                error: find(library, c"SSL_get_error")?,
                pending: find(library, c"SSL_pending")?,
                shutdown: find(library, c"SSL_get_shutdown")?,
                incoming: find(library, c"SSL_get_rbio")?,
                outgoing: find(library, c"SSL_get_wbio")?,
                bio_read: find(library, c"BIO_read")?,
                bio_write: find(library, c"BIO_write")?,
                bio_pending: find(library, c"BIO_ctrl_pending")?,
            })
        }
    }
}

/// The interpreters whose layout was verified: version, and the sizes of `_SSLSocket` and `MemoryBIO` in it. Maintenance releases that
/// change a structure change its size.
const LAYOUTS: [((u8, u8), usize, usize); 5] =
    [((3, 11), 96, 32), ((3, 12), 80, 32), ((3, 13), 80, 32), ((3, 14), 88, 32), ((3, 15), 72, 32)];

/// Whether the objects of `_ssl` look as they did when this was written.
fn is_verified(py: Python<'_>, socket: &Bound<'_, PyType>, memory: &Bound<'_, PyType>) -> PyResult<bool> {
    let version = py.version_info();
    let sys = py.import("sys")?;
    let plain = sys.getattr("implementation")?.getattr("name")?.eq("cpython")?
        && !sys.getattr("abiflags")?.contains("t")?;
    let size = |class: &Bound<'_, PyType>| class.getattr("__basicsize__")?.extract::<usize>();
    let layout = ((version.major, version.minor), size(socket)?, size(memory)?);
    Ok(plain && LAYOUTS.contains(&layout))
}

/// The functions, with the classes whose objects they may be used on.
struct Library {
    functions: Functions,
    socket: Py<PyType>,
    memory: Py<PyType>,
    object: Py<PyType>,
}

/// The library, where it can be used: looked for once.
fn library(py: Python<'_>) -> Option<&'static Library> {
    static LIBRARY: PyOnceLock<Option<Library>> = PyOnceLock::new();
    LIBRARY.get_or_init(py, || open(py).unwrap_or(None)).as_ref()
}

fn open(py: Python<'_>) -> PyResult<Option<Library>> {
    let native = py.import("_ssl")?;
    let path = match native.getattr_opt("__file__")? {
        Some(path) => CString::new(path.extract::<String>()?).ok(),
        None => None,
    };
    let Some(functions) = Functions::load(path.as_deref()) else { return Ok(None) };
    let ssl = py.import("ssl")?;
    let class = |module: &Bound<'_, PyModule>, name: &str| {
        Ok::<_, PyErr>(module.getattr(name)?.cast_into::<PyType>()?.unbind())
    };
    let library = Library {
        functions,
        socket: class(&native, "_SSLSocket")?,
        memory: class(&native, "MemoryBIO")?,
        object: class(&ssl, "SSLObject")?,
    };
    if !is_verified(py, library.socket.bind(py), library.memory.bind(py))? {
        return Ok(None);
    }
    // A connection made for the purpose has to look as expected.
    let context = ssl.getattr("SSLContext")?.call1((ssl.getattr("PROTOCOL_TLS_CLIENT")?,))?;
    context.setattr("check_hostname", false)?;
    let memory = library.memory.bind(py);
    let (incoming, outgoing) = (memory.call0()?, memory.call0()?);
    let object = context.call_method1("wrap_bio", (&incoming, &outgoing))?;
    Ok(pointers(&library, &object, &incoming, &outgoing)?.is_some().then_some(library))
}

/// The pointer that is kept in a place behind an object's header; None for an object that is too small to have it.
fn field(object: &Bound<'_, PyAny>, place: usize) -> Option<Pointer> {
    let offset = size_of::<ffi::PyObject>() + place * size_of::<Pointer>();
    // SAFETY: attached; a live object's type is live.
    let size = unsafe { (*ffi::Py_TYPE(object.as_ptr())).tp_basicsize };
    if size.unsigned_abs() < offset + size_of::<Pointer>() {
        return None;
    }
    // SAFETY: inside the instance, as its type says, and aligned, because headers are.
    Some(unsafe { object.as_ptr().byte_add(offset).cast::<Pointer>().read() })
}

#[derive(Clone, Copy)]
struct Pointers {
    ssl: Pointer,
    incoming: Pointer,
    outgoing: Pointer,
}

/// What OpenSSL gave to a connection, if the objects are such as this module knows.
fn pointers(
    library: &Library,
    object: &Bound<'_, PyAny>,
    incoming: &Bound<'_, PyAny>,
    outgoing: &Bound<'_, PyAny>,
) -> PyResult<Option<Pointers>> {
    let py = object.py();
    let is_exactly = |object: &Bound<'_, PyAny>, class: &Py<PyType>| object.get_type().is(class.bind(py));
    if !object.is_instance(library.object.bind(py))? {
        return Ok(None);
    }
    let socket = object.getattr(intern!(py, "_sslobj"))?;
    let known = is_exactly(&socket, &library.socket)
        && is_exactly(incoming, &library.memory)
        && is_exactly(outgoing, &library.memory);
    if !known {
        return Ok(None);
    }
    // An object over memory has no owner in the first place; nothing else is known to have null there.
    let (Some(owner), Some(ssl), Some(context)) = (field(&socket, 0), field(&socket, 1), field(&socket, 2))
    else {
        return Ok(None);
    };
    let (Some(first), Some(second)) = (field(incoming, 0), field(outgoing, 0)) else { return Ok(None) };
    let expected = socket.getattr(intern!(py, "context"))?;
    if !owner.is_null() || ssl.is_null() || context != expected.as_ptr().cast() {
        return Ok(None);
    }
    let functions = &library.functions;
    // SAFETY: an exact `_SSLSocket` without an owner, of a verified layout: between owner and context it keeps its `SSL`.
    let confirmed = unsafe { (functions.incoming)(ssl) == first && (functions.outgoing)(ssl) == second };
    Ok(confirmed.then_some(Pointers { ssl, incoming: first, outgoing: second }))
}

/// A connection that OpenSSL is asked about directly.
///
/// Invariant **alive**: `running` is only set together with the slots, which keep the `_SSLSocket` and the two `MemoryBIO`
/// alive; these free what the pointers point to when they die, and never replace it. Where OpenSSL may call Python code, which may
/// stop the engine, the caller holds the `_SSLSocket`, and with it the memory, until OpenSSL has returned.
/// OpenSSL is called with the interpreter locked, so no two threads that come through here are inside at once.
#[derive(Default)]
pub struct Engine {
    running: Cell<Option<(&'static Functions, Pointers)>>,
    /// A part of a record may have been taken from `incoming` already.
    holds_part: Cell<bool>,
    socket: Slot,
    incoming: Slot,
    outgoing: Slot,
}

impl Engine {
    /// Starts, if it can: with an object whose methods nobody has replaced, and nobody to be told of messages and keys.
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
        self.socket.put(object.getattr(intern!(py, "_sslobj"))?);
        self.incoming.put(incoming.clone());
        self.outgoing.put(outgoing.clone());
        self.running.set(Some((&library.functions, pointers)));
        Ok(())
    }

    /// Lets the connection go.
    pub fn stop(&self) {
        self.running.set(None);
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
        let Some((functions, pointers)) = self.running.get() else { return false };
        if data.is_empty() {
            return true;
        }
        let Ok(len) = c_int::try_from(data.len()) else { return false };
        // SAFETY: alive; `len` readable bytes. A BIO over memory takes all or nothing.
        unsafe { (functions.bio_write)(pointers.incoming, data.as_ptr(), len) == len }
    }

    /// The ciphertext that has come and was not looked at.
    #[inline]
    pub fn incoming_size(&self) -> Option<usize> {
        let (functions, pointers) = self.running.get()?;
        // SAFETY: alive.
        Some(unsafe { (functions.bio_pending)(pointers.incoming) })
    }

    /// The ciphertext for the peer.
    #[inline]
    pub fn outgoing_size(&self) -> Option<usize> {
        let (functions, pointers) = self.running.get()?;
        // SAFETY: alive.
        Some(unsafe { (functions.bio_pending)(pointers.outgoing) })
    }

    /// Whether there is something to be read, as far as can be seen.
    #[inline]
    pub fn may_read(&self) -> Option<bool> {
        Some(self.plain_size()? > 0)
    }

    /// An upper bound of the plain text that can be read.
    #[inline]
    fn plain_size(&self) -> Option<usize> {
        let (functions, pointers) = self.running.get()?;
        // SAFETY: alive.
        let (arrived, decrypted) =
            unsafe { ((functions.bio_pending)(pointers.incoming), (functions.pending)(pointers.ssl)) };
        let part = if arrived > 0 && self.holds_part.get() { RECORD_SIZE } else { 0 };
        Some(arrived + decrypted.unsigned_abs() as usize + part)
    }

    /// Takes the ciphertext for the peer.
    #[inline]
    pub fn take_outgoing(&self) -> Option<Scratch> {
        let (functions, pointers) = self.running.get()?;
        let mut scratch = Scratch::take();
        // SAFETY: alive; `len` bytes are reserved, and as many are initialised as the BIO says that it has given.
        unsafe {
            let len = (functions.bio_pending)(pointers.outgoing);
            scratch.0.reserve(len);
            let given = c_int::try_from(len).unwrap_or(c_int::MAX);
            let taken = (functions.bio_read)(pointers.outgoing, scratch.0.as_mut_ptr(), given);
            scratch.0.set_len(usize::try_from(taken).unwrap_or(0));
        }
        Some(scratch)
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
        // SAFETY: attached; the only reference, to an object whose first `filled` bytes are initialised. On failure it is
        // released and null is in its place.
        unsafe {
            if filled < capacity && _PyBytes_Resize(&mut object, filled.cast_signed()) != 0 {
                return Err(PyErr::fetch(py));
            }
            let object = Bound::from_owned_ptr(py, object).cast_into_unchecked::<PyBytes>();
            Ok(((filled > 0).then_some(object), end))
        }
    }

    /// Reads all the plain text that there is, or as much as a buffer takes. Then `End::Ask` says that there may be more.
    #[inline]
    pub fn read_into(&self, py: Python<'_>, buffer: &mut [u8]) -> (usize, End) {
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
        while self.may_read() == Some(true) {
            if filled == len {
                return (filled, End::Ask);
            }
            // SAFETY: the rest of what the caller promises.
            match unsafe { self.read_some(start.add(filled), len - filled) } {
                Outcome::Value(0) => return (filled, End::Closed),
                Outcome::Value(count) => filled += count,
                Outcome::Again => break,
                Outcome::Ask => return (filled, End::Ask),
            }
        }
        (filled, End::Again)
    }

    /// # Safety
    /// `len` bytes at `start` must be writable.
    #[inline]
    unsafe fn read_some(&self, start: *mut u8, len: usize) -> Outcome<usize> {
        let Some((functions, pointers)) = self.running.get() else { return Outcome::Ask };
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
        let Some((functions, pointers)) = self.running.get() else { return false };
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
            let Some((functions, pointers)) = self.running.get() else {
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

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Memory for ciphertext on its way, of the thread: it serves the next when it is dropped.
pub struct Scratch(Vec<u8>);

impl Scratch {
    fn take() -> Self {
        let mut memory = SCRATCH.take();
        memory.clear();
        Self(memory)
    }
}

impl std::ops::Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.capacity() <= SCRATCH_LIMIT {
            // A thread that ends has no use for it.
            let _ = SCRATCH.try_with(|scratch| scratch.set(std::mem::take(&mut self.0)));
        }
    }
}
