//! Where the objects of `_ssl` keep what OpenSSL gave them: found only on interpreters whose layout was
//! verified.

use std::ffi::CString;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pyo3::{ffi, intern};

use super::functions::{Functions, Pointer};

/// The interpreters whose layout was verified: version, and the sizes of `_SSLSocket` and `MemoryBIO` in it.
/// Maintenance releases that change a structure change its size.
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
pub(super) struct Library {
    pub(super) functions: Functions,
    socket: Py<PyType>,
    memory: Py<PyType>,
    pub(super) object: Py<PyType>,
}

/// The library, where it can be used: looked for once.
pub(super) fn library(py: Python<'_>) -> Option<&'static Library> {
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

/// The pointer that is kept in a place behind an object's header; None for an object that is too small to
/// have it.
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
pub(super) struct Pointers {
    pub(super) ssl: Pointer,
    pub(super) incoming: Pointer,
    pub(super) outgoing: Pointer,
}

/// What OpenSSL gave to a connection, if the objects are such as this module knows.
pub(super) fn pointers(
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
    // SAFETY: an exact `_SSLSocket` without an owner, of a verified layout: between owner and context it
    // keeps its `SSL`.
    let confirmed = unsafe { (functions.incoming)(ssl) == first && (functions.outgoing)(ssl) == second };
    Ok(confirmed.then_some(Pointers { ssl, incoming: first, outgoing: second }))
}
