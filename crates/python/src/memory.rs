//! The allocator of the extension module, and in a build for tests `_fail_allocations`, by which it fails.
//! Called by tests; calls the driver's crate, where the allocator is.

#[cfg(not(feature = "failing-allocator"))]
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: yibu_driver::memory::Memory = yibu_driver::memory::Memory;

#[cfg(not(feature = "failing-allocator"))]
#[expect(clippy::unnecessary_wraps, reason = "the other build's can fail")]
/// Adds nothing.
pub fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}

#[cfg(feature = "failing-allocator")]
pub use failing::register;

#[cfg(feature = "failing-allocator")]
mod failing {
    use pyo3::prelude::*;
    use yibu_driver::memory::{Failures, fail};

    use crate::ffi::{Args, Output, Signature};
    use crate::functions;

    const FAIL: Signature<3> = Signature::new("_fail_allocations", "first=0, end=0, least_size=0");

    /// Adds the function.
    pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let doc = "Has Rust's allocations of this thread fail, from the first on and before the end, of those of the least \
                   size; returns how many have failed since it was last called.";
        functions::add(module, &FAIL, set, doc)
    }

    fn set<'py>(args: Args<'_, 'py>) -> Output<'py> {
        let given = args.parse_given(&FAIL)?;
        let number = |index: usize| given[index].as_ref().map_or(Ok(0), |value| value.extract::<u64>());
        let failures = Failures { first: number(0)?, end: number(1)?, least_size: number(2)? as usize };
        Ok(fail(failures).into_pyobject(args.py())?.into_any())
    }
}
