//! Keywords as a program writes them: their names are interned, so that they are found by their addresses.
//!
//! Called where a call with keywords is a hot path; [`Args::parse`] knows every other call.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::Args;

impl<'a, 'py> Args<'a, 'py> {
    /// The values of the keywords in the order of `names`, which are interned. `None` where a keyword is
    /// none of these objects: it may still be an equal text, or it is unknown.
    #[inline]
    pub fn values_of<const N: usize>(
        &self,
        names: [Borrowed<'_, 'py, PyString>; N],
    ) -> Option<[Option<Borrowed<'a, 'py, PyAny>>; N]> {
        let mut found = [None; N];
        for (index, value) in self.values[self.positional..].iter().enumerate() {
            // SAFETY: `keywords` is a tuple with one str for each value behind the positional ones, and the
            // values are references that live for 'a (see `from_vectorcall`).
            let (keyword, value) = unsafe {
                let keyword = ffi::PyTuple_GET_ITEM(self.keywords, index.cast_signed());
                (keyword, Borrowed::from_ptr(self.py, *value))
            };
            let place = names.iter().position(|name| name.as_ptr() == keyword)?;
            found[place] = Some(value);
        }
        Some(found)
    }
}
