//! What every driver owes the engine, as the crate's page lists it, tried on each driver.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use yibu_driver::{Driver, Interest, Op, OpId, Outcome, Wait, Waker};

mod rig;
use rig::Rig;

/// Runs each obligation on each driver.
macro_rules! each_driver {
    ($($obligation:ident)*) => {
        mod epoll {
            $(#[test] fn $obligation() -> std::io::Result<()> { super::$obligation(super::Rig::epoll()) })*
        }
        mod io_uring {
            $(#[test] fn $obligation() -> std::io::Result<()> {
                super::Rig::io_uring().map_or(Ok(()), super::$obligation)
            })*
        }
        mod sim {
            $(#[test] fn $obligation() -> std::io::Result<()> { super::$obligation(super::Rig::sim()) })*
        }
    };
}

each_driver! {
    one_operation_a_side
    bytes_arrive_and_the_operation_stays_armed
    reports_are_level_triggered
    the_end_of_the_stream_is_an_outcome
    a_reset_is_a_failure
    pipes_are_read_and_written
    datagrams_arrive_one_by_one
    a_datagram_that_nobody_receives_is_no_end
    a_spurious_finish_says_again
    accepting_goes_on_until_there_is_nothing
    both_sides_are_independent
    a_broken_connection_wakes_both_sides
    cancelled_between_wait_and_finish
    cancelled_between_begin_and_end_of_a_wait
    cancelling_twice_is_false
    the_next_owner_of_a_number_gets_no_old_event
    a_cancelled_operation_may_be_submitted_again
    a_cancelled_operation_ends_one_wait_at_most
    the_number_of_a_cancelled_operation_may_be_used_again
    closed_without_cancel_makes_room
    closed_without_cancel_silences_the_other_side
    leases_are_independent
    a_wake_ends_the_next_wait
    a_wake_ends_a_wait_under_way
    a_submission_ends_a_wait_under_way
    waits_are_never_short
    receiving_needs_no_operation
    files_are_sent_from_where_one_says
    nothing_is_reported_of_nothing
    what_is_not_open_is_refused
    after_a_fork_the_child_starts_afresh
}

/// A float of seconds resolves a tenth of a microsecond where clocks have been running for years.
const RESOLUTION: f64 = 1e-7;

fn recv(fd: &OwnedFd) -> Op {
    Op::Recv { fd: fd.as_raw_fd() }
}

fn poll(fd: &OwnedFd, interest: Interest) -> Op {
    Op::Poll { fd: fd.as_raw_fd(), interest }
}

fn one_operation_a_side(mut rig: Rig) -> io::Result<()> {
    let (fd, _far) = rig.stream()?;
    let read = rig.driver.submit(recv(&fd))?;
    let refused = rig.driver.submit(poll(&fd, Interest::Read)).map_err(|error| error.kind());
    assert_eq!(refused, Err(io::ErrorKind::AlreadyExists));
    let write = rig.driver.submit(poll(&fd, Interest::Write))?;
    assert_ne!(read.index(), write.index());
    assert!(rig.driver.cancel(read));
    rig.driver.submit(poll(&fd, Interest::Read))?;
    Ok(())
}

fn bytes_arrive_and_the_operation_stays_armed(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let id = rig.driver.submit(recv(&fd))?;
    for message in [b"one".as_slice(), b"two", b"three"] {
        far.send(message)?;
        assert_eq!(rig.wait()?, [id]);
        assert_eq!(rig.receive(id)?, message);
    }
    rig.driver.send(fd.as_raw_fd(), b"answer")?;
    assert_eq!(far.receive_exactly(6)?, b"answer");
    Ok(())
}

fn reports_are_level_triggered(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let id = rig.driver.submit(recv(&fd))?;
    far.send(b"still there")?;
    assert_eq!(rig.wait()?, [id]);
    assert_eq!(rig.wait()?, [id]);
    assert_eq!(rig.poll()?, [id]);
    assert_eq!(rig.receive(id)?, b"still there");
    assert_eq!(rig.poll()?, []);
    Ok(())
}

fn the_end_of_the_stream_is_an_outcome(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let id = rig.driver.submit(recv(&fd))?;
    far.send(b"last words")?;
    far.shutdown_write()?;
    assert_eq!(rig.wait()?, [id]);
    assert_eq!(rig.receive(id)?, b"last words");
    assert_eq!(rig.wait()?, [id]);
    assert!(matches!(rig.driver.finish(id), Some(Outcome::Eof)));
    // The other direction is still open.
    rig.driver.send(fd.as_raw_fd(), b"heard")?;
    assert_eq!(far.receive_exactly(5)?, b"heard");
    assert!(rig.driver.cancel(id));
    Ok(())
}

fn a_reset_is_a_failure(mut rig: Rig) -> io::Result<()> {
    let (fd, far) = rig.stream()?;
    rig.driver.send(fd.as_raw_fd(), b"never read")?;
    let id = rig.driver.submit(recv(&fd))?;
    far.reset();
    assert_eq!(rig.wait()?, [id]);
    match rig.driver.finish(id) {
        Some(Outcome::Failed(error)) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        other => panic!("a reset expected, not {other:?}"),
    }
    assert!(rig.driver.cancel(id), "a failed operation is valid until its owner cancels it");
    Ok(())
}

fn pipes_are_read_and_written(mut rig: Rig) -> io::Result<()> {
    let (reader, writer) = rig.pipe()?;
    let id = rig.driver.submit(Op::Read { fd: reader.as_raw_fd() })?;
    assert_eq!(rig.driver.write(writer.as_raw_fd(), b"one")?, 3);
    assert_eq!(rig.wait()?, [id]);
    assert_eq!(rig.receive(id)?, b"one");
    assert!(matches!(rig.driver.finish(id), Some(Outcome::Again)));
    let pieces = [io::IoSlice::new(b"two"), io::IoSlice::new(b"three")];
    assert_eq!(rig.driver.write_vectored(writer.as_raw_fd(), &pieces)?, 8);
    let mut buf = [0; 16];
    assert_eq!(rig.driver.read_into(reader.as_raw_fd(), &mut buf)?, 8);
    assert_eq!(&buf[..8], b"twothree");
    rig.driver.close(writer);
    assert_eq!(rig.wait()?, [id]);
    assert!(matches!(rig.driver.finish(id), Some(Outcome::Eof)));
    assert!(rig.driver.cancel(id));
    Ok(())
}

/// The next datagram of an operation.
fn datagram(rig: &mut Rig, id: OpId) -> io::Result<Vec<u8>> {
    match rig.driver.finish(id) {
        Some(Outcome::Datagram(lease, _)) => {
            let bytes = rig.driver.bytes(&lease).to_vec();
            rig.driver.recycle(lease);
            Ok(bytes)
        }
        other => Err(io::Error::other(format!("a datagram expected, not {other:?}"))),
    }
}

fn datagrams_arrive_one_by_one(mut rig: Rig) -> io::Result<()> {
    let (near, far) = rig.datagrams()?;
    let id = rig.driver.submit(Op::RecvFrom { fd: near.as_raw_fd() })?;
    for text in [b"one".as_slice(), b"", b"three"] {
        assert_eq!(rig.driver.send_to(far.as_raw_fd(), text, None)?, text.len());
    }
    assert_eq!(rig.wait()?, [id]);
    assert_eq!(datagram(&mut rig, id)?, b"one");
    assert_eq!(datagram(&mut rig, id)?, b"");
    let Some(Outcome::Datagram(lease, Some(sender))) = rig.driver.finish(id) else {
        panic!("a datagram with its sender expected")
    };
    assert_eq!(rig.driver.bytes(&lease), b"three");
    rig.driver.recycle(lease);
    assert!(matches!(rig.driver.finish(id), Some(Outcome::Again)));
    rig.driver.send_to(near.as_raw_fd(), b"answer", Some(&sender))?;
    let far_id = rig.driver.submit(Op::RecvFrom { fd: far.as_raw_fd() })?;
    assert_eq!(rig.wait()?, [far_id]);
    assert_eq!(datagram(&mut rig, far_id)?, b"answer");
    Ok(())
}

fn a_datagram_that_nobody_receives_is_no_end(mut rig: Rig) -> io::Result<()> {
    let (near, far) = rig.datagrams()?;
    let id = rig.driver.submit(Op::RecvFrom { fd: far.as_raw_fd() })?;
    rig.driver.close(near);
    rig.driver.send_to(far.as_raw_fd(), b"to nobody", None)?;
    assert_eq!(rig.wait()?, [id]);
    match rig.driver.finish(id) {
        Some(Outcome::Failed(error)) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
        other => panic!("a refusal expected, not {other:?}"),
    }
    assert!(matches!(rig.driver.finish(id), Some(Outcome::Again)));
    assert_eq!(rig.poll()?, []);
    Ok(())
}

fn a_spurious_finish_says_again(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let id = rig.driver.submit(recv(&fd))?;
    assert!(matches!(rig.driver.finish(id), Some(Outcome::Again)));
    far.send(b"armed")?;
    assert_eq!(rig.wait()?, [id]);
    assert_eq!(rig.receive(id)?, b"armed");
    Ok(())
}

fn accepting_goes_on_until_there_is_nothing(mut rig: Rig) -> io::Result<()> {
    let listener = rig.listen()?;
    let id = rig.driver.submit(Op::Accept { fd: listener.as_raw_fd() })?;
    let mut far = [rig.connect(&listener)?, rig.connect(&listener)?];
    assert_eq!(rig.wait()?, [id]);
    let mut accepted = Vec::new();
    while accepted.len() < 2 {
        match rig.driver.finish(id) {
            Some(Outcome::Accepted(socket, address)) => {
                assert!(address.is_some());
                accepted.push(socket);
            }
            Some(Outcome::Again) => assert_eq!(rig.wait()?, [id]),
            other => panic!("a connection expected, not {other:?}"),
        }
    }
    assert!(matches!(rig.driver.finish(id), Some(Outcome::Again)));
    for (index, (far, near)) in far.iter_mut().zip(&accepted).enumerate() {
        let number = [index as u8];
        far.send(&number)?;
        let read = rig.driver.submit(recv(near))?;
        assert_eq!(rig.wait()?, [read]);
        assert_eq!(rig.receive(read)?, number);
    }
    far[0].send(b"armed")?;
    let _later = rig.connect(&listener)?;
    rig.wait_until(&[id])?;
    assert!(matches!(rig.driver.finish(id), Some(Outcome::Accepted(..))));
    Ok(())
}

fn both_sides_are_independent(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let filled = rig.fill(fd.as_raw_fd())?;
    let read = rig.driver.submit(recv(&fd))?;
    let write = rig.driver.submit(poll(&fd, Interest::Write))?;
    assert_eq!(rig.poll()?, []);
    far.send(b"in")?;
    assert_eq!(rig.wait()?, [read]);
    assert_eq!(rig.receive(read)?, b"in");
    far.receive_exactly(filled)?;
    assert_eq!(rig.wait()?, [write]);
    assert!(matches!(rig.driver.finish(write), Some(Outcome::Ready)));
    assert!(rig.driver.cancel(read));
    assert_eq!(rig.wait()?, [write]);
    Ok(())
}

fn a_broken_connection_wakes_both_sides(mut rig: Rig) -> io::Result<()> {
    let (fd, far) = rig.stream()?;
    rig.fill(fd.as_raw_fd())?;
    let read = rig.driver.submit(poll(&fd, Interest::Read))?;
    let write = rig.driver.submit(poll(&fd, Interest::Write))?;
    far.reset();
    assert_eq!(rig.wait()?, [read, write]);
    Ok(())
}

fn cancelled_between_wait_and_finish(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let old = rig.driver.submit(recv(&fd))?;
    far.send(b"kept")?;
    assert_eq!(rig.wait()?, [old]);
    assert!(rig.driver.cancel(old));
    let new = rig.driver.submit(recv(&fd))?;
    assert_eq!(old.index(), new.index(), "the slot is used again, so only the generation tells");
    assert!(rig.driver.finish(old).is_none());
    assert_eq!(rig.receive(new)?, b"kept");
    Ok(())
}

fn cancelled_between_begin_and_end_of_a_wait(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let old = rig.driver.submit(recv(&fd))?;
    let write = rig.driver.submit(poll(&fd, Interest::Write))?;
    far.send(b"kept")?;
    assert_eq!(rig.wait_until(&[old, write])?, [old, write]);
    let mut wait = rig.driver.begin_wait()?;
    wait.block(Some(rig::PATIENCE))?;
    assert!(rig.driver.cancel(old));
    let new = rig.driver.submit(recv(&fd))?;
    let mut ready = Vec::new();
    rig.driver.end_wait(wait, &mut ready)?;
    if rig.driver.kind() == "io_uring" {
        // Its events are fetched when the wait ends.
        assert!(!ready.contains(&old));
    } else {
        assert_eq!(ready, [], "the event was fetched for a registration that has changed");
    }
    assert_eq!(rig.wait()?, [new, write]);
    Ok(())
}

fn cancelling_twice_is_false(mut rig: Rig) -> io::Result<()> {
    let (fd, _far) = rig.stream()?;
    let id = rig.driver.submit(recv(&fd))?;
    assert!(rig.driver.cancel(id));
    assert!(!rig.driver.cancel(id));
    assert!(rig.driver.finish(id).is_none());
    Ok(())
}

fn the_next_owner_of_a_number_gets_no_old_event(mut rig: Rig) -> io::Result<()> {
    let (mut fd, mut far) = rig.stream()?;
    let old = rig.driver.submit(recv(&fd))?;
    far.send(b"for the old owner")?;
    let mut wait = rig.driver.begin_wait()?;
    wait.block(Some(rig::PATIENCE))?;
    assert!(rig.driver.cancel(old));
    let mut new_far = rig.reuse_number(&mut fd)?;
    let new = rig.driver.submit(recv(&fd))?;
    let mut ready = Vec::new();
    rig.driver.end_wait(wait, &mut ready)?;
    assert_eq!(ready, []);
    assert_eq!(rig.poll()?, []);
    assert!(rig.driver.finish(old).is_none());
    new_far.send(b"for the new owner")?;
    assert_eq!(rig.wait()?, [new]);
    assert_eq!(rig.receive(new)?, b"for the new owner");
    Ok(())
}

fn a_cancelled_operation_may_be_submitted_again(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    far.send(b"still there")?;
    let old = rig.driver.submit(recv(&fd))?;
    assert!(rig.driver.cancel(old));
    let write = rig.driver.submit(poll(&fd, Interest::Write))?;
    assert_eq!(rig.wait()?, [write]);
    let new = rig.driver.submit(recv(&fd))?;
    assert!(rig.driver.cancel(write));
    assert_eq!(rig.wait()?, [new]);
    assert!(rig.driver.cancel(new));
    assert_eq!(rig.poll()?, []);
    let again = rig.driver.submit(recv(&fd))?;
    assert_eq!(rig.wait()?, [again]);
    assert_eq!(rig.receive(again)?, b"still there");
    Ok(())
}

fn a_cancelled_operation_ends_one_wait_at_most(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let (other, mut other_far) = rig.stream()?;
    let op = rig.driver.submit(recv(&other))?;
    for polls in 0..3 {
        for operation in [recv(&fd), poll(&fd, Interest::Write)] {
            let id = rig.driver.submit(operation)?;
            assert!(rig.driver.cancel(id));
            far.send(b"nobody receives this")?;
            for _ in 0..polls {
                assert_eq!(rig.poll()?, []);
            }
            assert_eq!(rig.wait_for(Duration::from_millis(1))?, []);
            let start = rig.driver.now();
            assert_eq!(rig.wait_for(Duration::from_millis(1))?, []);
            assert!(rig.driver.now() - start >= 0.001 - RESOLUTION);
        }
    }
    other_far.send(b"watched")?;
    assert_eq!(rig.wait()?, [op]);
    Ok(())
}

fn the_number_of_a_cancelled_operation_may_be_used_again(mut rig: Rig) -> io::Result<()> {
    let (mut fd, _far) = rig.stream()?;
    for message in [b"first".as_slice(), b"second"] {
        let old = rig.driver.submit(poll(&fd, Interest::Write))?;
        assert!(rig.driver.cancel(old));
        let mut far = rig.reuse_number(&mut fd)?;
        let new = rig.driver.submit(recv(&fd))?;
        far.send(message)?;
        assert_eq!(rig.wait()?, [new]);
        assert_eq!(rig.receive(new)?, message);
        assert!(rig.driver.cancel(new));
    }
    Ok(())
}

fn closed_without_cancel_makes_room(mut rig: Rig) -> io::Result<()> {
    let (mut fd, _far) = rig.stream()?;
    let old = rig.driver.submit(recv(&fd))?;
    let mut far = rig.reuse_number(&mut fd)?;
    let new = rig.driver.submit(recv(&fd))?;
    far.send(b"for the new owner")?;
    assert_eq!(rig.wait()?, [new]);
    assert!(rig.driver.cancel(old), "cancelling stays the old owner's duty");
    assert_eq!(rig.wait()?, [new], "and does not touch the new owner's operation");
    assert_eq!(rig.receive(new)?, b"for the new owner");
    Ok(())
}

fn closed_without_cancel_silences_the_other_side(mut rig: Rig) -> io::Result<()> {
    let (mut fd, _far) = rig.stream()?;
    let old = rig.driver.submit(recv(&fd))?;
    let mut far = rig.reuse_number(&mut fd)?;
    let write = rig.driver.submit(poll(&fd, Interest::Write))?;
    far.send(b"not for the old owner")?;
    assert_eq!(rig.wait()?, [write]);
    assert_eq!(rig.poll()?, [write]);
    assert!(rig.driver.cancel(old));
    assert_eq!(rig.poll()?, [write]);
    Ok(())
}

fn leases_are_independent(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let id = rig.driver.submit(recv(&fd))?;
    let mut leases = Vec::new();
    for message in [b"first", b"other"] {
        far.send(message)?;
        rig.wait()?;
        match rig.driver.finish(id) {
            Some(Outcome::Bytes(lease)) => leases.push(lease),
            other => panic!("bytes expected, not {other:?}"),
        }
    }
    rig.driver.cancel(id);
    let texts: Vec<&[u8]> = leases.iter().map(|lease| rig.driver.bytes(lease)).collect();
    assert_eq!(texts, [b"first", b"other"]);
    leases.into_iter().for_each(|lease| rig.driver.recycle(lease));
    Ok(())
}

fn a_wake_ends_the_next_wait(mut rig: Rig) -> io::Result<()> {
    let waker = rig.driver.waker()?;
    for _ in 0..3 {
        waker.wake();
        waker.clone().wake();
        assert_eq!(rig.wait_for_ever()?, []);
    }
    Ok(())
}

fn a_wake_ends_a_wait_under_way(mut rig: Rig) -> io::Result<()> {
    if let Some(net) = &rig.net {
        net.expect_threads(true);
    }
    let waker = rig.driver.waker()?;
    let mut wait = rig.driver.begin_wait()?;
    let waiting = std::thread::spawn(move || wait.block(None).map(|()| wait));
    waker.wake();
    let wait = waiting.join().map_err(|_| io::Error::other("the waiting thread panicked"))??;
    rig.driver.end_wait(wait, &mut Vec::new())?;
    Ok(())
}

fn a_submission_ends_a_wait_under_way(mut rig: Rig) -> io::Result<()> {
    if let Some(net) = &rig.net {
        net.expect_threads(true);
    }
    let (fd, mut far) = rig.stream()?;
    far.send(b"already there")?;
    let mut wait = rig.driver.begin_wait()?;
    let waiting = std::thread::spawn(move || wait.block(None).map(|()| wait));
    let id = rig.driver.submit(recv(&fd))?;
    let wait = waiting.join().map_err(|_| io::Error::other("the waiting thread panicked"))??;
    let mut ready = Vec::new();
    rig.driver.end_wait(wait, &mut ready)?;
    assert_eq!(rig.poll()?, [id]);
    Ok(())
}

fn waits_are_never_short(mut rig: Rig) -> io::Result<()> {
    for timeout in [1, 999, 1_000_001, 2_500_000].map(Duration::from_nanos) {
        let start = rig.driver.now();
        assert_eq!(rig.wait_for(timeout)?, []);
        let passed = rig.driver.now() - start;
        assert!(passed >= timeout.as_secs_f64() - RESOLUTION, "{passed} is less than {timeout:?}");
    }
    Ok(())
}

fn receiving_needs_no_operation(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let number = fd.as_raw_fd();
    let nothing_yet = rig.driver.recv(number, 100).map_err(|error| error.kind());
    assert_eq!(nothing_yet, Err(io::ErrorKind::WouldBlock));
    far.send(b"all of it")?;
    far.shutdown_write()?;
    let watch = rig.driver.submit(poll(&fd, Interest::Read))?;
    let mut received = Vec::new();
    loop {
        assert_eq!(rig.wait()?, [watch]);
        let Some(lease) = rig.driver.recv(number, 4)? else { break };
        assert!(lease.len() <= 4);
        received.extend_from_slice(rig.driver.bytes(&lease));
        rig.driver.recycle(lease);
    }
    assert_eq!(received, b"all of it");
    Ok(())
}

fn files_are_sent_from_where_one_says(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let socket = fd.as_raw_fd();
    let file = rustix::fs::memfd_create("file", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::io::write(&file, b"not this, but this")?;
    let send = |rig: &mut Rig, offset, count| {
        rig.driver.begin_send_file(socket, file.as_raw_fd(), offset, count)?.run()
    };
    assert_eq!(send(&mut rig, 10, 3)?, 3);
    assert_eq!(send(&mut rig, 13, 100)?, 5);
    assert_eq!(send(&mut rig, 18, 100)?, 0);
    assert_eq!(far.receive_exactly(8)?, b"but this");
    assert_eq!(rustix::fs::tell(&file)?, 18);
    rig.fill(socket)?;
    let full = send(&mut rig, 0, 1).map_err(|error| error.kind());
    assert_eq!(full, Err(io::ErrorKind::WouldBlock));
    Ok(())
}

fn nothing_is_reported_of_nothing(mut rig: Rig) -> io::Result<()> {
    assert_eq!(rig.poll()?, []);
    assert_eq!(rig.wait_for(Duration::ZERO)?, []);
    Ok(())
}

fn what_is_not_open_is_refused(mut rig: Rig) -> io::Result<()> {
    for fd in [-1, i32::MAX] {
        let refused = rig.driver.submit(Op::Recv { fd }).map_err(|error| error.raw_os_error());
        assert_eq!(refused, Err(Some(libc::EBADF)));
        assert!(rig.driver.send(fd, b"x").is_err());
        assert!(rig.driver.recv_into(fd, &mut [0]).is_err());
        assert!(rig.driver.shutdown_write(fd).is_err());
    }
    Ok(())
}

fn after_a_fork_the_child_starts_afresh(mut rig: Rig) -> io::Result<()> {
    let (fd, mut far) = rig.stream()?;
    let id = rig.driver.submit(recv(&fd))?;
    let waker = rig.driver.waker()?;
    // SAFETY: the child runs only what follows and leaves by _exit. Its allocator is usable (the C library
    // sees to that) and no lock that it takes is shared with other tests' threads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let fresh = child_starts_afresh(&mut rig, &fd, id, &waker).unwrap_or(false);
        // SAFETY: ends the process without running anything of the parent's.
        unsafe { libc::_exit(if fresh { 0 } else { 1 }) };
    }
    let mut status = -1;
    // SAFETY: waits for the child just made; `status` is where its status goes.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "{status}");
    assert_eq!(libc::WEXITSTATUS(status), 0);
    let start = rig.driver.now();
    assert_eq!(rig.wait_for(Duration::from_millis(1))?, []);
    assert!(rig.driver.now() - start >= 0.001 - RESOLUTION, "the child woke its parent");
    far.send(b"for the parent")?;
    assert_eq!(rig.wait()?, [id]);
    assert_eq!(rig.receive(id)?, b"for the parent");
    waker.wake();
    assert_eq!(rig.wait_for_ever()?, []);
    Ok(())
}

fn child_starts_afresh(rig: &mut Rig, fd: &OwnedFd, old: OpId, waker: &Waker) -> io::Result<bool> {
    // SAFETY: no memory is concerned. A child that waits for ever is killed, which its parent notices.
    unsafe { libc::alarm(rig::PATIENCE.as_secs() as libc::c_uint) };
    rig.driver.after_fork_in_child()?;
    let stale = !rig.driver.cancel(old) && rig.driver.finish(old).is_none();
    let quiet = rig.poll()?.is_empty();
    let new = rig.driver.submit(poll(fd, Interest::Write))?;
    let reported = rig.wait()? == [new] && rig.driver.cancel(new);
    waker.wake();
    let woken = rig.wait_for_ever()?.is_empty();
    Ok(stale && quiet && reported && woken)
}

#[test]
fn drivers_go_to_other_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Driver>();
    send::<Wait>();
    send::<Waker>();
    sync::<Waker>();
}

#[test]
fn epoll_refuses_what_cannot_be_watched() -> io::Result<()> {
    let file = std::fs::File::open("/proc/self/exe")?;
    let mut driver = Driver::epoll();
    let op = Op::Poll { fd: file.as_raw_fd(), interest: Interest::Read };
    let refused = driver.submit(op).map_err(|error| (error.raw_os_error(), error.kind()));
    assert_eq!(refused, Err((Some(libc::EPERM), io::ErrorKind::PermissionDenied)));
    Ok(())
}

/// Whether an epoll object of this process has a registration of a descriptor.
fn is_registered(fd: &OwnedFd) -> io::Result<bool> {
    let number = fd.as_raw_fd().to_string();
    for entry in std::fs::read_dir("/proc/self/fdinfo")? {
        // Other tests close theirs meanwhile.
        let lines = std::fs::read_to_string(entry?.path()).unwrap_or_default();
        let mut numbers = lines.lines().filter_map(|line| line.strip_prefix("tfd:"));
        if numbers.any(|line| line.split_whitespace().next() == Some(&number)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Who pauses after each message and resumes before the next one needs no system call for it.
#[test]
fn epoll_keeps_a_registration_until_it_is_reported() -> io::Result<()> {
    let mut rig = Rig::epoll();
    let (fd, mut far) = rig.stream()?;
    for message in [b"first".as_slice(), b"second", b"third"] {
        rig.driver.submits_again(fd.as_raw_fd());
        let id = rig.driver.submit(recv(&fd))?;
        assert_eq!(rig.poll()?, []);
        far.send(message)?;
        assert_eq!(rig.wait()?, [id]);
        assert_eq!(rig.receive(id)?, message);
        assert!(rig.driver.cancel(id));
        assert_eq!(rig.wait_for(Duration::ZERO)?, []);
        assert!(is_registered(&fd)?);
    }
    far.send(b"nobody receives this")?;
    assert_eq!(rig.wait()?, []);
    assert!(!is_registered(&fd)?);
    Ok(())
}

/// A duplicate keeps the registration of what was closed after a cancel; it cannot keep a loop awake for
/// ever.
#[test]
fn epoll_is_not_kept_awake_by_what_was_paused_and_closed() -> io::Result<()> {
    for by_driver in [true, false] {
        for polls in 0..3 {
            let mut rig = Rig::epoll();
            let (other, _other_far) = rig.stream()?;
            rig.driver.submit(recv(&other))?;
            let (fd, mut far) = rig.stream()?;
            let id = rig.driver.submit(recv(&fd))?;
            assert!(rig.driver.cancel(id));
            let duplicate = fd.as_fd().try_clone_to_owned()?;
            if by_driver {
                rig.driver.close(fd)
            } else {
                drop(fd)
            }
            far.send(b"reported for ever")?;
            for _ in 0..polls {
                assert_eq!(rig.poll()?, []);
            }
            for _ in 0..2 {
                assert_eq!(rig.wait_for(Duration::from_millis(1))?, []);
            }
            let start = rig.driver.now();
            assert_eq!(rig.wait_for(Duration::from_millis(1))?, []);
            assert!(rig.driver.now() - start >= 0.001 - RESOLUTION);
            drop(duplicate);
        }
    }
    Ok(())
}

#[test]
fn epoll_outlives_a_registration_that_nobody_can_take_out() -> io::Result<()> {
    let mut rig = Rig::epoll();
    let (fd, mut far) = rig.stream()?;
    let id = rig.driver.submit(recv(&fd))?;
    let waker = rig.driver.waker()?;
    // The kernel keeps a registration as long as any duplicate of the file lives, here under another number.
    let duplicate = fd.as_fd().try_clone_to_owned()?;
    rig.driver.close(fd);
    assert!(rig.driver.cancel(id));
    far.send(b"reported for ever")?;
    let (other, mut other_far) = rig.stream()?;
    let op = rig.driver.submit(recv(&other))?;
    assert_eq!(rig.wait()?, [], "ended by the event of nobody");
    let start = rig.driver.now();
    assert_eq!(rig.wait_for(Duration::from_millis(1))?, []);
    assert!(rig.driver.now() - start >= 0.001 - RESOLUTION, "and not ended again");
    other_far.send(b"still watched")?;
    assert_eq!(rig.wait()?, [op]);
    assert_eq!(rig.receive(op)?, b"still watched");
    waker.wake();
    assert_eq!(rig.wait_for_ever()?, []);
    drop(duplicate);
    Ok(())
}

/// The waker is made late, and gets the number of a descriptor that was just closed: other tests open
/// descriptors at the same time, so this is tried until it has almost certainly happened.
#[test]
fn epoll_keeps_a_waker_that_has_the_number_of_what_left() -> io::Result<()> {
    for _ in 0..200 {
        let mut driver = Driver::epoll();
        let (near, _far) = UnixStream::pair()?;
        let id = driver.submit(Op::Poll { fd: near.as_raw_fd(), interest: Interest::Read })?;
        driver.cancel(id);
        drop(near);
        let waker = driver.waker()?;
        driver.poll_now(&mut Vec::new())?;
        waker.wake();
        let started = Instant::now();
        let mut wait = driver.begin_wait()?;
        wait.block(Some(Duration::from_secs(60)))?;
        driver.end_wait(wait, &mut Vec::new())?;
        assert!(started.elapsed() < Duration::from_secs(50), "the wake was lost");
    }
    Ok(())
}

#[test]
fn sim_never_waits_for_ever_alone() -> io::Result<()> {
    let mut rig = Rig::sim();
    let mut wait = rig.driver.begin_wait()?;
    assert_eq!(wait.block(None).map_err(|error| error.kind()), Err(io::ErrorKind::Deadlock));
    Ok(())
}

/// A program's own sockets may be blocking ones; whoever holds the interpreter must not wait in a system
/// call.
#[test]
fn blocking_sockets_do_not_block() -> io::Result<()> {
    let mut rig = Rig::epoll();
    let (fd, _far) = rig.stream()?;
    rustix::io::ioctl_fionbio(&fd, false)?;
    let number = fd.as_raw_fd();
    let received = rig.driver.recv(number, 100).map_err(|error| error.kind());
    assert_eq!(received, Err(io::ErrorKind::WouldBlock));
    assert!(rig.fill(number)? > 0);
    Ok(())
}
