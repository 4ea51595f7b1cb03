//! Streams on the simulated kernel: each behaviour by itself, what pipes do differently, then all of it at
//! random under faults.

use std::io;
use std::time::Duration;

use proptest::prelude::*;
use rustix::io::Errno;
use yibu_driver::Faults;
use yibu_engine::transport::{Channel, During, Pipe, Reading, Rest, Socket, Stream, Upcall, WriteError};

mod connection;
use connection::{Connection, Told};

const CAPACITY: usize = 1000;

fn leased() -> io::Result<Connection> {
    let connection = Connection::new(1, Reading::Leased)?;
    connection.net.set_capacity(CAPACITY);
    Ok(connection)
}

fn write<K: Channel>(connection: &mut Connection<K>, n: usize) -> io::Result<()> {
    connection.write(&vec![1; n]).map_err(io::Error::other)
}

#[test]
fn a_write_that_fits_needs_no_watching() -> io::Result<()> {
    let mut connection = leased()?;
    write(&mut connection, CAPACITY)?;
    assert_eq!(connection.stream.write_op(), None);
    assert_eq!(connection.stream.write_buffer_size(), 0);
    assert_eq!(connection.peer().receive()?.len(), CAPACITY);
    Ok(())
}

#[test]
fn an_embedder_may_send_by_itself() -> io::Result<()> {
    let mut connection = leased()?;
    connection.set_limits(10, 5);
    connection.stream.embed();
    assert!(connection.stream.sends_at_once());
    let upcall = connection.stream.write_rest(&mut connection.driver, 20, 8, || vec![2; 12]);
    connection.execute(upcall.map_err(io::Error::other)?);
    assert_eq!(connection.told, [Told::PauseWriting]);
    assert!(connection.stream.write_op().is_some() && !connection.stream.sends_at_once());
    assert!(!connection.stream.end_writing());
    let upcall = connection.stream.sent(&mut connection.driver, 7, false);
    connection.execute(upcall);
    assert_eq!(connection.stream.unsent().collect::<Vec<_>>(), [[2; 5]]);
    assert_eq!(connection.told, [Told::PauseWriting, Told::ResumeWriting]);
    let upcall = connection.stream.sent(&mut connection.driver, 5, false);
    connection.execute(upcall);
    assert_eq!(connection.told.last(), Some(&Told::ShutDown));
    assert_eq!(connection.stream.write_op(), None);
    assert!(connection.peer().receive().is_err(), "the machine has sent something itself");
    Ok(())
}

#[test]
fn an_embedder_sends_what_is_queued() -> io::Result<()> {
    let mut connection = leased()?;
    let queued = connection.stream.queue([vec![1], vec![2, 3]]).map_err(io::Error::other)?;
    assert!(matches!(queued, Ok(true)));
    let upcall = connection.stream.sent(&mut connection.driver, 1, true);
    connection.execute(upcall);
    assert_eq!(connection.stream.write_buffer_size(), 2);
    assert!(connection.stream.write_op().is_some());
    connection.abort();
    let late = connection.stream.queue([vec![4]]).map_err(io::Error::other)?;
    assert!(matches!(late, Err(Upcall::LostWrite(1))));
    assert_eq!(connection.told, []);
    Ok(())
}

#[test]
fn what_does_not_fit_waits_for_room() -> io::Result<()> {
    let mut connection = leased()?;
    write(&mut connection, CAPACITY + 10)?;
    write(&mut connection, 5)?;
    assert_eq!(connection.stream.write_buffer_size(), 15);
    assert!(connection.stream.write_op().is_some());
    connection.peer().receive()?;
    connection.turn()?;
    assert_eq!(connection.peer().receive()?.len(), 15);
    assert_eq!(connection.stream.write_op(), None);
    assert_eq!(connection.told, []);
    Ok(())
}

#[test]
fn water_marks_pause_and_resume() -> io::Result<()> {
    let mut connection = leased()?;
    connection.set_limits(100, 20);
    write(&mut connection, CAPACITY + 100)?;
    assert_eq!(connection.told, []);
    write(&mut connection, 1)?;
    write(&mut connection, 1)?;
    assert_eq!(connection.told, [Told::PauseWriting]);
    connection.peer().receive_some(81)?;
    connection.turn()?;
    assert_eq!(connection.stream.write_buffer_size(), 21);
    assert_eq!(connection.told, [Told::PauseWriting]);
    connection.peer().receive_some(1)?;
    connection.turn()?;
    assert_eq!(connection.told, [Told::PauseWriting, Told::ResumeWriting]);
    connection.set_limits(10, 0);
    assert_eq!(connection.told.last(), Some(&Told::PauseWriting), "new marks count at once");
    Ok(())
}

#[test]
fn a_write_in_resume_writing_keeps_the_descriptor_watched() -> io::Result<()> {
    let mut connection = leased()?;
    connection.set_limits(0, 0);
    write(&mut connection, CAPACITY + 1)?;
    connection.on_resume = vec![2; CAPACITY + 1];
    connection.peer().receive()?;
    connection.turn()?;
    assert_eq!(connection.told, [Told::PauseWriting, Told::ResumeWriting, Told::PauseWriting]);
    assert!(connection.stream.write_op().is_some());
    Ok(())
}

#[test]
fn writelines_is_one_call_and_respects_the_marks() -> io::Result<()> {
    let mut connection = leased()?;
    connection.set_limits(100, 20);
    let lines = vec![vec![1; 600], Vec::new(), vec![2; 600]];
    connection.writelines(lines).map_err(io::Error::other)?;
    assert_eq!(connection.stream.write_buffer_size(), 200);
    assert_eq!(connection.told, [Told::PauseWriting]);
    connection.peer().receive()?;
    connection.turn()?;
    assert_eq!(connection.told, [Told::PauseWriting, Told::ResumeWriting]);
    assert_eq!(connection.peer().receive()?, vec![2; 200]);
    connection.writelines(vec![Vec::new()]).map_err(io::Error::other)?;
    assert_eq!(connection.stream.write_op(), None);
    Ok(())
}

#[test]
fn close_sends_what_waits_first() -> io::Result<()> {
    let mut connection = leased()?;
    write(&mut connection, CAPACITY + 10)?;
    connection.close();
    connection.close();
    assert!(connection.stream.is_closing() && !connection.stream.is_lost());
    assert_eq!(connection.stream.read_op(), None, "it reads no more");
    connection.turn()?;
    assert_eq!(connection.told, []);
    assert_eq!(connection.peer().receive()?.len(), CAPACITY);
    connection.turn()?;
    assert_eq!(connection.told, [Told::ConnectionLost]);
    assert_eq!(connection.peer().receive()?.len(), 10);
    assert_eq!(connection.peer().receive()?, b"", "and then it is closed");
    connection.close();
    connection.abort();
    connection.turn()?;
    assert_eq!(connection.told, [Told::ConnectionLost]);
    Ok(())
}

#[test]
fn abort_sends_nothing_more() -> io::Result<()> {
    let mut connection = leased()?;
    write(&mut connection, CAPACITY + 10)?;
    connection.close();
    connection.abort();
    assert_eq!(connection.stream.write_buffer_size(), 0);
    assert_eq!(connection.told, [], "not before the next turn");
    connection.turn()?;
    assert_eq!(connection.told, [Told::ConnectionLost]);
    Ok(())
}

#[test]
fn the_end_closes_unless_the_protocol_keeps_it_open() -> io::Result<()> {
    let mut connection = leased()?;
    connection.peer().send(b"last")?;
    connection.peer().shutdown_write()?;
    connection.turn()?;
    connection.turn()?;
    assert_eq!(connection.received, b"last");
    assert_eq!(connection.told, [Told::Eof]);
    connection.turn()?;
    assert_eq!(connection.told, [Told::Eof, Told::ConnectionLost]);

    let mut connection = leased()?;
    connection.keep_open = true;
    connection.peer().shutdown_write()?;
    for _ in 0..3 {
        connection.turn()?;
    }
    assert_eq!(connection.told, [Told::Eof], "once");
    assert!(connection.stream.is_reading());
    write(&mut connection, 5)?;
    assert_eq!(connection.peer().receive()?.len(), 5);
    Ok(())
}

#[test]
fn write_eof_waits_for_the_buffer() -> io::Result<()> {
    let mut connection = leased()?;
    write(&mut connection, CAPACITY + 10)?;
    connection.stream.write_eof(&mut connection.driver)?;
    connection.stream.write_eof(&mut connection.driver)?;
    connection.peer().receive()?;
    assert_eq!(connection.peer().receive().map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    connection.turn()?;
    assert_eq!(connection.peer().receive()?.len(), 10);
    assert_eq!(connection.peer().receive()?, b"");
    connection.peer().send(b"still open")?;
    connection.turn()?;
    assert_eq!(connection.received, b"still open");
    let texts = [connection.write(b"").err(), connection.writelines(Vec::new()).err()];
    let texts = texts.map(|error| error.and_then(|error| error.text("write")));
    assert_eq!(texts, [(); 2].map(|()| Some("Cannot call write() after write_eof()".to_owned())));
    Ok(())
}

#[test]
fn pausing_stops_reading_and_loses_nothing() -> io::Result<()> {
    let mut connection = leased()?;
    connection.stream.pause_reading(&mut connection.driver);
    connection.stream.pause_reading(&mut connection.driver);
    assert!(!connection.stream.is_reading() && connection.stream.read_op().is_none());
    connection.peer().send(b"kept")?;
    connection.turn()?;
    assert_eq!(connection.received, b"");
    connection.stream.resume_reading(&mut connection.driver)?;
    connection.stream.resume_reading(&mut connection.driver)?;
    connection.turn()?;
    assert_eq!(connection.received, b"kept");
    connection.close();
    connection.stream.resume_reading(&mut connection.driver)?;
    assert_eq!(connection.stream.read_op(), None);
    Ok(())
}

#[test]
fn a_protocol_may_be_exchanged_for_a_buffered_one() -> io::Result<()> {
    let mut connection = leased()?;
    for (reading, message) in
        [(Reading::Buffered, "one"), (Reading::Buffered, " two"), (Reading::Leased, " three")]
    {
        connection.stream.set_reading(&mut connection.driver, reading)?;
        connection.peer().send(message.as_bytes())?;
        connection.turn()?;
    }
    assert_eq!(connection.received, b"one two three");
    Ok(())
}

#[test]
fn a_broken_connection_is_fatal_once() -> io::Result<()> {
    let mut connection = leased()?;
    connection.peer().reset();
    connection.turn()?;
    connection.turn()?;
    let reset = Told::Fatal(During::Reading, io::ErrorKind::ConnectionReset);
    assert_eq!(connection.told, [reset, Told::ConnectionLost]);

    let mut connection = leased()?;
    connection.stream.pause_reading(&mut connection.driver);
    connection.peer().reset();
    write(&mut connection, 1)?;
    for _ in 0..6 {
        write(&mut connection, 1)?;
    }
    connection.turn()?;
    let reset = Told::Fatal(During::Writing, io::ErrorKind::ConnectionReset);
    assert_eq!(connection.told, [reset, Told::LostWrite, Told::LostWrite, Told::ConnectionLost]);
    Ok(())
}

#[test]
fn watching_the_drain_forbids_writing() -> io::Result<()> {
    let mut connection = leased()?;
    write(&mut connection, CAPACITY + 10)?;
    assert!(!connection.stream.watch_drain());
    let refused = connection.write(b"x").err().and_then(|error| error.text("write"));
    assert_eq!(refused.as_deref(), Some("unable to write; sendfile is in progress"));
    connection.peer().receive()?;
    connection.turn()?;
    assert_eq!(connection.told, [Told::Drained]);
    assert!(connection.stream.watch_drain(), "nothing waits: no upcall will come");
    connection.stream.unwatch_drain();
    write(&mut connection, 1)?;
    Ok(())
}

#[test]
fn a_shutdown_that_fails_is_raised() -> io::Result<()> {
    let mut connection = leased()?;
    connection.stream.pause_reading(&mut connection.driver);
    connection.peer().reset();
    let refused = connection.stream.write_eof(&mut connection.driver).map_err(|error| error.kind());
    assert_eq!(refused, Err(io::ErrorKind::NotConnected));
    Ok(())
}

#[test]
fn upcalls_are_small() {
    // They are returned by value from every write.
    assert!(size_of::<Option<Upcall>>() <= 24, "{}", size_of::<Option<Upcall>>());
    assert!(size_of::<Rest>() <= 2);
    assert!(size_of::<WriteError>() <= 16);
    assert!(size_of::<Stream<Vec<u8>, Socket>>() <= 144, "{}", size_of::<Stream<Vec<u8>>>());
}

fn pipe(reading: Reading) -> io::Result<Connection<Pipe>> {
    let connection = Connection::new(1, reading)?;
    connection.net.set_capacity(CAPACITY);
    Ok(connection)
}

#[test]
fn a_pipe_is_read_like_a_socket() -> io::Result<()> {
    let mut connection = pipe(Reading::Leased)?;
    connection.peer().send(b"one")?;
    connection.turn()?;
    connection.peer().send(b" two")?;
    connection.peer().shutdown_write()?;
    for _ in 0..3 {
        connection.turn()?;
    }
    assert_eq!(connection.received, b"one two");
    assert_eq!(connection.told, [Told::Eof, Told::ConnectionLost]);
    Ok(())
}

#[test]
fn a_closing_pipe_takes_nothing_more_and_counts_what_it_is_given() -> io::Result<()> {
    let mut connection = pipe(Reading::PeerWatched)?;
    write(&mut connection, CAPACITY + 10)?;
    connection.close();
    assert_eq!(connection.stream.lost_count(), 0);
    for _ in 0..6 {
        write(&mut connection, 1)?;
    }
    assert_eq!(connection.stream.lost_count(), 6);
    assert_eq!(connection.told, [Told::LostWrite]);
    assert_eq!(connection.peer().receive()?.len(), CAPACITY);
    connection.turn()?;
    assert_eq!(connection.told, [Told::LostWrite, Told::ConnectionLost]);
    assert_eq!(connection.peer().receive()?.len(), 10);
    Ok(())
}

#[test]
fn a_pipe_resumes_when_nothing_waits() -> io::Result<()> {
    let mut connection = pipe(Reading::PeerWatched)?;
    connection.set_limits(100, 90);
    write(&mut connection, CAPACITY + 200)?;
    connection.peer().receive_some(150)?;
    connection.turn()?;
    assert_eq!(connection.stream.write_buffer_size(), 50);
    assert_eq!(connection.told, [Told::PauseWriting]);
    connection.peer().receive_some(50)?;
    connection.turn()?;
    assert_eq!(connection.told, [Told::PauseWriting, Told::ResumeWriting]);
    Ok(())
}

#[test]
fn a_writing_end_notices_that_its_reader_has_gone() -> io::Result<()> {
    for (waiting, closing) in [(0, false), (10, false), (10, true)] {
        let mut connection = pipe(Reading::PeerWatched)?;
        write(&mut connection, if waiting == 0 { 0 } else { CAPACITY + waiting })?;
        if closing {
            connection.close();
        }
        connection.peer().shutdown_write()?;
        connection.turn()?;
        let gone = Told::PeerClosed { unsent: waiting };
        assert_eq!(connection.told, [gone]);
        connection.turn()?;
        assert_eq!(connection.told.last(), Some(&Told::ConnectionLost));
        assert_eq!(connection.stream.lost_count(), 0);
    }
    Ok(())
}

#[test]
fn a_writing_end_that_cannot_notice_finds_out() -> io::Result<()> {
    let mut connection = pipe(Reading::Nothing)?;
    assert_eq!(connection.stream.read_op(), None);
    connection.peer().reset();
    for _ in 0..6 {
        write(&mut connection, 1)?;
    }
    connection.turn()?;
    let reset = Told::Fatal(During::Writing, io::ErrorKind::ConnectionReset);
    assert_eq!(connection.told, [reset, Told::LostWrite, Told::ConnectionLost]);
    assert_eq!(connection.stream.lost_count(), 6);
    Ok(())
}

/// One thing that a user, a peer or the loop does.
#[derive(Clone, Debug)]
enum Act {
    Write(usize),
    Writelines(Vec<usize>),
    WriteOnResume(usize),
    WriteEof,
    Limits(i64, i64),
    Pause,
    Resume,
    Exchange(bool),
    Close,
    Abort,
    PeerSend(usize),
    PeerReceive(usize),
    PeerShutdown,
    PeerReset,
    Turn,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..800usize).prop_map(Act::Write),
        2 => prop::collection::vec(0..300usize, 0..6).prop_map(Act::Writelines),
        1 => (0..800usize).prop_map(Act::WriteOnResume),
        1 => Just(Act::WriteEof),
        1 => (0..1000i64, 0..500i64).prop_map(|(high, low)| Act::Limits(high, low)),
        2 => Just(Act::Pause),
        2 => Just(Act::Resume),
        1 => any::<bool>().prop_map(Act::Exchange),
        1 => Just(Act::Close),
        1 => Just(Act::Abort),
        4 => (0..800usize).prop_map(Act::PeerSend),
        4 => (1..800usize).prop_map(Act::PeerReceive),
        1 => Just(Act::PeerShutdown),
        1 => Just(Act::PeerReset),
        8 => Just(Act::Turn),
    ]
}

/// Faults after which everything still arrives.
fn gentle() -> impl Strategy<Value = Faults> {
    (0..150u8, 0..200u8, 0..200u8, 0..100u8).prop_map(|(again, short_read, short_write, spurious)| Faults {
        again,
        short_read,
        short_write,
        spurious,
        ..Faults::default()
    })
}

/// Faults that end connections.
fn harsh() -> impl Strategy<Value = Faults> {
    (gentle(), 0..20u8, 0..20u8).prop_map(|(faults, reset, no_buffers)| Faults {
        reset,
        no_buffers,
        ..faults
    })
}

/// Bytes that tell where in a stream they belong.
struct Counter(u32);

impl Counter {
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n)
            .map(|_| {
                self.0 += 1;
                (self.0 ^ self.0 >> 8) as u8
            })
            .collect()
    }
}

/// Both directions of a connection under test.
struct Trial<K> {
    connection: Connection<K>,
    outgoing: Counter,
    incoming: Counter,
    sent_by_peer: Vec<u8>,
    received_by_peer: Vec<u8>,
}

impl<K: Channel> Trial<K> {
    fn new(seed: u64, reading: Reading, keep_open: bool, faults: Faults) -> io::Result<Self> {
        let mut connection = Connection::new(seed, reading)?;
        connection.keep_open = keep_open;
        connection.net.set_capacity(CAPACITY);
        connection.net.set_faults(faults);
        Ok(Self {
            connection,
            outgoing: Counter(0),
            incoming: Counter(7000),
            sent_by_peer: Vec::new(),
            received_by_peer: Vec::new(),
        })
    }

    fn perform(&mut self, act: &Act) -> io::Result<()> {
        let connection = &mut self.connection;
        match act {
            Act::Write(n) if !connection.stream.is_eof_written() => {
                connection.write(&self.outgoing.bytes(*n)).map_err(io::Error::other)?;
            }
            Act::Writelines(lens) if !connection.stream.is_eof_written() => {
                let lines = lens.iter().map(|n| self.outgoing.bytes(*n)).collect();
                connection.writelines(lines).map_err(io::Error::other)?;
            }
            Act::Write(_) | Act::Writelines(_) => assert!(connection.write(b"x").is_err()),
            // Only while the protocol can be told to resume before anything else is written.
            Act::WriteOnResume(n) => {
                if connection.stream.is_writing_paused() && connection.on_resume.is_empty() {
                    connection.on_resume = vec![0xee; *n];
                }
            }
            // A pipe has no other half.
            Act::WriteEof if K::CLOSING_REFUSES => connection.close(),
            Act::WriteEof => drop(connection.stream.write_eof(&mut connection.driver)),
            Act::Limits(high, low) => connection.set_limits(*high, *low),
            Act::Pause => connection.stream.pause_reading(&mut connection.driver),
            Act::Resume => connection.stream.resume_reading(&mut connection.driver)?,
            Act::Exchange(buffered) => {
                let reading = if *buffered { Reading::Buffered } else { Reading::Leased };
                connection.stream.set_reading(&mut connection.driver, reading)?;
            }
            Act::Close => connection.close(),
            Act::Abort => connection.abort(),
            Act::PeerSend(n) => {
                let bytes = self.incoming.bytes(*n);
                let sent = connection.peer().send(&bytes).unwrap_or(0);
                self.incoming.0 -= (n - sent) as u32;
                self.sent_by_peer.extend(&bytes[..sent]);
            }
            Act::PeerReceive(n) => {
                self.received_by_peer.extend(connection.peer().receive_some(*n).unwrap_or_default());
            }
            Act::PeerShutdown => drop(connection.peer().shutdown_write()),
            Act::PeerReset => connection.peer().reset(),
            Act::Turn => connection.turn()?,
        }
        Ok(())
    }

    /// What holds at any time and whatever happens: nothing comes twice, out of order, or from nowhere.
    fn check(&self) {
        let connection = &self.connection;
        assert!(self.sent_by_peer.starts_with(&connection.received));
        assert!(connection.written.starts_with(&self.received_by_peer));
        assert_eq!(connection.stream.write_buffer_size() != 0, connection.stream.write_op().is_some());
        let marks =
            connection.told.iter().filter(|told| matches!(told, Told::PauseWriting | Told::ResumeWriting));
        for (index, mark) in marks.enumerate() {
            assert_eq!(*mark, [Told::PauseWriting, Told::ResumeWriting][index % 2]);
        }
        let ended = connection.told.iter().position(|told| matches!(told, Told::ConnectionLost));
        if let Some(ended) = ended {
            assert!(connection.told[ended + 1..].iter().all(|told| *told == Told::LostWrite));
        }
    }

    /// Lets everything come to its end: the stream is closed, the peer reads what there is.
    fn wind_down(&mut self) -> io::Result<()> {
        self.connection.close();
        for _ in 0..100_000 {
            if self.connection.fd.is_none() {
                break;
            }
            self.connection.turn()?;
            self.received_by_peer.extend(self.connection.peer().receive().unwrap_or_default());
        }
        assert!(self.connection.fd.is_none(), "connection_lost is called in the end");
        self.received_by_peer.extend(self.connection.peer().receive().unwrap_or_default());
        self.check();
        Ok(())
    }
}

fn reading() -> impl Strategy<Value = Reading> {
    prop_oneof![Just(Reading::Leased), Just(Reading::Buffered)]
}

fn nothing_is_lost<K: Channel>(mut trial: Trial<K>, acts: &[Act]) -> Result<(), TestCaseError> {
    for act in acts.iter().filter(|act| !matches!(act, Act::Abort | Act::PeerReset)) {
        trial.perform(act)?;
        trial.check();
    }
    let open = !trial.connection.stream.is_closing();
    if open {
        // Everything that the peer sent arrives.
        trial.connection.stream.resume_reading(&mut trial.connection.driver)?;
        for _ in 0..100_000 {
            if trial.connection.received.len() == trial.sent_by_peer.len() {
                break;
            }
            trial.connection.turn()?;
        }
        prop_assert_eq!(&trial.connection.received, &trial.sent_by_peer);
    }
    let accepted = trial.connection.written.len();
    let late = trial.connection.stream.is_lost();
    trial.wind_down()?;
    // Everything that was written before the end arrives, also while closing.
    if !late {
        prop_assert!(trial.received_by_peer.len() >= accepted);
        prop_assert!(!trial.connection.told.iter().any(|told| matches!(told, Told::Fatal(..))));
    }
    Ok(())
}

fn ends_once<K: Channel>(mut trial: Trial<K>, acts: &[Act]) -> Result<(), TestCaseError> {
    for act in acts {
        trial.perform(act)?;
        trial.check();
    }
    trial.wind_down()?;
    let told = &trial.connection.told;
    let ends = told.iter().filter(|told| **told == Told::ConnectionLost).count();
    prop_assert_eq!(ends, 1);
    // The reason is the kernel's, and there is one.
    let reasons: Vec<io::ErrorKind> = told
        .iter()
        .filter_map(|told| if let Told::Fatal(_, kind) = told { Some(*kind) } else { None })
        .collect();
    let known = [Errno::CONNRESET, Errno::PIPE, Errno::NOBUFS].map(|errno| io::Error::from(errno).kind());
    prop_assert!(reasons.len() <= 1 && reasons.iter().all(|kind| known.contains(kind)), "{:?}", reasons);
    Ok(())
}

/// A one-sided stream has nothing to exchange.
fn one_sided(acts: &mut Vec<Act>) {
    acts.retain(|act| !matches!(act, Act::Exchange(_)));
}

proptest! {
    #[test]
    fn nothing_is_lost_when_nothing_breaks(
        seed: u64, reading in reading(), keep_open: bool, faults in gentle(),
        acts in prop::collection::vec(act(), 0..60)
    ) {
        nothing_is_lost(Trial::<Socket>::new(seed, reading, keep_open, faults)?, &acts)?;
    }

    #[test]
    fn nothing_is_lost_in_a_pipe_when_nothing_breaks(
        seed: u64, reading in reading(), faults in gentle(), acts in prop::collection::vec(act(), 0..60)
    ) {
        nothing_is_lost(Trial::<Pipe>::new(seed, reading, false, faults)?, &acts)?;
    }

    #[test]
    fn nothing_is_lost_at_a_writing_end_whose_reader_stays(
        seed: u64, watched: bool, mut faults in gentle(), mut acts in prop::collection::vec(act(), 0..60)
    ) {
        one_sided(&mut acts);
        acts.retain(|act| !matches!(act, Act::PeerSend(_) | Act::PeerShutdown));
        faults.spurious = 0;
        let reading = if watched { Reading::PeerWatched } else { Reading::Nothing };
        nothing_is_lost(Trial::<Pipe>::new(seed, reading, false, faults)?, &acts)?;
    }

    #[test]
    fn every_connection_ends_once_whatever_breaks(
        seed: u64, reading in reading(), keep_open: bool, faults in harsh(),
        acts in prop::collection::vec(act(), 0..60)
    ) {
        ends_once(Trial::<Socket>::new(seed, reading, keep_open, faults)?, &acts)?;
    }

    #[test]
    fn every_pipe_ends_once_whatever_breaks(
        seed: u64, reading in reading(), faults in harsh(), acts in prop::collection::vec(act(), 0..60)
    ) {
        ends_once(Trial::<Pipe>::new(seed, reading, false, faults)?, &acts)?;
    }

    #[test]
    fn every_writing_end_ends_once_whatever_breaks(
        seed: u64, watched: bool, faults in harsh(), mut acts in prop::collection::vec(act(), 0..60)
    ) {
        one_sided(&mut acts);
        let reading = if watched { Reading::PeerWatched } else { Reading::Nothing };
        ends_once(Trial::<Pipe>::new(seed, reading, false, faults)?, &acts)?;
    }
}

#[test]
fn time_passes_for_peers_too() -> io::Result<()> {
    let mut connection = leased()?;
    connection.peer().send_after(Duration::from_millis(5), b"later");
    connection.turn()?;
    assert_eq!(connection.received, b"");
    connection.net.advance(Duration::from_millis(5));
    connection.turn()?;
    assert_eq!(connection.received, b"later");
    Ok(())
}
