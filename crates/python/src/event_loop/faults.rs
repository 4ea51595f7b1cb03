//! `_faults`: injects faults into the system calls of whole programs, for tests. Every loop that is made
//! after a call of it gets a driver with fault injection; a seed decides when a fault strikes. Called by
//! tests; calls the driver.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyModule;
use yibu_engine::{Driver, Faults, faults_struck};

use crate::ffi::{Args, Output, Signature};
use crate::functions;

const FAULTS: Signature<8> = Signature::new(
    "_faults",
    "seed=0, *, again=0, short_read=0, short_write=0, reset=0, no_buffers=0, no_descriptors=0, spurious=0",
);

/// The faults of the next loop and the seed that decides when they strike.
static NEXT: Mutex<Option<(u64, Faults)>> = Mutex::new(None);

/// Adds the function.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "Sets how often system calls of loops made from now on fail, for tests: 0 is never, n is n + 1 times out of \
               256. Returns how many calls have failed in all loops so far.";
    functions::add(module, &FAULTS, set, doc)
}

fn set<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let given = args.parse_given(&FAULTS)?;
    let chance = |index: usize| given[index].as_ref().map_or(Ok(0), |value| value.extract::<u8>());
    let seed = given[0].as_ref().map_or(Ok(0), |seed| seed.extract())?;
    let faults = Faults {
        again: chance(1)?,
        short_read: chance(2)?,
        short_write: chance(3)?,
        reset: chance(4)?,
        no_buffers: chance(5)?,
        no_descriptors: chance(6)?,
        spurious: chance(7)?,
    };
    let next = (faults != Faults::default()).then_some((seed, faults));
    *NEXT.lock().unwrap_or_else(PoisonError::into_inner) = next;
    Ok(faults_struck().into_pyobject(args.py())?.into_any())
}

/// Gives the driver of a new loop its faults.
pub(super) fn inject(driver: &mut Driver) {
    if let Some((seed, faults)) = NEXT.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        driver.set_faults(*seed, *faults);
        *seed = seed.wrapping_add(1); // each loop has a seed of its own
    }
}
