//! What the io_uring driver does beyond the obligations of every driver: receives that the kernel does by
//! itself, and how they end.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use yibu_driver::{Interest, Op, OpId, Outcome};

#[expect(dead_code, reason = "the obligations need more of it")]
mod rig;
use rig::{Far, Rig};

fn recv(fd: &OwnedFd) -> Op {
    Op::Recv { fd: fd.as_raw_fd() }
}

fn poll(fd: &OwnedFd, interest: Interest) -> Op {
    Op::Poll { fd: fd.as_raw_fd(), interest }
}

fn lock(rig: &Mutex<Rig>) -> io::Result<MutexGuard<'_, Rig>> {
    rig.lock().map_err(|_| io::Error::other("another thread panicked"))
}

/// A driver on io_uring, or `None` with a message where the kernel has none.
fn on_io_uring(test: impl FnOnce(Rig) -> io::Result<()>) -> io::Result<()> {
    Rig::io_uring().map_or(Ok(()), test)
}

/// Exchanges `count` messages of `size` bytes.
fn converse(rig: &mut Rig, id: OpId, far: &mut Far, count: usize, size: usize) -> io::Result<()> {
    for number in 0..count {
        let message = vec![number as u8; size];
        far.send(&message)?;
        let mut received = Vec::new();
        while received.len() < size {
            if rig.wait()?.contains(&id) {
                received.extend(rig.receive(id)?);
            }
        }
        assert!(received == message, "message {number}");
    }
    Ok(())
}

#[test]
fn passes_large_messages_on_to_epoll() -> io::Result<()> {
    on_io_uring(|mut rig| {
        let (fd, mut far) = rig.stream()?;
        let id = rig.driver.submit(recv(&fd))?;
        for size in [64, 100_000, 64, 200_000] {
            converse(&mut rig, id, &mut far, 3, size)?;
        }
        far.shutdown_write()?;
        assert_eq!(rig.wait()?, [id]);
        assert!(matches!(rig.driver.finish(id), Some(Outcome::Eof)));
        assert!(rig.driver.cancel(id));
        assert_eq!(rig.poll()?, []);
        Ok(())
    })
}

#[test]
fn serves_more_connections_than_it_has_buffers() -> io::Result<()> {
    on_io_uring(|mut rig| {
        let mut streams = (0..200).map(|_| rig.stream()).collect::<io::Result<Vec<_>>>()?;
        let ids =
            streams.iter().map(|(fd, _)| rig.driver.submit(recv(fd))).collect::<io::Result<Vec<_>>>()?;
        for round in 0..3u8 {
            for (_, far) in &mut streams {
                far.send(&[round; 100])?;
            }
            let mut left: Vec<OpId> = ids.clone();
            while !left.is_empty() {
                for id in rig.wait()? {
                    assert_eq!(rig.receive(id)?, [round; 100]);
                    left.retain(|other| *other != id);
                }
            }
        }
        Ok(())
    })
}

#[test]
fn goes_on_in_another_thread() -> io::Result<()> {
    on_io_uring(|mut rig| {
        let (fd, mut far) = rig.stream()?;
        let (other, mut other_far) = rig.stream()?;
        let id = rig.driver.submit(recv(&fd))?;
        let closed = rig.driver.submit(recv(&other))?;
        far.send(b"here")?;
        assert_eq!(rig.wait()?, [id]);
        far.send(b", and there")?;
        other_far.shutdown_write()?;
        let elsewhere = std::thread::spawn(move || -> io::Result<(Rig, Vec<u8>)> {
            let mut received = Vec::new();
            while received.len() < 15 {
                for reported in rig.wait()? {
                    if reported == id {
                        received.extend(rig.receive(id)?);
                    } else {
                        assert!(matches!(rig.driver.finish(closed), Some(Outcome::Eof)));
                        assert!(rig.driver.cancel(closed));
                    }
                }
            }
            Ok((rig, received))
        });
        let (mut rig, received) =
            elsewhere.join().map_err(|_| io::Error::other("the other thread panicked"))??;
        assert_eq!(received, b"here, and there");
        converse(&mut rig, id, &mut far, 2, 10)
    })
}

#[test]
fn loses_nothing_when_a_descriptor_is_shared() -> io::Result<()> {
    on_io_uring(|mut rig| {
        let (fd, mut far) = rig.stream()?;
        let id = rig.driver.submit(recv(&fd))?;
        far.send(b"before")?;
        assert_eq!(rig.wait()?, [id]);
        assert!(rig.driver.holds_bytes(id));
        rig.driver.share(fd.as_raw_fd());
        far.send(b"after")?;
        assert_eq!(rig.receive(id)?, b"before");
        assert!(!rig.driver.holds_bytes(id));
        assert_eq!(rig.wait()?, [id]);
        assert_eq!(rig.receive(id)?, b"after");
        // From now on others may close it, and the peer hears of it.
        drop(fd);
        assert_eq!(far.receive_exactly(1).map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
        Ok(())
    })
}

#[test]
fn keeps_what_it_received_for_whoever_reads_next() -> io::Result<()> {
    on_io_uring(|mut rig| {
        let (fd, mut far) = rig.stream()?;
        let id = rig.driver.submit(recv(&fd))?;
        far.send(b"received by the ring")?;
        assert_eq!(rig.wait()?, [id]);
        assert!(rig.driver.cancel(id));
        let watch = rig.driver.submit(poll(&fd, Interest::Read))?;
        assert_eq!(rig.wait_for_ever()?, [watch]);
        let mut buf = [0; 8];
        assert_eq!(rig.driver.recv_into(fd.as_raw_fd(), &mut buf)?, 8);
        assert_eq!(&buf, b"received");
        assert_eq!(rig.wait_for_ever()?, [watch]);
        assert!(rig.driver.cancel(watch));
        let id = rig.driver.submit(recv(&fd))?;
        assert_eq!(rig.wait_for_ever()?, [id]);
        assert_eq!(rig.receive(id)?, b" by the ring");
        assert_eq!(rig.poll()?, []);
        converse(&mut rig, id, &mut far, 2, 10)
    })
}

#[test]
fn tells_the_peer_at_once_when_it_closes() -> io::Result<()> {
    on_io_uring(|mut rig| {
        let (fd, mut far) = rig.stream()?;
        let (left, mut left_far) = rig.stream()?;
        let id = rig.driver.submit(recv(&fd))?;
        rig.driver.submit(recv(&left))?;
        assert_eq!(rig.poll()?, []);
        assert!(rig.driver.cancel(id));
        rig.driver.close(fd);
        assert_eq!(far.receive_exactly(1).map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
        // The driver goes with an operation under way.
        drop((rig, left));
        assert_eq!(
            left_far.receive_exactly(1).map_err(|error| error.kind()),
            Err(io::ErrorKind::UnexpectedEof)
        );
        Ok(())
    })
}

/// While one thread blocks, others cancel, share and submit.
#[test]
fn is_told_by_other_threads_while_it_blocks() -> io::Result<()> {
    on_io_uring(|mut rig| {
        let (fd, mut far) = rig.stream()?;
        let (shared, mut shared_far) = rig.stream()?;
        let (late, mut late_far) = rig.stream()?;
        let id = rig.driver.submit(recv(&fd))?;
        let shared_id = rig.driver.submit(recv(&shared))?;
        rig.driver.waker()?;
        assert_eq!(rig.poll()?, []);
        let driver = Arc::new(Mutex::new(rig));
        let mut wait = lock(&driver)?.driver.begin_wait()?;
        let elsewhere = Arc::clone(&driver);
        // Numbers only: the thread would close descriptors that it owned.
        let (shared_number, late_number) = (shared.as_raw_fd(), late.as_raw_fd());
        let changing = std::thread::spawn(move || -> io::Result<OpId> {
            let mut rig = lock(&elsewhere)?;
            assert!(rig.driver.cancel(id));
            assert!(rig.driver.finish(id).is_none());
            rig.driver.share(shared_number);
            let late_id = rig.driver.submit(Op::Recv { fd: late_number })?;
            Ok(late_id)
        });
        wait.block(Some(rig::PATIENCE))?;
        let late_id = changing.join().map_err(|_| io::Error::other("the other thread panicked"))??;
        let mut rig = lock(&driver)?;
        rig.driver.end_wait(wait, &mut Vec::new())?;
        far.send(b"kept")?;
        shared_far.send(b"shared")?;
        late_far.send(b"late")?;
        let reported = rig.wait_until(&[shared_id, late_id])?;
        assert!(!reported.contains(&id));
        assert_eq!(rig.receive(shared_id)?, b"shared");
        assert_eq!(rig.receive(late_id)?, b"late");
        let id = rig.driver.submit(recv(&fd))?;
        rig.wait_until(&[id])?;
        assert_eq!(rig.receive(id)?, b"kept");
        Ok(())
    })
}

/// Between two waits of a thread, another one cancels and shares, and waits itself.
#[test]
fn other_threads_end_operations_of_a_loop_that_rests() -> io::Result<()> {
    on_io_uring(|mut rig| {
        let (fd, mut far) = rig.stream()?;
        let (shared, mut shared_far) = rig.stream()?;
        let id = rig.driver.submit(recv(&fd))?;
        let shared_id = rig.driver.submit(recv(&shared))?;
        far.send(b"first")?;
        assert_eq!(rig.wait()?, [id]);
        let elsewhere = std::thread::spawn(move || -> io::Result<Rig> {
            assert!(rig.driver.cancel(id));
            rig.driver.share(shared.as_raw_fd());
            shared_far.send(b"shared")?;
            assert_eq!(rig.wait()?, [shared_id]);
            assert_eq!(rig.receive(shared_id)?, b"shared");
            drop(shared);
            Ok(rig)
        });
        let mut rig = elsewhere.join().map_err(|_| io::Error::other("the other thread panicked"))??;
        assert!(rig.driver.cancel(shared_id));
        far.send(b", second")?;
        let id = rig.driver.submit(recv(&fd))?;
        let mut received = Vec::new();
        while received.len() < 13 {
            assert_eq!(rig.wait()?, [id]);
            received.extend(rig.receive(id)?);
        }
        assert_eq!(received, b"first, second");
        Ok(())
    })
}
