//! `add_reader` and its three sisters, and what they ask first: whether the descriptor belongs to a
//! transport.
//!
//! Called by Python code; the watchers are in [`crate::core::watched`], the descriptors of transports in
//! [`crate::transports::descriptors`].

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyInt;
use yibu_engine::{Fd, Interest};

use super::handles;
use crate::core::{EventLoop, Overridable, Overrides, Owner, OwnerKind, finish, typed, watched};
use crate::events::Handle;
use crate::events::entries::run_handle;
use crate::ffi::{Args, Obj, Output, Signature, Table, boolean, none};
use crate::transports::descriptors;

const ADD_READER: Signature<2> = Signature::new("EventLoop.add_reader", "fd, callback, *args");
const ADD_WRITER: Signature<2> = Signature::new("EventLoop.add_writer", "fd, callback, *args");
const REMOVE_READER: Signature<1> = Signature::new("EventLoop.remove_reader", "fd");
const REMOVE_WRITER: Signature<1> = Signature::new("EventLoop.remove_writer", "fd");
const PRIVATE_ADD_READER: Signature<3> =
    Signature::new("EventLoop._add_reader", "fd, callback, *args, context=None");
const PRIVATE_ADD_WRITER: Signature<3> =
    Signature::new("EventLoop._add_writer", "fd, callback, *args, context=None");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &ADD_READER,
        |event_loop, args| add(event_loop, &args, &ADD_READER, Interest::Read),
        "Calls callback(*args) whenever the descriptor can be read, in place of what was called before.",
    );
    t.method(
        &ADD_WRITER,
        |event_loop, args| add(event_loop, &args, &ADD_WRITER, Interest::Write),
        "Calls callback(*args) whenever the descriptor can be written, in place of what was called before.",
    );
    t.method(
        &REMOVE_READER,
        |event_loop, args| {
            let [file] = args.parse(&REMOVE_READER)?;
            remove(event_loop, &file, Interest::Read)
        },
        "Stops watching the descriptor for reading. Returns whether it was watched.",
    );
    t.method(
        &REMOVE_WRITER,
        |event_loop, args| {
            let [file] = args.parse(&REMOVE_WRITER)?;
            remove(event_loop, &file, Interest::Write)
        },
        "Stops watching the descriptor for writing. Returns whether it was watched.",
    );
    t.method(
        &PRIVATE_ADD_READER,
        |event_loop, args| private_add(event_loop, &args, &PRIVATE_ADD_READER, Interest::Read),
        "add_reader() for transports. Returns the Handle.",
    );
    t.method(
        &PRIVATE_ADD_WRITER,
        |event_loop, args| private_add(event_loop, &args, &PRIVATE_ADD_WRITER, Interest::Write),
        "add_writer() for transports. Returns the Handle.",
    );
    t.one(
        c"_remove_reader",
        "fd",
        |event_loop, file| private_remove(event_loop, file, None, Interest::Read),
        "remove_reader() for transports.",
    );
    t.one(
        c"_remove_writer",
        "fd",
        |event_loop, file| private_remove(event_loop, file, None, Interest::Write),
        "remove_writer() for transports.",
    );
    t.getter(c"_transports", descriptors::mapping);
    t.action_on(c"_ensure_fd_no_transport", "fd", |event_loop, file| descriptors::ensure_free(event_loop, file, descriptors::number_of(file)?),
        "RuntimeError when the descriptor, or object with a fileno(), belongs to a transport that is not closing.",
    );
}

/// `add_reader`, `add_writer`: the handle runs at every readiness.
static WATCHER: OwnerKind = OwnerKind {
    ready: |event_loop, handle, id| {
        let handle: Obj<'_, Handle> = typed(handle, event_loop.py())?;
        if finish(event_loop, id).is_none() {
            return Ok(());
        }
        if handle.is_cancelled() {
            // The program cancelled the handle of a watcher: the side has no watcher any more.
            let owner = event_loop.engine.with(|engine| engine.cancel(id));
            drop(owner);
            return Ok(());
        }
        run_handle(event_loop, &handle)
    },
    replaced: |py, handle| handles::cancel(&typed(handle, py)?),
};

/// `selectors._fileobj_to_fd`: the number of a descriptor or of an object with `fileno()`.
fn number(file: &Bound<'_, PyAny>) -> PyResult<Fd> {
    let py = file.py();
    let fileno = match file.cast::<PyInt>() {
        Ok(number) => number.as_any().clone(),
        Err(_) => file
            .getattr(name!("fileno"))
            .and_then(|fileno| fileno.call0())
            .and_then(|number| py.get_type::<PyInt>().call1((number,)))
            .map_err(|error| invalid_object(file, error))?,
    };
    match fileno.extract::<Fd>() {
        Ok(fd) if fd >= 0 => Ok(fd),
        Err(error) if error.is_instance_of::<PyOverflowError>(py) && fileno.gt(0)? => {
            Err(PyOverflowError::new_err("Python int too large to convert to C int"))
        }
        _ => Err(PyValueError::new_err(format!("Invalid file descriptor: {fileno}"))),
    }
}

/// What `selectors` makes of an object whose `fileno()` does not work.
fn invalid_object(file: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    use pyo3::exceptions::{PyAttributeError, PyTypeError};
    let py = file.py();
    let foreseen = error.is_instance_of::<PyAttributeError>(py)
        || error.is_instance_of::<PyTypeError>(py)
        || error.is_instance_of::<PyValueError>(py);
    if !foreseen {
        return error;
    }
    match file.repr().and_then(|shown| text!("Invalid file object: {shown}")) {
        Ok(text) => PyValueError::new_err(text),
        Err(error) => error,
    }
}

/// What [`descriptors::number_of`] found, where it is the number that a program gave and needs not be read
/// again.
fn given_number(file: &Bound<'_, PyAny>, fd: Fd) -> Option<Fd> {
    (fd >= 0 && file.is_instance_of::<PyInt>()).then_some(fd)
}

/// The number that an object was registered under, or has now.
fn registered_number(
    event_loop: &Obj<'_, EventLoop>,
    file: &Bound<'_, PyAny>,
    given: Option<Fd>,
) -> PyResult<Fd> {
    if let Some(fd) = given {
        return Ok(fd);
    }
    number(file).or_else(|error| watched::remembered_number(event_loop, file).ok_or(error))
}

/// `BaseSelectorEventLoop.add_reader` and `add_writer`.
fn add<'py>(
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &Signature<2>,
    interest: Interest,
) -> Output<'py> {
    let [file, callback] = args.parse(signature)?;
    let fd = descriptors::number_of(&file)?;
    descriptors::check(event_loop, &file, fd)?;
    let given = given_number(&file, fd);
    let (private, name) = match interest {
        Interest::Read => (Overridable::AddReader, name!("_add_reader")),
        Interest::Write => (Overridable::AddWriter, name!("_add_writer")),
    };
    if event_loop.overrides(private) {
        event_loop.as_any().call_method1(name, args.tuple_from(0)?)?;
        return Ok(none(event_loop.py()));
    }
    watch_with_handle(event_loop, file, given, callback, args, None, interest)?;
    Ok(none(event_loop.py()))
}

/// `BaseSelectorEventLoop._add_reader` and `_add_writer`.
fn private_add<'py>(
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &Signature<3>,
    interest: Interest,
) -> Output<'py> {
    let [file, callback, context] = args.parse(signature)?;
    let context = Some(context).filter(|context| !context.is_none());
    watch_with_handle(event_loop, file, None, callback, args, context, interest)
}

/// Watches a descriptor with a Handle for `callback`, whose own arguments begin at the third of `args`.
fn watch_with_handle<'py>(
    event_loop: &Obj<'py, EventLoop>,
    file: Bound<'py, PyAny>,
    given: Option<Fd>,
    callback: Bound<'py, PyAny>,
    args: &Args<'_, 'py>,
    context: Option<Bound<'py, PyAny>>,
    interest: Interest,
) -> Output<'py> {
    event_loop.ensure_open()?;
    let (handle, entry) = handles::watching(event_loop, callback, args, context)?;
    let fd = registered_number(event_loop, &file, given)?;
    watched::watch(event_loop, fd, interest, Owner::of(&WATCHER, entry))?;
    if !file.is_instance_of::<PyInt>() {
        watched::remember_object(event_loop, fd, file)?;
    }
    Ok(handle)
}

/// `BaseSelectorEventLoop.remove_reader` and `remove_writer`.
fn remove<'py>(
    event_loop: &Obj<'py, EventLoop>,
    file: &Bound<'py, PyAny>,
    interest: Interest,
) -> Output<'py> {
    let fd = descriptors::number_of(file)?;
    descriptors::check(event_loop, file, fd)?;
    let (private, name) = match interest {
        Interest::Read => (Overridable::RemoveReader, name!("_remove_reader")),
        Interest::Write => (Overridable::RemoveWriter, name!("_remove_writer")),
    };
    if event_loop.overrides(private) {
        return event_loop.as_any().call_method1(name, (file,));
    }
    private_remove(event_loop, file, given_number(file, fd), interest)
}

/// `BaseSelectorEventLoop._remove_reader` and `_remove_writer`.
fn private_remove<'py>(
    event_loop: &Obj<'py, EventLoop>,
    file: &Bound<'py, PyAny>,
    given: Option<Fd>,
    interest: Interest,
) -> Output<'py> {
    let py = event_loop.py();
    if event_loop.is_closed() {
        return Ok(boolean(py, false));
    }
    let removed = match registered_number(event_loop, file, given) {
        Ok(fd) => watched::unwatch(event_loop, fd, interest)?,
        // Larger than any descriptor.
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => false,
        Err(error) => return Err(error),
    };
    Ok(boolean(py, removed))
}
