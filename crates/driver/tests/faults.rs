//! Fault injection before the calls of the real kernel: each fault strikes the calls that it should, and no
//! others.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use yibu_driver::{Faults, Op, Outcome, faults_struck};

#[expect(dead_code, reason = "the obligations need more of it")]
mod rig;
use rig::{Far, Rig};

/// Faults after which everything still arrives.
const GENTLE: Faults = Faults {
    again: 60,
    short_read: 100,
    short_write: 100,
    spurious: 60,
    reset: 0,
    no_buffers: 0,
    no_descriptors: 0,
};

fn with_faults(seed: u64, faults: Faults) -> Rig {
    let mut rig = Rig::epoll();
    rig.driver.set_faults(seed, faults);
    rig
}

/// The drivers of the real kernel, with faults. Their streams are the driver's alone.
fn each_with_faults(seed: u64, faults: Faults) -> impl Iterator<Item = Rig> {
    [Some(Rig::epoll()), Rig::io_uring()].into_iter().flatten().map(move |mut rig| {
        rig.driver.set_faults(seed, faults);
        rig
    })
}

/// One fault only, always.
fn always(set: impl FnOnce(&mut Faults)) -> Rig {
    let mut faults = Faults::default();
    set(&mut faults);
    with_faults(1, faults)
}

/// What a call did; `None` when it is to be made again.
fn done<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| Errno::from_io_error(&error))
}

fn text() -> Vec<u8> {
    (0..100_000u32).map(|n| (n ^ n >> 8) as u8).collect()
}

/// Carries a text through a driver, by turns in one piece and in three, and gives back what came out.
fn carry(rig: &mut Rig, from: &OwnedFd, to: Op, socket: bool) -> io::Result<Vec<u8>> {
    let (text, fd) = (text(), from.as_raw_fd());
    let (mut sent, mut received, mut pieces) = (0, Vec::new(), false);
    let id = rig.driver.submit(to)?;
    while received.len() < text.len() {
        let rest = &text[sent..];
        let (first, others) = rest.split_at(rest.len().min(10));
        let bufs = [IoSlice::new(first), IoSlice::new(b""), IoSlice::new(others)];
        pieces = !pieces;
        let result = match (socket, pieces) {
            _ if rest.is_empty() => Ok(0),
            (true, true) => rig.driver.send_vectored(fd, &bufs),
            (true, false) => rig.driver.send(fd, rest),
            (false, true) => rig.driver.write_vectored(fd, &bufs),
            (false, false) => rig.driver.write(fd, rest),
        };
        sent += done(result)?.unwrap_or(0);
        for reported in rig.poll()? {
            assert_eq!(reported, id);
            match rig.driver.finish(id) {
                Some(Outcome::Bytes(lease)) => {
                    received.extend(rig.driver.bytes(&lease));
                    rig.driver.recycle(lease);
                }
                other => assert!(matches!(other, Some(Outcome::Again)), "{other:?}"),
            }
        }
    }
    assert!(rig.driver.cancel(id));
    Ok(received)
}

#[test]
fn every_byte_arrives_once_and_in_order() -> io::Result<()> {
    for mut rig in (0..20).flat_map(|seed| each_with_faults(seed, GENTLE)) {
        let kind = rig.driver.kind();
        let (near, Far::Socket(far)) = rig.stream()? else { panic!("a socket expected") };
        far.set_nonblocking(true)?;
        rig.driver.entrust(far.as_raw_fd());
        let op = Op::Recv { fd: far.as_raw_fd() };
        assert!(carry(&mut rig, &near, op, true)? == text(), "{kind}");
        let (reader, writer) = rig.pipe()?;
        assert!(carry(&mut rig, &writer, Op::Read { fd: reader.as_raw_fd() }, false)? == text(), "{kind}");
    }
    Ok(())
}

#[test]
fn receiving_into_the_caller_s_buffer_is_cut_short_too() -> io::Result<()> {
    let mut rig = always(|faults| faults.short_read = 255);
    let (near, mut far) = rig.stream()?;
    far.send(b"ab")?;
    let mut buf = [0; 2];
    assert_eq!(rig.driver.recv_into(near.as_raw_fd(), &mut buf)?, 1);
    assert_eq!(rig.driver.recv(near.as_raw_fd(), 2)?.map(|lease| lease.len()), Some(1));
    let (reader, writer) = rig.pipe()?;
    rig.driver.write(writer.as_raw_fd(), b"ab")?;
    assert_eq!(rig.driver.read_into(reader.as_raw_fd(), &mut buf)?, 1);
    Ok(())
}

#[test]
fn datagrams_arrive_whole() -> io::Result<()> {
    for seed in 0..20 {
        let mut rig = with_faults(seed, GENTLE);
        let (near, far) = rig.datagrams()?;
        let id = rig.driver.submit(Op::RecvFrom { fd: near.as_raw_fd() })?;
        for n in 0..50u8 {
            while done(rig.driver.send_to(far.as_raw_fd(), &[n; 1000], None))?.is_none() {}
            loop {
                if rig.poll()?.is_empty() {
                    continue;
                }
                match rig.driver.finish(id) {
                    Some(Outcome::Datagram(lease, _)) => {
                        assert_eq!(rig.driver.bytes(&lease), [n; 1000]);
                        rig.driver.recycle(lease);
                        break;
                    }
                    other => assert!(matches!(other, Some(Outcome::Again)), "{other:?}"),
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_broken_connection_is_an_error_of_every_call() -> io::Result<()> {
    let mut rig = always(|faults| faults.reset = 255);
    let (near, far) = rig.stream()?;
    let (fd, mut buf) = (near.as_raw_fd(), [0; 1]);
    assert_eq!(errno(rig.driver.recv_into(fd, &mut buf)), Some(Errno::CONNRESET));
    let refusals: Vec<_> = (0..20).map(|_| errno(rig.driver.send(fd, b"x"))).collect();
    assert!([Errno::CONNRESET, Errno::PIPE].iter().all(|error| refusals.contains(&Some(*error))));
    assert!(!refusals.contains(&None));
    assert_eq!(errno(rig.driver.shutdown_write(fd)), Some(Errno::NOTCONN));
    drop(far);
    let (_reader, writer) = rig.pipe()?;
    assert_eq!(errno(rig.driver.write(writer.as_raw_fd(), b"x")), Some(Errno::PIPE));
    let (_near, far) = rig.datagrams()?;
    assert_eq!(errno(rig.driver.send_to(far.as_raw_fd(), b"x", None)), Some(Errno::CONNREFUSED));
    Ok(())
}

#[test]
fn no_buffers_are_an_error_of_every_send() -> io::Result<()> {
    let mut rig = always(|faults| faults.no_buffers = 255);
    let (near, _far) = rig.stream()?;
    let pieces = [IoSlice::new(b"x")];
    assert_eq!(errno(rig.driver.send(near.as_raw_fd(), b"x")), Some(Errno::NOBUFS));
    assert_eq!(errno(rig.driver.send_vectored(near.as_raw_fd(), &pieces)), Some(Errno::NOBUFS));
    let (_near, far) = rig.datagrams()?;
    assert_eq!(errno(rig.driver.send_to(far.as_raw_fd(), b"x", None)), Some(Errno::NOBUFS));
    Ok(())
}

#[test]
fn a_wait_that_was_interrupted_reports_the_next_time() -> io::Result<()> {
    for mut rig in each_with_faults(1, Faults { again: 255, ..Faults::default() }) {
        let (near, mut far) = rig.stream()?;
        let id = rig.driver.submit(Op::Recv { fd: near.as_raw_fd() })?;
        far.send(b"x")?;
        assert_eq!(rig.wait()?, []);
        assert!(matches!(rig.driver.finish(id), Some(Outcome::Again)));
        rig.driver.set_faults(1, Faults::default());
        assert_eq!(rig.wait()?, [id]);
        assert_eq!(rig.receive(id)?, b"x");
    }
    Ok(())
}

#[test]
fn reports_may_lie_except_of_readiness() -> io::Result<()> {
    let mut rig = always(|faults| faults.spurious = 255);
    let (near, _far) = rig.stream()?;
    let id = rig.driver.submit(Op::Recv { fd: near.as_raw_fd() })?;
    assert_eq!(rig.poll()?, [id]);
    assert!(matches!(rig.driver.finish(id), Some(Outcome::Again)));
    assert!(rig.driver.cancel(id));
    rig.driver.submit(Op::Poll { fd: near.as_raw_fd(), interest: yibu_driver::Interest::Read })?;
    assert_eq!(rig.poll()?, []);
    Ok(())
}

#[test]
fn without_descriptors_waits_fail_until_there_are_some() -> io::Result<()> {
    let mut rig = always(|faults| faults.no_descriptors = 255);
    let (near, mut far) = rig.stream()?;
    far.send(b"x")?;
    let recv = Op::Recv { fd: near.as_raw_fd() };
    assert_eq!(errno(rig.driver.waker().map(drop)), Some(Errno::MFILE));
    assert_eq!(errno(rig.driver.begin_wait()), Some(Errno::MFILE));
    assert_eq!(errno(rig.driver.submit(recv)), Some(Errno::MFILE));
    rig.driver.set_faults(1, Faults::default());
    let id = rig.driver.submit(recv)?;
    assert_eq!(rig.wait()?, [id]);
    Ok(())
}

#[test]
fn without_descriptors_an_unreachable_registration_stays_and_nothing_is_lost() -> io::Result<()> {
    let mut rig = Rig::epoll();
    let (closed, mut closed_far) = rig.stream()?;
    let (near, mut far) = rig.stream()?;
    let unreachable = rig.driver.submit(Op::Recv { fd: closed.as_raw_fd() })?;
    let id = rig.driver.submit(Op::Recv { fd: near.as_raw_fd() })?;
    // The kernel keeps the registration as long as the duplicate lives.
    let _duplicate = closed.as_fd().try_clone_to_owned()?;
    drop(closed);
    assert!(rig.driver.cancel(unreachable));
    closed_far.send(b"unread")?;
    far.send(b"x")?;
    rig.driver.set_faults(1, Faults { no_descriptors: 255, ..Faults::default() });
    let (mut ready, mut wait) = (Vec::new(), rig.driver.begin_wait()?);
    wait.block(None)?;
    assert_eq!(errno(rig.driver.end_wait(wait, &mut ready)), Some(Errno::MFILE));
    assert_eq!(ready, [id]);
    rig.driver.set_faults(1, Faults::default());
    assert_eq!(rig.wait()?, [id]);
    assert_eq!(rig.receive(id)?, b"x");
    assert_eq!(rig.poll()?, []);
    Ok(())
}

#[test]
fn every_connection_is_accepted_once() -> io::Result<()> {
    for seed in 0..20 {
        let mut rig = with_faults(seed, Faults { no_descriptors: 60, ..GENTLE });
        let listener = rig.listen()?;
        while errno(rig.driver.begin_wait()) == Some(Errno::MFILE) {}
        let id = rig.driver.submit(Op::Accept { fd: listener.as_raw_fd() })?;
        let peers = (0..10).map(|_| rig.connect(&listener)).collect::<io::Result<Vec<_>>>()?;
        let mut accepted = Vec::new();
        while accepted.len() < peers.len() {
            match rig.driver.finish(id) {
                Some(Outcome::Accepted(socket, _)) => accepted.push(socket),
                Some(Outcome::Failed(error)) => assert_eq!(Errno::from_io_error(&error), Some(Errno::MFILE)),
                other => assert!(matches!(other, Some(Outcome::Again)), "{other:?}"),
            }
        }
        rig.driver.set_faults(seed, Faults::default());
        assert!(matches!(rig.driver.finish(id), Some(Outcome::Again)));
    }
    Ok(())
}

#[test]
fn strikes_are_counted() -> io::Result<()> {
    let before = faults_struck();
    let mut rig = always(|faults| faults.no_buffers = 255);
    let (near, _far) = rig.stream()?;
    assert!(rig.driver.send(near.as_raw_fd(), b"x").is_err());
    assert!(faults_struck() > before);
    Ok(())
}
