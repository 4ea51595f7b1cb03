//! What a reader has received and the program has not read yet.
//!
//! A piece that arrives while nothing is there is kept as the `bytes` object it came in, and handed out as
//! that object when it is read whole: most messages are never copied again. More pieces are joined. Once
//! Python code has asked for `_buffer`, it has the `bytearray` that the content lives in from then on. Called
//! by `reader` and `reading`.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PySlice};
use yibu_engine::Pieces;

use crate::errors::{self, copied};
use crate::ffi::buffer::Buffer;
use crate::ffi::bytes::Bytes;
use crate::ffi::{LoopCell, Ref, Slot, make};

/// The content of one reader.
#[derive(Default)]
pub struct Content {
    pieces: LoopCell<Pieces<Bytes>>,
    /// The `bytearray`, once Python code has seen it; `pieces` are empty from then on.
    shown: Slot,
}

impl Content {
    /// The number of bytes.
    #[inline]
    pub fn len(&self, py: Python<'_>) -> PyResult<usize> {
        match self.shown.get(py) {
            None => Ok(self.pieces.with(|pieces| pieces.as_slice().len())),
            Some(shown) => shown.len(),
        }
    }

    /// Runs `f` on the bytes. `f` must not call Python.
    #[inline]
    pub fn with<R>(&self, py: Python<'_>, f: impl FnOnce(&[u8]) -> R) -> PyResult<R> {
        match self.shown.get(py) {
            None => Ok(self.pieces.with(|pieces| f(pieces.as_slice()))),
            Some(shown) => Ok(f(&copy(&shown)?)),
        }
    }

    /// Appends what an object holds that Python code fed.
    pub fn extend(&self, data: &Bound<'_, PyAny>, expected: usize) -> PyResult<()> {
        let py = data.py();
        if let Some(shown) = self.shown.get(py) {
            return shown.call_method1(name!("extend"), (data,)).map(drop);
        }
        if let Ok(bytes) = data.cast::<PyBytes>() {
            return self.receive(bytes, expected);
        }
        // Whatever `bytearray.extend` takes.
        let bytes = PyByteArray::new(py, &[]);
        bytes.call_method1(name!("extend"), (data,))?;
        let bytes = copy(bytes.as_any())?;
        self.join(&bytes, expected)
    }

    /// Appends a piece, while Python code has not asked for the content.
    #[inline]
    pub fn receive(&self, data: &Bound<'_, PyBytes>, expected: usize) -> PyResult<()> {
        let received = self.pieces.with(|pieces| {
            if pieces.is_empty()
                && data.as_bytes().len() >= expected
                && let Some(bytes) = Bytes::keep(data, 0)
            {
                pieces.keep(bytes);
                return Ok(());
            }
            pieces.join(data.as_bytes(), expected)
        });
        received.map_err(|_| errors::no_memory())
    }

    /// Appends a copy, while Python code has not asked for the content. Calls no Python code.
    pub fn join(&self, data: &[u8], expected: usize) -> PyResult<()> {
        self.pieces.with(|pieces| pieces.join(data, expected)).map_err(|_| errors::no_memory())
    }

    /// Whether Python code has the content.
    #[inline]
    pub fn is_shown(&self) -> bool {
        !self.shown.is_empty()
    }

    /// Takes the first `count` bytes, or as many as there are.
    #[inline]
    pub fn take<'py>(&self, py: Python<'py>, count: usize) -> PyResult<Bound<'py, PyBytes>> {
        if let Some(shown) = self.shown.get(py) {
            let bytes = copy(&shown)?;
            let taken = make::bytes(py, bytes.get(..count).unwrap_or(&bytes))?;
            delete(&shown, count)?;
            return Ok(taken);
        }
        self.pieces.with(|pieces| {
            let count = count.min(pieces.as_slice().len());
            if let Some(object) = pieces.take_whole(count).and_then(|bytes| bytes.whole(py)) {
                return Ok(object);
            }
            let taken = make::bytes(py, pieces.as_slice().get(..count).unwrap_or_default())?;
            pieces.discard(count);
            Ok(taken)
        })
    }

    /// Puts back in front what was taken and is not wanted after all.
    pub fn put_back(&self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        if let Some(shown) = self.shown.get(py) {
            let front = py.get_type::<PySlice>().call1((0, 0))?;
            return shown.set_item(front, make::bytes(py, data)?);
        }
        self.pieces.with(|pieces| pieces.put_back(data));
        Ok(())
    }

    /// The content as the `bytearray` it lives in from now on.
    pub fn show<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        if let Some(shown) = self.shown.get(py) {
            return shown;
        }
        let shown = self.pieces.with(|pieces| PyByteArray::new(py, pieces.as_slice())).into_any();
        self.pieces.with(|pieces| *pieces = Pieces::default());
        self.shown.set(Ref::new(shown.clone()));
        shown
    }

    /// Puts another object in the content's place.
    pub fn replace(&self, content: Bound<'_, PyAny>) {
        self.pieces.with(|pieces| *pieces = Pieces::default());
        self.shown.put(content);
    }

    /// The references, for the collector.
    pub fn slot(&self) -> &Slot {
        &self.shown
    }
}

fn copy(shown: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let bytes = match shown.cast::<PyByteArray>() {
        Ok(bytes) => bytes.clone(),
        // Something that Python code has put there instead.
        Err(_) => PyByteArray::from(shown)?,
    };
    copied(Buffer::get(bytes.as_any(), false)?.bytes())
}

fn delete(shown: &Bound<'_, PyAny>, count: usize) -> PyResult<()> {
    let py = shown.py();
    let slice = make::slice(py, 0, count.min(isize::MAX.unsigned_abs()))?;
    shown.del_item(slice)
}
