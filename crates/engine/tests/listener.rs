//! Listeners on the simulated kernel.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use proptest::prelude::*;
use yibu_driver::{Driver, Faults, OpId, Peer, SimNet};
use yibu_engine::transport::{Accepting, Listener};

/// A listener and its loop.
struct Server {
    driver: Driver,
    net: SimNet,
    socket: OwnedFd,
    listener: Listener,
    accepted: Vec<OwnedFd>,
    reports: Vec<io::ErrorKind>,
    raised: Vec<io::ErrorKind>,
}

impl Server {
    fn new(seed: u64, per_round: usize) -> io::Result<Self> {
        let (mut driver, net) = Driver::sim(seed);
        let socket = net.listen(100)?;
        let mut listener = Listener::new(socket.as_raw_fd(), per_round);
        listener.start(&mut driver)?;
        let (accepted, reports, raised) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { driver, net, socket, listener, accepted, reports, raised })
    }

    fn connect(&self, n: usize) -> io::Result<Vec<Peer>> {
        (0..n).map(|_| self.net.connect(self.socket.as_raw_fd())).collect()
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut ready: Vec<OpId> = Vec::new();
        self.driver.poll_now(&mut ready)?;
        for id in ready {
            assert_eq!(self.listener.op(), Some(id));
            let Some(outcome) = self.driver.finish(id) else { continue };
            let mut accepting = self.listener.on_outcome(&mut self.driver, outcome);
            while let Some(step) = accepting {
                match step {
                    Accepting::Connection(socket, address) => {
                        assert!(address.is_some());
                        self.accepted.push(socket);
                    }
                    Accepting::OutOfResources(error) => {
                        assert_eq!(self.listener.op(), None, "it rests");
                        self.reports.push(error.kind());
                    }
                    Accepting::Failed(error) => self.raised.push(error.kind()),
                }
                accepting = self.listener.accept_more(&mut self.driver);
            }
        }
        Ok(())
    }
}

#[test]
fn a_round_takes_so_many_and_the_next_the_rest() -> io::Result<()> {
    let mut server = Server::new(1, 3)?;
    let _peers = server.connect(5)?;
    server.turn()?;
    assert_eq!(server.accepted.len(), 3);
    server.turn()?;
    assert_eq!(server.accepted.len(), 5);
    server.turn()?;
    assert_eq!(server.accepted.len(), 5);
    Ok(())
}

#[test]
fn after_many_that_come_alone_several_are_taken_a_few_turns_later() -> io::Result<()> {
    let mut server = Server::new(1, 100)?;
    let mut peers = Vec::new();
    for alone in 1..=50 {
        peers.extend(server.connect(1)?);
        server.turn()?;
        assert_eq!(server.accepted.len(), alone);
    }
    peers.extend(server.connect(40)?);
    for _ in 0..8 {
        server.turn()?;
    }
    assert_eq!(server.accepted.len(), 90);
    peers.extend(server.connect(10)?);
    server.turn()?;
    assert_eq!(server.accepted.len(), 100, "they come in numbers");
    Ok(())
}

#[test]
fn out_of_descriptors_it_rests_until_started_again() -> io::Result<()> {
    let mut server = Server::new(1, 10)?;
    let _peers = server.connect(2)?;
    server.net.set_faults(Faults { no_descriptors: 255, ..Faults::default() });
    for _ in 0..5 {
        server.turn()?;
    }
    assert_eq!(server.reports.len(), 1, "one report, however often the loop turns");
    server.net.set_faults(Faults::default());
    server.turn()?;
    assert_eq!(server.accepted.len(), 0);
    server.listener.start(&mut server.driver)?;
    server.turn()?;
    assert_eq!(server.accepted.len(), 2);
    Ok(())
}

#[test]
fn stopped_while_resting_it_stays_stopped() -> io::Result<()> {
    let mut server = Server::new(1, 10)?;
    let _peers = server.connect(1)?;
    server.net.set_faults(Faults { no_descriptors: 255, ..Faults::default() });
    server.turn()?;
    server.listener.stop(&mut server.driver);
    server.net.set_faults(Faults::default());
    server.listener.start(&mut server.driver)?;
    server.turn()?;
    assert_eq!((server.listener.op(), server.accepted.len()), (None, 0));
    Ok(())
}

proptest! {
    #[test]
    fn every_connection_is_accepted_once(
        seed: u64, per_round in 1..8usize, again in 0..150u8, spurious in 0..100u8, no_descriptors in 0..100u8,
        arrivals in prop::collection::vec(0..6usize, 0..10),
    ) {
        let mut server = Server::new(seed, per_round)?;
        server.net.set_faults(Faults { again, spurious, no_descriptors, ..Faults::default() });
        let mut peers = Vec::new();
        for arrival in arrivals {
            peers.extend(server.connect(arrival)?);
            server.turn()?;
        }
        for _ in 0..10_000 {
            if server.accepted.len() == peers.len() {
                break;
            }
            server.listener.start(&mut server.driver)?; // as after a rest
            server.turn()?;
        }
        prop_assert_eq!(server.accepted.len(), peers.len());
        prop_assert!(server.raised.is_empty());
        // They are different connections: each carries its own peer's number.
        for (index, peer) in peers.iter().enumerate() {
            peer.send(&[index as u8])?;
        }
        server.net.set_faults(Faults::default());
        let mut numbers = Vec::new();
        for socket in &server.accepted {
            let mut number = [0];
            prop_assert_eq!(server.driver.recv_into(socket.as_raw_fd(), &mut number)?, 1);
            numbers.push(usize::from(number[0]));
        }
        prop_assert!(numbers.iter().copied().eq(0..peers.len()), "in order of arrival: {:?}", numbers);
    }
}
