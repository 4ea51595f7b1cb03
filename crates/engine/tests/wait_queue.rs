//! The wait queue against a plain list, at random; the memory that a crowd leaves behind; and, on top of it,
//! what locks and semaphores make of it: under random cancellations nobody is forgotten, and who came first
//! is served first.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use proptest::prelude::*;
use proptest::sample::Index;
use yibu_engine::{Ticket, WaitQueue};

#[derive(Clone, Debug)]
enum Act {
    Push(usize),
    Pop(usize),
    /// Removes some, by tickets of those who wait and of those who have left.
    Remove(Vec<Index>),
    /// Removes so many of those at the back.
    RemoveLast(usize),
    Take,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1..100_usize).prop_map(Act::Push),
        3 => (1..50_usize).prop_map(Act::Pop),
        6 => prop::collection::vec(any::<Index>(), 1..100).prop_map(Act::Remove),
        2 => (1..100_usize).prop_map(Act::RemoveLast),
        1 => Just(Act::Take),
    ]
}

/// The queue, and beside it a list of those who wait. A waiter is the number of its arrival.
#[derive(Default)]
struct Modelled {
    queue: WaitQueue<usize>,
    waiting: VecDeque<usize>,
    tickets: Vec<Ticket>,
}

impl Modelled {
    fn remove(&mut self, waiter: usize) {
        let at = self.waiting.iter().position(|other| *other == waiter);
        let expected = at.and_then(|at| self.waiting.remove(at));
        assert_eq!(self.queue.remove(self.tickets[waiter]), expected);
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Push(count) => {
                for _ in 0..*count {
                    let waiter = self.tickets.len();
                    self.tickets.push(self.queue.push(waiter));
                    self.waiting.push_back(waiter);
                }
            }
            Act::Pop(count) => {
                for _ in 0..*count {
                    assert_eq!(self.queue.pop(), self.waiting.pop_front());
                }
            }
            Act::Remove(choices) => {
                let all = self.tickets.len();
                for choice in choices.iter().filter(|_| all > 0) {
                    self.remove(choice.index(all));
                }
            }
            Act::RemoveLast(count) => {
                for _ in 0..*count {
                    let Some(last) = self.waiting.back() else { break };
                    self.remove(*last);
                }
            }
            Act::Take => assert!(self.queue.take().into_iter().eq(self.waiting.drain(..))),
        }
        self.check();
    }

    fn check(&self) {
        assert!(self.queue.iter().eq(&self.waiting));
        assert_eq!(self.queue.front(), self.waiting.front());
        assert_eq!(self.queue.len(), self.waiting.len());
        assert_eq!(self.queue.is_empty(), self.waiting.is_empty());
        if let Some(ticket) = self.tickets.get(self.tickets.len() / 2) {
            let behind = self.waiting.iter().filter(|waiter| self.tickets[**waiter] >= *ticket);
            let behind = behind.map(|waiter| (self.tickets[*waiter], waiter));
            assert!(self.queue.iter_from(*ticket).eq(behind));
        }
    }
}

proptest! {
    #[test]
    fn the_queue_is_a_list(acts in prop::collection::vec(act(), 1..60)) {
        let mut modelled = Modelled::default();
        for act in &acts {
            modelled.act(act);
        }
        prop_assert!(modelled.tickets.is_sorted_by(|one, other| one < other), "a ticket was given out twice");
    }
}

const MILLION: usize = 1_000_000;

/// Enough for the places that may stay and as many again, and little beside a million.
const LITTLE: usize = 512;

fn a_million() -> (WaitQueue<usize>, Vec<Ticket>) {
    let mut queue = WaitQueue::default();
    let tickets = (0..MILLION).map(|waiter| queue.push(waiter)).collect();
    assert!(queue.capacity() >= MILLION);
    (queue, tickets)
}

#[test]
fn a_million_served_waiters_leave_nothing_behind() {
    let (mut queue, _) = a_million();
    assert!(std::iter::from_fn(|| queue.pop()).eq(0..MILLION));
    assert!(queue.is_empty() && queue.capacity() <= LITTLE);
}

#[test]
fn a_million_waiters_that_give_up_leave_nothing_behind() {
    // In an order in which neither end is near.
    let (mut queue, tickets) = a_million();
    for step in 0..MILLION {
        let waiter = (step * 7_368_787 + MILLION / 2) % MILLION;
        assert_eq!(queue.remove(tickets[waiter]), Some(waiter));
    }
    assert!(queue.is_empty() && queue.capacity() <= LITTLE);
}

#[test]
fn those_who_come_and_go_behind_a_patient_one_leave_nothing_behind() {
    let mut queue = WaitQueue::default();
    queue.push(0);
    // Always one at the back, so that the one before it leaves from the middle.
    let mut last = queue.push(1);
    for waiter in 2..MILLION {
        let next = queue.push(waiter);
        assert_eq!(queue.remove(last), Some(waiter - 1));
        last = next;
        assert!(queue.capacity() <= LITTLE);
    }
    assert!(queue.iter().copied().eq([0, MILLION - 1]));
}

/// What a waiter's future is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Future {
    Pending,
    Woken,
    Cancelled,
}

type Waiter = Rc<Cell<Future>>;

/// A task that wants one unit, once.
struct Task {
    waiter: Waiter,
    ticket: Ticket,
    /// Cancelled while its waiter was woken already.
    cancelled_late: bool,
}

/// `units` of something, handed over as asyncio's Semaphore does it; with one unit and without
/// [`Units::counts`], as its Lock.
///
/// Waking makes a task ready, not running: what happens in between is what goes wrong in such protocols.
struct Units {
    /// A semaphore takes the unit off when it wakes; a lock only when the woken one runs.
    counts: bool,
    free: usize,
    queue: WaitQueue<Waiter>,
    waiting: VecDeque<(usize, Task)>,
    /// Tasks to run, in the order in which they were woken.
    ready: VecDeque<usize>,
    holders: Vec<usize>,
    arrived: usize,
    /// Who got a unit, in this order.
    served: Vec<usize>,
}

impl Units {
    fn new(units: usize, counts: bool) -> Self {
        Self {
            counts,
            free: units,
            queue: WaitQueue::default(),
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            holders: Vec::new(),
            arrived: 0,
            served: Vec::new(),
        }
    }

    fn acquire(&mut self) {
        let task = self.arrived;
        self.arrived += 1;
        if self.free > 0 && self.queue.iter().all(|waiter| waiter.get() == Future::Cancelled) {
            self.take(task);
            self.free -= 1;
            return;
        }
        let waiter = Rc::new(Cell::new(Future::Pending));
        let ticket = self.queue.push(Rc::clone(&waiter));
        self.waiting.push_back((task, Task { waiter, ticket, cancelled_late: false }));
    }

    fn take(&mut self, task: usize) {
        self.holders.push(task);
        self.served.push(task);
    }

    fn release(&mut self, holder: usize) {
        self.holders.swap_remove(holder);
        self.free += 1;
        self.wake();
    }

    /// A lock wakes the first in the queue, a semaphore the first who was not woken.
    fn wake(&mut self) -> bool {
        let pending = |waiter: &&Waiter| waiter.get() == Future::Pending;
        let next =
            if self.counts { self.queue.iter().find(pending) } else { self.queue.front().filter(pending) };
        let Some(waiter) = next.map(Rc::clone) else { return false };
        waiter.set(Future::Woken);
        if self.counts {
            self.free -= 1;
        }
        self.make_ready(&waiter);
        true
    }

    fn make_ready(&mut self, waiter: &Waiter) {
        let owner = self.waiting.iter().find(|(_, task)| Rc::ptr_eq(&task.waiter, waiter));
        self.ready.extend(owner.map(|(number, _)| *number));
    }

    /// `Task.cancel()` of one who waits.
    fn cancel(&mut self, at: usize) {
        let task = &mut self.waiting[at].1;
        match task.waiter.get() {
            Future::Pending => {
                task.waiter.set(Future::Cancelled);
                let waiter = Rc::clone(&task.waiter);
                self.make_ready(&waiter);
            }
            Future::Woken => task.cancelled_late = true,
            Future::Cancelled => {}
        }
    }

    /// Runs the next ready task: the second half of `acquire()`.
    fn run(&mut self) -> bool {
        let Some(number) = self.ready.pop_front() else { return false };
        let at = self.waiting.iter().position(|(other, _)| *other == number);
        let (_, task) = at.and_then(|at| self.waiting.remove(at)).expect("a ready task waits");
        assert!(self.queue.remove(task.ticket).is_some(), "its waiter was in the queue");
        let gives_up = task.cancelled_late || task.waiter.get() == Future::Cancelled;
        if !gives_up {
            self.take(number);
        }
        if self.counts {
            if gives_up && task.waiter.get() == Future::Woken {
                self.free += 1;
            }
            while self.free > 0 && self.wake() {}
        } else if gives_up {
            if self.free > 0 {
                self.wake();
            }
        } else {
            self.free = self.free.checked_sub(1).expect("the lock is free for whom it woke");
        }
        true
    }
}

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Release(Index),
    Cancel(Index),
    Run,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Acquire),
        3 => any::<Index>().prop_map(Step::Release),
        2 => any::<Index>().prop_map(Step::Cancel),
        4 => Just(Step::Run),
    ]
}

/// Lets everything happen, and holds it to what a lock promises.
fn hand_over(mut units: Units, steps: &[Step]) {
    let most = units.free;
    for step in steps {
        match step {
            Step::Acquire => units.acquire(),
            Step::Release(_) if units.holders.is_empty() => {}
            Step::Release(choice) => units.release(choice.index(units.holders.len())),
            Step::Cancel(_) if units.waiting.is_empty() => {}
            Step::Cancel(choice) => units.cancel(choice.index(units.waiting.len())),
            Step::Run => {
                units.run();
            }
        }
        assert!(units.holders.len() <= most, "more holders than units");
        if units.ready.is_empty() {
            assert!(units.free == 0 || units.queue.is_empty(), "somebody waits for what is free");
        }
    }
    assert!(units.served.is_sorted(), "somebody was overtaken");
    // Whoever still waits is served when everybody else gives back.
    loop {
        while units.run() {}
        if units.holders.is_empty() {
            break;
        }
        units.release(0);
    }
    assert!(units.waiting.is_empty() && units.queue.is_empty(), "somebody was forgotten");
    assert_eq!(units.free, most, "a unit was lost");
    assert!(units.served.is_sorted(), "somebody was overtaken");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_lock_forgets_nobody(steps in prop::collection::vec(step(), 1..120)) {
        hand_over(Units::new(1, false), &steps);
    }

    #[test]
    fn a_semaphore_forgets_nobody(count in 1..5_usize, steps in prop::collection::vec(step(), 1..120)) {
        hand_over(Units::new(count, true), &steps);
    }
}
