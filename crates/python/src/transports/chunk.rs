//! [`Chunk`]: something written that could not be sent at once.

use crate::ffi::bytes::Bytes;

/// Something written that could not be sent at once. Dropping it runs no Python code, as the machine demands.
pub enum Chunk {
    /// An immutable object, kept by reference.
    GcRef(Bytes),
    /// A copy of what may change.
    Copied(Box<[u8]>),
}

impl AsRef<[u8]> for Chunk {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::GcRef(bytes) => bytes.as_ref(),
            Self::Copied(bytes) => bytes,
        }
    }
}
