//! Messages from other threads: none is lost whenever it is posted, and each poster's arrive in order.
//!
//! The loop that would sleep through a message is an error on the simulated kernel (`Deadlock`) as long as
//! there is one thread.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use yibu_driver::Driver;
use yibu_engine::{EventLoop, Inbox, Plan};

use crate::machine::{Embedder, Entry, Label, Machine, Ran};

/// A point in a turn at which another thread may post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    BeforePlan,
    BeforeWait,
    BeforeBlock,
    AfterBlock,
    BeforeEntries,
    AfterEntries,
}

const MOMENTS: [Moment; 6] = [
    Moment::BeforePlan,
    Moment::BeforeWait,
    Moment::BeforeBlock,
    Moment::AfterBlock,
    Moment::BeforeEntries,
    Moment::AfterEntries,
];

/// A turn in which messages are posted at some moments. Returns those that it ran.
fn turn(machine: &mut Machine, mut post: impl FnMut(&Inbox<Label>, Moment)) -> io::Result<Vec<Ran>> {
    let inbox = Arc::clone(machine.engine.inbox());
    post(&inbox, Moment::BeforePlan);
    let plan = machine.engine.plan(machine.now(), false);
    post(&inbox, Moment::BeforeWait);
    match plan {
        Plan::Run => {}
        Plan::Poll => machine.engine.poll()?,
        Plan::Block(timeout) => {
            if let Some(mut wait) = machine.engine.begin_wait()? {
                post(&inbox, Moment::BeforeBlock);
                let blocked = wait.block(timeout);
                post(&inbox, Moment::AfterBlock);
                machine.engine.end_wait(wait)?;
                blocked?;
            }
        }
    }
    let count = machine.engine.begin_turn(machine.now());
    post(&inbox, Moment::BeforeEntries);
    machine.ran.clear();
    (0..count).for_each(|_| machine.run_next());
    post(&inbox, Moment::AfterEntries);
    Ok(machine.ran.clone())
}

#[test]
fn a_message_is_in_time_for_the_turn_until_the_wait_ends() -> io::Result<()> {
    for moment in MOMENTS {
        let mut machine = Machine::new(1, 0)?;
        machine.schedule(0, machine.now() + 1.0);
        let began = machine.net.now();
        let ran = turn(&mut machine, |inbox, now| {
            if now == moment {
                inbox.post(1);
            }
        })?;
        let slept = machine.net.now() - began;
        match moment {
            Moment::BeforePlan | Moment::BeforeWait | Moment::BeforeBlock => {
                assert_eq!((ran, slept), (vec![Ran::Message(1)], Duration::ZERO), "{moment:?}");
            }
            Moment::AfterBlock => assert_eq!(ran, [Ran::Message(1), Ran::Timer(0)]),
            Moment::BeforeEntries | Moment::AfterEntries => {
                assert_eq!(ran, [Ran::Timer(0)], "{moment:?}");
                assert_eq!(turn(&mut machine, |_, _| {})?, [Ran::Message(1)], "{moment:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn what_the_kernel_reports_follows_the_messages() -> io::Result<()> {
    for moment in [Moment::BeforePlan, Moment::BeforeWait, Moment::BeforeBlock, Moment::AfterBlock] {
        let mut machine = Machine::new(1, 1)?;
        machine.connections[0].peer.send(b"x")?;
        let ran = turn(&mut machine, |inbox, now| {
            if now == moment {
                inbox.post(1);
            }
        })?;
        assert_eq!(ran, [Ran::Message(1), Ran::Io(0)], "{moment:?}");
    }
    Ok(())
}

proptest! {
    /// Whatever came before it, a loop with a message outstanding never sleeps, and messages arrive in order.
    #[test]
    fn no_message_is_lost(
        seed: u64,
        turns in prop::collection::vec(
            (any::<bool>(), prop::sample::subsequence(&MOMENTS[..], 0..=MOMENTS.len())),
            1..30,
        ),
    ) {
        let mut machine = Machine::new(seed, 0)?;
        let mut posted = 0;
        let mut arrived = 0;
        for (busy, moments) in turns {
            if busy {
                machine.engine.push(|| Entry::Named(0));
            }
            let (began, outstanding) = (machine.net.now(), posted - arrived);
            let ran = turn(&mut machine, |inbox, moment| {
                if moments.contains(&moment) {
                    posted += 1;
                    inbox.post(posted);
                }
            });
            match ran {
                Ok(ran) => {
                    for message in ran.into_iter().filter(|ran| *ran != Ran::Entry(0)) {
                        arrived += 1;
                        prop_assert_eq!(message, Ran::Message(arrived));
                    }
                }
                Err(error) => {
                    prop_assert_eq!(error.kind(), io::ErrorKind::Deadlock);
                    prop_assert_eq!(outstanding, 0);
                    let in_time = [Moment::BeforePlan, Moment::BeforeWait, Moment::BeforeBlock];
                    prop_assert!(!busy && !moments.iter().any(|moment| in_time.contains(moment)));
                }
            }
            prop_assert_eq!(machine.net.now(), began);
        }
        while arrived < posted {
            for message in turn(&mut machine, |_, _| {})?.into_iter().filter(|ran| *ran != Ran::Entry(0)) {
                arrived += 1;
                prop_assert_eq!(message, Ran::Message(arrived));
            }
        }
    }
}

#[test]
fn messages_that_come_when_the_turn_has_begun_wait_their_turn() -> io::Result<()> {
    let mut machine = Machine::new(1, 0)?;
    for label in 1..=100 {
        machine.engine.inbox().post(label);
    }
    let ran = turn(&mut machine, |inbox, moment| {
        if moment == Moment::BeforeEntries {
            inbox.post(101);
        }
    })?;
    assert!(ran.into_iter().eq((1..=100).map(Ran::Message)));
    assert_eq!(turn(&mut machine, |_, _| {})?, [Ran::Message(101)]);
    Ok(())
}

const POSTERS: Label = 4;
const MESSAGES: Label = 500;

/// Threads post while the loop parks again and again, with nothing but their messages to end it.
fn threads_wake_the_loop(make: impl FnOnce() -> Driver + Send + 'static) -> io::Result<()> {
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let machine: EventLoop<Embedder> = EventLoop::new(make());
        done.send(receive_from_threads(machine))
    });
    // Long enough for any machine; a message that is lost leaves the loop asleep.
    let arrived = result.recv_timeout(Duration::from_secs(120)).map_err(io::Error::other)??;
    for poster in 0..POSTERS {
        let of_poster = arrived.iter().filter(|label| **label / MESSAGES == poster);
        assert!(of_poster.copied().eq(poster * MESSAGES..(poster + 1) * MESSAGES), "poster {poster}");
    }
    Ok(())
}

fn receive_from_threads(mut engine: EventLoop<Embedder>) -> io::Result<Vec<Label>> {
    let mut arrived = Vec::new();
    thread::scope(|scope| {
        for poster in 0..POSTERS {
            let inbox = Arc::clone(engine.inbox());
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    inbox.post(poster * MESSAGES + number);
                    thread::yield_now();
                }
            });
        }
        while arrived.len() < (POSTERS * MESSAGES) as usize {
            let now = engine.driver.now();
            if let Plan::Block(timeout) = engine.plan(now, false)
                && let Some(mut wait) = engine.begin_wait()?
            {
                wait.block(timeout)?;
                engine.end_wait(wait)?;
            }
            for _ in 0..engine.begin_turn(now) {
                match engine.ready.pop() {
                    Some(Entry::Message(label)) => arrived.push(label),
                    other => panic!("{other:?}"),
                }
            }
        }
        Ok(arrived)
    })
}

#[test]
fn threads_wake_a_loop_on_epoll() -> io::Result<()> {
    threads_wake_the_loop(Driver::epoll)
}

#[test]
fn threads_wake_a_loop_on_the_simulated_kernel() -> io::Result<()> {
    threads_wake_the_loop(|| {
        let (driver, net) = Driver::sim(1);
        net.expect_threads(true);
        driver
    })
}
