//! Fault injection for tests: [`Faults`] says how often each kind of system call fails, and a seed decides
//! when.
//!
//! The simulated kernel asks [`Random`] inside its calls. For the real kernel there is a [`FaultInjector`]:
//! `sys` asks it before each call that moves data, the epoll driver after each wait. Calls nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// How often system calls fail. In each field 0 means never, and `n` above 0 means `n + 1` times out of 256:
/// 255 is always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A call that could proceed fails with `EAGAIN` or `EINTR`; a wait ends before it reports anything.
    pub again: u8,
    /// A receive gives fewer bytes than there are.
    pub short_read: u8,
    /// A send takes fewer bytes than there is room for.
    pub short_write: u8,
    /// A connection breaks under a receive or a send; what was on its way is lost.
    pub reset: u8,
    /// A send fails with `ENOBUFS`.
    pub no_buffers: u8,
    /// An accept fails with `EMFILE`, and so does making an object of the driver's own.
    pub no_descriptors: u8,
    /// A wait reports an operation that is not ready.
    pub spurious: u8,
}

/// The generator SplitMix64: small, and a seed gives the same sequence on every machine.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
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
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Whether a fault strikes, for a field of [`Faults`]. Zero draws no number, so turning one fault off
    /// does not change when the others strike.
    pub(crate) fn strikes(&mut self, chance: u8) -> bool {
        chance != 0 && self.next() as u8 <= chance
    }

    /// A number from 1 up to `n - 1` when the fault strikes; else `n`.
    pub(crate) fn some_of(&mut self, n: usize, chance: u8) -> usize {
        if n > 1 && self.strikes(chance) { 1 + self.below(n - 1) } else { n }
    }
}

/// Decides before each call of the real kernel whether the call fails or is cut short. A call that is let
/// through goes to the kernel, so no outcome is made up, and a call that failed or was cut short can be
/// repeated.
#[derive(Debug)]
pub(crate) struct FaultInjector {
    faults: Faults,
    random: Random,
}

/// How many faults have struck real kernels.
static STRUCK: AtomicU64 = AtomicU64::new(0);

/// How many faults have struck calls of the real kernel since the process began. Tests check it: a run that
/// met no fault has tested nothing.
pub fn faults_struck() -> u64 {
    STRUCK.load(Ordering::Relaxed)
}

impl FaultInjector {
    pub(crate) const fn new(seed: u64, faults: Faults) -> Self {
        Self { faults, random: Random::new(seed) }
    }

    fn strikes(&mut self, chance: u8) -> bool {
        let strikes = self.random.strikes(chance);
        if strikes {
            STRUCK.fetch_add(1, Ordering::Relaxed);
        }
        strikes
    }

    fn refuse(&mut self, chance: u8, error: Errno) -> Result<(), Errno> {
        if self.strikes(chance) { Err(error) } else { Ok(()) }
    }

    /// A number from 1 up to `n - 1` when the fault strikes, of a random magnitude; else `n`. The kernel may
    /// have far fewer than `n` bytes, and only a small number cuts such a call short.
    fn cut(&mut self, n: usize, chance: u8) -> usize {
        if n < 2 || !self.strikes(chance) {
            return n;
        }
        let magnitude = self.random.below((n - 1).ilog2() as usize + 1);
        1 + self.random.below((2 << magnitude).min(n - 1))
    }

    fn either(&mut self, errors: [Errno; 2]) -> Errno {
        errors[self.random.below(2)]
    }

    fn again(&mut self) -> Result<(), Errno> {
        if self.strikes(self.faults.again) { Err(self.either([Errno::AGAIN, Errno::INTR])) } else { Ok(()) }
    }

    /// Before bytes of a stream are received: how many of `room` may be.
    #[cold]
    pub(crate) fn receive(&mut self, room: usize) -> Result<usize, Errno> {
        self.again()?;
        self.refuse(self.faults.reset, Errno::CONNRESET)?;
        Ok(self.cut(room, self.faults.short_read))
    }

    /// Before bytes are read from a descriptor that is no socket: there is no connection to break.
    #[cold]
    pub(crate) fn read(&mut self, room: usize) -> Result<usize, Errno> {
        self.again()?;
        Ok(self.cut(room, self.faults.short_read))
    }

    /// Before `n` bytes are sent to a stream: how many may be.
    #[cold]
    pub(crate) fn send(&mut self, n: usize) -> Result<usize, Errno> {
        self.again()?;
        self.refuse(self.faults.no_buffers, Errno::NOBUFS)?;
        if self.strikes(self.faults.reset) {
            return Err(self.either([Errno::CONNRESET, Errno::PIPE]));
        }
        Ok(self.cut(n, self.faults.short_write))
    }

    /// Before `n` bytes are written to a descriptor that is no socket.
    #[cold]
    pub(crate) fn write(&mut self, n: usize) -> Result<usize, Errno> {
        self.again()?;
        self.refuse(self.faults.reset, Errno::PIPE)?;
        Ok(self.cut(n, self.faults.short_write))
    }

    /// Before a datagram is received. It is never cut short, because the rest of a datagram would be lost.
    #[cold]
    pub(crate) fn receive_datagram(&mut self) -> Result<(), Errno> {
        self.again()?;
        self.refuse(self.faults.reset, Errno::CONNREFUSED)
    }

    /// Before a datagram is sent.
    #[cold]
    pub(crate) fn send_datagram(&mut self) -> Result<(), Errno> {
        self.again()?;
        self.refuse(self.faults.no_buffers, Errno::NOBUFS)?;
        self.refuse(self.faults.reset, Errno::CONNREFUSED)
    }

    /// Before a connection is accepted.
    #[cold]
    pub(crate) fn accept(&mut self) -> Result<(), Errno> {
        self.again()?;
        self.descriptor()
    }

    /// Before the driver makes an object of its own.
    #[cold]
    pub(crate) fn descriptor(&mut self) -> Result<(), Errno> {
        self.refuse(self.faults.no_descriptors, Errno::MFILE)
    }

    /// Before a connection is shut down.
    #[cold]
    pub(crate) fn shut_down(&mut self) -> Result<(), Errno> {
        self.refuse(self.faults.reset, Errno::NOTCONN)
    }

    /// After a wait: whether a signal ended it before anything was reported.
    #[cold]
    pub(crate) fn interrupts(&mut self) -> bool {
        self.strikes(self.faults.again)
    }

    /// After a wait: the index, below `bound`, of an operation to report although it is not ready.
    #[cold]
    pub(crate) fn spurious(&mut self, bound: usize) -> Option<usize> {
        (bound != 0 && self.strikes(self.faults.spurious)).then(|| self.random.below(bound))
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
    fn zero_never_strikes_and_255_always() {
        let mut random = Random::new(3);
        assert!((0..1000).all(|_| !random.strikes(0) && random.strikes(255)));
        assert!((0..1000).all(|_| (1..10).contains(&random.some_of(10, 255)) && random.some_of(10, 0) == 10));
    }

    #[test]
    fn cuts_are_of_every_magnitude_and_leave_something_to_both_sides() {
        let mut injector = FaultInjector::new(1, Faults { short_read: 255, ..Faults::default() });
        assert_eq!((injector.read(0), injector.read(1), injector.read(2)), (Ok(0), Ok(1), Ok(1)));
        let cuts: Vec<usize> = (0..1000).filter_map(|_| injector.read(1 << 18).ok()).collect();
        assert!(cuts.iter().all(|n| (1..1 << 18).contains(n)));
        for magnitude in 0..18 {
            assert!(cuts.iter().any(|n| n.ilog2() == magnitude), "none of about 2^{magnitude}");
        }
    }

    #[test]
    fn without_faults_every_call_goes_through() {
        let mut injector = FaultInjector::new(1, Faults::default());
        for n in 0..100 {
            assert_eq!(
                [injector.receive(n), injector.read(n), injector.send(n), injector.write(n)],
                [Ok(n); 4]
            );
            assert_eq!(
                [injector.receive_datagram(), injector.send_datagram(), injector.accept()],
                [Ok(()); 3]
            );
            assert!(injector.descriptor().is_ok() && injector.shut_down().is_ok());
            assert!(!injector.interrupts() && injector.spurious(10).is_none());
        }
    }
}
