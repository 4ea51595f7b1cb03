//! `to_thread`: `asyncio.threads`, native. A job of the default executor that runs in a copy of the caller's
//! context.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::core::Overrides;
use crate::core::{EventLoop, Overridable};
use crate::coroutines::{Routine, Step};
use crate::event_loop::{native_executor, run_job};
use crate::executor::{Call, Job};
use crate::ffi::{Args, Create, Obj, Output, Signature, none};
use crate::functions::{self, running_loop};
use crate::replaced::copy_context;
use crate::replaced::names::running_loop::OF_THREADS;
use crate::stock;

const TO_THREAD: Signature<1> = Signature::new("to_thread", "func, /, *args, **kwargs");
const DOC: &str = "Coroutine that runs func(*args, **kwargs) in a thread, in a copy of the current context, and returns what it returns.";

/// Adds `to_thread` to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    functions::add(module, &TO_THREAD, to_thread, DOC)
}

/// `to_thread(func, /, *args, **kwargs)`. The routine's owner is the job.
fn to_thread<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let Some(function) = args.get(0) else {
        return Err(PyTypeError::new_err("to_thread() missing 1 required positional argument: 'func'"));
    };
    let job = Job::create(args.py())?;
    job.call.prepare(function, &args, 1)?;
    job.call.prepare_keywords(&args)?;
    Ok(Routine::begin(job.as_any(), TO_THREAD.function, begin)?.into_any())
}

/// Has the job run, and awaits it.
fn begin<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let job = routine.owner::<Job>(py)?;
    // From now on the job belongs to its worker, which lets go of it as soon as it has run.
    routine.owner.clear();
    let event_loop = running_loop(py, &OF_THREADS)?;
    let context = copy_context(py)?;
    if let Some(native) = Obj::<EventLoop>::cast(&event_loop)
        && !native.overrides(Overridable::RunInExecutor)
        && let Some(pool) = native_executor(native)?
    {
        job.call.context.put(context);
        return Ok(Step::Await(run_job(native, &pool, job)?, finish));
    }
    let running =
        event_loop.call_method1(name!("run_in_executor"), (none(py), as_callable(&job.call, &context)?))?;
    Ok(Step::Await(running, finish))
}

/// `functools.partial(context.run, func, *args, **kwargs)`, for loops and executors of others.
fn as_callable<'py>(call: &Call, context: &Bound<'py, PyAny>) -> Output<'py> {
    let py = context.py();
    let mut parts = vec![context.getattr(name!("run"))?, call.function(py)];
    parts.extend(call.arguments(py)?);
    let keywords: Option<Bound<'py, PyDict>> = call.keywords(py)?;
    stock::partial(py)?.call(PyTuple::new(py, parts)?, keywords.as_ref())
}

fn finish<'py>(_routine: &Obj<'py, Routine>, outcome: Output<'py>) -> PyResult<Step<'py>> {
    outcome.map(Step::Return)
}
