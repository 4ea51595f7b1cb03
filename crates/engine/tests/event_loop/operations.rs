//! Operations and their owners, and that a loop lets go of everything that was put into it.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use yibu_engine::{Interest, Op};

use crate::machine::{Entry, Machine, Ran};

#[test]
fn a_cancelled_operation_gives_its_owner_back() -> io::Result<()> {
    let mut machine = Machine::new(1, 1)?;
    let (op, owner) = (machine.connections[0].op, Rc::clone(&machine.connections[0].owner));
    assert!(machine.engine.owner(op).is_some_and(|held| Rc::ptr_eq(held, &owner)));
    let back = machine.engine.cancel(op).expect("it was under way");
    assert!(Rc::ptr_eq(&back, &owner));
    assert!(machine.engine.cancel(op).is_none() && machine.engine.owner(op).is_none());
    assert!(machine.engine.finish(op, |_| ()).is_none());
    Ok(())
}

#[test]
fn a_refused_operation_gives_its_owner_back() -> io::Result<()> {
    let mut machine = Machine::new(1, 1)?;
    let owner = Rc::new(7);
    let second = Op::Recv { fd: machine.connections[0].fd.as_raw_fd() };
    let (error, back) = machine.engine.submit(second, Rc::clone(&owner)).expect_err("one a side");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(Rc::ptr_eq(&back, &owner));
    Ok(())
}

#[test]
fn a_report_does_not_reach_the_next_owner_of_its_slot() -> io::Result<()> {
    let mut machine = Machine::new(1, 1)?;
    machine.connections[0].peer.send(b"x")?;
    let (_plan, count) = machine.begin_stopped()?;
    assert_eq!(count, 1);
    let stale = machine.connections[0].op;
    let first = machine.engine.cancel(stale).expect("it was under way");
    let (fd, _peer) = machine.net.stream()?;
    let writable = Op::Poll { fd: fd.as_raw_fd(), interest: Interest::Write };
    let next = machine.engine.submit(writable, Rc::new(7)).map_err(|(error, _)| error)?;
    assert_eq!(next.index(), stale.index());
    machine.run_next();
    assert_eq!(machine.ran, []);
    assert_eq!(Rc::strong_count(&first), 2);
    assert!(machine.engine.cancel(stale).is_none(), "nor does cancelling the old one");
    assert_eq!(machine.engine.owner(next).map(|owner| **owner), Some(7));
    Ok(())
}

/// One of each that a loop can hold; how many references to each there are.
fn full() -> io::Result<(Machine, impl Fn(&Machine) -> [usize; 2])> {
    let mut machine = Machine::new(1, 1)?;
    machine.engine.push(|| Entry::Named(1));
    machine.engine.inbox().post(2);
    let alarm = machine.schedule(3, machine.now() + 1.0);
    let count = move |machine: &Machine| {
        [Rc::strong_count(&alarm.0) - 1, Rc::strong_count(&machine.connections[0].owner) - 1]
    };
    Ok((machine, count))
}

#[test]
fn inspection_shows_everything() -> io::Result<()> {
    let (machine, _count) = full()?;
    let (mut entries, mut alarms, mut owners) = (0, Vec::new(), Vec::new());
    machine.engine.inspect(
        |entry| entries += usize::from(matches!(entry, Entry::Named(1))),
        |alarm| alarms.push(alarm.0.label),
        |owner| owners.push(**owner),
    );
    assert_eq!((entries, alarms, owners), (1, vec![3], vec![0]));
    Ok(())
}

#[test]
fn clearing_keeps_operations_and_nothing_else() -> io::Result<()> {
    let (mut machine, count) = full()?;
    let content = machine.engine.clear();
    assert_eq!(count(&machine), [1, 1], "the content is handed out, to be dropped by the caller");
    drop(content);
    assert_eq!(count(&machine), [0, 1]);
    machine.connections[0].peer.send(b"x")?;
    machine.turn()?;
    assert_eq!(machine.ran, [Ran::Io(0)]);
    Ok(())
}

#[test]
fn closing_lets_go_of_everything() -> io::Result<()> {
    let (mut machine, count) = full()?;
    let content = machine.engine.close();
    assert_eq!(count(&machine), [1, 1]);
    drop(content);
    assert_eq!(count(&machine), [0, 0]);
    machine.engine.inbox().post(4);
    assert!(machine.engine.cancel(machine.connections[0].op).is_none());
    Ok(())
}
