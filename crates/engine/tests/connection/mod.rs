//! A stream with the embedder that it needs: turns of a loop, a protocol that checks how it is treated, and a
//! peer.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use yibu_driver::{Driver, OpId, Peer, SimNet};
use yibu_engine::transport::{Channel, During, ReadInto, Reading, Socket, Stream, Upcall, WriteError};

/// Late writes before one of which the tests hear.
const MANY: u32 = 5;

/// What the protocol was told, apart from data.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    Eof,
    PeerClosed { unsent: usize },
    PauseWriting,
    ResumeWriting,
    Drained,
    LostWrite,
    Fatal(During, io::ErrorKind),
    Raised(io::ErrorKind),
    ShutDown,
    ConnectionLost,
}

pub struct Connection<K = Socket> {
    pub driver: Driver,
    pub net: SimNet,
    pub stream: Stream<Vec<u8>, K>,
    pub peer: Option<Peer>,
    /// The socket, until `connection_lost` has been called.
    pub fd: Option<OwnedFd>,
    pub told: Vec<Told>,
    pub received: Vec<u8>,
    /// What `eof_received` answers.
    pub keep_open: bool,
    /// What the protocol writes when it is told to resume.
    pub on_resume: Vec<u8>,
    /// Everything that the stream has accepted, or would have if the connection had not been lost.
    pub written: Vec<u8>,
    lost_next_turn: bool,
}

impl<K: Channel> Connection<K> {
    pub fn new(seed: u64, reading: Reading) -> io::Result<Self> {
        let (mut driver, net) = Driver::sim(seed);
        let (fd, peer) = net.stream()?;
        let mut stream = Stream::new(fd.as_raw_fd(), reading);
        stream.start_reading(&mut driver)?;
        Ok(Self {
            driver,
            net,
            stream,
            peer: Some(peer),
            fd: Some(fd),
            told: Vec::new(),
            received: Vec::new(),
            keep_open: false,
            on_resume: Vec::new(),
            written: Vec::new(),
            lost_next_turn: false,
        })
    }

    pub fn write(&mut self, data: &[u8]) -> Result<(), WriteError> {
        let refused = self.refuses();
        let upcall = self.stream.write(&mut self.driver, data, |sent| data[sent..].to_vec())?;
        self.written.extend(data.iter().filter(|_| !refused));
        self.execute(upcall);
        Ok(())
    }

    pub fn writelines(&mut self, lines: Vec<Vec<u8>>) -> Result<(), WriteError> {
        let all = lines.concat();
        let refused = self.refuses();
        let upcall = self.stream.writelines(&mut self.driver, lines)?;
        self.written.extend(all.iter().filter(|_| !refused));
        self.execute(upcall);
        Ok(())
    }

    /// Whether the channel takes nothing more because the stream closes.
    fn refuses(&self) -> bool {
        K::CLOSING_REFUSES && self.stream.is_closing()
    }

    pub fn close(&mut self) {
        self.lost_next_turn |= self.stream.close(&mut self.driver);
    }

    pub fn abort(&mut self) {
        self.lost_next_turn |= self.stream.abort(&mut self.driver);
    }

    pub fn set_limits(&mut self, high: i64, low: i64) {
        if let Ok(upcall) = self.stream.set_write_buffer_limits(Some(high), Some(low)) {
            self.execute(upcall);
        }
    }

    pub fn peer(&self) -> &Peer {
        self.peer.as_ref().expect("the peer has not closed")
    }

    /// One turn: what the kernel reports, then what was put off until this turn.
    pub fn turn(&mut self) -> io::Result<()> {
        let mut ready: Vec<OpId> = Vec::new();
        self.driver.poll_now(&mut ready)?;
        let lost = std::mem::take(&mut self.lost_next_turn);
        for id in ready {
            if let Some(outcome) = self.driver.finish(id) {
                let upcall = self.stream.on_outcome(&mut self.driver, id, outcome);
                self.execute(upcall);
            }
        }
        if lost {
            self.connection_lost();
        }
        self.net.advance(Duration::from_millis(1));
        Ok(())
    }

    pub fn execute(&mut self, mut upcall: Option<Upcall>) {
        while let Some(now) = upcall {
            assert!(
                self.fd.is_some() || matches!(now, Upcall::LostWrite(_)),
                "told {now:?} after connection_lost"
            );
            upcall = match now {
                Upcall::Data(lease) => {
                    self.received.extend(self.driver.bytes(&lease));
                    self.driver.recycle(lease);
                    None
                }
                Upcall::Readable => self.read_buffered(),
                Upcall::Eof => {
                    self.told.push(Told::Eof);
                    self.lost_next_turn |= self.stream.on_eof_reply(&mut self.driver, self.keep_open);
                    None
                }
                Upcall::PeerClosed => {
                    if let Some(unsent) = self.stream.hang_up(&mut self.driver) {
                        self.told.push(Told::PeerClosed { unsent });
                        self.lost_next_turn = true;
                    }
                    None
                }
                Upcall::PauseWriting => {
                    assert!(self.stream.write_buffer_size() as i64 > self.stream.write_buffer_limits().1);
                    self.told.push(Told::PauseWriting);
                    None
                }
                Upcall::ResumeWriting(rest) => {
                    assert!(self.stream.write_buffer_size() as i64 <= self.stream.write_buffer_limits().0);
                    assert!(!K::RESUMES_WHEN_EMPTY || self.stream.write_buffer_size() == 0);
                    self.told.push(Told::ResumeWriting);
                    let more = std::mem::take(&mut self.on_resume);
                    self.write(&more)
                        .unwrap_or_else(|error| assert!(self.stream.is_eof_written(), "{error}"));
                    self.stream.go_on(&mut self.driver, rest)
                }
                Upcall::Drained(rest) => {
                    self.told.push(Told::Drained);
                    self.stream.go_on(&mut self.driver, rest)
                }
                Upcall::Fatal { during, error } => {
                    self.told.push(Told::Fatal(during, error.kind()));
                    assert!(!self.lost_next_turn);
                    self.lost_next_turn = true;
                    None
                }
                Upcall::ShutDown => {
                    self.told.push(Told::ShutDown);
                    None
                }
                Upcall::ConnectionLost => {
                    self.connection_lost();
                    None
                }
                Upcall::LostWrite(before) => {
                    if before >= MANY {
                        self.told.push(Told::LostWrite);
                    }
                    None
                }
                Upcall::Raise(error) => {
                    self.told.push(Told::Raised(error.kind()));
                    None
                }
            };
        }
    }

    fn read_buffered(&mut self) -> Option<Upcall> {
        let mut buf = [0; 1000];
        match self.stream.read_into(&mut self.driver, &mut buf) {
            ReadInto::Bytes(n) => self.received.extend(&buf[..n]),
            ReadInto::Nothing => {}
            ReadInto::Upcall(upcall) => return Some(upcall),
        }
        None
    }

    fn connection_lost(&mut self) {
        let fd = self.fd.take().expect("connection_lost is called once");
        self.told.push(Told::ConnectionLost);
        assert!(self.stream.is_lost() && self.stream.is_closing());
        assert_eq!((self.stream.read_op(), self.stream.write_op()), (None, None));
        assert_eq!(self.stream.write_buffer_size(), 0);
        self.driver.close(fd);
    }
}
