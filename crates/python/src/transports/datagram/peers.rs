//! [`Peers`]: the addresses that a transport met lately, in Python's form and in the kernel's, since the next
//! datagram mostly has to do with one of them. Used by `receiving` and `sending`; calls [`crate::addresses`].

use std::hash::{Hash, Hasher};

use pyo3::prelude::*;
use rustix::net::SocketAddrAny;

use crate::addresses;
use crate::ffi::{LoopCell, Output, Ref};

/// See the module.
#[derive(Default)]
pub struct Peers(LoopCell<Known>);

#[derive(Default)]
struct Known {
    /// Senders, each at the place that its address says; more places are made while senders need the same
    /// one.
    senders: Vec<Option<Peer>>,
    /// The place of the last sender.
    latest: usize,
    /// Where the last datagram went that was not an answer.
    destination: Option<Peer>,
}

/// As many places as there are at most.
const PLACES: usize = 64;

/// An address in both forms. It is made of plain tuples, strings and numbers, or of bytes: no part of a
/// cycle.
struct Peer {
    object: Ref,
    kernel: SocketAddrAny,
}

impl Peers {
    /// The address of the sender of a datagram.
    #[inline]
    pub fn sender<'py>(&self, py: Python<'py>, kernel: Option<SocketAddrAny>) -> Output<'py> {
        let Some(kernel) = kernel else { return addresses::from_kernel(py, None) };
        let known = self.0.with(|known| {
            known.latest = place(&kernel, known.senders.len());
            let peer = known.senders.get(known.latest)?.as_ref().filter(|peer| peer.kernel == kernel)?;
            Some(peer.object.copy(py))
        });
        if let Some(object) = known {
            return Ok(object.into_any(py));
        }
        let object = addresses::from_kernel(py, Some(&kernel))?;
        let peer = Peer { object: Ref::new(object.clone()), kernel };
        let forgotten = self.0.with(|known| known.enter(peer));
        drop(forgotten);
        Ok(object)
    }

    /// The kernel's form of where a datagram is to go, on a socket of `family`; see [`addresses::to_kernel`].
    #[inline]
    pub fn destination(&self, object: &Bound<'_, PyAny>, family: i32) -> Option<SocketAddrAny> {
        let known = self.0.with(|known| {
            let latest = known.senders.get(known.latest).and_then(Option::as_ref);
            let mut candidates = latest.into_iter().chain(&known.destination);
            let peer = candidates.find(|peer| peer.object.as_ptr() == object.as_ptr())?;
            Some(peer.kernel.clone())
        });
        if known.is_some() {
            return known;
        }
        let kernel = addresses::to_kernel(object, family)?;
        let peer = Peer { object: Ref::new(object.clone()), kernel: kernel.clone() };
        let forgotten = self.0.with(|known| known.destination.replace(peer));
        drop(forgotten);
        Some(kernel)
    }
}

impl Known {
    /// Enters a sender; returns the sender that had to make room.
    fn enter(&mut self, peer: Peer) -> Vec<Option<Peer>> {
        let is_taken = self.senders.get(self.latest).is_none_or(Option::is_some);
        let mut forgotten = Vec::new();
        if is_taken && self.senders.len() < PLACES {
            let places = (self.senders.len() * 4).max(1);
            forgotten = std::mem::take(&mut self.senders);
            self.senders.resize_with(places, || None);
            self.latest = place(&peer.kernel, places);
        }
        if let Some(slot) = self.senders.get_mut(self.latest) {
            forgotten.push(slot.replace(peer));
        }
        forgotten
    }
}

/// Where a sender is kept among so many places, a power of two or none.
fn place(address: &SocketAddrAny, places: usize) -> usize {
    let mut mixer = Mixer(0);
    address.hash(&mut mixer);
    mixer.finish() as usize & places.saturating_sub(1)
}

/// Mixes the few bytes of an address. A sender that makes addresses collide has an address formatted anew, no
/// more.
struct Mixer(u64);

impl Hasher for Mixer {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            // The upper bits of a product are the well mixed ones.
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
        }
    }

    #[inline]
    fn write_usize(&mut self, _length: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
