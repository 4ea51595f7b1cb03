//! [`Limits`]: the amounts at which a side of a TLS connection is paused and goes on.

use pyo3::prelude::*;

use crate::ffi::{Output, none};
use crate::replaced::names::{Name, SSL_READ_HIGH_WATER, SSL_WRITE_HIGH_WATER};
use crate::transports::water_marks;

/// The water marks of a side, in bytes.
#[derive(Clone, Copy, Default)]
pub struct Limits {
    /// The high water mark: at or above it the side is paused.
    pub high: i64,
    /// The low water mark: at or below it the side is resumed.
    pub low: i64,
}

/// The limits of one direction before a program sets them.
pub struct Defaults {
    /// The high one, in KiB.
    constant: &'static Name<2>,
    /// Both, while the constant is asyncio's.
    limits: Limits,
}

/// `FLOW_CONTROL_HIGH_WATER_SSL_READ` and a quarter of it.
pub static READING: Defaults =
    Defaults { constant: &SSL_READ_HIGH_WATER, limits: Limits { high: 256 * 1024, low: 64 * 1024 } };
/// `FLOW_CONTROL_HIGH_WATER_SSL_WRITE` and a quarter of it.
pub static WRITING: Defaults =
    Defaults { constant: &SSL_WRITE_HIGH_WATER, limits: Limits { high: 512 * 1024, low: 128 * 1024 } };

impl Defaults {
    /// As they are now.
    pub fn limits(&self, py: Python<'_>) -> PyResult<Limits> {
        match self.constant.replacement(py)? {
            None => Ok(self.limits),
            Some(kib) => Limits::given(&kib.mul(1024)?, &none(py), self),
        }
    }
}

impl Limits {
    /// `add_flowcontrol_defaults`: what is not given follows from what is, or from the defaults.
    pub fn given(high: &Bound<'_, PyAny>, low: &Bound<'_, PyAny>, defaults: &Defaults) -> PyResult<Self> {
        if high.is_none() && low.is_none() {
            return defaults.limits(high.py());
        }
        let (high, low) = water_marks(high, low, defaults.limits.high)?;
        Ok(Self { high, low })
    }

    /// As `get_write_buffer_limits()` and `get_read_buffer_limits()` give them.
    pub fn as_pair(self, py: Python<'_>) -> Output<'_> {
        Ok((self.low, self.high).into_pyobject(py)?.into_any())
    }
}
