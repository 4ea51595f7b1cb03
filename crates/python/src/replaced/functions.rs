//! Whether asyncio's Python function would do what the native one of its name does.
//!
//! It would as long as nothing that it looks up in its module was replaced, and nothing that the functions
//! look up which it calls there. Where something was, the standard library's function is called itself: it
//! does all by name. What a function looks up is read off its code, when it is first asked about: each name
//! that is one of its module, and of another module those that the code mentions as well, which may be more
//! than it uses.
//!
//! Asked by the native functions of modules when they are called ([`Lookups`]), and by Rust code that would
//! call one natively ([`Called`]).

use pyo3::exceptions::PyNameError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFunction, PyModule, PyType};

use super::modules::native;
use super::names::{MODULES, Module};
use crate::ffi::function::{Lookups, naming};
use crate::ffi::thread;
use crate::ffi::versions::Verified;

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
pub struct Reach(PyOnceLock<Reached>);

impl Reach {
    /// Read off the code when it is first asked about.
    pub const fn new() -> Self {
        Self(PyOnceLock::new())
    }

    fn find(&self, function: &Bound<'_, PyAny>, verified: &Verified) -> PyResult<bool> {
        let py = function.py();
        let reached = match self.0.get(py) {
            Some(reached) => reached,
            None => {
                let mut reached = Reached::default();
                reached.collect(function, &mut Vec::new())?;
                let dicts = reached.modules.iter().filter_map(|module| module.dict(py));
                verified.depend_on(py, dicts.map(|dict| dict.clone_ref(py)).collect());
                self.0.get_or_init(py, || reached)
            }
        };
        // Before looking: what changes meanwhile is noticed next time.
        let version = verified.version(py);
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
        verified.set(version);
        Ok(false)
    }
}

impl Lookups for Reach {
    /// What cannot be found out counts as replaced: then all goes by name.
    fn are_replaced(&self, function: &Bound<'_, PyAny>, verified: &Verified) -> bool {
        self.find(function, verified).unwrap_or_else(|error| {
            error.write_unraisable(function.py(), Some(function));
            true
        })
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
        let globals = function.getattr(name!("__globals__"))?;
        let Some(module) = known(py, &globals) else { return Ok(()) };
        let mut mentioned = Vec::new();
        mention(&function.getattr(name!("__code__"))?, &mut mentioned)?;
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
        } else if let Ok(class) = value.cast::<PyType>() {
            self.collect_class(class, module, seen)?;
        }
        Ok(Some(value))
    }

    /// Adds the names that the methods of a class reach which native code has no class of its own for.
    fn collect_class(
        &mut self,
        class: &Bound<'_, PyType>,
        module: &'static Module,
        seen: &mut Vec<usize>,
    ) -> PyResult<()> {
        if native(class.py(), &class.name()?)?.is_some() || !known_by_name(class, module)? {
            return Ok(());
        }
        for method in class.getattr(name!("__dict__"))?.call_method0(name!("values"))?.try_iter()? {
            let method = method?;
            if method.is_instance_of::<PyFunction>() {
                self.collect(&method, seen)?;
            }
        }
        Ok(())
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

/// Whether a class is a module's own.
fn known_by_name(class: &Bound<'_, PyType>, module: &'static Module) -> PyResult<bool> {
    Ok(class.module()?.to_str()? == module.name)
}

/// The names in the code of a function, and in that of functions within it.
fn mention(code: &Bound<'_, PyAny>, names: &mut Vec<String>) -> PyResult<()> {
    names.extend(code.getattr(name!("co_names"))?.extract::<Vec<String>>()?);
    for constant in code.getattr(name!("co_consts"))?.try_iter()? {
        let constant = constant?;
        if constant.hasattr(name!("co_names"))? {
            mention(&constant, names)?;
        }
    }
    Ok(())
}

/// A function of a module of asyncio's that Rust code calls natively.
pub struct Called {
    module: &'static Module,
    name: &'static str,
    verified: Verified,
    reach: Reach,
}

impl Called {
    const fn new(module: &'static Module, name: &'static str) -> Self {
        Self { module, name, verified: Verified::new(), reach: Reach::new() }
    }

    /// What to call by name instead, if it or something that it reaches was replaced.
    #[inline]
    pub fn replacement<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.verified.holds(py) {
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
        Ok(self.reach.are_replaced(&original, &self.verified).then_some(original))
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
