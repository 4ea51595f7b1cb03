//! [`Tallies`]: what the tasks of the first functions of an observation have done since it was last added up.
//! A task that ends counts here, without a borrow of the observation and without a search.
//!
//! Filled by tasks; added up by [`Observation::add_up`](crate::Observation::add_up).

use std::array;
use std::cell::Cell;

use crate::marks::lifetime;
use crate::observation::Ending;

/// So many functions are counted here; all others by the observation itself.
pub(crate) const TALLIED: usize = 64;

/// So many functions are found by the address of their code. A power of two.
const KNOWN: usize = 32;

/// The counts of one function, as in [`Function`](crate::Function).
#[derive(Default)]
pub(crate) struct Tally {
    pub polls: Cell<u64>,
    pub lived: Cell<i64>,
    pub endings: [Cell<u64>; 3],
}

/// The counts of one loop.
pub struct Tallies {
    /// First steps of eager tasks.
    eager_steps: Cell<u64>,
    /// The address of a function's code, and its index.
    known: [Cell<(usize, usize)>; KNOWN],
    of_functions: [Tally; TALLIED],
}

impl Default for Tallies {
    fn default() -> Self {
        Self {
            eager_steps: Cell::new(0),
            known: array::from_fn(|_| Cell::new((0, 0))),
            of_functions: array::from_fn(|_| Tally::default()),
        }
    }
}

impl Tallies {
    /// The first step of an eager task is a part of another step.
    #[inline]
    pub fn count_eager_step(&self) {
        self.eager_steps.set(self.eager_steps.get() + 1);
    }

    /// A task has ended that began at `born` and made so many steps that were not added yet. Whether the
    /// function with this code is counted here.
    #[inline]
    pub fn end_task(&self, address: usize, born: u32, polls: u16, ending: Ending) -> bool {
        let (known, index) = self.known[slot(address)].get();
        if known != address {
            return false;
        }
        let Some(tally) = self.of_functions.get(index) else { return false };
        tally.polls.set(tally.polls.get() + u64::from(polls));
        tally.lived.set(tally.lived.get() + lifetime(born));
        let count = &tally.endings[ending as usize];
        count.set(count.get() + 1);
        true
    }

    /// The index of the function with this code, which lives as long as the observation.
    pub(crate) fn know(&self, address: usize, index: usize) {
        if index < TALLIED {
            self.known[slot(address)].set((address, index));
        }
    }

    pub(crate) fn take_eager_steps(&self) -> u64 {
        self.eager_steps.take()
    }

    /// The counts of functions, in the order of the observation.
    pub(crate) fn of_functions(&self) -> &[Tally] {
        &self.of_functions
    }

    /// Another observation begins.
    pub(crate) fn clear(&self) {
        self.eager_steps.set(0);
        self.known.iter().for_each(|known| known.set((0, 0)));
        for tally in &self.of_functions {
            tally.polls.set(0);
            tally.lived.set(0);
            tally.endings.iter().for_each(|ending| ending.set(0));
        }
    }
}

/// Objects begin at multiples of 16.
#[inline]
fn slot(address: usize) -> usize {
    (address >> 4) % KNOWN
}
