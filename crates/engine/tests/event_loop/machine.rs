//! An embedder for the loop: entries that note that they ran, timers that can be cancelled, connections that
//! receive.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use yibu_driver::{Driver, Peer, SimNet};
use yibu_engine::timers::Timer;
use yibu_engine::{Cancelled, EventLoop, Host, Op, OpId, Outcome, Plan};

/// Whatever was put into the loop, by a number of its own.
pub type Label = u32;

/// What ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ran {
    Entry(Label),
    Message(Label),
    /// A connection received.
    Io(usize),
    Timer(Label),
}

#[derive(Clone, Debug)]
pub struct Alarm(pub Rc<AlarmState>);

#[derive(Debug)]
pub struct AlarmState {
    pub label: Label,
    pub when: f64,
    cancelled: Cell<bool>,
    scheduled: Cell<bool>,
}

impl Alarm {
    pub fn new(label: Label, when: f64) -> Self {
        Self(Rc::new(AlarmState { label, when, cancelled: Cell::new(false), scheduled: Cell::new(true) }))
    }

    /// Cancels it without a word to the loop.
    pub fn cancel(&self) {
        self.0.cancelled.set(true);
    }
}

impl Timer for Alarm {
    fn cancelled(&self) -> bool {
        self.0.cancelled.get()
    }
}

/// An entry of the ready ring.
#[derive(Debug)]
pub enum Entry {
    Named(Label),
    Message(Label),
    Timer(Alarm),
    Io(OpId),
}

#[derive(Debug)]
pub struct Embedder;

impl Host for Embedder {
    type Entry = Entry;
    type Timer = Alarm;
    type Owner = Rc<usize>;
    type Message = Label;

    fn finish(id: OpId) -> Entry {
        Entry::Io(id)
    }

    fn due(alarm: Alarm) -> Entry {
        alarm.0.scheduled.set(false);
        Entry::Timer(alarm)
    }

    fn deliver(message: Label) -> Entry {
        Entry::Message(message)
    }
}

/// A connection with a receive under way. Its number is what its operations' owners hold.
pub struct Connection {
    pub fd: OwnedFd,
    pub peer: Peer,
    pub op: OpId,
    pub owner: Rc<usize>,
}

pub struct Machine {
    pub engine: EventLoop<Embedder>,
    pub net: SimNet,
    pub connections: Vec<Connection>,
    /// What the turn under way has run.
    pub ran: Vec<Ran>,
}

impl Machine {
    pub fn new(seed: u64, connections: usize) -> io::Result<Self> {
        let (driver, net) = Driver::sim(seed);
        let mut machine =
            Self { engine: EventLoop::new(driver), net, connections: Vec::new(), ran: Vec::new() };
        for number in 0..connections {
            let (fd, peer) = machine.net.stream()?;
            let owner = Rc::new(number);
            let op = machine.receive(&fd, &owner)?;
            machine.connections.push(Connection { fd, peer, op, owner });
        }
        Ok(machine)
    }

    fn receive(&mut self, fd: &OwnedFd, owner: &Rc<usize>) -> io::Result<OpId> {
        let op = Op::Recv { fd: fd.as_raw_fd() };
        self.engine.submit(op, Rc::clone(owner)).map_err(|(error, _owner)| error)
    }

    /// Cancels a connection's receive and starts another.
    pub fn restart(&mut self, number: usize) -> io::Result<()> {
        let connection = &self.connections[number];
        let owner = self.engine.cancel(connection.op).expect("its receive is under way");
        let op = Op::Recv { fd: connection.fd.as_raw_fd() };
        self.connections[number].op = self.engine.submit(op, owner).map_err(|(error, _owner)| error)?;
        Ok(())
    }

    pub fn now(&self) -> f64 {
        self.engine.driver.now()
    }

    pub fn schedule(&mut self, label: Label, when: f64) -> Alarm {
        let alarm = Alarm::new(label, when);
        self.engine.schedule(when, alarm.clone());
        alarm
    }

    pub fn cancel(&mut self, alarm: &Alarm) {
        if !alarm.0.cancelled.replace(true) && alarm.0.scheduled.get() {
            let released = self.engine.note_cancelled();
            let (one, many) = match released {
                Cancelled::Nothing => (None, Vec::new()),
                Cancelled::One(alarm) => (Some(alarm), Vec::new()),
                Cancelled::Many(alarms) => (None, alarms),
            };
            for alarm in one.into_iter().chain(many) {
                assert!(alarm.cancelled());
                alarm.0.scheduled.set(false);
            }
        }
    }

    /// The first part of a turn: waits if need be, and says how it went (`None`: it hurried on) and how many
    /// entries are to run.
    pub fn begin(&mut self) -> io::Result<(Option<Plan>, usize)> {
        self.ran.clear();
        match self.engine.begin_fast_turn() {
            Some(count) => Ok((None, count)),
            None => self.gather(false).map(|(plan, count)| (Some(plan), count)),
        }
    }

    /// The first part of the first turn of a run, for a loop that was asked to stop before.
    pub fn begin_stopped(&mut self) -> io::Result<(Plan, usize)> {
        self.engine.end_busy_period();
        self.ran.clear();
        assert_eq!(self.engine.begin_fast_turn(), None);
        self.gather(true)
    }

    fn gather(&mut self, must_not_block: bool) -> io::Result<(Plan, usize)> {
        while let Some(alarm) = self.engine.pop_cancelled_timer() {
            alarm.0.scheduled.set(false);
        }
        let plan = self.engine.plan(self.now(), must_not_block);
        match plan {
            Plan::Run => {}
            Plan::Poll => self.engine.poll()?,
            Plan::Block(timeout) => {
                if let Some(mut wait) = self.engine.begin_wait()? {
                    let blocked = wait.block(timeout);
                    self.engine.end_wait(wait)?;
                    blocked?;
                }
            }
        }
        let count = self.engine.begin_turn(self.now());
        Ok((plan, count))
    }

    /// The second part, one entry at a time.
    pub fn run_next(&mut self) {
        let ran = match self.engine.ready.pop().expect("as many entries as the turn said") {
            Entry::Named(label) => Some(Ran::Entry(label)),
            Entry::Message(label) => Some(Ran::Message(label)),
            Entry::Timer(alarm) => (!alarm.cancelled()).then_some(Ran::Timer(alarm.0.label)),
            Entry::Io(id) => self.finish(id).map(Ran::Io),
        };
        self.ran.extend(ran);
    }

    /// A whole turn whose entries do nothing but run.
    pub fn turn(&mut self) -> io::Result<Option<Plan>> {
        let (plan, count) = self.begin()?;
        (0..count).for_each(|_| self.run_next());
        Ok(plan)
    }

    fn finish(&mut self, id: OpId) -> Option<usize> {
        let (number, outcome) = self.engine.finish(id, |owner| **owner)?;
        match outcome {
            Outcome::Bytes(lease) => self.engine.driver.recycle(lease),
            other => panic!("bytes were expected, not {other:?}"),
        }
        Some(number)
    }
}
