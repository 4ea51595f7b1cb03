//! [`Wire`]: the ciphertext of a connection, between OpenSSL and a socket, in memory of ours.
//!
//! The `BIO` of a `MemoryBIO` clears the memory by which it grows, and keeps that memory for each connection.
//! A [`Wire`] is what a `BIO` of a method of ours reads from and writes to. Its memory belongs to the thread
//! and serves one connection after the other, so it stays in the nearest cache; a connection has memory of
//! its own only while ciphertext waits.
//!
//! Made and used by [`Engine`](super::Engine); OpenSSL calls [`read`], [`write()`], [`control`] and
//! [`destroy`].

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr::NonNull;
use std::slice;
use std::sync::OnceLock;

use yibu_driver::memory::MakeRoom;

use super::functions::{BioFunctions, Pointer};

/// The size from which memory for ciphertext is given back to the system instead of kept by the thread.
const KEPT_SIZE: usize = 1024 * 1024;

const BIO_TYPE_SOURCE_SINK: c_int = 0x400;
const BIO_FLAGS_READ: c_int = 1;
const BIO_FLAGS_SHOULD_RETRY: c_int = 8;
const BIO_CTRL_PENDING: c_int = 10;
const BIO_CTRL_FLUSH: c_int = 11;
const BIO_CTRL_WPENDING: c_int = 13;

#[derive(Default)]
struct Ciphertext {
    incoming: Vec<u8>,
    /// So much of `incoming` was read.
    start: usize,
    outgoing: Vec<u8>,
}

/// The ciphertext behind a `BIO`.
///
/// Invariant **owned**: the `BIO` frees it when the `BIO` is freed, and a wire is used while its `BIO` lives.
/// OpenSSL is called with the interpreter locked, and nothing in here calls OpenSSL while it refers to the
/// ciphertext, so nobody else refers to it meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Wire {
    pub(super) bio: Pointer,
    ciphertext: NonNull<Ciphertext>,
}

impl Wire {
    /// A `BIO` with nothing in it; None where OpenSSL has no memory.
    pub(super) fn new(functions: &'static BioFunctions) -> Option<Self> {
        let method = method(functions)?;
        // SAFETY: a complete method.
        let bio = unsafe { (functions.new)(method) };
        if bio.is_null() {
            return None;
        }
        let ciphertext = NonNull::from(Box::leak(Box::<Ciphertext>::default()));
        // SAFETY: a new `BIO` of our method, whose data is ours; `destroy` frees the data.
        unsafe {
            (functions.set_data)(bio, ciphertext.as_ptr().cast());
            (functions.set_init)(bio, 1);
        }
        Some(Self { bio, ciphertext })
    }

    #[inline]
    fn with<R>(self, act: impl FnOnce(&mut Ciphertext) -> R) -> R {
        // SAFETY: owned; what is done here calls nothing of OpenSSL or Python.
        act(unsafe { &mut *self.ciphertext.as_ptr() })
    }

    /// Takes ciphertext from the peer; false where there is no memory for it.
    #[inline]
    pub(super) fn feed(self, data: &[u8]) -> bool {
        self.with(|ciphertext| {
            let incoming = &mut ciphertext.incoming;
            if incoming.capacity() == 0 {
                *incoming = take(Direction::Incoming);
            }
            if ciphertext.start > 0 && incoming.capacity() - incoming.len() < data.len() {
                incoming.drain(..ciphertext.start);
                ciphertext.start = 0;
            }
            if !incoming.make_room(data.len()) {
                return false;
            }
            incoming.extend_from_slice(data);
            true
        })
    }

    /// Begins with ciphertext in both directions.
    pub(super) fn begin(self, incoming: Vec<u8>, outgoing: Vec<u8>) {
        self.with(|ciphertext| *ciphertext = Ciphertext { incoming, start: 0, outgoing });
    }

    /// The ciphertext that has come and was not looked at.
    #[inline]
    pub(super) fn incoming_size(self) -> usize {
        self.with(|ciphertext| ciphertext.incoming.len() - ciphertext.start)
    }

    /// The ciphertext for the peer.
    #[inline]
    pub(super) fn outgoing_size(self) -> usize {
        self.with(|ciphertext| ciphertext.outgoing.len())
    }

    /// Takes the ciphertext for the peer.
    #[inline]
    pub(super) fn take_outgoing(self) -> Taken {
        Taken { memory: self.with(|ciphertext| std::mem::take(&mut ciphertext.outgoing)), start: 0 }
    }

    /// Takes the ciphertext that was not looked at.
    pub(super) fn take_incoming(self) -> Taken {
        self.with(|ciphertext| Taken {
            memory: std::mem::take(&mut ciphertext.incoming),
            start: std::mem::take(&mut ciphertext.start),
        })
    }
}

impl Ciphertext {
    #[inline]
    fn send(&mut self, data: &[u8]) -> bool {
        if self.outgoing.capacity() == 0 {
            self.outgoing = take(Direction::Outgoing);
        }
        let fits = self.outgoing.make_room(data.len());
        if fits {
            self.outgoing.extend_from_slice(data);
        }
        fits
    }

    /// As much as there is and fits; None when nothing has come.
    #[inline]
    fn read(&mut self, place: &mut [u8]) -> Option<usize> {
        let waiting = self.incoming.get(self.start..).filter(|waiting| !waiting.is_empty())?;
        let count = waiting.len().min(place.len());
        place[..count].copy_from_slice(&waiting[..count]);
        self.start += count;
        if self.start == self.incoming.len() {
            self.start = 0;
            keep(Direction::Incoming, std::mem::take(&mut self.incoming));
        }
        Some(count)
    }
}

/// What the callbacks call, and the method that has them.
struct Method {
    functions: &'static BioFunctions,
    method: Pointer,
}

// SAFETY: an address of memory that is never freed and, once complete, only read.
unsafe impl Send for Method {}
// SAFETY: as above.
unsafe impl Sync for Method {}

static METHOD: OnceLock<Option<Method>> = OnceLock::new();

fn method(functions: &'static BioFunctions) -> Option<Pointer> {
    let complete = || {
        // SAFETY: a new method, and functions of the types that OpenSSL's headers give.
        unsafe {
            let method =
                (functions.new_method)((functions.new_index)() | BIO_TYPE_SOURCE_SINK, c"yibu".as_ptr());
            let done = !method.is_null()
                && (functions.set_read)(method, read) == 1
                && (functions.set_write)(method, write) == 1
                && (functions.set_control)(method, control) == 1
                && (functions.set_destroy)(method, destroy) == 1;
            done.then_some(Method { functions, method })
        }
    };
    METHOD.get_or_init(complete).as_ref().map(|method| method.method)
}

fn called() -> Option<&'static BioFunctions> {
    Some(METHOD.get()?.as_ref()?.functions)
}

/// The ciphertext of a `BIO`, with the functions.
///
/// # Safety
/// It must be a `BIO` of our method, and nothing else may refer to its ciphertext while the result is used.
unsafe fn ciphertext<'a>(bio: Pointer) -> Option<(&'static BioFunctions, &'a mut Ciphertext)> {
    let functions = called()?;
    // SAFETY: owned: the data of such a `BIO` is a ciphertext, or null before it has one.
    let ciphertext = unsafe { (functions.data)(bio).cast::<Ciphertext>().as_mut() }?;
    Some((functions, ciphertext))
}

/// # Safety
/// Called by OpenSSL, with a `BIO` of our method and `len` writable bytes.
unsafe extern "C" fn read(bio: Pointer, place: *mut c_char, len: c_int) -> c_int {
    // SAFETY: as OpenSSL promises; owned.
    let Some((functions, ciphertext)) = (unsafe { ciphertext(bio) }) else { return -1 };
    let len = usize::try_from(len).unwrap_or(0);
    if place.is_null() || len == 0 {
        return 0;
    }
    // SAFETY: OpenSSL's promise; bytes of OpenSSL's buffers are initialised, or are only written to here.
    let place = unsafe { slice::from_raw_parts_mut(place.cast::<u8>(), len) };
    let count = ciphertext.read(place);
    // SAFETY: a live `BIO`.
    unsafe {
        (functions.clear_flags)(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        if count.is_none() {
            (functions.set_flags)(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        }
    }
    count.map_or(-1, as_int)
}

/// # Safety
/// Called by OpenSSL, with a `BIO` of our method and `len` readable bytes.
unsafe extern "C" fn write(bio: Pointer, data: *const c_char, len: c_int) -> c_int {
    // SAFETY: as OpenSSL promises; owned.
    let Some((_, ciphertext)) = (unsafe { ciphertext(bio) }) else { return -1 };
    let size = usize::try_from(len).unwrap_or(0);
    if data.is_null() || size == 0 {
        return 0;
    }
    // SAFETY: OpenSSL's promise.
    let data = unsafe { slice::from_raw_parts(data.cast::<u8>(), size) };
    if ciphertext.send(data) { len } else { -1 }
}

/// # Safety
/// Called by OpenSSL, with a `BIO` of our method.
unsafe extern "C" fn control(bio: Pointer, command: c_int, _number: c_long, _data: *mut c_void) -> c_long {
    // SAFETY: as OpenSSL promises; owned.
    let Some((_, ciphertext)) = (unsafe { ciphertext(bio) }) else { return 0 };
    let size = match command {
        BIO_CTRL_FLUSH => 1,
        BIO_CTRL_PENDING => ciphertext.incoming.len() - ciphertext.start,
        BIO_CTRL_WPENDING => ciphertext.outgoing.len(),
        _ => 0,
    };
    c_long::try_from(size).unwrap_or(c_long::MAX)
}

/// # Safety
/// Called by OpenSSL, with a `BIO` of our method that ends.
unsafe extern "C" fn destroy(bio: Pointer) -> c_int {
    let Some(functions) = called() else { return 0 };
    // SAFETY: owned: the box was leaked for this `BIO`, which is not used any more.
    unsafe {
        let ciphertext = (functions.data)(bio).cast::<Ciphertext>();
        (functions.set_data)(bio, std::ptr::null_mut());
        if !ciphertext.is_null() {
            drop(Box::from_raw(ciphertext));
        }
    }
    1
}

fn as_int(count: usize) -> c_int {
    c_int::try_from(count).unwrap_or(c_int::MAX)
}

#[derive(Clone, Copy)]
enum Direction {
    Incoming,
    Outgoing,
}

thread_local! {
    static KEPT: [Cell<Vec<u8>>; 2] = const { [const { Cell::new(Vec::new()) }; 2] };
}

/// Memory that the thread has kept, which is empty.
#[inline]
fn take(direction: Direction) -> Vec<u8> {
    KEPT.try_with(|kept| kept[direction as usize].take()).unwrap_or_default()
}

/// Memory that the thread keeps for the next engine that needs some.
#[inline]
fn keep(direction: Direction, mut memory: Vec<u8>) {
    if memory.capacity() <= KEPT_SIZE {
        memory.clear();
        // A thread that ends has no use for it.
        let _ = KEPT.try_with(|kept| kept[direction as usize].set(memory));
    }
}

/// Ciphertext that was taken. Its memory serves the next when it is dropped.
pub struct Taken {
    memory: Vec<u8>,
    start: usize,
}

impl std::ops::Deref for Taken {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}

impl Drop for Taken {
    #[inline]
    fn drop(&mut self) {
        keep(Direction::Outgoing, std::mem::take(&mut self.memory));
    }
}
