//! Binding arguments to the parameters of a Function, by the interpreter.
//!
//! The binder is a Python function with the counterpart's parameters and defaults that returns what each
//! parameter got; the interpreter itself says what is wrong with a call. Made when a function is first called
//! in a way that its Rust code does not take.

use std::ffi::CString;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::data::Function;
use crate::args::Args;
use crate::class::object::Obj;
use crate::objects::Output;

const VARARGS: u32 = 0x04;
const VARKEYWORDS: u32 = 0x08;

/// Runs a call by its bound arguments.
pub(crate) fn call<'py>(f: &Obj<'py, Function>, args: Args<'_, 'py>) -> Output<'py> {
    let py = f.py();
    if !f.set.defaults_differ()
        && let Some(object) = args.get(0).filter(|object| !f.serves(object))
    {
        // A method called with something else than an object of its class: what the counterpart makes of
        // that.
        return args.pass_to(&f.counterpart_for(&object)?);
    }
    let (positional, keywords) = bind(f, args)?;
    if let Some(object) = positional.get_item(0).ok().filter(|object| !f.serves(object)) {
        return f.counterpart_for(&object)?.call(positional, Some(&keywords));
    }
    f.native.get_or_none(py).call(positional, Some(&keywords))
}

/// What each parameter gets: those that may be positional, then those that may not. TypeError if the
/// arguments do not fit.
pub(crate) fn bind<'py>(
    f: &Obj<'py, Function>,
    args: Args<'_, 'py>,
) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
    let py = f.py();
    let binder = match f.binder.get(py) {
        Some(binder) => binder,
        None => {
            let binder = make(f)?;
            f.binder.put(binder.clone());
            binder
        }
    };
    args.pass_to(&binder)?.extract()
}

/// `lambda a, /, b, *args, c, **kwargs: ((a, b, *args), {'c': c, **kwargs})`, with defaults and name.
fn make<'py>(f: &Obj<'py, Function>) -> Output<'py> {
    let py = f.py();
    let code = f.code(py)?;
    let number = |name| code.getattr(name)?.extract::<usize>();
    let names: Vec<String> = code.getattr("co_varnames")?.extract()?;
    let flags: u32 = code.getattr("co_flags")?.extract()?;
    let (count, positional_only) = (number("co_argcount")?, number("co_posonlyargcount")?);
    let mut names = names.into_iter();
    let positional: Vec<String> = names.by_ref().take(count).collect();
    let named: Vec<String> = names.by_ref().take(number("co_kwonlyargcount")?).collect();
    let rest = (flags & VARARGS != 0).then(|| names.next()).flatten();
    let open = (flags & VARKEYWORDS != 0).then(|| names.next()).flatten();

    let mut parameters = positional.clone();
    if positional_only > 0 {
        parameters.insert(positional_only, "/".to_owned());
    }
    match &rest {
        Some(rest) => parameters.push(format!("*{rest}")),
        None if !named.is_empty() => parameters.push("*".to_owned()),
        None => {}
    }
    parameters.extend(named.iter().cloned());
    parameters.extend(open.iter().map(|open| format!("**{open}")));
    let values = positional.iter().map(|name| format!("{name}, "));
    let values: String = values.chain(rest.iter().map(|rest| format!("*{rest}, "))).collect();
    let keywords = named.iter().map(|name| format!("'{name}': {name}, "));
    let keywords: String = keywords.chain(open.iter().map(|open| format!("**{open}"))).collect();
    let text = format!("lambda {}: (({values}), {{{keywords}}})", parameters.join(", "));
    let binder = py.eval(&CString::new(text)?, None, None)?;
    binder.setattr("__defaults__", f.defaults(py)?)?;
    binder.setattr("__kwdefaults__", f.kwdefaults(py)?)?;
    binder.setattr("__qualname__", f.qualname(py)?)?;
    Ok(binder)
}
