//! Interned names, in one table: every attribute or method name that Rust looks up on a Python object more
//! than once.

use std::convert::Infallible;

use pyo3::Borrowed;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};

macro_rules! names {
    ($($name:ident),* $(,)?) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            #[inline]
            pub fn $name(py: Python<'_>) -> &Bound<'_, PyString> {
                static NAME: PyOnceLock<Py<PyString>> = PyOnceLock::new();
                NAME.get_or_init(py, || PyString::intern(py, stringify!($name)).unbind()).bind(py)
            }
        )*
    };
}

names! {
    __class__,
    _add_reader,
    _asyncgen_finalizer_hook,
    _asyncgen_firstiter_hook,
    _asyncio_future_blocking,
    _call_connection_lost,
    _cancel_message,
    _finished,
    _force_close,
    _format,
    _get,
    _get_loop,
    _init,
    _log_destroy_pending,
    _loop,
    _make_cancelled_error,
    _on_task_done,
    _put,
    _queue,
    _read_ready,
    _sendto_ready,
    _shutdown,
    _timer_handle_cancelled,
    _wakeup_next,
    acquire,
    add_done_callback,
    append,
    buffer_updated,
    call_at,
    call_exception_handler,
    call_later,
    call_soon,
    call_soon_threadsafe,
    can_write_eof,
    cancel,
    cancelled,
    cancelling,
    clear,
    close,
    connection_lost,
    connection_made,
    create_future,
    create_task,
    data_received,
    datagram_received,
    done,
    empty,
    eof_received,
    error_received,
    exception,
    feed_data,
    feed_eof,
    fileno,
    full,
    future,
    get_buffer,
    get_debug,
    get_extra_info,
    get_loop,
    get_nowait,
    handle,
    is_closed,
    is_closing,
    is_running,
    locked,
    message,
    notify,
    pause_reading,
    pause_writing,
    pending,
    pop,
    popleft,
    put_nowait,
    qsize,
    read,
    recvfrom,
    release,
    remove,
    remove_done_callback,
    reschedule,
    result,
    resume_reading,
    resume_writing,
    run_until_complete,
    send,
    sendto,
    set,
    set_exception,
    set_result,
    source_traceback,
    stop,
    submit,
    task,
    throw,
    time,
    uncancel,
    wait,
    write,
    write_eof,
}

/// `("context",)`: the keyword names of `call_soon(cb, arg, context=ctx)`.
#[inline]
pub fn context_keyword(py: Python<'_>) -> &Bound<'_, PyTuple> {
    static KEYWORDS: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    KEYWORDS
        .get_or_init(py, || {
            let name = PyString::intern(py, "context").into_any().unbind();
            // A tuple of one existing object: only running out of memory could make this fail.
            PyTuple::new(py, [name]).map_or_else(|_| PyTuple::empty(py).unbind(), Bound::unbind)
        })
        .bind(py)
}

/// A name that is interned when it is first used. A text that is made anew for each look would stay in the
/// interpreter's cache of looks at types, under its own address.
pub struct Interned(&'static str, PyOnceLock<Py<PyString>>);

impl Interned {
    /// Of this text.
    pub const fn new(text: &'static str) -> Self {
        Self(text, PyOnceLock::new())
    }

    /// The name.
    #[inline]
    pub fn get<'py>(&'static self, py: Python<'py>) -> Borrowed<'static, 'py, PyString> {
        self.1.get_or_init(py, || PyString::intern(py, self.0).unbind()).bind_borrowed(py)
    }
}

impl<'py> IntoPyObject<'py> for &'static Interned {
    type Target = PyString;
    type Output = Borrowed<'static, 'py, PyString>;
    type Error = Infallible;

    #[inline]
    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(self.get(py))
    }
}

/// A name that is given by a variable, interned.
pub fn interned<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyString> {
    PyString::intern(py, text)
}

/// [`Interned`] of a literal, for `getattr`, `call_method` and their kin.
macro_rules! name {
    ($text:literal) => {{
        static NAME: $crate::names::Interned = $crate::names::Interned::new($text);
        &NAME
    }};
}
