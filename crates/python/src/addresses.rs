//! Socket addresses as Python writes them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use pyo3::prelude::*;

use crate::ffi::Output;

/// `(host, port)`, or for IPv6 `(host, port, flowinfo, scope_id)`: what `getsockname()` gives.
pub fn of(py: Python<'_>, address: SocketAddr) -> Output<'_> {
    let (host, port) = (text(address.ip()), address.port());
    Ok(match address {
        SocketAddr::V4(_) => (host, port).into_pyobject(py)?.into_any(),
        SocketAddr::V6(v6) => (host, port, v6.flowinfo(), v6.scope_id()).into_pyobject(py)?.into_any(),
    })
}

/// The address as `inet_ntop` writes it.
fn text(address: IpAddr) -> String {
    match address {
        IpAddr::V6(v6) => ipv6_text(v6),
        IpAddr::V4(v4) => v4.to_string(),
    }
}

fn ipv6_text(address: Ipv6Addr) -> String {
    match address.segments() {
        // The one form that Rust writes otherwise: an IPv4-compatible address ("::1.2.3.4").
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = address.octets();
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => address.to_string(),
    }
}
