//! Whether asyncio's Python function would do what the native one of its name does.
//!
//! It would as long as nothing that it looks up in its module was replaced, and nothing that the functions look up which it calls
//! there. Where something was, the standard library's function is called itself: it does all by name. What a function looks up is
//! read off its code, when it is first asked about: each name that is one of its module, and of another module those that the code
//! mentions as well, which may be more than it uses.
//!
//! Asked by the native functions of modules when they are called ([`Reach`]), and by Rust code that would call one natively
//! ([`Called`]).

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyNameError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFunction, PyModule};

use super::names::{MODULES, Module};
use crate::ffi::function::naming;
use crate::ffi::{thread, versions};

/// A name of a module.
type Global = (&'static Module, String);

/// Variables that asyncio's functions assign to.
const VARIABLES: &[&str] = &["_event_loop_policy", "_PYTHONASYNCIODEBUG"];

/// The names that a function reaches, and the modules in which they are, each once.
#[derive(Default)]
struct Reached {
    names: Vec<Global>,
    modules: Vec<&'static Module>,
}

/// What a function of asyncio's reaches by name.
pub struct Reach {
    reached: PyOnceLock<Reached>,
    /// The version of the modules in which all were found to be as they came.
    verified: AtomicU64,
}

impl Reach {
    const fn new() -> Self {
        // No version is this one.
        Self { reached: PyOnceLock::new(), verified: AtomicU64::new(u64::MAX) }
    }

    /// Whether something that `function` reaches was replaced.
    #[inline(always)]
    pub fn is_replaced(&self, py: Python<'_>, function: impl FnOnce() -> Py<PyAny>) -> bool {
        self.verified.load(Ordering::Relaxed) != self.version(py) && self.look(py, function().bind(py))
    }

    #[inline(always)]
    fn version(&self, py: Python<'_>) -> u64 {
        let modules = self.reached.get(py).into_iter().flat_map(|reached| &reached.modules);
        versions::version(modules.map(|module| module.dict(py)))
    }

    /// What cannot be found out counts as replaced: then all goes by name.
    #[cold]
    fn look(&self, py: Python<'_>, function: &Bound<'_, PyAny>) -> bool {
        self.find(py, function).unwrap_or_else(|error| {
            error.write_unraisable(py, Some(function));
            true
        })
    }

    fn find(&self, py: Python<'_>, function: &Bound<'_, PyAny>) -> PyResult<bool> {
        let reached = match self.reached.get(py) {
            Some(reached) => reached,
            None => {
                let mut reached = Reached::default();
                reached.collect(function, &mut Vec::new())?;
                self.reached.get_or_init(py, || reached)
            }
        };
        // Before looking: what changes meanwhile is noticed next time.
        let version = self.version(py);
        if thread::interpreter_ends() {
            return Ok(false);
        }
        // Where yibu's names stand beside asyncio's, asyncio's function would work with asyncio's classes.
        let names = if naming::is_installed() { reached.names.as_slice() } else { &[] };
        for (module, name) in names {
            if module.lacks_its_own(py, name)? {
                return Ok(true);
            }
        }
        self.verified.store(version, Ordering::Relaxed);
        Ok(false)
    }
}

impl Default for Reach {
    fn default() -> Self {
        Self::new()
    }
}

impl Reached {
    /// Adds the names that a function reaches.
    fn collect(&mut self, function: &Bound<'_, PyAny>, seen: &mut Vec<usize>) -> PyResult<()> {
        let py = function.py();
        if seen.contains(&(function.as_ptr() as usize)) {
            return Ok(());
        }
        seen.push(function.as_ptr() as usize);
        let globals = function.getattr("__globals__")?;
        let Some(module) = known(py, &globals) else { return Ok(()) };
        let mut mentioned = Vec::new();
        mention(&function.getattr("__code__")?, &mut mentioned)?;
        for name in &mentioned {
            let Some(value) = self.follow(py, module, name, seen)? else { continue };
            if let Ok(other) = value.cast::<PyModule>()
                && let Some(other) = known(py, other.dict().as_any())
            {
                for name in &mentioned {
                    self.follow(py, other, name, seen)?;
                }
            }
        }
        Ok(())
    }

    /// Adds a name that a module had, and what it reaches if that is a function; gives what it is.
    fn follow<'py>(
        &mut self,
        py: Python<'py>,
        module: &'static Module,
        name: &str,
        seen: &mut Vec<usize>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(value) = module.original(py, name)? else { return Ok(None) };
        self.add(module, name);
        if value.is_instance_of::<PyFunction>() {
            self.collect(&value, seen)?;
        }
        Ok(Some(value))
    }

    fn add(&mut self, module: &'static Module, name: &str) {
        let known = self.names.iter().any(|(other, text)| std::ptr::eq(*other, module) && text == name);
        if known || VARIABLES.contains(&name) {
            return;
        }
        self.names.push((module, name.to_owned()));
        if !self.modules.iter().any(|other| std::ptr::eq(*other, module)) {
            self.modules.push(module);
        }
    }
}

/// The module that has these names.
fn known(py: Python<'_>, names: &Bound<'_, PyAny>) -> Option<&'static Module> {
    MODULES.iter().copied().find(|module| module.dict(py).is_some_and(|dict| dict.is(names)))
}

/// The names in the code of a function, and in that of functions within it.
fn mention(code: &Bound<'_, PyAny>, names: &mut Vec<String>) -> PyResult<()> {
    names.extend(code.getattr("co_names")?.extract::<Vec<String>>()?);
    for constant in code.getattr("co_consts")?.try_iter()? {
        let constant = constant?;
        if constant.hasattr("co_names")? {
            mention(&constant, names)?;
        }
    }
    Ok(())
}

/// A function of a module of asyncio's that Rust code calls natively.
pub struct Called {
    module: &'static Module,
    name: &'static str,
    reach: Reach,
}

impl Called {
    const fn new(module: &'static Module, name: &'static str) -> Self {
        Self { module, name, reach: Reach::new() }
    }

    /// What to call by name instead, if it or something that it reaches was replaced.
    #[inline]
    pub fn replacement<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.reach.verified.load(Ordering::Relaxed) == self.reach.version(py) {
            return Ok(None);
        }
        if thread::interpreter_ends() {
            return Ok(None);
        }
        if self.module.lacks_its_own(py, self.name)? {
            return self.module.global(py, self.name).map(Some);
        }
        let original = self.module.original(py, self.name)?;
        let Some(original) = original else {
            return Err(PyNameError::new_err(format!("name '{}' is not defined", self.name)));
        };
        let is_replaced = self.reach.is_replaced(py, || original.clone().unbind());
        Ok(is_replaced.then_some(original))
    }

    /// Whether that is so.
    #[inline]
    pub fn is_replaced(&self, py: Python<'_>) -> bool {
        !matches!(self.replacement(py), Ok(None))
    }
}

/// `runners._cancel_all_tasks`
pub static CANCEL_ALL_TASKS: Called = Called::new(&super::names::RUNNERS, "_cancel_all_tasks");
/// `futures.wrap_future`
pub static WRAP_FUTURE: Called = Called::new(&super::names::FUTURES, "wrap_future");
