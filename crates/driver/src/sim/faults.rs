//! Chance in the simulated kernel, all of it drawn from one seed. Called by `world`; calls nothing.

/// How often the simulated kernel is unkind: each field is a chance out of 256. The default is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A receive, send or accept that could proceed says `EAGAIN` or `EINTR` instead.
    pub again: u8,
    /// A receive gives fewer bytes than there are.
    pub short_read: u8,
    /// A send takes fewer bytes than there is room for.
    pub short_write: u8,
    /// A connection breaks under a receive or a send; what was on its way is lost.
    pub reset: u8,
    /// A send fails with `ENOBUFS`.
    pub no_buffers: u8,
    /// An accept fails with `EMFILE`.
    pub no_descriptors: u8,
    /// A wait reports an operation that is not ready.
    pub spurious: u8,
}

/// SplitMix64: small, and the same sequence everywhere.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Whether something with this chance out of 256 happens. A chance of zero draws nothing, so turning one fault
    /// off does not change when the others strike.
    pub(super) fn strikes(&mut self, chance: u8) -> bool {
        chance != 0 && self.next() as u8 <= chance
    }

    /// Some of `n`, at least one, when this chance strikes; else all.
    pub(super) fn some_of(&mut self, n: usize, chance: u8) -> usize {
        if n > 1 && self.strikes(chance) { 1 + self.below(n - 1) } else { n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..50).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn no_chance_never_strikes_and_full_chance_always() {
        let mut random = Random::new(3);
        assert!((0..1000).all(|_| !random.strikes(0) && random.strikes(255)));
        assert!((0..1000).all(|_| (1..10).contains(&random.some_of(10, 255)) && random.some_of(10, 0) == 10));
    }
}
