//! Child processes on Unix: `asyncio.unix_events`, native.
//!
//! | file | holds |
//! |---|---|
//! | `subprocess_transport` | `_UnixSubprocessTransport`: starts a child with `subprocess.Popen` |
//! | `pidfd_watcher` | `PidfdChildWatcher`: waits for children with process descriptors in the loop's poller |
//! | `attached_watcher` | the same as the public class of Python 3.11, which belongs to one loop |
//! | `idle` | what watchers had until Python 3.13 and need not do anything for |
//! | `reaping` | the return code of a child that has exited |
//! | `threaded_watcher` | `ThreadedChildWatcher`: waits for each child in a thread, where the kernel lacks process descriptors |
//!
//! Called by [`crate::event_loop`], which chooses the watcher, and by programs.

#[cfg(not(Py_3_12))]
mod attached_watcher;
#[cfg(not(Py_3_14))]
mod idle;
mod pidfd_watcher;
mod reaping;
mod subprocess_transport;
mod threaded_watcher;

pub use pidfd_watcher::PidfdWatcher;
pub use subprocess_transport::UnixSubprocessTransport;
pub use threaded_watcher::ThreadedWatcher;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::base_subprocess::BaseSubprocessTransport;
use crate::ffi::{Args, Class, Output, Raised, Signature, Table, boolean};
use crate::{functions, stock};

const CAN_USE_PIDFD: Signature<0> = Signature::new("can_use_pidfd", "");

/// Makes the classes and adds the function.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    crate::classes::add_derived::<UnixSubprocessTransport>(module, &BaseSubprocessTransport::class(py))?;
    Table::<pidfd_watcher::Child>::build(py, None)?;
    crate::classes::add::<ThreadedWatcher>(module)?;
    #[cfg(Py_3_12)]
    crate::classes::add::<PidfdWatcher>(module)?;
    #[cfg(not(Py_3_12))]
    {
        Table::<PidfdWatcher>::build(py, None)?;
        crate::classes::add::<attached_watcher::AttachedWatcher>(module)?;
    }
    let doc = "Whether child processes can be watched by descriptors.";
    functions::add(module, &CAN_USE_PIDFD, can_use_pidfd_here, doc)
}

/// `can_use_pidfd`.
fn can_use_pidfd_here<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [] = args.parse(&CAN_USE_PIDFD)?;
    Ok(boolean(args.py(), try_pidfd(args.py())?))
}

/// Whether the kernel, and a filter of system calls, let a process be watched by a descriptor. Programs
/// replace asyncio's function of this name to have threads instead.
pub fn can_use_pidfd(py: Python<'_>) -> PyResult<bool> {
    #[cfg(Py_3_12)]
    {
        let function = stock::unix_events_module(py)?.getattr(name!("can_use_pidfd"))?;
        if !function.is(stock::can_use_pidfd(py)?) {
            return function.call0()?.is_truthy();
        }
    }
    try_pidfd(py)
}

/// Opens a descriptor of this process, once.
fn try_pidfd(py: Python<'_>) -> PyResult<bool> {
    static ANSWER: PyOnceLock<bool> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            let os = stock::os_module(py)?;
            let Some(open) = os.getattr_opt(name!("pidfd_open"))? else { return Ok(false) };
            match open.call1((std::process::id(), 0)) {
                Ok(fd) => os.call_method1(name!("close"), (fd,)).map(|_| true),
                Err(error) if error.is_instance_of::<PyOSError>(py) => {
                    drop(Raised::from_err(py, error));
                    Ok(false)
                }
                Err(error) => Err(error),
            }
        })
        .copied()
}
