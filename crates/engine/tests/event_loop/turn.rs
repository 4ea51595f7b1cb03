//! The order of a turn, compared at random with a model that says it in one line: what was ready or sent,
//! I/O, due timers.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::Duration;

use proptest::prelude::*;
use yibu_engine::Plan;
use yibu_engine::event_loop::{EAGER_TURNS, FAST_TURNS, POLL_INTERVAL};

use crate::machine::{Alarm, Entry, Label, Machine, Ran};

const CONNECTIONS: usize = 3;

/// asyncio's `_clock_resolution`.
const CLOCK_RESOLUTION: f64 = 1e-9;

/// Something that happens to a loop, from outside or while an entry runs.
#[derive(Clone, Debug)]
enum Act {
    CallSoon,
    Post,
    /// Bytes arrive for a connection.
    Arrive(usize),
    /// A connection's receive is cancelled and started anew.
    Restart(usize),
    /// A timer so many seconds from now.
    CallLater(f64),
    /// The n-th of the live timers is cancelled.
    Cancel(prop::sample::Index),
    Pass(Duration),
}

fn act() -> impl Strategy<Value = Act> {
    let delay = prop_oneof![
        6 => (-20..200_i32).prop_map(|micros| f64::from(micros) / 1e6),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
    ];
    prop_oneof![
        3 => Just(Act::CallSoon),
        2 => Just(Act::Post),
        2 => (0..CONNECTIONS).prop_map(Act::Arrive),
        1 => (0..CONNECTIONS).prop_map(Act::Restart),
        3 => delay.prop_map(Act::CallLater),
        2 => any::<prop::sample::Index>().prop_map(Act::Cancel),
        2 => (0..70_000_u64).prop_map(|nanos| Act::Pass(Duration::from_nanos(nanos))),
    ]
}

/// A turn: what happens before it, and what each of its entries does.
#[derive(Clone, Debug)]
struct Script {
    before: Vec<Act>,
    during: Vec<Vec<Act>>,
    /// The turn is the only one of a run.
    stopped: bool,
}

fn script() -> impl Strategy<Value = Script> {
    let acts = |most| prop::collection::vec(act(), 0..most);
    (acts(6), prop::collection::vec(acts(3), 0..4), prop::bool::weighted(0.1))
        .prop_map(|(before, during, stopped)| Script { before, during, stopped })
}

/// The loop, and beside it everything that it has to do, in plain lists.
struct Modelled {
    machine: Machine,
    labels: Label,
    ready: VecDeque<Ran>,
    arrived: BTreeSet<usize>,
    /// Live timers as they were scheduled.
    alarms: Vec<Alarm>,
    /// What the turn under way has yet to run.
    expected: VecDeque<Ran>,
    /// When the kernel was asked while there was work to do.
    asked_at: Option<f64>,
    /// Turns since the clock was looked at.
    hurried: u32,
    /// So many turns have to ask the kernel.
    eager: u32,
}

impl Modelled {
    fn new(seed: u64) -> io::Result<Self> {
        Ok(Self {
            machine: Machine::new(seed, CONNECTIONS)?,
            labels: 0,
            ready: VecDeque::new(),
            arrived: BTreeSet::new(),
            alarms: Vec::new(),
            expected: VecDeque::new(),
            asked_at: None,
            hurried: 0,
            eager: EAGER_TURNS,
        })
    }

    fn act(&mut self, act: &Act) -> io::Result<()> {
        self.labels += 1;
        match act {
            Act::CallSoon => {
                self.machine.engine.push(|| Entry::Named(self.labels));
                self.ready.push_back(Ran::Entry(self.labels));
            }
            Act::Post => {
                self.machine.engine.inbox().post(self.labels);
                self.ready.push_back(Ran::Message(self.labels));
            }
            Act::Arrive(number) => {
                self.machine.connections[*number].peer.send(b"x")?;
                self.arrived.insert(*number);
            }
            Act::Restart(number) => {
                self.machine.restart(*number)?;
                self.eager = EAGER_TURNS;
                self.expected.retain(|expected| *expected != Ran::Io(*number));
            }
            Act::CallLater(delay) => {
                let when = self.machine.now() + delay;
                self.alarms.push(self.machine.schedule(self.labels, when));
            }
            Act::Cancel(choice) => {
                if !self.alarms.is_empty() {
                    let alarm = self.alarms.remove(choice.index(self.alarms.len()));
                    self.machine.cancel(&alarm);
                    self.expected.retain(|expected| *expected != Ran::Timer(alarm.0.label));
                }
            }
            Act::Pass(time) => self.machine.net.advance(*time),
        }
        Ok(())
    }

    /// The live timers that are due, in the order in which they have to run.
    fn due(&self, now: f64) -> Vec<Ran> {
        let key = |alarm: &Alarm| if alarm.0.when.is_nan() { f64::NEG_INFINITY } else { alarm.0.when };
        let mut due: Vec<&Alarm> =
            self.alarms.iter().filter(|alarm| key(alarm) < now + CLOCK_RESOLUTION).collect();
        due.sort_by(|a, b| key(a).total_cmp(&key(b))); // stable: ties stay in the order of scheduling
        due.iter().map(|alarm| Ran::Timer(alarm.0.label)).collect()
    }

    fn turn(&mut self, script: &Script) -> io::Result<()> {
        for act in &script.before {
            self.act(act)?;
        }
        let before = self.machine.now();
        let busy = script.stopped || !self.ready.is_empty() || !self.due(before).is_empty();
        let begun = if script.stopped {
            self.machine.begin_stopped().map(|(plan, count)| (Some(plan), count))
        } else {
            self.machine.begin()
        };
        let (plan, count) = match begun {
            Err(error) if error.kind() == io::ErrorKind::Deadlock => {
                assert!(!busy && self.arrived.is_empty() && self.alarms.is_empty(), "slept for ever");
                (self.asked_at, self.hurried) = (Some(self.machine.now()), 0);
                self.eager = EAGER_TURNS;
                return Ok(());
            }
            begun => begun?,
        };
        let now = self.machine.now();
        self.check_plan(plan, busy, script.stopped, before, now);

        let ready = std::mem::take(&mut self.ready);
        let asked = !matches!(plan, None | Some(Plan::Run));
        let reported = if !asked { Vec::new() } else { self.arrived.iter().copied().collect() };
        if !reported.is_empty() || script.stopped || matches!(plan, Some(Plan::Block(_))) {
            self.eager = EAGER_TURNS;
        }
        self.expected = ready.into_iter().chain(reported.into_iter().map(Ran::Io)).collect();
        self.expected.extend(self.due(now));

        for number in 0..count {
            let done = self.machine.ran.len();
            self.machine.run_next();
            if let Some(ran) = self.machine.ran.get(done).copied() {
                self.check_next(ran);
            }
            for act in script.during.get(number).into_iter().flatten() {
                self.act(act)?;
            }
        }
        assert!(self.expected.is_empty(), "did not run: {:?}", self.expected);
        Ok(())
    }

    fn check_plan(&mut self, plan: Option<Plan>, busy: bool, stopped: bool, before: f64, now: f64) {
        let since = self.asked_at.map_or(f64::INFINITY, |asked_at| before - asked_at);
        self.hurried = if plan.is_none() { self.hurried + 1 } else { 0 };
        let asks = matches!(plan, Some(Plan::Poll | Plan::Block(_)));
        assert!(asks || self.eager == 0, "something happened to a descriptor, and the kernel is not asked");
        self.eager = self.eager.saturating_sub(1);
        match plan {
            None => {
                assert!(self.hurried <= FAST_TURNS && self.asked_at.is_some());
                assert!(!self.ready.is_empty() && self.due(before).is_empty());
            }
            Some(Plan::Run) => assert!(busy && !stopped && since < POLL_INTERVAL + CLOCK_RESOLUTION),
            Some(Plan::Poll) => {
                assert!(busy, "nothing to do and no wait");
                self.asked_at = Some(before);
            }
            Some(Plan::Block(timeout)) => {
                assert!(!busy && timeout != Some(Duration::ZERO));
                assert_eq!(timeout.is_none(), self.alarms.is_empty());
                if self.arrived.is_empty() && self.alarms.iter().any(|alarm| alarm.0.when < f64::INFINITY) {
                    assert!(!self.due(now).is_empty(), "parked in vain");
                } else if !self.arrived.is_empty() {
                    assert_eq!(now, before, "slept although something had arrived");
                }
                self.asked_at = Some(now);
            }
        }
    }

    /// I/O has the kernel's order, everything else that of the model.
    fn check_next(&mut self, ran: Ran) {
        let same_kind = |other: &Ran| matches!((ran, other), (Ran::Io(_), Ran::Io(_)));
        let choices = self.expected.iter().take_while(|other| same_kind(other)).count().max(1);
        let found = self.expected.iter().take(choices).position(|expected| *expected == ran);
        let found = found.unwrap_or_else(|| panic!("{ran:?} ran instead of {:?}", self.expected));
        self.expected.remove(found);
        match ran {
            Ran::Io(number) => assert!(self.arrived.remove(&number)),
            Ran::Timer(label) => self.alarms.retain(|alarm| alarm.0.label != label),
            Ran::Entry(_) | Ran::Message(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_turn_runs_what_was_ready_then_io_then_due_timers(
        seed: u64,
        scripts in prop::collection::vec(script(), 1..12),
    ) {
        let mut modelled = Modelled::new(seed)?;
        for script in &scripts {
            modelled.turn(script)?;
        }
    }
}

#[test]
fn the_four_kinds_in_one_turn() -> io::Result<()> {
    let mut machine = Machine::new(1, 1)?;
    machine.schedule(5, machine.now());
    machine.schedule(4, machine.now() - 1.0);
    machine.connections[0].peer.send(b"x")?;
    machine.engine.push(|| Entry::Named(1));
    machine.engine.push(|| Entry::Named(2));
    machine.engine.inbox().post(3);
    machine.turn()?;
    let order = [Ran::Entry(1), Ran::Entry(2), Ran::Message(3), Ran::Io(0), Ran::Timer(4), Ran::Timer(5)];
    assert_eq!(machine.ran, order);
    Ok(())
}

#[test]
fn what_a_turn_adds_waits_for_the_next() -> io::Result<()> {
    let mut machine = Machine::new(1, 0)?;
    machine.engine.push(|| Entry::Named(1));
    let (_plan, count) = machine.begin()?;
    machine.engine.push(|| Entry::Named(2));
    machine.engine.inbox().post(3);
    machine.schedule(4, machine.now());
    (0..count).for_each(|_| machine.run_next());
    assert_eq!(machine.ran, [Ran::Entry(1)]);
    machine.turn()?;
    assert_eq!(machine.ran, [Ran::Entry(2), Ran::Message(3), Ran::Timer(4)]);
    Ok(())
}

#[test]
fn what_others_sent_comes_before_what_is_called_later() -> io::Result<()> {
    let mut machine = Machine::new(1, 0)?;
    machine.engine.push(|| Entry::Named(1));
    machine.engine.inbox().post(2);
    machine.engine.push(|| Entry::Named(3));
    let (_plan, count) = machine.begin()?;
    machine.engine.inbox().post(4);
    machine.engine.push(|| Entry::Named(5));
    machine.engine.inbox().post(6);
    (0..count).for_each(|_| machine.run_next());
    assert_eq!(machine.ran, [Ran::Entry(1), Ran::Message(2), Ran::Entry(3)]);
    machine.turn()?;
    assert_eq!(machine.ran, [Ran::Message(4), Ran::Entry(5), Ran::Message(6)]);
    Ok(())
}

#[test]
fn a_burst_leaves_no_memory_behind() -> io::Result<()> {
    let mut machine = Machine::new(1, 0)?;
    for label in 0..1_000_000 {
        machine.engine.push(|| Entry::Named(label));
    }
    machine.turn()?;
    assert_eq!(machine.ran.len(), 1_000_000);
    let burst = machine.engine.ready.capacity();
    let alarm = machine.schedule(0, machine.now() + 1.0);
    assert!(matches!(machine.turn()?, Some(Plan::Block(_))));
    assert_eq!(machine.ran, [Ran::Timer(alarm.0.label)]);
    assert!(burst >= 1_000_000 && machine.engine.ready.capacity() < 10_000);
    Ok(())
}
