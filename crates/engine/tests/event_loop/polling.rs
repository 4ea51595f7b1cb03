//! When the kernel is asked: not at every turn, but soon enough for I/O and exactly for timers.

use std::io;
use std::time::Duration;

use proptest::prelude::*;
use yibu_engine::Plan;
use yibu_engine::event_loop::{EAGER_TURNS, FAST_TURNS, POLL_INTERVAL, SOON};

use crate::machine::{Entry, Machine, Ran};

/// Work is always ready, and each turn takes some time: how many turns after they began to wait, and how long
/// after, have arrivals been seen? The longest of both, for arrivals at given times and turns of given
/// lengths, in microseconds.
fn longest_wait(mut machine: Machine, turns: &[u64], arrivals: &[u64]) -> io::Result<(usize, f64)> {
    let start = machine.now();
    for delay in arrivals {
        machine.connections[0].peer.send_after(Duration::from_micros(*delay), b"x");
    }
    let mut waiting: Vec<f64> = arrivals.iter().map(|delay| start + *delay as f64 / 1e6).collect();
    let mut began: Vec<f64> = Vec::new();
    let (mut most, mut longest) = (0, 0.0_f64);
    for micros in turns {
        machine.engine.push(|| Entry::Named(0));
        let now = machine.now();
        machine.turn()?;
        began.push(now);
        for at in waiting.iter().filter(|at| **at <= now) {
            // Those that began a poll interval later and did not look, and the one under way.
            most = most.max(began.iter().filter(|began| **began - at >= POLL_INTERVAL).count());
            longest = longest.max(now - at);
        }
        if machine.ran.contains(&Ran::Io(0)) {
            waiting.retain(|at| *at > now);
        }
        machine.net.advance(Duration::from_micros(*micros));
    }
    Ok((most, longest))
}

/// The coarse clock of the simulated kernel.
const TICK: f64 = 1e-3;

proptest! {
    /// What arrives is seen by the first turn that begins a poll interval later, if not before.
    #[test]
    fn io_does_not_starve_while_a_timer_is_due_soon(
        seed: u64,
        turns in prop::collection::vec(1..250_u64, 1..100),
        arrivals in prop::collection::vec(0..2_000_u64, 1..20),
    ) {
        let mut machine = Machine::new(seed, 1)?;
        let soon = machine.now() + 0.9 * SOON;
        machine.schedule(0, soon);
        let (most, _) = longest_wait(machine, &turns, &arrivals)?;
        prop_assert!(most <= 1, "{most} turns");
    }

    /// Otherwise the clock is looked at less often: some turns later, whatever their lengths.
    #[test]
    fn io_does_not_starve(
        seed: u64,
        timer: bool,
        turns in prop::collection::vec(1..1_000_u64, 1..200),
        arrivals in prop::collection::vec(0..20_000_u64, 1..20),
    ) {
        let mut machine = Machine::new(seed, 1)?;
        if timer {
            machine.schedule(0, f64::INFINITY);
        }
        let (most, _) = longest_wait(machine, &turns, &arrivals)?;
        prop_assert!(most <= FAST_TURNS as usize + 1, "{most} turns");
    }

    /// And when they are about equally long, within a few ticks of the coarse clock or two turns.
    #[test]
    fn long_turns_are_noticed(
        seed: u64,
        turn in 1..20_000_u64,
        arrivals in prop::collection::vec(0..20_000_u64, 1..20),
    ) {
        let machine = Machine::new(seed, 1)?;
        let turns = vec![turn; (40_000 / turn + 3) as usize];
        let (_, longest) = longest_wait(machine, &turns, &arrivals)?;
        let bound = POLL_INTERVAL + 2.0 * TICK.max(turn as f64 / 1e6);
        prop_assert!(longest <= bound, "{longest} s with turns of {turn} us");
    }

    /// A parked loop wakes once for each deadline, at the deadline.
    #[test]
    fn timers_are_neither_early_nor_late(
        seed: u64,
        delays in prop::collection::vec(0.0..86_400_f64, 1..50),
    ) {
        let mut machine = Machine::new(seed, 0)?;
        let start = machine.now();
        for (label, delay) in (0..).zip(&delays) {
            machine.schedule(label, start + delay);
        }
        let mut ran = 0;
        let mut turns = 0;
        while ran < delays.len() {
            machine.turn()?;
            turns += 1;
            let now = machine.now();
            for timer in &machine.ran {
                let Ran::Timer(label) = *timer else { panic!("{timer:?}") };
                let late = now - (start + delays[label as usize]);
                // Whole nanoseconds on the clock, and as many digits as a float has.
                prop_assert!((-1e-9..3e-9).contains(&late), "late by {late} s");
            }
            ran += machine.ran.len();
        }
        prop_assert!(turns <= delays.len(), "{turns} turns for {} deadlines", delays.len());
    }
}

#[test]
fn a_park_ends_when_something_arrives() -> io::Result<()> {
    let mut machine = Machine::new(1, 1)?;
    machine.schedule(0, machine.now() + 1.0);
    machine.connections[0].peer.send_after(Duration::from_millis(300), b"x");
    let began = machine.net.now();
    machine.turn()?;
    assert_eq!(machine.ran, [Ran::Io(0)]);
    assert_eq!(machine.net.now() - began, Duration::from_millis(300));
    machine.turn()?;
    assert_eq!(machine.ran, [Ran::Timer(0)]);
    let late = machine.net.now() - began - Duration::from_secs(1);
    assert!(late <= Duration::from_nanos(1), "a float's rounding apart, not {late:?}");
    Ok(())
}

#[test]
fn a_park_is_never_longer_than_a_day() -> io::Result<()> {
    let mut machine = Machine::new(1, 0)?;
    for when in [f64::INFINITY, 1e300, machine.now() + 1e9] {
        machine.schedule(0, when);
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(machine.turn()?, Some(Plan::Block(Some(day))));
        assert_eq!(machine.ran, []);
    }
    Ok(())
}

#[test]
fn deadlines_that_are_no_times_are_due_at_once() -> io::Result<()> {
    let mut machine = Machine::new(1, 0)?;
    let began = machine.net.now();
    for (label, when) in (0..).zip([0.0, f64::NAN, f64::NEG_INFINITY, -f64::NAN, -0.0]) {
        machine.schedule(label, when);
    }
    machine.turn()?;
    assert_eq!(machine.ran, [1, 2, 3, 0, 4].map(Ran::Timer));
    assert_eq!(machine.net.now(), began);
    Ok(())
}

#[test]
fn a_clock_that_is_no_number_makes_everything_due() -> io::Result<()> {
    let mut machine = Machine::new(1, 0)?;
    machine.schedule(0, machine.now() + 1000.0);
    assert_eq!(machine.engine.plan(f64::NAN, false), Plan::Poll);
    assert_eq!(machine.engine.begin_turn(f64::NAN), 1);
    Ok(())
}

#[test]
fn a_due_timer_needs_no_park() -> io::Result<()> {
    let mut machine = Machine::new(1, 0)?;
    machine.schedule(0, machine.now());
    assert_eq!(machine.turn()?, Some(Plan::Poll));
    assert_eq!(machine.ran, [Ran::Timer(0)]);
    machine.schedule(1, machine.now());
    assert_eq!(machine.turn()?, Some(Plan::Run), "the kernel was asked a moment ago");
    assert_eq!(machine.ran, [Ran::Timer(1)]);
    Ok(())
}

#[test]
fn a_run_of_one_turn_asks_and_does_not_block() -> io::Result<()> {
    let mut machine = Machine::new(1, 1)?;
    machine.schedule(0, machine.now() + 1.0);
    for _ in 0..3 {
        machine.connections[0].peer.send(b"x")?;
        let (plan, count) = machine.begin_stopped()?;
        assert_eq!((plan, count), (Plan::Poll, 1));
        machine.run_next();
        assert_eq!(machine.ran, [Ran::Io(0)]);
    }
    Ok(())
}

/// Turns with work to do until something that arrives is seen; `busy` says what happens in a turn.
fn turns_until_seen(
    machine: &mut Machine,
    mut busy: impl FnMut(&mut Machine) -> io::Result<()>,
) -> io::Result<u32> {
    machine.connections[0].peer.send(b"x")?;
    for turns in 1.. {
        machine.engine.push(|| Entry::Named(0));
        busy(machine)?;
        machine.turn()?;
        if machine.ran.contains(&Ran::Io(0)) {
            return Ok(turns);
        }
    }
    unreachable!("turns without end")
}

/// A loop that has done nothing but turn, so often and in no time.
fn spinning(turns: u32) -> io::Result<Machine> {
    let mut machine = Machine::new(1, 2)?;
    for _ in 0..turns {
        machine.engine.push(|| Entry::Named(0));
        machine.turn()?;
    }
    Ok(machine)
}

#[test]
fn at_first_every_turn_asks_the_kernel() -> io::Result<()> {
    for turns in 0..EAGER_TURNS {
        assert_eq!(turns_until_seen(&mut spinning(turns)?, |_| Ok(()))?, 1, "after {turns} turns");
    }
    Ok(())
}

#[test]
fn then_only_some_do() -> io::Result<()> {
    for turns in [EAGER_TURNS, 20, 50, 100, 333, 1000] {
        let waited = turns_until_seen(&mut spinning(turns)?, |_| Ok(()))?;
        assert!(waited <= 1 + (turns + waited) / EAGER_TURNS, "{waited} turns after {turns}");
    }
    let mut polls = 0;
    let mut machine = Machine::new(1, 1)?;
    for _ in 0..10_000 {
        machine.engine.push(|| Entry::Named(0));
        polls += u32::from(machine.turn()? == Some(Plan::Poll));
    }
    assert!(polls < 10 * EAGER_TURNS, "{polls} looks at the kernel in turns that take no time");
    Ok(())
}

#[test]
fn what_happens_to_a_descriptor_makes_it_worth_asking() -> io::Result<()> {
    let restart = |machine: &mut Machine| machine.restart(1);
    let write = |machine: &mut Machine| {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&machine.connections[1].fd);
        machine.engine.driver.send(fd, b"x").map(drop)
    };
    let arrive = |machine: &mut Machine| machine.connections[1].peer.send(b"x").map(drop);
    assert_eq!(turns_until_seen(&mut spinning(1000)?, restart)?, 1);
    assert_eq!(turns_until_seen(&mut spinning(1000)?, write)?, 1);
    // The kernel reports everything at once.
    let mut machine = spinning(1000)?;
    turns_until_seen(&mut machine, arrive)?;
    assert_eq!(turns_until_seen(&mut machine, |_| Ok(()))?, 1);
    Ok(())
}

#[test]
fn without_descriptors_the_kernel_is_left_alone() -> io::Result<()> {
    let mut machine = Machine::new(1, 0)?;
    machine.engine.push(|| Entry::Named(1));
    assert_eq!(machine.turn()?, Some(Plan::Poll));
    for _ in 0..10 {
        machine.engine.push(|| Entry::Named(1));
        assert_eq!(machine.turn()?, None);
    }
    Ok(())
}

#[test]
fn the_first_turn_after_a_rest_asks_the_kernel() -> io::Result<()> {
    let mut machine = spinning(1000)?;
    for _ in 0..2 {
        machine.engine.end_busy_period();
        assert_eq!(turns_until_seen(&mut machine, |_| Ok(()))?, 1);
    }
    Ok(())
}
