//! Arguments of functions and classes that asyncio has in C: the interpreter's parsers for these have an
//! order of their checks and texts of their own. Called by [`super::Signature`].

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::{Given, Signature, unexpected_keyword};

impl<const N: usize> Signature<N> {
    /// Gives every parameter its argument; `named` of them have a keyword.
    pub(super) fn distribute_as_native<'py>(
        &self,
        given: usize,
        argument: impl Fn(usize) -> Bound<'py, PyAny>,
        keywords: impl Iterator<Item = (Bound<'py, PyString>, Bound<'py, PyAny>)>,
        named: usize,
    ) -> PyResult<Given<'py, N>> {
        self.refuse_surplus(given, named)?;
        let mut found: Given<'py, N> = std::array::from_fn(|index| (index < given).then(|| argument(index)));
        let mut unknown = None;
        for (keyword, value) in keywords {
            let name = keyword.to_str()?;
            match self.names.iter().position(|known| *known == name) {
                Some(index) if index < given => return Err(self.given_twice(name, index)),
                Some(index) => found[index] = Some(value),
                None => unknown = unknown.or(Some(keyword)),
            }
        }
        let missing = (0..N).find(|index| self.required[*index] && found[*index].is_none());
        if let Some(index) = missing {
            let (name, position) = (self.names[index], index + 1);
            return Err(self.refusal(&format!("missing required argument '{name}' (pos {position})")));
        }
        match unknown {
            None => Ok(found),
            Some(keyword) if cfg!(Py_3_13) => {
                Err(unexpected_keyword(self.function, &self.keywords(), &keyword))
            }
            Some(keyword) => {
                let text = format!("'{keyword}' is an invalid keyword argument for {}()", self.function);
                Err(PyTypeError::new_err(text))
            }
        }
    }

    /// Gives every parameter its argument, where none has a keyword.
    pub(super) fn distribute_in_order<'py>(
        &self,
        given: usize,
        argument: impl Fn(usize) -> Bound<'py, PyAny>,
        mut keywords: impl Iterator<Item = (Bound<'py, PyString>, Bound<'py, PyAny>)>,
    ) -> PyResult<Given<'py, N>> {
        if keywords.next().is_some() {
            return Err(self.refusal("takes no keyword arguments"));
        }
        let least = self.required.iter().filter(|required| **required).count();
        if given < least || given > N {
            let (how, wanted) = if given < least { ("at least ", least) } else { ("at most ", N) };
            let how = if least == N { "" } else { how };
            let s = if wanted == 1 { "" } else { "s" };
            let name = self.function.rsplit('.').next().unwrap_or(self.function);
            return Err(PyTypeError::new_err(format!(
                "{name} expected {how}{wanted} argument{s}, got {given}"
            )));
        }
        Ok(std::array::from_fn(|index| (index < given).then(|| argument(index))))
    }

    fn refuse_surplus(&self, given: usize, named: usize) -> PyResult<()> {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (most, all) = (self.positional, given + named);
        if all > N {
            let keyword = if given == 0 { "keyword " } else { "" };
            let s = plural(N);
            return Err(self.refusal(&format!("takes at most {N} {keyword}argument{s} ({all} given)")));
        }
        let least = self.required.iter().take(self.unnamed).filter(|required| **required).count();
        let required = self.required.iter().take(most).filter(|required| **required).count();
        let (how, wanted) = match (given > most, given < least) {
            (true, _) if most == 0 => return Err(self.refusal("takes no positional arguments")),
            (true, _) => (if required < most { "at most" } else { "exactly" }, most),
            (false, true) => (if least < most { "at least" } else { "exactly" }, least),
            (false, false) => return Ok(()),
        };
        let s = plural(wanted);
        Err(self.refusal(&format!("takes {how} {wanted} positional argument{s} ({given} given)")))
    }

    fn given_twice(&self, name: &str, index: usize) -> PyErr {
        let (function, position) = (self.function, index + 1);
        let text = format!("argument for {function}() given by name ('{name}') and position ({position})");
        PyTypeError::new_err(text)
    }

    fn refusal(&self, what: &str) -> PyErr {
        PyTypeError::new_err(format!("{}() {what}", self.function))
    }
}
