//! The server that accepted a connection: `Server._attach` and `_detach`, without a call into Python where
//! the server is a native one.
//!
//! The class of native servers is above transports, so it registers its functions here.

use std::sync::OnceLock;

use pyo3::prelude::*;

use super::data::SocketTransport;
use crate::ffi::Obj;

/// A function of the class of native servers; `None` for an object of another class, or with methods of its
/// own.
pub type OfServer =
    for<'a, 'py> fn(&'a Bound<'py, PyAny>, &'a Obj<'py, SocketTransport>) -> Option<PyResult<()>>;

/// The functions of the class of native servers.
pub struct ServerClass {
    /// `_attach`
    pub attach: OfServer,
    /// `_detach`
    pub detach: OfServer,
}

static NATIVE: OnceLock<&'static ServerClass> = OnceLock::new();

/// Registers the class, when it is made.
pub fn register(class: &'static ServerClass) {
    NATIVE.get_or_init(|| class);
}

/// `Server._attach`, which got an argument in 3.13.
pub(super) fn attach<'py>(transport: &Obj<'py, SocketTransport>, server: &Bound<'py, PyAny>) -> PyResult<()> {
    match NATIVE.get().and_then(|class| (class.attach)(server, transport)) {
        Some(attached) => attached,
        None if cfg!(Py_3_13) => server.call_method1(name!("_attach"), (transport.as_any(),)).map(drop),
        None => server.call_method0(name!("_attach")).map(drop),
    }
}

/// `Server._detach`.
pub(super) fn detach(transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    let Some(server) = transport.server.take() else { return Ok(()) };
    let server = server.into_any(transport.py());
    match NATIVE.get().and_then(|class| (class.detach)(&server, transport)) {
        Some(detached) => detached,
        None if cfg!(Py_3_13) => server.call_method1(name!("_detach"), (transport.as_any(),)).map(drop),
        None => server.call_method0(name!("_detach")).map(drop),
    }
}
