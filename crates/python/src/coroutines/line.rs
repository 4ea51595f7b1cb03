//! At which line of asyncio's function a native coroutine waits, as far as the function tells: the line of
//! the `await` that fits what is awaited, if there is one such line only.
//!
//! Asked by [`super::details`] for frames; reads the standard library's code by `dis`.

use pyo3::prelude::*;
use pyo3::types::PyString;

/// An `await` of asyncio's function.
struct Await {
    line: u32,
    /// Whether a call is awaited, not something that has a name.
    call: bool,
    /// The names that its line mentions.
    names: Vec<String>,
}

/// The line at which a coroutine with this code awaits this object; nothing is what a bare `yield` awaits.
pub fn of_wait<'py>(code: &Bound<'py, PyAny>, awaited: Option<&Bound<'py, PyAny>>) -> PyResult<Option<u32>> {
    let name = match awaited {
        Some(awaited) => awaited.getattr_opt(name!("__name__"))?,
        None => None,
    };
    let name = name.and_then(|name| name.cast_into::<PyString>().ok()).map(|name| name.to_string());
    of_wait_for(code, awaited.is_some(), name.as_deref())
}

/// The same, of something (unless it waits for a bare `yield`) that has this name, if any.
pub fn of_wait_for(code: &Bound<'_, PyAny>, something: bool, name: Option<&str>) -> PyResult<Option<u32>> {
    let awaits = awaits(code)?;
    // A function of the name that the line mentions, something in a variable, or what a call returned.
    let fits: [&dyn Fn(&Await) -> bool; 3] = [
        &|place| place.call && place.names.iter().any(|known| Some(known.as_str()) == name),
        &|place| something && !place.call,
        &|place| place.call,
    ];
    for fits in fits {
        let mut lines: Vec<u32> = awaits.iter().filter(|place| fits(place)).map(|place| place.line).collect();
        lines.dedup();
        match lines[..] {
            [] => {}
            [line] => return Ok(Some(line)),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// The plain `await`s in a function's code; those of `async with` and `async for` have other arguments.
fn awaits(code: &Bound<'_, PyAny>) -> PyResult<Vec<Await>> {
    let mut found = Vec::new();
    let (mut previous, mut mentioned) = (String::new(), Vec::new());
    for instruction in
        code.py().import("dis")?.call_method1(name!("get_instructions"), (code,))?.try_iter()?
    {
        let instruction = instruction?;
        let operation: String = instruction.getattr(name!("opname"))?.extract()?;
        let Some(line) =
            instruction.getattr(name!("positions"))?.getattr(name!("lineno"))?.extract::<Option<u32>>()?
        else {
            continue;
        };
        if operation.starts_with("LOAD_") && operation != "LOAD_CONST" {
            if let Ok(name) = instruction.getattr(name!("argval"))?.extract::<String>() {
                mentioned.push((line, name));
            }
        } else if operation == "GET_AWAITABLE" && instruction.getattr(name!("arg"))?.extract::<u32>()? == 0 {
            let names =
                mentioned.iter().filter(|(at, _)| *at == line).map(|(_, name)| name.clone()).collect();
            found.push(Await { line, call: !previous.starts_with("LOAD_"), names });
        }
        previous = operation;
    }
    Ok(found)
}
