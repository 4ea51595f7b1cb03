//! Socket addresses as Python writes them, and as the kernel does.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;

use pyo3::conversion::FromPyObjectOwned;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};
use yibu_engine::inet_text;

use crate::ffi::{Output, none};

/// `(host, port)`, or for IPv6 `(host, port, flowinfo, scope_id)`: what `getsockname()` gives.
pub fn of(py: Python<'_>, address: SocketAddr) -> Output<'_> {
    let (host, port) = (inet_text::of(address.ip()), address.port());
    Ok(match address {
        SocketAddr::V4(_) => (host, port).into_pyobject(py)?.into_any(),
        SocketAddr::V6(v6) => (host, port, v6.flowinfo(), v6.scope_id()).into_pyobject(py)?.into_any(),
    })
}

/// Whether [`from_kernel`] knows the addresses of a family of sockets.
pub fn knows(family: i32) -> bool {
    [AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX]
        .iter()
        .any(|known| i32::from(known.as_raw()) == family)
}

/// An address of a family that [`knows`] knows, as `recvfrom` of a Python socket gives it; None for a sender
/// without one.
pub fn from_kernel<'py>(py: Python<'py>, address: Option<&SocketAddrAny>) -> Output<'py> {
    let Some(address) = address else { return Ok(none(py)) };
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return of(py, address);
    }
    let Ok(address) = SocketAddrUnix::try_from(address.clone()) else { return Ok(none(py)) };
    Ok(match (address.path_bytes(), address.abstract_name()) {
        (Some(path), _) => OsStr::from_bytes(path).into_pyobject(py)?.into_any(),
        (None, Some(name)) => PyBytes::new(py, &[b"\0", name].concat()).into_any(),
        (None, None) => PyString::new(py, "").into_any(),
    })
}

/// The kernel's form of an address for a socket of `family`. None where only the `socket` module can tell: of
/// names, of objects that are not plain tuples, strings and numbers, and of what is no address at all.
/// Dropping the others runs no Python code.
pub fn to_kernel(address: &Bound<'_, PyAny>, family: i32) -> Option<SocketAddrAny> {
    match AddressFamily::from_raw(family.try_into().ok()?) {
        AddressFamily::INET => to_ipv4(address.cast_exact::<PyTuple>().ok()?),
        AddressFamily::INET6 => to_ipv6(address.cast_exact::<PyTuple>().ok()?),
        AddressFamily::UNIX => to_unix(address),
        _ => None,
    }
}

/// `(host, port)`
fn to_ipv4(address: &Bound<'_, PyTuple>) -> Option<SocketAddrAny> {
    if address.len() != 2 {
        return None;
    }
    let (host, port) = (address.get_borrowed_item(0).ok()?, address.get_borrowed_item(1).ok()?);
    let host: Ipv4Addr = plain_text(&host)?.parse().ok()?;
    Some(SocketAddrV4::new(host, number(&port)?).into())
}

/// `(host, port)`, perhaps with a flow and a scope.
fn to_ipv6(address: &Bound<'_, PyTuple>) -> Option<SocketAddrAny> {
    if !(2..=4).contains(&address.len()) {
        return None;
    }
    let (host, port) = (address.get_borrowed_item(0).ok()?, address.get_borrowed_item(1).ok()?);
    let host: Ipv6Addr = plain_text(&host)?.parse().ok()?;
    let or_zero = |index| match address.get_borrowed_item(index) {
        Ok(item) => number::<u32>(&item),
        Err(_) => Some(0),
    };
    let (flow, scope) = (or_zero(2)?, or_zero(3)?);
    // A flow has twenty bits; the `socket` module says so where there are more.
    if flow >= 1 << 20 {
        return None;
    }
    Some(SocketAddrV6::new(host, number(&port)?, flow, scope).into())
}

/// A path, or a name behind a NUL.
fn to_unix(address: &Bound<'_, PyAny>) -> Option<SocketAddrAny> {
    let bytes = match address.cast_exact::<PyBytes>() {
        Ok(bytes) => bytes.as_bytes(),
        // What is beyond ASCII depends on the encoding of file names.
        Err(_) => plain_text(address).filter(|text| text.is_ascii())?.as_bytes(),
    };
    let address = match bytes {
        [] => return None,
        [0, name @ ..] => SocketAddrUnix::new_abstract_name(name),
        // The `socket` module wants room for a NUL at the end.
        path if path.len() >= UNIX_PATH_MAX => return None,
        path => SocketAddrUnix::new(path),
    };
    address.ok().map(Into::into)
}

/// The size of `sun_path`.
const UNIX_PATH_MAX: usize = 108;

fn plain_text<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    object.cast_exact::<PyString>().ok()?.to_str().ok()
}

fn number<'py, T: FromPyObjectOwned<'py>>(object: &Bound<'py, PyAny>) -> Option<T> {
    object.cast_exact::<PyInt>().ok()?.extract().ok()
}
