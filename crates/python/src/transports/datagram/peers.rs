//! [`Peers`]: the two addresses that a transport met last, in Python's form and in the kernel's, since the next datagram often
//! has to do with the same. Used by `receiving` and `sending`; calls [`crate::addresses`].

use pyo3::prelude::*;
use rustix::net::SocketAddrAny;

use crate::addresses;
use crate::ffi::{LoopCell, Output, Ref};

/// See the module.
#[derive(Default)]
pub struct Peers {
    sender: LoopCell<Option<Peer>>,
    destination: LoopCell<Option<Peer>>,
}

/// An address in both forms. It is made of plain tuples, strings and numbers, or of bytes: no part of a cycle.
struct Peer {
    object: Ref,
    kernel: SocketAddrAny,
}

impl Peers {
    /// The address of who sent a datagram.
    #[inline]
    pub fn sender<'py>(&self, py: Python<'py>, kernel: Option<SocketAddrAny>) -> Output<'py> {
        let Some(kernel) = kernel else { return addresses::from_kernel(py, None) };
        let known = self
            .sender
            .with(|last| last.as_ref().filter(|last| last.kernel == kernel).map(|last| last.object.copy(py)));
        if let Some(object) = known {
            return Ok(object.into_any(py));
        }
        let object = addresses::from_kernel(py, Some(&kernel))?;
        let peer = Peer { object: Ref::new(object.clone()), kernel };
        let before = self.sender.with(|last| last.replace(peer));
        drop(before);
        Ok(object)
    }

    /// The kernel's form of where a datagram is to go, on a socket of `family`; see [`addresses::to_kernel`].
    #[inline]
    pub fn destination(&self, object: &Bound<'_, PyAny>, family: i32) -> Option<SocketAddrAny> {
        for known in [&self.destination, &self.sender] {
            let kernel = known.with(|last| {
                let last = last.as_ref().filter(|last| last.object.as_ptr() == object.as_ptr());
                last.map(|last| last.kernel.clone())
            });
            if kernel.is_some() {
                return kernel;
            }
        }
        let kernel = addresses::to_kernel(object, family)?;
        let peer = Peer { object: Ref::new(object.clone()), kernel: kernel.clone() };
        let before = self.destination.with(|last| last.replace(peer));
        drop(before);
        Some(kernel)
    }
}
