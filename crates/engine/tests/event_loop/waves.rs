//! How long a loop on the real clock waits for timers: exactly for few, once for many. No test waits.

use std::time::Duration;

use yibu_engine::{Driver, EventLoop, Plan};

use crate::machine::{Alarm, Embedder};

const MICROSECOND: f64 = 1e-6;
const SLACK: f64 = 250e-6;

/// A loop with timers due at these microseconds.
fn with_timers(microseconds: impl IntoIterator<Item = u32>) -> (EventLoop<Embedder>, Vec<Alarm>) {
    let mut engine = EventLoop::new(Driver::epoll());
    let mut alarms = Vec::new();
    for each in microseconds {
        let alarm = Alarm::new(each, f64::from(each) * MICROSECOND);
        engine.schedule(alarm.0.when, alarm.clone());
        alarms.push(alarm);
    }
    (engine, alarms)
}

/// Runs the timers that are due at so many microseconds; how many there were.
fn run(engine: &mut EventLoop<Embedder>, microseconds: u32) -> usize {
    let count = engine.begin_turn(f64::from(microseconds) * MICROSECOND);
    (0..count).filter_map(|_| engine.ready.pop()).count()
}

/// For how many microseconds the loop would wait now; `None` if it would not.
fn wait(engine: &mut EventLoop<Embedder>, microseconds: u32) -> Option<f64> {
    match engine.plan(f64::from(microseconds) * MICROSECOND, false) {
        Plan::Block(Some(duration)) => Some((duration.as_secs_f64() / MICROSECOND).round()),
        Plan::Block(None) => panic!("there are timers"),
        Plan::Run | Plan::Poll => None,
    }
}

#[test]
fn the_slack_is_that_of_the_driver() {
    assert_eq!(Driver::epoll().timer_slack(), SLACK);
    assert_eq!(Driver::sim(1).0.timer_slack(), 0.0);
}

#[test]
fn the_first_of_many_is_waited_for_exactly() {
    let (mut engine, _) = with_timers(1000..2000);
    assert_eq!(wait(&mut engine, 900), Some(100.0));
}

#[test]
fn many_are_waited_for_once() {
    let (mut engine, _) = with_timers((1000..2000).step_by(20));
    assert_eq!(run(&mut engine, 1000), 1);
    assert_eq!(wait(&mut engine, 1001), Some(249.0));
    // The kernel reported something meanwhile: what is due runs, and the wave does not get longer.
    assert_eq!(run(&mut engine, 1060), 3);
    assert_eq!(wait(&mut engine, 1061), Some(189.0));
    // The next wave begins when this one is over.
    assert_eq!(run(&mut engine, 1250), 9);
    assert_eq!(wait(&mut engine, 1251), Some(249.0));
}

#[test]
fn many_that_are_nearer_than_a_wait_is_worth_are_waited_for() {
    let (mut engine, _) = with_timers(1000..2000);
    assert_eq!(run(&mut engine, 1000), 1);
    assert_eq!(wait(&mut engine, 1000), Some(250.0));
}

#[test]
fn what_is_due_does_not_wait() {
    let (mut engine, _) = with_timers(1000..2000);
    assert_eq!(run(&mut engine, 1000), 1);
    assert_eq!(wait(&mut engine, 1002), None);
}

#[test]
fn few_are_waited_for_exactly() {
    let (mut engine, _) = with_timers([1000, 1100, 1110, 1120, 1130, 1140, 1150, 1160]);
    assert_eq!(run(&mut engine, 1000), 1);
    assert_eq!(wait(&mut engine, 1010), Some(90.0));
}

#[test]
fn cancelled_ones_are_not_waited_for() {
    let (mut engine, alarms) = with_timers([1000, 1100, 1110, 1120, 1130, 1140, 1150, 1160, 1170]);
    alarms[4].cancel();
    assert_eq!(run(&mut engine, 1000), 1);
    assert_eq!(wait(&mut engine, 1010), Some(90.0));
}

#[test]
fn what_is_due_after_the_wave_is_waited_for_exactly() {
    let (mut engine, _) = with_timers((1000..1001).chain(1300..1400));
    assert_eq!(run(&mut engine, 1000), 1);
    assert_eq!(wait(&mut engine, 1010), Some(290.0));
}

#[test]
fn a_clock_that_is_set_back_ends_the_wave() {
    let (mut engine, _) = with_timers((500..1000).step_by(20));
    assert_eq!(run(&mut engine, 800), 16);
    assert_eq!(engine.plan(500.0 * MICROSECOND, false), Plan::Block(Some(Duration::from_micros(320))));
}
