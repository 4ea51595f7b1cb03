//! The heap of timers against a sorted list, at random; what cancelling releases; the memory that is left
//! behind.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use proptest::prelude::*;
use yibu_engine::Cancelled;
use yibu_engine::timers::{Timer, Timers};

#[derive(Clone, Debug)]
struct Alarm(Rc<(usize, Cell<bool>)>);

impl Alarm {
    fn new(number: usize) -> Self {
        Self(Rc::new((number, Cell::new(false))))
    }

    fn number(&self) -> usize {
        self.0.0
    }
}

impl Timer for Alarm {
    fn cancelled(&self) -> bool {
        self.0.1.get()
    }
}

/// Cancels a timer that is in the heap; what was released.
fn cancel(timers: &mut Timers<Alarm>, alarm: &Alarm) -> Vec<Alarm> {
    alarm.0.1.set(true);
    match timers.note_cancelled() {
        Cancelled::Nothing => Vec::new(),
        Cancelled::One(alarm) => vec![alarm],
        Cancelled::Many(alarms) => alarms,
    }
}

fn push_many(timers: &mut Timers<Alarm>, deadlines: impl IntoIterator<Item = f64>) -> Vec<Alarm> {
    let push = |(number, when)| {
        let alarm = Alarm::new(number);
        timers.push(when, alarm.clone());
        alarm
    };
    deadlines.into_iter().enumerate().map(push).collect()
}

#[derive(Clone, Debug)]
enum Act {
    Push(Vec<f64>),
    /// Cancels some of the living, counted from the one that was added last.
    Cancel(Vec<prop::sample::Index>),
    CancelLast,
    /// Takes what is due.
    Pass(f64),
    DropCancelled,
}

fn act() -> impl Strategy<Value = Act> {
    // Few different ones, so that ties are common.
    let deadline = || {
        prop_oneof![
            20 => (0..40_i32).prop_map(f64::from),
            10 => 0.0..40.0_f64,
            1 => prop::sample::select(vec![f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]),
        ]
    };
    prop_oneof![
        4 => prop::collection::vec(deadline(), 1..60).prop_map(Act::Push),
        3 => prop::collection::vec(any::<prop::sample::Index>(), 1..60).prop_map(Act::Cancel),
        1 => Just(Act::CancelLast),
        1 => deadline().prop_map(Act::Pass),
        1 => Just(Act::DropCancelled),
    ]
}

/// The heap, and beside it a list of the living in the order in which they have to come.
#[derive(Default)]
struct Modelled {
    timers: Timers<Alarm>,
    living: Vec<(f64, Alarm)>,
    /// In the heap or, by right, released already.
    cancelled: BTreeSet<usize>,
    made: usize,
}

impl Modelled {
    fn push(&mut self, when: f64) {
        let alarm = Alarm::new(self.made);
        self.made += 1;
        self.timers.push(when, alarm.clone());
        let key = if when.is_nan() { f64::NEG_INFINITY } else { when };
        let at = self.living.partition_point(|(other, _)| *other <= key);
        self.living.insert(at, (key, alarm));
    }

    fn cancel(&mut self, at: usize) {
        let (_, alarm) = self.living.remove(at);
        self.cancelled.insert(alarm.number());
        for released in cancel(&mut self.timers, &alarm) {
            self.release(&released);
        }
        self.check_size();
    }

    /// Unless they are few, no more than half are cancelled.
    fn check_size(&self) {
        let most = (self.living.len() * 2).max(64);
        assert!(self.timers.len() <= most, "{} for {}", self.timers.len(), self.living.len());
    }

    /// A cancelled timer leaves the heap once.
    fn release(&mut self, alarm: &Alarm) {
        assert!(self.cancelled.remove(&alarm.number()), "{} was not cancelled or came twice", alarm.number());
    }

    fn pass(&mut self, end: f64) {
        let mut due = Vec::new();
        self.timers.each_due(end, |when| due.push(when));
        due.sort_by(f64::total_cmp);
        let expected = self.living.iter().map(|(when, _)| *when).take_while(|when| *when <= end);
        assert!(due.iter().copied().eq(expected));
        assert!(!self.timers.has_due(end, due.len() + 1));
        // It gives up where it has looked at three cancelled ones for each living one.
        if self.timers.cancelled_count() <= due.len() * 3 {
            assert!(self.timers.has_due(end, due.len()));
        }
        while let Some(alarm) = self.timers.pop_due(end) {
            if alarm.cancelled() {
                self.release(&alarm);
            } else {
                let (when, expected) = self.living.remove(0);
                assert_eq!(alarm.number(), expected.number());
                assert!(when < end || end.is_nan());
            }
        }
        assert!(self.living.first().is_none_or(|(when, _)| *when >= end), "not everything came");
    }

    fn drop_cancelled(&mut self) {
        while let Some(alarm) = self.timers.pop_cancelled() {
            self.release(&alarm);
        }
        assert_eq!(self.timers.next_deadline(), self.living.first().map(|(when, _)| *when));
        self.check_size();
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Push(deadlines) => deadlines.iter().for_each(|when| self.push(*when)),
            Act::Cancel(choices) => {
                for choice in choices.iter().take(self.living.len()) {
                    self.cancel(choice.index(self.living.len()));
                }
            }
            Act::CancelLast => {
                if let Some(at) = (0..self.living.len()).max_by_key(|at| self.living[*at].1.number()) {
                    self.cancel(at);
                }
            }
            Act::Pass(end) => self.pass(*end),
            Act::DropCancelled => self.drop_cancelled(),
        }
        assert_eq!(self.timers.len(), self.living.len() + self.cancelled.len());
        assert_eq!(self.timers.is_empty(), self.living.is_empty() && self.cancelled.is_empty());
    }
}

proptest! {
    #[test]
    fn the_heap_is_a_sorted_list(acts in prop::collection::vec(act(), 1..60)) {
        let mut modelled = Modelled::default();
        for act in &acts {
            modelled.act(act);
        }
        let inside: BTreeSet<usize> = modelled.timers.iter().map(Alarm::number).collect();
        prop_assert_eq!(inside.len(), modelled.timers.len());
        modelled.pass(f64::NAN);
        prop_assert!(modelled.timers.is_empty() && modelled.cancelled.is_empty());
    }
}

#[test]
fn ties_come_in_the_order_of_adding() {
    let mut timers = Timers::default();
    push_many(&mut timers, std::iter::repeat_n(1.0, 1000));
    let order: Vec<usize> = std::iter::from_fn(|| timers.pop_due(2.0)).map(|alarm| alarm.number()).collect();
    assert!(order.iter().copied().eq(0..1000));
}

#[test]
fn a_deadline_that_is_no_number_delays_no_other() {
    let mut timers = Timers::default();
    push_many(&mut timers, [3.0, f64::NAN, 2.0, f64::NAN, 1.0, f64::NAN, 0.5]);
    let order: Vec<usize> = std::iter::from_fn(|| timers.pop_due(10.0)).map(|alarm| alarm.number()).collect();
    assert_eq!(order, [1, 3, 5, 6, 4, 2, 0]);
}

#[test]
fn infinity_is_never_due() {
    let mut timers = Timers::default();
    push_many(&mut timers, [f64::INFINITY, 1.0]);
    assert!(timers.pop_due(f64::INFINITY).is_some_and(|alarm| alarm.number() == 1));
    assert!(timers.pop_due(f64::INFINITY).is_none());
    assert_eq!(timers.next_deadline(), Some(f64::INFINITY));
}

#[test]
fn a_deadline_is_not_before_itself() {
    let mut timers = Timers::default();
    push_many(&mut timers, [1.0]);
    assert!(timers.pop_due(1.0).is_none());
    assert!(timers.pop_due(1.0_f64.next_up()).is_some());
}

#[test]
fn the_last_leaf_goes_at_once() {
    let mut timers = Timers::default();
    push_many(&mut timers, [1.0, 2.0, 3.0]);
    for _ in 0..10 {
        let limit = Alarm::new(9);
        timers.push(10.0, limit.clone());
        let released = cancel(&mut timers, &limit);
        assert!(matches!(&released[..], [alarm] if alarm.number() == 9));
        assert_eq!(timers.len(), 3);
    }
}

#[test]
fn the_cancelled_go_when_they_are_the_most() {
    let mut timers = Timers::default();
    let alarms = push_many(&mut timers, (0..1000).map(f64::from));
    let released: Vec<usize> = alarms[..501].iter().map(|alarm| cancel(&mut timers, alarm).len()).collect();
    assert!(released[..500].iter().all(|n| *n == 0));
    assert_eq!((released[500], timers.len()), (501, 499));
    let order = std::iter::from_fn(|| timers.pop_due(1e9)).map(|alarm| alarm.number());
    assert!(order.eq(501..1000));
}

/// Deadlines in no order, many of them the same, a zero of either sign among them.
fn disorder(number: usize) -> f64 {
    let when = (number * 7919 % 10_007) as f64 - 5000.0;
    if number.is_multiple_of(2) && when == 0.0 { -0.0 } else { when }
}

/// Takes so many, and says whether each was the first of the expected ones.
fn take_expected(timers: &mut Timers<Alarm>, expected: &mut Vec<(f64, usize)>, count: usize) -> bool {
    expected.sort_by(|a, b| b.partial_cmp(a).expect("no deadline is not a number"));
    (0..count).all(|_| {
        let taken = timers.pop_due(1e9).map(|alarm| alarm.number());
        taken == expected.pop().map(|(_, number)| number)
    })
}

#[test]
fn a_large_heap_that_is_drained_keeps_its_order() {
    const COUNT: usize = 40_000;
    let mut timers = Timers::default();
    let mut expected = Vec::new();
    let push = |timers: &mut Timers<Alarm>, expected: &mut Vec<_>, numbers: std::ops::Range<usize>| {
        for number in numbers {
            timers.push(disorder(number), Alarm::new(number));
            expected.push((disorder(number), number));
        }
    };
    push(&mut timers, &mut expected, 0..COUNT);
    assert!(take_expected(&mut timers, &mut expected, COUNT / 4));
    // The others stand in the line. Some are added, and a second large heap is drained into the line that
    // still has some.
    push(&mut timers, &mut expected, COUNT..COUNT * 2);
    assert!(take_expected(&mut timers, &mut expected, COUNT));
    push(&mut timers, &mut expected, COUNT * 2..COUNT * 2 + 100);
    let all = expected.len();
    assert!(take_expected(&mut timers, &mut expected, all));
    assert!(timers.is_empty() && timers.capacity() <= LITTLE);
}

const MILLION: usize = 1_000_000;

/// Enough for the timers that may stay and as many again, and little beside a million.
const LITTLE: usize = 4096;

fn a_million() -> (Timers<Alarm>, Vec<Alarm>) {
    let mut timers = Timers::default();
    let alarms = push_many(&mut timers, (0..MILLION).map(|number| number as f64));
    assert!(timers.capacity() >= MILLION);
    (timers, alarms)
}

#[test]
fn a_million_cancelled_timers_leave_nothing_behind() {
    let (mut timers, alarms) = a_million();
    for alarm in &alarms {
        cancel(&mut timers, alarm);
    }
    assert!(timers.len() <= 64 && timers.capacity() <= LITTLE);
    let kept = alarms.iter().filter(|alarm| Rc::strong_count(&alarm.0) > 1).count();
    assert_eq!(kept, timers.len());
}

#[test]
fn a_million_timers_cancelled_backwards_leave_nothing_behind() {
    let (mut timers, alarms) = a_million();
    for alarm in alarms.iter().rev() {
        assert_eq!(cancel(&mut timers, alarm).len(), 1);
    }
    assert!(timers.is_empty() && timers.capacity() <= LITTLE);
}

#[test]
fn a_million_timers_that_ran_leave_nothing_behind() {
    let (mut timers, alarms) = a_million();
    let ran = std::iter::from_fn(|| timers.pop_due(1e9)).count();
    assert_eq!(ran, alarms.len());
    assert!(timers.is_empty() && timers.capacity() <= LITTLE);
}

#[test]
fn a_million_cancelled_timers_go_when_the_living_are_done() {
    let (mut timers, alarms) = a_million();
    for alarm in &alarms[MILLION / 2 - 1..MILLION - 1] {
        cancel(&mut timers, alarm);
    }
    assert_eq!(timers.len(), MILLION, "half of them is not most of them");
    assert!(timers.pop_cancelled().is_none());
    assert!(timers.pop_due(1.0).is_some_and(|alarm| alarm.number() == 0));
    let gone = std::iter::from_fn(|| timers.pop_cancelled()).inspect(|alarm| assert!(alarm.cancelled()));
    assert_eq!(gone.count(), MILLION / 2);
    while timers.pop_due(1e9).is_some() {}
    assert!(timers.is_empty() && timers.capacity() <= LITTLE);
}

#[test]
fn taking_all_leaves_an_empty_heap() {
    let mut timers = Timers::default();
    let alarms = push_many(&mut timers, (0..100).map(f64::from));
    cancel(&mut timers, &alarms[0]);
    assert_eq!(timers.take().len(), 100);
    assert!(timers.is_empty() && timers.next_deadline().is_none() && timers.pop_cancelled().is_none());
}
