//! Arguments of native functions: [`Args`] as CPython hands them over, [`Signature`] to give them names.
//!
//! A signature is written once, as text (`"callback, *args, context=None"`), and serves the parser, the error
//! texts and `inspect.signature`.

mod interned;
mod of_natives;
mod unexpected;

use std::marker::PhantomData;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::objects::{Output, none};
pub use unexpected::unexpected_keyword;

/// What was passed for each parameter of a signature.
type Given<'py, const N: usize> = [Option<Bound<'py, PyAny>>; N];

/// The arguments of one call: positional ones first, then the values of the keywords in `keywords`.
#[derive(Clone, Copy)]
pub struct Args<'a, 'py> {
    py: Python<'py>,
    values: &'a [*mut ffi::PyObject],
    positional: usize,
    keywords: *mut ffi::PyObject,
    alive: PhantomData<&'a ()>,
}

impl<'a, 'py> Args<'a, 'py> {
    /// Wraps a vectorcall's arguments.
    ///
    /// # Safety
    /// `values` must point to `nargs` + len(`keywords`) borrowed references that outlive `'a`; `keywords` is
    /// null or a tuple of str.
    #[inline]
    pub(crate) unsafe fn from_vectorcall(
        py: Python<'py>,
        values: *const *mut ffi::PyObject,
        nargs: ffi::Py_ssize_t,
        keywords: *mut ffi::PyObject,
    ) -> Self {
        let positional = nargs.unsigned_abs();
        let named = if keywords.is_null() {
            0
        } else {
            // SAFETY: the caller passes a tuple.
            unsafe { ffi::PyTuple_GET_SIZE(keywords) }.unsigned_abs()
        };
        let values = if values.is_null() {
            &[]
        } else {
            // SAFETY: the caller vouches for the length.
            unsafe { std::slice::from_raw_parts(values, positional + named) }
        };
        Self { py, values, positional, keywords, alive: PhantomData }
    }

    /// The token of the thread that made the call.
    #[inline]
    pub fn py(&self) -> Python<'py> {
        self.py
    }

    /// The number of positional arguments.
    #[inline]
    pub fn len(&self) -> usize {
        self.positional
    }

    /// Whether there is no positional argument.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.positional == 0
    }

    /// Whether any keyword was given.
    #[inline]
    pub fn has_keywords(&self) -> bool {
        self.values.len() > self.positional
    }

    /// The argument of a call with one positional argument and nothing else.
    #[inline]
    pub fn only(&self) -> Option<Bound<'py, PyAny>> {
        (self.values.len() == 1 && self.positional == 1).then(|| self.value(0))
    }

    /// The argument of a function that takes one, by position without a look at the signature.
    #[inline]
    pub fn single(&self, signature: &Signature<1>) -> Output<'py> {
        match self.only() {
            Some(argument) => Ok(argument),
            None => self.parse(signature).map(|[argument]| argument),
        }
    }

    /// The `index`-th positional argument.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Bound<'py, PyAny>> {
        (index < self.positional).then(|| self.value(index))
    }

    #[inline]
    fn value(&self, index: usize) -> Bound<'py, PyAny> {
        // SAFETY: every element is a live borrowed reference (see `from_vectorcall`).
        unsafe { Bound::from_borrowed_ptr(self.py, self.values[index]) }
    }

    /// The positional arguments.
    #[inline]
    pub fn positional(&self) -> impl ExactSizeIterator<Item = Bound<'py, PyAny>> + Clone + use<'a, 'py> {
        let this = *self;
        (0..this.positional).map(move |index| this.value(index))
    }

    /// The keywords with their values.
    pub fn keywords(&self) -> impl Iterator<Item = (Bound<'py, PyString>, Bound<'py, PyAny>)> {
        let this = *self;
        (this.positional..this.values.len()).map(move |index| {
            let position = (index - this.positional).cast_signed();
            // SAFETY: `keywords` is a tuple with one str for each value behind the positional ones.
            let name = unsafe {
                let name = ffi::PyTuple_GET_ITEM(this.keywords, position);
                Bound::from_borrowed_ptr(this.py, name).cast_into_unchecked::<PyString>()
            };
            (name, this.value(index))
        })
    }

    /// The only keyword argument when it is called `name`; TypeError for any other.
    #[inline]
    pub fn only_keyword(&self, function: &str, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.has_keywords() {
            return Ok(None);
        }
        let mut found = None;
        for (keyword, value) in self.keywords() {
            if keyword.to_str()? != name {
                return Err(unexpected_keyword(function, &[name], &keyword));
            }
            found = Some(value);
        }
        Ok(found)
    }

    /// Calls `function` with the same arguments.
    pub fn pass_to(&self, function: &Bound<'py, PyAny>) -> Output<'py> {
        // SAFETY: attached; the arguments are those of a vectorcall (see `from_vectorcall`), and outlive this
        // one.
        unsafe {
            let values = self.values.as_ptr();
            let result = ffi::PyObject_Vectorcall(function.as_ptr(), values, self.positional, self.keywords);
            Bound::from_owned_ptr_or_err(self.py, result)
        }
    }

    /// Positional arguments from `start` on, as a tuple.
    pub fn tuple_from(&self, start: usize) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(self.py, (start.min(self.positional)..self.positional).map(|i| self.value(i)))
    }

    /// Gives every parameter of `signature` its argument; absent ones are the Python `None`.
    /// TypeError with CPython's texts for missing, surplus, repeated and unknown ones.
    pub fn parse<const N: usize>(&self, signature: &Signature<N>) -> PyResult<[Bound<'py, PyAny>; N]> {
        if self.positional == N && self.values.len() == N && signature.positional == N {
            return Ok(std::array::from_fn(|index| self.value(index)));
        }
        let given = self.positional;
        if given == self.values.len() && given <= signature.positional && !signature.requires_after(given) {
            let value = |index| if index < given { self.value(index) } else { none(self.py) };
            return Ok(std::array::from_fn(value));
        }
        Ok(self.parse_given(signature)?.map(|value| value.unwrap_or_else(|| none(self.py))))
    }

    /// The same where an absent argument stands for something else than `None`.
    pub fn parse_given<const N: usize>(&self, signature: &Signature<N>) -> PyResult<Given<'py, N>> {
        let named = self.values.len() - self.positional;
        signature.distribute(self.positional, |index| self.value(index), self.keywords(), named)
    }

    /// The same for a function with `**kwargs`, which come as a dict.
    pub fn parse_open<const N: usize>(
        &self,
        signature: &Signature<N>,
    ) -> PyResult<(Given<'py, N>, Bound<'py, PyDict>)> {
        let known =
            |name: &Bound<'_, PyString>| name.to_str().is_ok_and(|name| signature.names.contains(&name));
        let others = PyDict::new(self.py);
        for (name, value) in self.keywords().filter(|(name, _)| !known(name)) {
            others.set_item(name, value)?;
        }
        let keywords = || self.keywords().filter(|(name, _)| known(name));
        let (argument, named) = (|index| self.value(index), keywords().count());
        Ok((signature.distribute(self.positional, argument, keywords(), named)?, others))
    }

    /// `*args` behind the positional parameters of `signature`.
    pub fn rest<const N: usize>(&self, signature: &Signature<N>) -> PyResult<Bound<'py, PyTuple>> {
        self.tuple_from(signature.positional)
    }

    /// Arguments that a slot received as a tuple and a dict (`__new__`, `__init__`, `__call__`), parsed the
    /// same way.
    pub fn parse_tuple<const N: usize>(
        signature: &Signature<N>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<[Bound<'py, PyAny>; N]> {
        let py = args.py();
        Ok(Self::parse_tuple_given(signature, args, kwargs)?.map(|value| value.unwrap_or_else(|| none(py))))
    }

    /// The same for a function with `**kwargs`, which come as a dict.
    pub fn parse_tuple_open<const N: usize>(
        signature: &Signature<N>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<(Given<'py, N>, Bound<'py, PyDict>)> {
        let (known, others) = (PyDict::new(args.py()), PyDict::new(args.py()));
        for (name, value) in kwargs.into_iter().flat_map(|kwargs| kwargs.iter()) {
            let is_known = signature.names.contains(&name.cast::<PyString>()?.to_str()?);
            if is_known { &known } else { &others }.set_item(name, value)?;
        }
        Ok((Self::parse_tuple_given(signature, args, Some(&known))?, others))
    }

    /// The same where an absent argument stands for something else than `None`.
    pub fn parse_tuple_given<const N: usize>(
        signature: &Signature<N>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<[Option<Bound<'py, PyAny>>; N]> {
        let py = args.py();
        // The keys of a `**kwargs` dict are str.
        let keywords = kwargs.into_iter().flat_map(|dict| dict.iter());
        let keywords = keywords.filter_map(|(name, value)| Some((name.cast_into::<PyString>().ok()?, value)));
        let argument =
            |index| args.get_borrowed_item(index).map_or_else(|_| none(py), |value| value.to_owned());
        signature.distribute(args.len(), argument, keywords, kwargs.map_or(0, PyDictMethods::len))
    }
}

/// A function's name and parameters.
pub struct Signature<const N: usize> {
    /// The name in error texts, for instance `"EventLoop.call_soon"`.
    pub function: &'static str,
    /// The parameters as Python writes them, without `self`.
    pub text: &'static str,
    names: [&'static str; N],
    required: [bool; N],
    positional: usize,
    /// How many of these have no keyword.
    unnamed: usize,
    varargs: bool,
    refusals: Refusals,
}

/// Whose errors the texts are like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusals {
    /// Those of a Python function.
    Function,
    /// Those of a method in Python, where `self` counts as an argument.
    Method,
    /// Those of a function or class that is written in C.
    Native,
    /// Those of a function in C that takes no keywords.
    NativeWithoutKeywords,
}

impl<const N: usize> Signature<N> {
    /// Reads `text`: names separated by `", "`, `=default` for optional ones, a bare `*` before keyword-only
    /// ones, `*args` and `**kwargs` for the rest. Checked when the program is compiled.
    pub const fn new(function: &'static str, text: &'static str) -> Self {
        let bytes = text.as_bytes();
        let (mut names, mut required) = ([""; N], [false; N]);
        let (mut count, mut positional, mut unnamed) = (0, 0, 0);
        let (mut varargs, mut starred) = (false, false);
        let mut start = 0;
        while start < bytes.len() {
            let mut end = start;
            while end < bytes.len() && bytes[end] != b',' {
                end += 1;
            }
            let mut stop = start;
            while stop < end && bytes[stop] != b'=' {
                stop += 1;
            }
            if bytes[start] == b'*' {
                starred = true;
                varargs |= end > start + 1 && bytes[start + 1] != b'*';
            } else if bytes[start] == b'/' {
                unnamed = count;
            } else {
                names[count] = text.split_at(start).1.split_at(stop - start).0;
                required[count] = stop == end;
                count += 1;
                if !starred {
                    positional = count;
                }
            }
            start = end + 2;
        }
        assert!(count == N, "the signature's text has another number of parameters than its type");
        Self { function, text, names, required, positional, unnamed, varargs, refusals: Refusals::Function }
    }

    /// The same for a method that is written in Python in asyncio, where `self` counts as an argument.
    pub const fn new_method(function: &'static str, text: &'static str) -> Self {
        Self { refusals: Refusals::Method, ..Self::new(function, text) }
    }

    /// The same for a function or class that is written in C in asyncio: the texts have `function` as it is.
    pub const fn new_native(function: &'static str, text: &'static str) -> Self {
        Self { refusals: Refusals::Native, ..Self::new(function, text) }
    }

    /// The same for a method in C that takes no keywords.
    pub const fn new_native_without_keywords(function: &'static str, text: &'static str) -> Self {
        Self { refusals: Refusals::NativeWithoutKeywords, ..Self::new(function, text) }
    }

    /// Whether one of the parameters behind the first `given` has no default.
    #[inline]
    fn requires_after(&self, given: usize) -> bool {
        self.required.iter().skip(given).any(|required| *required)
    }

    /// Gives every parameter its argument; `named` of them have a keyword.
    fn distribute<'py>(
        &self,
        given: usize,
        argument: impl Fn(usize) -> Bound<'py, PyAny>,
        keywords: impl Iterator<Item = (Bound<'py, PyString>, Bound<'py, PyAny>)>,
        named: usize,
    ) -> PyResult<Given<'py, N>> {
        match self.refusals {
            Refusals::Function | Refusals::Method => {}
            Refusals::Native => return self.distribute_as_native(given, argument, keywords, named),
            Refusals::NativeWithoutKeywords => return self.distribute_in_order(given, argument, keywords),
        }
        let mut found: Given<'py, N> = std::array::from_fn(|_| None);
        for (index, slot) in found.iter_mut().enumerate().take(given.min(self.positional)) {
            *slot = Some(argument(index));
        }
        for (keyword, value) in keywords {
            let name = keyword.to_str()?;
            let Some(index) = self.names.iter().position(|n| *n == name) else {
                return Err(unexpected_keyword(self.function, &self.keywords(), &keyword));
            };
            if found[index].replace(value).is_some() {
                return Err(PyTypeError::new_err(format!(
                    "{}() got multiple values for argument '{name}'",
                    self.function
                )));
            }
        }
        if given > self.positional && !self.varargs {
            return Err(self.surplus(given, &found));
        }
        self.check_missing(&found)?;
        Ok(found)
    }

    /// The names that arguments can be given by.
    #[cold]
    fn keywords(&self) -> Vec<&'static str> {
        let owner = (self.refusals == Refusals::Method).then_some("self");
        owner.into_iter().chain(self.names[self.unnamed..].iter().copied()).collect()
    }

    #[cold]
    fn surplus(&self, given: usize, found: &[Option<Bound<'_, PyAny>>; N]) -> PyErr {
        let uncounted = usize::from(self.refusals == Refusals::Method);
        let least = self.required.iter().take(self.positional).filter(|r| **r).count() + uncounted;
        let (most, given) = (self.positional + uncounted, given + uncounted);
        let (wanted, plural) = if least == most {
            (most.to_string(), most != 1)
        } else {
            (format!("from {least} to {most}"), true)
        };
        let s = |plural| if plural { "s" } else { "" };
        let named = found[self.positional..].iter().flatten().count();
        let also = if named == 0 {
            String::new()
        } else {
            let (more, others) = (s(given != 1), s(named != 1));
            format!(" positional argument{more} (and {named} keyword-only argument{others})")
        };
        let was = if given == 1 && named == 0 { "was" } else { "were" };
        PyTypeError::new_err(format!(
            "{}() takes {wanted} positional argument{} but {given}{also} {was} given",
            self.function,
            s(plural)
        ))
    }

    #[inline]
    fn check_missing(&self, found: &[Option<Bound<'_, PyAny>>; N]) -> PyResult<()> {
        if self.required.iter().zip(found).any(|(required, found)| *required && found.is_none()) {
            return self.complain(found);
        }
        Ok(())
    }

    #[cold]
    fn complain(&self, found: &[Option<Bound<'_, PyAny>>; N]) -> PyResult<()> {
        for keyword_only in [false, true] {
            let missing: Vec<&str> = (0..N)
                .filter(|i| {
                    self.required[*i] && found[*i].is_none() && (*i >= self.positional) == keyword_only
                })
                .map(|i| self.names[i])
                .collect();
            if !missing.is_empty() {
                let kind = if keyword_only { "keyword-only" } else { "positional" };
                let s = if missing.len() == 1 { "" } else { "s" };
                return Err(PyTypeError::new_err(format!(
                    "{}() missing {} required {kind} argument{s}: {}",
                    self.function,
                    missing.len(),
                    enumerate_names(&missing)
                )));
            }
        }
        Ok(())
    }
}

/// `'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`.
fn enumerate_names(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first, second] => format!("{first} and {second}"),
        [start @ .., last] => format!("{}, and {last}", start.join(", ")),
    }
}
