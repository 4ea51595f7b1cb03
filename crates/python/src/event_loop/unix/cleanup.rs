//! Removes the path of a Unix socket when its server stops (since Python 3.13), unless another socket is
//! bound there by then.
//!
//! Arranged by `create_unix_server`, done by `_stop_serving`.

use pyo3::exceptions::{PyFileNotFoundError, PyOSError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::is_abstract;
use crate::core::{EventLoop, Part};
use crate::ffi::{Obj, Raised, Slot, Visitor};
use crate::frames::{CREATE_UNIX_SERVER, Frame, STOP_SERVING};
use crate::stock;

/// The inodes of the paths that listening Unix sockets are to remove: a dict, once there is one.
#[derive(Default)]
struct Inodes(Slot);

impl Part for Inodes {
    fn traverse(&self, visitor: &mut Visitor) {
        self.0.traverse(visitor);
    }
}

/// The dict, once there is one.
fn known_inodes<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let inodes = event_loop.parts.with(|Inodes(dict): &mut Inodes| dict.get(event_loop.py()));
    Ok(inodes.map(Bound::cast_into).transpose()?)
}

/// `_unix_server_sockets`: the inode that each listening socket is bound to.
pub(super) fn inodes<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Bound<'py, PyDict>> {
    if let Some(inodes) = known_inodes(event_loop)? {
        return Ok(inodes);
    }
    let inodes = PyDict::new(event_loop.py());
    event_loop.parts.with(|Inodes(dict): &mut Inodes| dict.put(inodes.clone()));
    Ok(inodes)
}

/// The path of a bound socket is to be removed when it stops serving. Names that are no paths go by
/// themselves.
pub(super) fn arrange<'py>(event_loop: &Obj<'py, EventLoop>, socket: &Bound<'py, PyAny>) -> PyResult<()> {
    let path = socket.call_method0(name!("getsockname"))?;
    if is_abstract(&path)? {
        return Ok(());
    }
    match inode(&path, &CREATE_UNIX_SERVER) {
        Ok(inode) => inodes(event_loop)?.set_item(socket, inode),
        Err(error) if error.is_instance_of::<PyFileNotFoundError>(socket.py()) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The server could not be made.
pub(super) fn forget<'py>(event_loop: &Obj<'py, EventLoop>, socket: &Bound<'py, PyAny>) -> PyResult<()> {
    let inodes = inodes(event_loop)?;
    if inodes.contains(socket)? { inodes.del_item(socket) } else { Ok(()) }
}

fn inode<'py>(path: &Bound<'py, PyAny>, frame: &Frame) -> PyResult<Bound<'py, PyAny>> {
    frame.call_with(&stock::module(path.py(), "os")?.getattr(name!("stat"))?, path)?.getattr(name!("st_ino"))
}

/// The path of a socket that is about to be closed, and the inode that it was bound to.
pub struct BoundPath<'py> {
    path: Bound<'py, PyAny>,
    inode: Bound<'py, PyAny>,
}

impl<'py> BoundPath<'py> {
    /// None when the path is to stay.
    pub fn of(event_loop: &Obj<'py, EventLoop>, socket: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let Some(inodes) = known_inodes(event_loop)? else { return Ok(None) };
        let Some(inode) = inodes.get_item(socket)? else { return Ok(None) };
        let path = socket.call_method0(name!("getsockname"))?;
        inodes.del_item(socket)?;
        Ok(Some(Self { path, inode }))
    }

    /// Removes it, if it is still the same.
    pub fn remove(self) -> PyResult<()> {
        let py = self.path.py();
        let unlink = || {
            if inode(&self.path, &STOP_SERVING)?.eq(&self.inode)? {
                STOP_SERVING.call_with(&stock::module(py, "os")?.getattr(name!("unlink"))?, &self.path)?;
            }
            Ok(())
        };
        let Err(error) = unlink() else { return Ok(()) };
        let error = Raised::from_err(py, error);
        if error.is::<PyFileNotFoundError>() {
            return Ok(());
        }
        if !error.is::<PyOSError>() {
            return Err(error.into_err());
        }
        let format = "Unable to clean up listening UNIX socket %r: %r";
        STOP_SERVING.log(py, "error", (format, &self.path, error.as_any()))
    }
}
