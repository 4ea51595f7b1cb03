//! One event loop: what is ready, what is due when, what the kernel was asked for, and the order of a turn.
//!
//! The order is that of asyncio's `BaseEventLoop._run_once`: what was ready, then other threads' messages, then I/O, then
//! due timers. The embedder drives a turn step by step and runs the entries itself, with nothing of the loop borrowed:
//!
//! ```text
//! hurry_on ──────────────────────────────────────────────────► pop, pop, pop ...
//!     └──► plan ──► Run ───────────────────────► begin_turn ──►
//!              ├──► Poll ──► poll ─────────────►
//!              └──► Park ──► begin_wait, block, end_wait ►
//! ```
//!
//! asyncio asks the kernel at every turn. So does this loop for [`EAGER_TURNS`] turns after it has waited, and after anything was
//! done with a descriptor; as long as nothing happens then, it asks ever less often, at least every [`POLL_INTERVAL`] though,
//! and need not even look at the clock where [`EventLoop::hurry_on`] says so. The first turn of a run always asks, so that
//! running a loop for one turn does what it does there.
//!
//! Called by yibu-python's `event_loop`; calls the driver.

use std::sync::Arc;
use std::time::Duration;

use yibu_driver::memory::{self, MakeRoom};
use yibu_driver::{Driver, Op, OpId, Outcome, Wait};

use crate::inbox::Inbox;
use crate::ready::Ready;
use crate::timers::{Cancelled, Timer, Timers};

/// What the embedder puts into a loop.
pub trait Host {
    /// An entry of the ready ring.
    type Entry;
    /// A timer.
    type Timer: Timer;
    /// Who gets the outcomes of an operation.
    type Owner;
    /// What other threads send.
    type Message: Send;

    /// The entry that finishes an operation.
    fn finish(id: OpId) -> Self::Entry;
    /// The entry that runs a due timer.
    fn due(timer: Self::Timer) -> Self::Entry;
    /// The entry that a message stands for.
    fn deliver(message: Self::Message) -> Self::Entry;
}

/// What to do before the next entries run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// There is work, and the kernel was asked a moment ago.
    Run,
    /// There is work or no time to wait, and the kernel is to be asked.
    Poll,
    /// Nothing is ready or due: block, at most this long.
    Park(Option<Duration>),
}

/// While there is work the kernel is left alone for this many seconds at most, so that I/O cannot starve.
pub const POLL_INTERVAL: f64 = 100e-6;

/// So many turns in a row ask the kernel as long as they find something to do with descriptors: programs count turns until they
/// see what they have caused. After that it is asked when this part of the quiet turns has passed since the last time.
pub const EAGER_TURNS: u32 = 64;

/// Where no timer is due soon, not even the clock is looked at for this many turns: see [`EventLoop::hurry_on`].
pub const FREE_TURNS: u32 = 32;

/// What is not soon, in seconds: a timer this far away is not due before the coarse clock has ticked.
pub const SOON: f64 = 50e-3;

/// The longest single park; asyncio's `MAXIMUM_SELECT_TIMEOUT`.
pub const PARK_MAX: f64 = 24.0 * 3600.0;

/// One tick of the clock on Linux.
const CLOCK_RESOLUTION: f64 = 1e-9;

/// What is due at `now` has a deadline before this: at least one step of the float later, so that a timer at `now` itself is
/// due whatever the uptime.
fn due_before(now: f64, resolution: f64) -> f64 {
    (now + resolution).max(now.next_up())
}

/// The loop's state.
#[derive(Debug)]
pub struct EventLoop<H: Host> {
    /// What runs next.
    pub ready: Ready<H::Entry>,
    /// What is due when.
    pub timers: Timers<H::Timer>,
    inbox: Arc<Inbox<H::Message>>,
    /// The kernel.
    pub driver: Driver,
    owners: Vec<Option<H::Owner>>,
    reported: Vec<OpId>,
    /// When the kernel was asked while there was work, on the driver's clock; minus infinity to ask it again.
    polled_at: f64,
    /// Deadlines within this many seconds are due; asyncio's `_clock_resolution`.
    pub clock_resolution: f64,
    /// Turns since something happened to a descriptor, as far as they were counted.
    quiet_turns: u32,
    /// How many more turns need not ask the kernel, unless time says so.
    unasked_turns: u32,
    /// How many more turns [`EventLoop::hurry_on`] may grant, the tick in which it may, and the loop's time when that began.
    free_turns: u32,
    free_tick: i64,
    free_since: f64,
}

impl<H: Host> EventLoop<H> {
    /// A loop on a driver.
    pub fn new(driver: Driver) -> Self {
        Self {
            ready: Ready::default(),
            timers: Timers::default(),
            inbox: Arc::default(),
            driver,
            owners: Vec::new(),
            reported: Vec::new(),
            polled_at: f64::NEG_INFINITY,
            clock_resolution: CLOCK_RESOLUTION,
            quiet_turns: 0,
            unasked_turns: 0,
            free_turns: 0,
            free_tick: 0,
            free_since: 0.0,
        }
    }

    /// The door for other threads.
    pub fn inbox(&self) -> &Arc<Inbox<H::Message>> {
        &self.inbox
    }

    /// Appends an entry to the ring, behind what other threads have sent before.
    #[inline]
    pub fn push(&mut self, entry: H::Entry) {
        if self.inbox.has_news() {
            self.drain_inbox();
        }
        self.ready.push(entry);
    }

    /// Adds a timer.
    #[inline]
    pub fn schedule(&mut self, when: f64, timer: H::Timer) {
        self.timers.push(when, timer);
    }

    /// Takes note that a timer was cancelled.
    #[inline]
    pub fn note_cancelled(&mut self) -> Cancelled<H::Timer> {
        self.timers.note_cancelled()
    }

    /// Takes one cancelled timer; repeat until `None` before `plan`, dropping what comes.
    #[inline]
    pub fn pop_cancelled_timer(&mut self) -> Option<H::Timer> {
        self.timers.pop_cancelled()
    }

    /// The number of entries of a turn that may begin without looking at clock, timers or kernel: work is ready, no timer is
    /// due [`SOON`], and the kernel was asked a moment ago and has nothing new to say as far as is known. `None` asks for a
    /// [`plan`](Self::plan).
    ///
    /// The coarse clock is looked at now and then: after the first turn, so that turns which take long are noticed at
    /// once, and ever less often while they turn out to be short. While a timer is pending it is looked at every time.
    #[inline]
    pub fn hurry_on(&mut self) -> Option<usize> {
        if self.free_turns == 0
            || self.unasked_turns == 0
            || self.ready.is_empty()
            || self.inbox.has_news()
            || self.driver.has_activity()
        {
            return None;
        }
        let deadline = self.timers.next_deadline();
        let later = deadline.is_none_or(|when| when >= self.free_since + SOON);
        if !later {
            return None;
        }
        self.free_turns -= 1;
        let look = deadline.is_some() || (FREE_TURNS - self.free_turns).is_power_of_two();
        if look && self.driver.tick() != self.free_tick {
            self.free_turns = 0;
            return None;
        }
        self.unasked_turns -= 1;
        Some(self.ready.len())
    }

    /// Decides how the next turn begins. `hurry` forbids blocking (the loop was asked to stop); `now` is the loop's time.
    #[inline]
    pub fn plan(&mut self, now: f64, hurry: bool) -> Plan {
        self.drain_inbox();
        if !hurry && self.ready.is_empty() {
            match self.timers.next_deadline() {
                None => return self.plan_park(None),
                Some(when) if when >= due_before(now, self.clock_resolution) + self.driver.spin() => {
                    return self.plan_park(Some(when - now));
                }
                // Due, or so soon that looking again is cheaper than sleeping.
                Some(_) => {}
            }
        }
        self.free_turns = FREE_TURNS;
        self.free_tick = self.driver.tick();
        self.free_since = now;
        if self.driver.take_activity() {
            self.stir();
        }
        let clock = self.driver.now();
        if !hurry && self.unasked_turns > 0 && clock - self.polled_at < POLL_INTERVAL {
            self.unasked_turns -= 1;
            return Plan::Run;
        }
        self.polled_at = clock;
        self.unasked_turns =
            if self.driver.is_watching() { self.quiet_turns / EAGER_TURNS } else { u32::MAX };
        self.quiet_turns = self.quiet_turns.saturating_add(self.unasked_turns).saturating_add(1);
        Plan::Poll
    }

    /// Something happened to a descriptor: the next turns ask the kernel.
    fn stir(&mut self) {
        self.quiet_turns = 0;
        self.unasked_turns = 0;
    }

    fn plan_park(&mut self, seconds: Option<f64>) -> Plan {
        self.rest();
        Plan::Park(seconds.map(|seconds| {
            // Rounded up: waking before the deadline would only mean waiting again.
            Duration::from_nanos((seconds.min(PARK_MAX) * 1e9).ceil() as u64)
        }))
    }

    /// Work is over for now: memory goes back, and the next turn with work to do asks the kernel first, unless a wait has asked
    /// it. `plan` does so before it parks; the embedder when a run ends.
    pub fn rest(&mut self) {
        self.polled_at = f64::NEG_INFINITY;
        self.free_turns = 0;
        self.stir();
        self.ready.trim();
    }

    /// Puts what other threads have sent into the ring.
    pub fn drain_inbox(&mut self) {
        let mut messages = self.inbox.drain();
        while self.ready.make_room() {
            let Some(message) = messages.next() else { return };
            self.ready.push(H::deliver(message));
        }
        // There is no memory for the others now. They are taken when those before them have run.
        self.inbox.keep_news();
    }

    /// Looks at the kernel without blocking.
    #[inline]
    pub fn poll(&mut self) -> std::io::Result<()> {
        let polled = self.driver.poll_now(&mut self.reported);
        self.push_reported();
        polled
    }

    /// Opens the descriptors that blocking needs. Before a run: where none is free, that is better said there than in the middle.
    pub fn open(&mut self) -> std::io::Result<()> {
        let driver = &mut self.driver;
        self.inbox.ensure_waker(|| driver.waker())
    }

    /// Prepares to block. Block on the result with the loop not borrowed; `None` when a message arrived first, which is in the
    /// ring then, and what the kernel had to say behind it.
    pub fn begin_wait(&mut self) -> std::io::Result<Option<Wait>> {
        let driver = &mut self.driver;
        if !self.inbox.park(|| driver.waker())? {
            self.drain_inbox();
            return self.poll().map(|()| None);
        }
        match self.driver.begin_wait() {
            Ok(wait) => Ok(Some(wait)),
            Err(error) => {
                self.inbox.unpark();
                Err(error)
            }
        }
    }

    /// Takes a wait back, whether blocking succeeded or not.
    pub fn end_wait(&mut self, wait: Wait) -> std::io::Result<()> {
        self.inbox.unpark();
        self.drain_inbox();
        let ended = self.driver.end_wait(wait, &mut self.reported);
        self.push_reported();
        self.stir();
        ended
    }

    #[inline]
    fn push_reported(&mut self) {
        if self.reported.is_empty() {
            return;
        }
        self.stir();
        for id in self.reported.drain(..) {
            // Where there is no memory, the kernel reports it again.
            if self.ready.make_room() {
                self.ready.push(H::finish(id));
            }
        }
    }

    /// Moves due timers to the ring and says how many entries this turn runs.
    #[inline]
    pub fn begin_turn(&mut self, now: f64) -> usize {
        if self.inbox.has_news() {
            self.drain_inbox();
        }
        let end = due_before(now, self.clock_resolution);
        // A timer for which there is no memory is due in the next turn, too.
        while self.ready.make_room()
            && let Some(timer) = self.timers.pop_due(end)
        {
            self.ready.push(H::due(timer));
        }
        self.ready.len()
    }

    /// Asks the kernel for something on behalf of `owner`.
    pub fn submit(&mut self, op: Op, owner: H::Owner) -> Result<OpId, (std::io::Error, H::Owner)> {
        let id = match self.driver.submit(op) {
            Ok(id) => id,
            Err(error) => return Err((error, owner)),
        };
        if let Some(missing) = (id.index() + 1).checked_sub(self.owners.len()) {
            if !self.owners.make_room(missing) {
                self.driver.cancel(id);
                return Err((memory::exhausted(), owner));
            }
            self.owners.resize_with(self.owners.len() + missing, || None);
        }
        self.owners[id.index()] = Some(owner);
        Ok(id)
    }

    /// Ends an operation. Gives its owner back (for dropping where foreign code may run); `None` when it had ended before.
    pub fn cancel(&mut self, id: OpId) -> Option<H::Owner> {
        if self.driver.cancel(id) { self.owners.get_mut(id.index())?.take() } else { None }
    }

    /// Does the operation `id` for its owner; `None` when it was cancelled since it was reported.
    #[inline]
    pub fn finish<R>(&mut self, id: OpId, look: impl FnOnce(&H::Owner) -> R) -> Option<(R, Outcome)> {
        let outcome = self.driver.finish(id)?;
        let owner = self.owners.get(id.index())?.as_ref()?;
        Some((look(owner), outcome))
    }

    /// The owner of an operation that was not cancelled since it was reported: for owners that want to see to something
    /// before it is done.
    #[inline]
    pub fn owner(&self, id: OpId) -> Option<&H::Owner> {
        if self.driver.is_live(id) { self.owners.get(id.index())?.as_ref() } else { None }
    }

    /// Everything the loop refers to, for a garbage collector.
    pub fn inspect(
        &self,
        mut entry: impl FnMut(&H::Entry),
        mut timer: impl FnMut(&H::Timer),
        mut owner: impl FnMut(&H::Owner),
    ) {
        self.ready.iter().for_each(&mut entry);
        self.timers.iter().for_each(&mut timer);
        self.owners.iter().flatten().for_each(&mut owner);
    }

    /// Empties ring, timers and inbox; the embedder drops the result where foreign code may run.
    pub fn clear(&mut self) -> impl Sized + use<H> {
        self.drain_inbox();
        (self.ready.take(), self.timers.take())
    }

    /// In the child of a fork: all operations are forgotten, their owners are the second result, and the kernel's objects are the
    /// child's own.
    pub fn after_fork_in_child(&mut self) -> (std::io::Result<()>, impl Sized + use<H>) {
        self.reported.clear();
        (self.driver.after_fork_in_child(), std::mem::take(&mut self.owners))
    }

    /// Closes kernel objects too. Operations end without an outcome; their owners are part of the result.
    pub fn close(&mut self) -> impl Sized + use<H> {
        let cleared = self.clear();
        let driver = std::mem::replace(&mut self.driver, Driver::epoll());
        drop(driver);
        (cleared, std::mem::take(&mut self.owners))
    }
}
