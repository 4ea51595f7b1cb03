//! Datagram sockets on the simulated kernel: each behaviour by itself, then all of them at random under
//! faults.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use proptest::prelude::*;
use rustix::io::Errno;
use yibu_driver::{Driver, Faults, OpId, SimNet};
use yibu_engine::transport::{DatagramUpcall, Datagrams, Destination, Handed, Outbound};
use yibu_engine::{Outcome, SocketAddrAny};

const CAPACITY: usize = 100;
const HEADER: usize = 8;

/// What waits in a queue.
#[derive(Debug)]
struct Letter {
    content: Vec<u8>,
    to: To,
}

#[derive(Clone, Debug)]
enum To {
    Connected,
    Address(SocketAddrAny),
    /// The embedder sends it to whom the socket is connected with.
    Embedder,
}

impl Outbound for Letter {
    fn bytes(&self) -> &[u8] {
        &self.content
    }

    fn destination(&self) -> Destination<'_> {
        match &self.to {
            To::Connected => Destination::Connected,
            To::Address(address) => Destination::To(address),
            To::Embedder => Destination::Embedder,
        }
    }
}

/// Late datagrams before one of which the tests hear.
const MANY: u32 = 5;

/// What the protocol was told, apart from datagrams.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Error(io::ErrorKind),
    Pause,
    Resume,
    LostSend,
    ConnectionLost,
}

/// A machine with the embedder that it needs, and a socket that answers by hand.
struct Endpoint {
    driver: Driver,
    net: SimNet,
    machine: Datagrams<Letter>,
    fd: Option<OwnedFd>,
    peer: Option<OwnedFd>,
    peer_address: SocketAddrAny,
    own_address: SocketAddrAny,
    received: Vec<Vec<u8>>,
    told: Vec<Told>,
    on_resume: Option<Vec<u8>>,
    look_next_turn: bool,
    lost_next_turn: bool,
}

fn localhost(port: u16) -> SocketAddrAny {
    std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, port).into()
}

impl Endpoint {
    fn new(seed: u64, leased: bool, fixed: bool) -> io::Result<Self> {
        let (mut driver, net) = Driver::sim(seed);
        net.set_capacity(CAPACITY);
        let (peer, peer_port) = net.datagrams(None)?;
        let (fd, own_port) = net.datagrams(Some(peer_port))?;
        let mut machine = Datagrams::new(fd.as_raw_fd(), leased, fixed, HEADER);
        machine.start_reading(&mut driver)?;
        Ok(Self {
            driver,
            net,
            machine,
            fd: Some(fd),
            peer: Some(peer),
            peer_address: localhost(peer_port),
            own_address: localhost(own_port),
            received: Vec::new(),
            told: Vec::new(),
            on_resume: None,
            look_next_turn: false,
            lost_next_turn: false,
        })
    }

    fn send(&mut self, content: &[u8], to: &To) {
        if let Some(late) = self.machine.comes_too_late(false) {
            return self.execute(Some(late));
        }
        let letter = || Letter { content: content.to_vec(), to: to.clone() };
        let upcall = match to {
            To::Connected => self.machine.send(&mut self.driver, content, None, letter),
            To::Address(address) => self.machine.send(&mut self.driver, content, Some(address), letter),
            To::Embedder if self.machine.queue().is_empty() && self.send_by_hand(content).is_ok() => None,
            To::Embedder => self.machine.keep(&mut self.driver, letter()),
        };
        self.execute(upcall);
    }

    /// Sending as the embedder does it: only a full socket refuses.
    fn send_by_hand(&mut self, content: &[u8]) -> Result<(), ()> {
        let Some(fd) = &self.fd else { return Ok(()) };
        match self.driver.send_to(fd.as_raw_fd(), content, None) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Err(())
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self) {
        self.lost_next_turn |= self.machine.close(&mut self.driver);
    }

    fn abort(&mut self) {
        let (lost, _unsent) = self.machine.abort(&mut self.driver);
        self.lost_next_turn |= lost;
    }

    fn set_limits(&mut self, high: i64, low: i64) {
        if let Ok(upcall) = self.machine.set_write_buffer_limits(Some(high), Some(low)) {
            self.execute(upcall);
        }
    }

    /// Lets the peer send, as often as it takes.
    fn peer_sends(&mut self, content: &[u8]) -> bool {
        let Some(peer) = &self.peer else { return false };
        self.driver.send_to(peer.as_raw_fd(), content, Some(&self.own_address)).is_ok()
    }

    /// What the peer finds in its socket.
    fn peer_receives(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut letters = Vec::new();
        let Some(peer) = &self.peer else { return Ok(letters) };
        let id = self.driver.submit(yibu_driver::Op::RecvFrom { fd: peer.as_raw_fd() })?;
        let mut tries = 0;
        // A fault says "again" of what is there.
        while tries < 20 {
            match self.driver.finish(id) {
                Some(Outcome::Datagram(lease, _)) => {
                    letters.push(self.driver.bytes(&lease).to_vec());
                    self.driver.recycle(lease);
                    tries = 0;
                }
                _ => tries += 1,
            }
        }
        self.driver.cancel(id);
        Ok(letters)
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut ready: Vec<OpId> = Vec::new();
        self.driver.poll_now(&mut ready)?;
        let lost = std::mem::take(&mut self.lost_next_turn);
        if std::mem::take(&mut self.look_next_turn) {
            ready.extend(self.machine.begin_read_again());
        }
        for id in ready {
            if let Some(outcome) = self.driver.finish(id) {
                let upcall = self.machine.on_outcome(&mut self.driver, id, outcome);
                self.execute(upcall);
                self.look_next_turn |= self.machine.expects_more();
            }
        }
        if lost {
            self.connection_lost();
        }
        Ok(())
    }

    fn execute(&mut self, mut upcall: Option<DatagramUpcall<Letter>>) {
        while let Some(now) = upcall {
            assert!(
                self.fd.is_some() || matches!(now, DatagramUpcall::LostSend(_)),
                "told {now:?} after connection_lost"
            );
            upcall = match now {
                DatagramUpcall::Received(lease, sender) => {
                    assert_eq!(sender, Some(self.peer_address.clone()));
                    self.received.push(self.driver.bytes(&lease).to_vec());
                    self.driver.recycle(lease);
                    None
                }
                DatagramUpcall::Readable => {
                    self.receive_by_hand();
                    None
                }
                DatagramUpcall::Error(error) => {
                    self.told.push(Told::Error(error.kind()));
                    None
                }
                DatagramUpcall::PauseWriting => {
                    assert!(self.machine.write_buffer_size() as i64 > self.machine.write_buffer_limits().1);
                    self.told.push(Told::Pause);
                    None
                }
                DatagramUpcall::ResumeWriting => {
                    assert!(self.machine.write_buffer_size() as i64 <= self.machine.write_buffer_limits().0);
                    self.told.push(Told::Resume);
                    if let Some(content) = self.on_resume.take() {
                        self.send(&content, &To::Connected);
                    }
                    self.machine.end_if_sent(&mut self.driver)
                }
                DatagramUpcall::HandOver(letter) => {
                    let handed = match self.send_by_hand(&letter.content) {
                        Ok(()) => Handed::Done,
                        Err(()) => Handed::Again(letter),
                    };
                    self.machine.handed_over(&mut self.driver, handed)
                }
                DatagramUpcall::ConnectionLost => {
                    self.connection_lost();
                    None
                }
                DatagramUpcall::LostSend(before) => {
                    if before >= MANY {
                        self.told.push(Told::LostSend);
                    }
                    None
                }
                DatagramUpcall::Raise(error) => panic!("{error}"),
            };
        }
    }

    fn receive_by_hand(&mut self) {
        let Some(fd) = &self.fd else { return };
        // The read side is the machine's, so what is there is looked at by way of a second socket's eyes: its
        // own operation.
        self.machine.pause_reading(&mut self.driver);
        if let Ok(id) = self.driver.submit(yibu_driver::Op::RecvFrom { fd: fd.as_raw_fd() }) {
            if let Some(Outcome::Datagram(lease, _)) = self.driver.finish(id) {
                self.received.push(self.driver.bytes(&lease).to_vec());
                self.driver.recycle(lease);
            }
            self.driver.cancel(id);
        }
        self.machine.resume_reading(&mut self.driver).expect("it was armed before");
    }

    fn connection_lost(&mut self) {
        let fd = self.fd.take().expect("connection_lost is called once");
        let (lost, unsent) = self.machine.abort(&mut self.driver);
        assert!(!lost, "it is lost already");
        drop(unsent);
        self.told.push(Told::ConnectionLost);
        assert!(self.machine.is_lost() && self.machine.is_closing());
        assert_eq!((self.machine.read_op(), self.machine.write_op()), (None, None));
        assert_eq!(self.machine.write_buffer_size(), 0);
        self.driver.close(fd);
    }
}

fn endpoint() -> io::Result<Endpoint> {
    Endpoint::new(1, true, false)
}

/// Sends until something waits, and says how many datagrams that took.
fn fill(endpoint: &mut Endpoint) -> usize {
    let mut count = 0;
    while endpoint.machine.queue().is_empty() {
        endpoint.send(&[count as u8; 10], &To::Connected);
        count += 1;
    }
    count
}

#[test]
fn a_datagram_that_fits_needs_no_watching() -> io::Result<()> {
    let mut endpoint = endpoint()?;
    endpoint.send(b"one", &To::Connected);
    let peer = To::Address(endpoint.peer_address.clone());
    endpoint.send(b"two", &peer);
    endpoint.send(b"", &To::Connected);
    endpoint.send(b"three", &To::Embedder);
    assert_eq!(endpoint.machine.write_op(), None);
    assert_eq!(endpoint.peer_receives()?, [b"one".as_slice(), b"two", b"", b"three"]);
    Ok(())
}

#[test]
fn datagrams_arrive_one_by_one() -> io::Result<()> {
    for leased in [true, false] {
        let mut endpoint = Endpoint::new(1, leased, false)?;
        for content in [b"one".as_slice(), b"", b"three"] {
            assert!(endpoint.peer_sends(content));
        }
        endpoint.turn()?;
        assert_eq!(endpoint.received.len(), 1, "one a report");
        endpoint.turn()?;
        endpoint.turn()?;
        endpoint.turn()?;
        assert_eq!(endpoint.received, [b"one".as_slice(), b"", b"three"]);
    }
    Ok(())
}

#[test]
fn what_waits_counts_with_its_header() -> io::Result<()> {
    let mut endpoint = endpoint()?;
    fill(&mut endpoint);
    assert_eq!(endpoint.machine.write_buffer_size(), 10 + HEADER);
    endpoint.send(b"", &To::Connected);
    assert_eq!(endpoint.machine.write_buffer_size(), 10 + 2 * HEADER);
    endpoint.peer_receives()?;
    endpoint.turn()?;
    assert_eq!(endpoint.machine.write_buffer_size(), 0);
    assert_eq!(endpoint.machine.write_op(), None);
    assert_eq!(endpoint.peer_receives()?.len(), 2);
    Ok(())
}

#[test]
fn water_marks_pause_and_resume() -> io::Result<()> {
    let mut endpoint = endpoint()?;
    fill(&mut endpoint);
    endpoint.set_limits(40, 20);
    endpoint.send(&[0; 10], &To::Connected);
    assert_eq!(endpoint.told, []);
    endpoint.send(&[0; 10], &To::Embedder);
    endpoint.send(&[0; 10], &To::Connected);
    assert_eq!(endpoint.told, [Told::Pause]);
    endpoint.peer_receives()?;
    endpoint.on_resume = Some(b"resumed".to_vec());
    endpoint.turn()?;
    assert_eq!(endpoint.told, [Told::Pause, Told::Resume]);
    assert_eq!(endpoint.peer_receives()?.pop().as_deref(), Some(b"resumed".as_slice()));
    Ok(())
}

#[test]
fn a_refused_datagram_ends_nothing() -> io::Result<()> {
    let mut endpoint = endpoint()?;
    endpoint.net.set_faults(Faults { no_buffers: 255, ..Faults::default() });
    endpoint.send(b"refused", &To::Connected);
    let refused = || Told::Error(io::Error::from(Errno::NOBUFS).kind());
    assert_eq!(endpoint.told, [refused()]);
    endpoint.net.set_faults(Faults::default());
    fill(&mut endpoint);
    endpoint.send(b"last", &To::Connected);
    endpoint.peer_receives()?;
    endpoint.net.set_faults(Faults { no_buffers: 255, ..Faults::default() });
    endpoint.turn()?;
    assert_eq!(endpoint.told, [refused(), refused()]);
    endpoint.net.set_faults(Faults::default());
    endpoint.turn()?;
    assert_eq!(endpoint.peer_receives()?, [b"last"], "what came behind the refused one");
    Ok(())
}

#[test]
fn nobody_at_the_other_end_is_told_and_ends_nothing() -> io::Result<()> {
    let mut endpoint = endpoint()?;
    if let Some(peer) = endpoint.peer.take() {
        endpoint.driver.close(peer);
    }
    endpoint.send(b"to nobody", &To::Connected);
    endpoint.turn()?;
    assert_eq!(endpoint.told, [Told::Error(io::ErrorKind::ConnectionRefused)]);
    assert!(endpoint.machine.read_op().is_some(), "it goes on");
    endpoint.turn()?;
    assert_eq!(endpoint.told.len(), 1);
    Ok(())
}

#[test]
fn close_waits_for_the_queue() -> io::Result<()> {
    let mut endpoint = endpoint()?;
    let count = fill(&mut endpoint);
    endpoint.close();
    endpoint.close();
    assert!(endpoint.machine.is_closing() && !endpoint.machine.is_lost());
    endpoint.send(b"while closing", &To::Connected);
    endpoint.turn()?;
    assert_eq!(endpoint.told, []);
    let mut received = endpoint.peer_receives()?;
    endpoint.turn()?;
    received.extend(endpoint.peer_receives()?);
    assert_eq!(endpoint.told, [Told::ConnectionLost]);
    assert_eq!(received.len(), count + 1);
    Ok(())
}

#[test]
fn abort_sends_nothing_more() -> io::Result<()> {
    let mut endpoint = endpoint()?;
    fill(&mut endpoint);
    endpoint.close();
    endpoint.abort();
    endpoint.abort();
    assert_eq!(endpoint.told, [], "not before the next turn");
    endpoint.turn()?;
    endpoint.turn()?;
    assert_eq!(endpoint.told, [Told::ConnectionLost]);
    Ok(())
}

#[test]
fn the_fifth_late_datagram_warns_where_there_is_one_address() -> io::Result<()> {
    let mut endpoint = Endpoint::new(1, true, true)?;
    endpoint.abort();
    for _ in 0..6 {
        endpoint.send(b"late", &To::Connected);
    }
    assert_eq!(endpoint.told, [Told::LostSend, Told::LostSend]);
    assert_eq!(endpoint.machine.lost_count(), 7);
    Ok(())
}

#[test]
fn pausing_stops_receiving_and_loses_nothing() -> io::Result<()> {
    let mut endpoint = endpoint()?;
    endpoint.machine.pause_reading(&mut endpoint.driver);
    endpoint.machine.pause_reading(&mut endpoint.driver);
    assert!(endpoint.peer_sends(b"kept"));
    endpoint.turn()?;
    assert_eq!(endpoint.received, Vec::<Vec<u8>>::new());
    endpoint.machine.resume_reading(&mut endpoint.driver)?;
    endpoint.turn()?;
    assert_eq!(endpoint.received, [b"kept"]);
    endpoint.close();
    endpoint.machine.resume_reading(&mut endpoint.driver)?;
    assert_eq!(endpoint.machine.read_op(), None);
    Ok(())
}

/// One thing that a user, a peer or the loop does.
#[derive(Clone, Debug)]
enum Act {
    Send(usize, u8),
    SendOnResume,
    Limits(i64, i64),
    Pause,
    Resume,
    Close,
    Abort,
    PeerSends(usize),
    PeerReceives,
    Turn,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..60usize, 0..3u8).prop_map(|(size, to)| Act::Send(size, to)),
        1 => Just(Act::SendOnResume),
        1 => (0..200i64, 0..100i64).prop_map(|(high, low)| Act::Limits(high, low)),
        1 => Just(Act::Pause),
        2 => Just(Act::Resume),
        1 => Just(Act::Close),
        1 => Just(Act::Abort),
        4 => (0..60usize).prop_map(Act::PeerSends),
        3 => Just(Act::PeerReceives),
        8 => Just(Act::Turn),
    ]
}

/// An endpoint with everything that went in at either side.
struct Trial {
    endpoint: Endpoint,
    sent: VecDeque<Vec<u8>>,
    received_by_peer: Vec<Vec<u8>>,
    sent_by_peer: Vec<Vec<u8>>,
    count: u32,
}

impl Trial {
    fn new(seed: u64, leased: bool, faults: Faults) -> io::Result<Self> {
        let endpoint = Endpoint::new(seed, leased, false)?;
        endpoint.net.set_faults(faults);
        Ok(Self {
            endpoint,
            sent: VecDeque::new(),
            received_by_peer: Vec::new(),
            sent_by_peer: Vec::new(),
            count: 0,
        })
    }

    /// A datagram unlike all others.
    fn content(&mut self, size: usize) -> Vec<u8> {
        self.count += 1;
        let mut content = self.count.to_le_bytes().to_vec();
        content.resize(4 + size, 0);
        content
    }

    fn perform(&mut self, act: &Act) -> io::Result<()> {
        match act {
            // After connection_lost nobody asks the machine any more.
            Act::Send(..) if self.endpoint.machine.is_lost() => {}
            Act::Send(size, to) => {
                let content = self.content(*size);
                let to = match to {
                    0 => To::Connected,
                    1 => To::Address(self.endpoint.peer_address.clone()),
                    _ => To::Embedder,
                };
                self.sent.push_back(content.clone());
                self.endpoint.send(&content, &to);
            }
            Act::SendOnResume => {
                if self.endpoint.machine.is_writing_paused() && self.endpoint.on_resume.is_none() {
                    self.endpoint.on_resume = Some(b"resumed".to_vec());
                }
            }
            Act::Limits(high, low) => self.endpoint.set_limits(*high, *low),
            Act::Pause => self.endpoint.machine.pause_reading(&mut self.endpoint.driver),
            Act::Resume => self.endpoint.machine.resume_reading(&mut self.endpoint.driver)?,
            Act::Close => self.endpoint.close(),
            Act::Abort => self.endpoint.abort(),
            Act::PeerSends(size) => {
                let content = self.content(*size);
                if self.endpoint.peer_sends(&content) {
                    self.sent_by_peer.push(content);
                }
            }
            Act::PeerReceives => self.peer_receives()?,
            Act::Turn => self.endpoint.turn()?,
        }
        Ok(())
    }

    fn peer_receives(&mut self) -> io::Result<()> {
        let letters = self.endpoint.peer_receives()?;
        self.received_by_peer.extend(letters.into_iter().filter(|content| content != b"resumed"));
        Ok(())
    }

    /// What holds at any time and whatever happens: nothing comes twice, out of order, or from nowhere.
    fn check(&self) {
        let mut sent = self.sent.iter();
        assert!(self.received_by_peer.iter().all(|letter| sent.any(|candidate| candidate == letter)));
        let mut sent = self.sent_by_peer.iter();
        assert!(self.endpoint.received.iter().all(|letter| sent.any(|candidate| candidate == letter)));
        let machine = &self.endpoint.machine;
        let waiting: usize = machine.queue().iter().map(|letter| letter.content.len() + HEADER).sum();
        assert_eq!(machine.write_buffer_size(), waiting);
        assert!(machine.queue().is_empty() || machine.write_op().is_some());
        let marks = self.endpoint.told.iter().filter(|told| matches!(told, Told::Pause | Told::Resume));
        for (index, mark) in marks.enumerate() {
            assert_eq!(*mark, [Told::Pause, Told::Resume][index % 2]);
        }
    }

    /// Lets everything come to its end: the socket is closed, the peer takes what there is.
    fn wind_down(&mut self) -> io::Result<()> {
        self.endpoint.close();
        for _ in 0..10_000 {
            if self.endpoint.fd.is_none() {
                break;
            }
            self.endpoint.turn()?;
            self.peer_receives()?;
        }
        self.peer_receives()?;
        assert!(self.endpoint.fd.is_none(), "connection_lost is called in the end");
        let ends = self.endpoint.told.iter().filter(|told| **told == Told::ConnectionLost).count();
        assert_eq!(ends, 1);
        self.check();
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_when_nothing_is_refused(
        seed: u64, leased: bool, again in 0..100u8, spurious in 0..100u8,
        acts in prop::collection::vec(act(), 0..60),
    ) {
        let mut trial = Trial::new(seed, leased, Faults { again, spurious, ..Faults::default() })?;
        for act in acts.iter().filter(|act| !matches!(act, Act::Abort)) {
            trial.perform(act)?;
            trial.check();
        }
        if !trial.endpoint.machine.is_closing() {
            trial.endpoint.machine.resume_reading(&mut trial.endpoint.driver)?;
            for _ in 0..10_000 {
                if trial.endpoint.received.len() == trial.sent_by_peer.len() {
                    break;
                }
                trial.endpoint.turn()?;
            }
            prop_assert_eq!(&trial.endpoint.received, &trial.sent_by_peer);
        }
        trial.wind_down()?;
        prop_assert_eq!(trial.received_by_peer, Vec::from(trial.sent));
    }

    #[test]
    fn every_socket_ends_once_whatever_is_refused(
        seed: u64, leased: bool, again in 0..100u8, no_buffers in 0..100u8,
        acts in prop::collection::vec(act(), 0..60),
    ) {
        let mut trial = Trial::new(seed, leased, Faults { again, no_buffers, ..Faults::default() })?;
        for act in &acts {
            trial.perform(act)?;
            trial.check();
        }
        trial.wind_down()?;
    }
}

#[test]
fn upcalls_are_not_large() {
    // They are returned by value from every datagram; an address of any kind is most of it.
    assert!(size_of::<DatagramUpcall<Letter>>() <= size_of::<SocketAddrAny>() + 32);
}
