//! Who waits for which side of which descriptor: `add_reader` and its three sisters, and [`Readiness`] for
//! Rust futures.
//!
//! Each side of a descriptor has one watcher; the next one takes its place, as in `asyncio.selector_events`.
//! The kernel's part is the engine's operations; the table here finds an operation by descriptor. It may name
//! operations that have ended since: asking the engine to cancel one is how to know. Called by Python code
//! and by [`super::sock`] and [`super::signals`].

use std::cell::Cell;
use std::collections::{HashMap, TryReserveError};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyInt;
use yibu_engine::{Fd, Interest, Op, OpId};

use super::{handles, occupied};
use crate::core::Overrides;
use crate::core::{EventLoop, Overridable, Owner, OwnerKind, Part, Report, Waiting, finish, typed};
use crate::coroutines::{Kept, Waker};
use crate::errors;
use crate::events::Handle;
use crate::events::entries::run_handle;
use crate::ffi::thread::attached;
use crate::ffi::{Args, LoopCell, Obj, Output, Ref, Signature, Table, Visitor, boolean, none};
use yibu_driver::memory::MakeRoom;

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
        |event_loop, file| private_remove(event_loop, file, Interest::Read),
        "remove_reader() for transports.",
    );
    t.one(
        c"_remove_writer",
        "fd",
        |event_loop, file| private_remove(event_loop, file, Interest::Write),
        "remove_writer() for transports.",
    );
}

/// The watched descriptors of a loop.
#[derive(Default)]
pub struct Watched {
    /// By descriptor: the operations on its read side and on its write side.
    sides: Vec<[Option<OpId>; 2]>,
    /// The objects that were given instead of a number: they are recognised after they were closed.
    objects: HashMap<Fd, Ref>,
}

impl Watched {
    /// Only for a descriptor that the kernel has accepted: it is open, so the table stays small.
    fn put(&mut self, fd: Fd, interest: Interest, id: OpId) -> Result<(), TryReserveError> {
        let index = fd.unsigned_abs() as usize;
        if let Some(missing) = (index + 1).checked_sub(self.sides.len()) {
            self.sides.try_reserve(missing)?;
            self.sides.resize(index.max(self.sides.len().saturating_sub(1)) + 1, [None, None]);
        }
        self.sides[index][interest as usize] = Some(id);
        Ok(())
    }

    fn take(&mut self, fd: Fd, interest: Interest) -> Option<OpId> {
        self.sides.get_mut(usize::try_from(fd).ok()?)?[interest as usize].take()
    }

    /// The object of a descriptor that nobody watches any more.
    fn forget_object(&mut self, fd: Fd) -> Option<Ref> {
        let watched = usize::try_from(fd).ok().and_then(|fd| self.sides.get(fd));
        if watched.is_some_and(|sides| sides.iter().any(Option::is_some)) {
            return None;
        }
        self.objects.remove(&fd)
    }
}

impl Part for Watched {
    fn traverse(&self, visitor: &mut Visitor) {
        self.objects.values().for_each(|object| visitor.visit(object.as_ptr()));
    }
}

/// Makes `owner` the watcher of one side of a descriptor. A Handle that watched it before is cancelled; a
/// Rust future waits on in vain, until it is dropped.
pub(super) fn watch(
    event_loop: &Obj<'_, EventLoop>,
    fd: Fd,
    interest: Interest,
    owner: Owner,
) -> PyResult<OpId> {
    if matches!(owner, Owner::Future(_)) {
        event_loop.refuse_other_watching()?;
    }
    let before = event_loop.parts.with(|watched: &mut Watched| watched.take(fd, interest));
    let replaced = before.and_then(|id| event_loop.engine.with(|engine| engine.cancel(id)));
    let submitted = event_loop.engine.with(|engine| engine.submit(Op::Poll { fd, interest }, owner));
    let submitted = match submitted {
        Ok(id) => match event_loop.parts.with(|watched: &mut Watched| watched.put(fd, interest, id)) {
            Ok(()) => Ok(id),
            Err(_) => {
                drop(event_loop.engine.with(|engine| engine.cancel(id)));
                Err(errors::no_memory())
            }
        },
        Err((error, _owner)) => Err(errors::os_error(&error)),
    };
    replaced.map_or(Ok(()), |owner| owner.replaced(event_loop.py()))?;
    submitted
}

/// Nobody watches the side any more. Returns whether somebody did.
pub fn unwatch(event_loop: &Obj<'_, EventLoop>, fd: Fd, interest: Interest) -> PyResult<bool> {
    let (id, object) = event_loop.parts.with(|watched: &mut Watched| {
        let id = watched.take(fd, interest);
        (id, watched.forget_object(fd))
    });
    drop(object);
    let owner = id.and_then(|id| event_loop.engine.with(|engine| engine.cancel(id)));
    let watched = owner.is_some();
    owner.map_or(Ok(()), |owner| owner.replaced(event_loop.py()))?;
    Ok(watched)
}

/// `add_reader`, `add_writer`: the handle runs at every readiness.
static WATCHER: OwnerKind = OwnerKind {
    ready: |event_loop, handle, id| {
        let handle: Obj<'_, Handle> = typed(handle, event_loop.py())?;
        if finish(event_loop, id).is_none() {
            return Ok(());
        }
        if handle.is_cancelled() {
            // Somebody has the handle of a watcher and cancelled it: nobody watches any more.
            let owner = event_loop.engine.with(|engine| engine.cancel(id));
            drop(owner);
            return Ok(());
        }
        run_handle(&handle)
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
    match file.repr() {
        Ok(text) => PyValueError::new_err(format!("Invalid file object: {text}")),
        Err(error) => error,
    }
}

/// The number that an object was registered under, or has now.
fn registered_number(event_loop: &Obj<'_, EventLoop>, file: &Bound<'_, PyAny>) -> PyResult<Fd> {
    number(file).or_else(|error| {
        let known = event_loop.parts.with(|watched: &mut Watched| {
            watched.objects.iter().find(|(_, object)| object.as_ptr() == file.as_ptr()).map(|(fd, _)| *fd)
        });
        known.ok_or(error)
    })
}

/// `BaseSelectorEventLoop.add_reader` and `add_writer`.
fn add<'py>(
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &Signature<2>,
    interest: Interest,
) -> Output<'py> {
    let [file, callback] = args.parse(signature)?;
    occupied::check(event_loop, &file, occupied::descriptor(&file)?)?;
    let (private, name) = match interest {
        Interest::Read => (Overridable::AddReader, "_add_reader"),
        Interest::Write => (Overridable::AddWriter, "_add_writer"),
    };
    if event_loop.overrides(private) {
        event_loop.as_any().call_method1(name, args.tuple_from(0)?)?;
        return Ok(none(event_loop.py()));
    }
    watch_with_handle(event_loop, file, callback, args, None, interest)?;
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
    watch_with_handle(event_loop, file, callback, args, context, interest)
}

/// Watches a descriptor with a Handle for `callback`, whose own arguments begin at the third of `args`.
fn watch_with_handle<'py>(
    event_loop: &Obj<'py, EventLoop>,
    file: Bound<'py, PyAny>,
    callback: Bound<'py, PyAny>,
    args: &Args<'_, 'py>,
    context: Option<Bound<'py, PyAny>>,
    interest: Interest,
) -> Output<'py> {
    event_loop.ensure_open()?;
    let (handle, entry) = handles::watching(event_loop, callback, args, context)?;
    let fd = registered_number(event_loop, &file)?;
    watch(event_loop, fd, interest, Owner::of(&WATCHER, entry))?;
    if !file.is_instance_of::<PyInt>() {
        let object = Ref::new(file);
        errors::room(event_loop.parts.with(|watched: &mut Watched| watched.objects.make_room(1)))?;
        let old = event_loop.parts.with(|watched: &mut Watched| watched.objects.insert(fd, object));
        drop(old);
    }
    Ok(handle)
}

/// `BaseSelectorEventLoop.remove_reader` and `remove_writer`.
fn remove<'py>(
    event_loop: &Obj<'py, EventLoop>,
    file: &Bound<'py, PyAny>,
    interest: Interest,
) -> Output<'py> {
    occupied::check(event_loop, file, occupied::descriptor(file)?)?;
    let (private, name) = match interest {
        Interest::Read => (Overridable::RemoveReader, "_remove_reader"),
        Interest::Write => (Overridable::RemoveWriter, "_remove_writer"),
    };
    if event_loop.overrides(private) {
        return event_loop.as_any().call_method1(name, (file,));
    }
    private_remove(event_loop, file, interest)
}

/// `BaseSelectorEventLoop._remove_reader` and `_remove_writer`.
fn private_remove<'py>(
    event_loop: &Obj<'py, EventLoop>,
    file: &Bound<'py, PyAny>,
    interest: Interest,
) -> Output<'py> {
    let py = event_loop.py();
    if event_loop.is_closed() {
        return Ok(boolean(py, false));
    }
    let removed = match registered_number(event_loop, file) {
        Ok(fd) => unwatch(event_loop, fd, interest)?,
        // Larger than any descriptor.
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => false,
        Err(error) => return Err(error),
    };
    Ok(boolean(py, removed))
}

/// What a Rust future and the operation it waits for have in common.
#[derive(Default)]
struct Waited {
    ready: Cell<bool>,
    waker: LoopCell<Option<Waker>>,
}

impl Report for Waited {
    fn report(&self) {
        self.ready.set(true);
        if let Some(waker) = self.waker.with(Option::take) {
            waker.wake();
        }
    }
}

/// The operation's share of it: the waker is there as long as the operation is, where the collector sees it.
struct Asked(Rc<Waited>);

impl Waiting for Asked {
    fn share(&self) -> Rc<dyn Report> {
        Rc::<Waited>::clone(&self.0)
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.0.waker.try_with(|waker| waker.iter().for_each(|waker| waker.traverse(visitor)));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let waker = self.0.waker.with(Option::take);
        drop(waker);
    }
}

/// Those of [`Readiness`] and of its wait.
const SHARES_WITHOUT_OPERATION: usize = 2;

/// One side of a descriptor as a Rust future waits for it. The kernel is asked at the first wait, and once
/// for any number of them; dropping it takes the request back.
pub(super) struct Readiness {
    event_loop: Kept<EventLoop>,
    fd: Fd,
    interest: Interest,
    asked: Option<(OpId, Rc<Waited>)>,
}

impl Readiness {
    /// Nothing is asked yet.
    pub(super) fn of(event_loop: &Obj<'_, EventLoop>, fd: Fd, interest: Interest) -> Self {
        Self { event_loop: Kept::of(event_loop), fd, interest, asked: None }
    }

    /// Waits until the kernel reports the side as ready. When it was not after all, wait again.
    pub(super) async fn wait(&mut self) -> PyResult<()> {
        let waiting = match &self.asked {
            Some((_, waiting)) => Rc::clone(waiting),
            None => self.ask()?,
        };
        waiting.ready.set(false);
        poll_fn(|_| {
            if waiting.ready.get() {
                return Poll::Ready(Ok(()));
            }
            // Where another watcher took the side, or the loop was closed, nobody will report.
            if Rc::strong_count(&waiting) > SHARES_WITHOUT_OPERATION {
                let waker = match attached(Waker::current) {
                    Ok(waker) => waker,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                let former = waiting.waker.with(|slot| slot.replace(waker));
                drop(former);
            }
            Poll::Pending
        })
        .await
    }

    fn ask(&mut self) -> PyResult<Rc<Waited>> {
        attached(|py| {
            let event_loop = self.event_loop.obj(py);
            event_loop.check_open()?;
            let waiting = Rc::<Waited>::default();
            let id = watch(
                &event_loop,
                self.fd,
                self.interest,
                Owner::Future(Box::new(Asked(Rc::clone(&waiting)))),
            )?;
            self.asked = Some((id, Rc::clone(&waiting)));
            Ok(waiting)
        })
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        if let Some((id, _)) = self.asked.take() {
            // A stale identifier (another watcher took the side, the loop was closed) cancels nothing. That
            // the table still names it does no harm.
            let owner = self.event_loop.data().engine.with(|engine| engine.cancel(id));
            drop(owner);
        }
    }
}
