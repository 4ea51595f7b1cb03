//! One event loop: what is ready, what is due when, what the kernel was asked for, and the order of a turn.
//!
//! The order is that of asyncio's `BaseEventLoop._run_once`: what was ready, then other threads' messages,
//! then I/O, then due timers. The embedder drives a turn step by step and runs the entries itself, with
//! nothing of the loop borrowed:
//!
//! ```text
//! begin_fast_turn ──────────────────────────────────────────────────► pop, pop, pop ...
//!     └──► plan ──► Run ───────────────────────► begin_turn ──►
//!              ├──► Poll ──► poll ─────────────►
//!              └──► Park ──► begin_wait, block, end_wait ►
//! ```
//!
//! asyncio polls the kernel in every turn. This loop polls in every one of the [`EAGER_TURNS`] turns after a
//! wait and after any operation on a descriptor. While no descriptor is used after that, it polls ever less
//! often, but at least every [`POLL_INTERVAL`]; a turn that [`EventLoop::begin_fast_turn`] begins does not
//! read the clock either. The first turn of a run always polls, so that running a loop for one turn has the
//! same effect as on asyncio.
//!
//! Called by yibu-python's `event_loop`; calls the driver.

use std::sync::Arc;
use std::time::Duration;

use yibu_driver::memory::{self, MakeRoom};
use yibu_driver::{Driver, Op, OpId, Outcome, Wait};

use crate::inbox::Inbox;
use crate::ready::Ready;
use crate::timers::{Cancelled, Timer, Timers};
use crate::waves::Waves;

/// What the embedder puts into a loop.
pub trait Host {
    /// An entry of the ready ring.
    type Entry;
    /// A timer.
    type Timer: Timer;
    /// The object that gets the outcomes of an operation.
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
    /// Entries are ready, and the kernel was polled a moment ago: run without polling.
    Run,
    /// Entries are ready, or the loop must not block: poll the kernel first.
    Poll,
    /// Nothing is ready or due: block, at most this long.
    Block(Option<Duration>),
}

/// While entries are ready the kernel is polled at least once in this many seconds, so that I/O cannot
/// starve.
pub const POLL_INTERVAL: f64 = 100e-6;

/// Every turn polls for this many turns after something happened to a descriptor, because programs rely on
/// seeing an event a fixed number of turns after they caused it. After that the distance between two polls is
/// the number of quiet turns divided by this.
pub const EAGER_TURNS: u32 = 64;

/// The largest number of fast turns in a row, where no timer is due soon: see [`EventLoop::begin_fast_turn`].
pub const FAST_TURNS: u32 = 32;

/// A timer at least this many seconds away cannot become due before the coarse clock ticks.
pub const SOON: f64 = 50e-3;

/// The longest single park; asyncio's `MAXIMUM_SELECT_TIMEOUT`.
pub const PARK_MAX: f64 = 24.0 * 3600.0;

/// One tick of the clock on Linux.
const CLOCK_RESOLUTION: f64 = 1e-9;

/// A timer is due at `now` if its deadline is before this. At least one step of the float after `now`: a long
/// uptime makes the steps larger than the resolution, and a timer with the deadline `now` has to be due.
fn due_before(now: f64, resolution: f64) -> f64 {
    (now + resolution).max(now.next_up())
}

/// The loop's state.
#[derive(Debug)]
pub struct EventLoop<H: Host> {
    /// The ring of entries that are ready to run.
    pub ready: Ready<H::Entry>,
    /// The heap of timers.
    pub timers: Timers<H::Timer>,
    waves: Waves,
    inbox: Arc<Inbox<H::Message>>,
    /// The kernel.
    pub driver: Driver,
    owners: Vec<Option<H::Owner>>,
    reported: Vec<OpId>,
    /// The time of the last poll while entries were ready, on the driver's clock; minus infinity makes the
    /// next turn poll.
    polled_at: f64,
    /// Deadlines within this many seconds are due; asyncio's `_clock_resolution`.
    pub clock_resolution: f64,
    /// About how many turns there were since something happened to a descriptor.
    quiet_turns: u32,
    /// How many more turns may begin without a poll, unless [`POLL_INTERVAL`] is over.
    unasked_turns: u32,
    /// How many more turns [`EventLoop::begin_fast_turn`] may begin; the tick of the coarse clock in which it
    /// may, and the loop's time at the last `plan`.
    fast_turns: u32,
    fast_tick: i64,
    fast_since: f64,
}

impl<H: Host> EventLoop<H> {
    /// A loop on a driver.
    pub fn new(driver: Driver) -> Self {
        Self {
            ready: Ready::default(),
            timers: Timers::default(),
            waves: Waves::default(),
            inbox: Arc::default(),
            driver,
            owners: Vec::new(),
            reported: Vec::new(),
            polled_at: f64::NEG_INFINITY,
            clock_resolution: CLOCK_RESOLUTION,
            quiet_turns: 0,
            unasked_turns: 0,
            fast_turns: 0,
            fast_tick: 0,
            fast_since: 0.0,
        }
    }

    /// The queue through which other threads send messages.
    pub fn inbox(&self) -> &Arc<Inbox<H::Message>> {
        &self.inbox
    }

    /// Appends an entry to the ring, behind the messages that other threads have sent before. It is made in
    /// the ring itself.
    #[inline]
    pub fn push(&mut self, make: impl FnOnce() -> H::Entry) {
        if self.inbox.has_news() {
            self.drain_inbox();
        }
        self.ready.push(make());
    }

    /// Adds a timer.
    #[inline]
    pub fn schedule(&mut self, when: f64, timer: H::Timer) {
        self.timers.push(when, timer);
    }

    /// Counts a cancelled timer, which stays in the heap until it is removed.
    #[inline]
    pub fn note_cancelled(&mut self) -> Cancelled<H::Timer> {
        self.timers.note_cancelled()
    }

    /// Takes one cancelled timer off the heap. Call it until it returns `None` before `plan`, and drop the
    /// timers.
    #[inline]
    pub fn pop_cancelled_timer(&mut self) -> Option<H::Timer> {
        self.timers.pop_cancelled()
    }

    /// The number of entries of a turn that may begin without reading the clock, checking timers or polling
    /// the kernel: entries are ready, no timer is due within [`SOON`], the kernel was polled a moment ago,
    /// and no descriptor was used since. `None`: call [`plan`](Self::plan).
    ///
    /// The coarse clock is read after the first fast turn, so that a long turn is noticed at once, and ever
    /// less often while the turns are short. While a timer is pending it is read every time.
    #[inline]
    pub fn begin_fast_turn(&mut self) -> Option<usize> {
        if self.fast_turns == 0
            || self.unasked_turns == 0
            || self.ready.is_empty()
            || self.inbox.has_news()
            || self.driver.has_activity()
        {
            return None;
        }
        let deadline = self.timers.next_deadline();
        let later = deadline.is_none_or(|when| when >= self.fast_since + SOON);
        if !later {
            return None;
        }
        self.fast_turns -= 1;
        let reads_clock = deadline.is_some() || (FAST_TURNS - self.fast_turns).is_power_of_two();
        if reads_clock && self.driver.tick() != self.fast_tick {
            self.fast_turns = 0;
            return None;
        }
        self.unasked_turns -= 1;
        self.inbox.forget_backlog();
        Some(self.ready.len())
    }

    /// Decides how the next turn begins. `must_not_block` is set when the loop was asked to stop; `now` is
    /// the loop's time.
    #[inline]
    pub fn plan(&mut self, now: f64, must_not_block: bool) -> Plan {
        // A message whose sender has not said so yet is found before the loop blocks.
        if self.inbox.has_news() {
            self.drain_inbox();
        }
        if !must_not_block && self.ready.is_empty() {
            let Some(first) = self.timers.next_deadline() else { return self.plan_block(None) };
            let due = due_before(now, self.clock_resolution);
            // A timer that is due runs, and one that is due so soon that polling until then is cheaper than
            // blocking is polled for.
            if first >= due {
                let until = self.waves.wait_until(first, now, self.driver.timer_slack(), &self.timers);
                if until >= due + self.driver.spin_threshold() {
                    return self.plan_block(Some(until - now));
                }
            }
        }
        self.fast_turns = FAST_TURNS;
        self.fast_tick = self.driver.tick();
        self.fast_since = now;
        if self.driver.take_activity() {
            self.note_io();
        }
        let clock = self.driver.now();
        if !must_not_block && self.unasked_turns > 0 && clock - self.polled_at < POLL_INTERVAL {
            self.unasked_turns -= 1;
            return Plan::Run;
        }
        self.polled_at = clock;
        self.unasked_turns =
            if self.driver.is_watching() { self.quiet_turns / EAGER_TURNS } else { u32::MAX };
        self.quiet_turns = self.quiet_turns.saturating_add(self.unasked_turns).saturating_add(1);
        Plan::Poll
    }

    /// Something happened to a descriptor: the next [`EAGER_TURNS`] turns poll the kernel.
    fn note_io(&mut self) {
        self.quiet_turns = 0;
        self.unasked_turns = 0;
    }

    fn plan_block(&mut self, seconds: Option<f64>) -> Plan {
        self.end_busy_period();
        Plan::Block(seconds.map(|seconds| {
            // Rounded up: waking before the deadline would only mean waiting again.
            Duration::from_nanos((seconds.min(PARK_MAX) * 1e9).ceil() as u64)
        }))
    }

    /// Ends a period in which entries were ready: frees memory of the ring, and makes the next turn with
    /// ready entries poll the kernel first. Called by `plan` before it parks, and by the embedder when a run
    /// ends.
    pub fn end_busy_period(&mut self) {
        self.polled_at = f64::NEG_INFINITY;
        self.fast_turns = 0;
        self.note_io();
        self.ready.trim();
    }

    /// Moves the messages of other threads to the ring.
    pub fn drain_inbox(&mut self) {
        let mut messages = self.inbox.drain();
        while self.ready.make_room() {
            let Some(message) = messages.next() else { return };
            self.ready.push(H::deliver(message));
        }
        // There is no memory for the other messages now. They are taken after the entries before them have
        // run.
        self.inbox.keep_news();
    }

    /// Polls the kernel without blocking.
    #[inline]
    pub fn poll(&mut self) -> std::io::Result<()> {
        let polled = self.driver.poll_now(&mut self.reported);
        self.push_reported();
        polled
    }

    /// Opens the descriptors that blocking needs. Called before a run, so that a lack of descriptors makes
    /// the run fail at its start.
    pub fn open(&mut self) -> std::io::Result<()> {
        let driver = &mut self.driver;
        self.inbox.ensure_waker(|| driver.waker())
    }

    /// Prepares to block. Block on the result while the loop is not borrowed. `None` when a message or an
    /// entry arrived first: the ring then has it, and behind it the operations that the kernel reports.
    pub fn begin_wait(&mut self) -> std::io::Result<Option<Wait>> {
        let driver = &mut self.driver;
        if !self.inbox.park(|| driver.waker())? {
            self.drain_inbox();
            return self.poll().map(|()| None);
        }
        if !self.ready.is_empty() {
            self.inbox.unpark();
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

    /// Gives a wait back to the driver, also after blocking failed, and moves messages and reported
    /// operations to the ring.
    pub fn end_wait(&mut self, wait: Wait) -> std::io::Result<()> {
        self.inbox.unpark();
        // Who wakes the loop has said before that there is news.
        if self.inbox.has_news() {
            self.drain_inbox();
        }
        let ended = self.driver.end_wait(wait, &mut self.reported);
        self.push_reported();
        self.note_io();
        ended
    }

    #[inline(always)] // mostly there is one operation, or none
    fn push_reported(&mut self) {
        if self.reported.is_empty() {
            return;
        }
        self.note_io();
        for id in self.reported.drain(..) {
            // If there is no memory, the operation is left out here and the kernel reports it again.
            if self.ready.make_room() {
                self.ready.push(H::finish(id));
            }
        }
    }

    /// Moves due timers to the ring and returns the number of entries that this turn runs.
    #[inline]
    pub fn begin_turn(&mut self, now: f64) -> usize {
        if self.inbox.has_news() {
            self.drain_inbox();
        }
        self.inbox.forget_backlog();
        let end = due_before(now, self.clock_resolution);
        let before = self.ready.len();
        // A timer for which there is no memory stays in the heap and runs in the next turn.
        while self.ready.make_room()
            && let Some(timer) = self.timers.pop_due(end)
        {
            self.ready.push(H::due(timer));
        }
        if self.ready.len() > before {
            self.waves.note(now, self.driver.timer_slack());
        }
        self.ready.len()
    }

    /// Submits an operation to the driver; its outcomes go to `owner`.
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

    /// Ends an operation and returns its owner: dropping it may run Python code, so the caller drops it with
    /// nothing borrowed. `None` when the operation had ended before.
    pub fn cancel(&mut self, id: OpId) -> Option<H::Owner> {
        if self.driver.cancel(id) { self.owners.get_mut(id.index())?.take() } else { None }
    }

    /// Does the operation `id` for its owner; `None` when it was cancelled since it was reported.
    #[inline]
    pub fn finish<R>(
        &mut self,
        id: OpId,
        inspect_owner: impl FnOnce(&H::Owner) -> R,
    ) -> Option<(R, Outcome)> {
        let outcome = self.driver.finish(id)?;
        let owner = self.owners.get(id.index())?.as_ref()?;
        Some((inspect_owner(owner), outcome))
    }

    /// The owner of an operation that was reported and not cancelled since: for owners that have to act
    /// before `finish`.
    #[inline]
    pub fn owner(&self, id: OpId) -> Option<&H::Owner> {
        if self.driver.is_live(id) { self.owners.get(id.index())?.as_ref() } else { None }
    }

    /// Visits every entry, timer and owner, for a garbage collector.
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

    /// Empties ring, timers and inbox. The embedder drops the result with nothing borrowed, because dropping
    /// may run Python code.
    pub fn clear(&mut self) -> impl Sized + use<H> {
        self.drain_inbox();
        (self.ready.take(), self.timers.take())
    }

    /// In the child of a fork: all operations are forgotten, their owners are the second result, and the
    /// kernel's objects are the child's own.
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
