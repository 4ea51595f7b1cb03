//! `yibu._yibu`: the extension module. It makes the native classes, once, and lists what Python code may see.
//!
//! One file per asyncio module; the C API is spoken in the crate `yibu-ffi` only. Imported by `python/yibu/`.

#![forbid(unsafe_code)]

// Before the others: they have the macros `name!` and `text!`.
#[macro_use]
mod names;
#[macro_use]
mod texts;

mod addresses;
mod alarms;
mod arguments;
mod attributes;
mod base_subprocess;
mod callbacks;
mod classes;
mod copying;
mod core;
mod coroutines;
mod errors;
mod event_loop;
mod events;
mod executor;
mod files;
mod frames;
mod functions;
mod futures;
mod gathering;
#[cfg(Py_3_14)]
mod graph;
mod installation;
mod locks;
mod memory;
mod mixins;
mod observing;
mod queues;
mod replaced;
mod runners;
mod server;
mod shield;
mod sleep;
mod sources;
mod sslproto;
mod staggered;
mod stock;
mod streams;
mod subprocess;
mod task_tree;
mod taskgroups;
mod tasks;
mod threads;
mod timeouts;
mod tracing;
mod transports;
mod unix_events;
mod waiting;

use pyo3::prelude::*;
use yibu_ffi as ffi;

use classes::{add, add_derived, add_known};
use ffi::{Args, Output, Signature, Table};

const NATIVE_TASKS: Signature<0> = Signature::new("_native_tasks", "");

fn native_tasks<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [] = args.parse(&NATIVE_TASKS)?;
    Ok(tasks::described::living(args.py())?.into_any())
}

/// The module.
#[pymodule(gil_used = true)]
fn _yibu(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let first = ffi::interpreter::first(module)?;
    if !first.is(module) {
        // Loaded once more: the same classes, of which there is one set.
        return module.dict().update(first.dict().as_mapping());
    }
    ffi::trampoline::print_no_lack_of_memory();
    replaced::names::capture(py)?;
    stock::capture(py)?;
    ffi::context::variables::verify(py)?;
    #[cfg(Py_3_14)]
    ffi::running::verify(
        stock::get_running_loop(py)?,
        stock::set_running_loop(py)?,
        stock::swap_current_task(py)?,
    )?;
    Table::<ffi::combined::Base>::build(py, None)?;
    Table::<ffi::function::Function>::build(py, None)?;
    let handle = add::<events::Handle>(module)?;
    add_derived::<events::TimerHandle>(module, &handle)?;
    #[cfg(Py_3_14)]
    Table::<events::PostedHandle>::build(py, Some(&handle))?;
    Table::<sources::Source>::build(py, None)?;
    add::<futures::Future>(module)?;
    add_known::<tasks::Task, futures::Future>(module)?;
    add::<core::EventLoop>(module)?;
    server::register(module)?;
    transports::register(module)?;
    Table::<futures::FutureIter>::build(py, None)?;
    Table::<tasks::TaskCallback>::build(py, None)?;
    Table::<alarms::Alarm>::build(py, None)?;
    Table::<callbacks::ReactionCallback>::build(py, None)?;
    coroutines::register(module)?;
    Table::<event_loop::Acceptor>::build(py, None)?;
    Table::<event_loop::EntryCallback>::build(py, None)?;
    Table::<event_loop::ReadyIterator>::build(py, None)?;
    Table::<event_loop::SendfileProtocol>::build(py, None)?;
    executor::register(module)?;
    files::register(module)?;
    queues::register(module)?;
    sslproto::register(module)?;
    tasks::ensure::register(module)?;
    tasks::threadsafe::register(module)?;
    futures::bridge::register(module)?;
    gathering::register(module)?;
    shield::register(module)?;
    taskgroups::register(module)?;
    event_loop::signals::register(module)?;
    event_loop::handles::register(module)?;
    event_loop::fork::register(module)?;
    event_loop::faults::register(module)?;
    installation::register(module)?;
    observing::register(module)?;
    tracing::register(module)?;
    locks::register(module)?;
    memory::register(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    streams::register(module)?;
    base_subprocess::register(module)?;
    subprocess::register(module)?;
    unix_events::register(module)?;
    functions::add(module, &sleep::SLEEP, sleep::sleep, sleep::DOC)?;
    staggered::register(module)?;
    threads::register(module)?;
    timeouts::register(module)?;
    waiting::register(module)?;
    let doc = "Schedules a coroutine on the running loop; returns its Task.";
    functions::add(module, &tasks::CREATE_TASK, tasks::create_task, doc)?;
    tasks::register(module)?;
    task_tree::register(module)?;
    runners::register(module)?;
    #[cfg(Py_3_14)]
    graph::register(module)?;
    let doc = "Living native tasks that are not done, of all loops and threads.";
    replaced::names::register(module)?;
    functions::add(module, &NATIVE_TASKS, native_tasks, doc)?;
    #[cfg(not(Py_3_12))]
    ffi::redirection::register(module)?;
    ffi::originals::remember(py)
}
