//! How long messages take at half of the load that the server can bear.
//!
//! The warm-up finds out how many messages a second come back when each connection sends the next one at once. What is
//! measured are messages that are due at half that rate, whether or not earlier ones have come back: one that has to wait for
//! a free connection is late, and its delay counts from when it was due. Started by `main.rs`; the messages are those of
//! `exchange.rs`.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll::Event};

use crate::exchange::Load;
use crate::message::Message;
use crate::options::Options;
use crate::phase;

const EVENTS: usize = 1024;
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Connects, finds the rate, waits, measures, and says the delay in nanoseconds that `--percentile` of the messages did not exceed.
pub fn latency(options: &Options) -> io::Result<()> {
    let mut load = Load::connect(Message::Bytes, options)?;
    let (warm_up, messages) = (options.number("warmup")?, options.number("messages")?);
    load.run(warm_up)?;
    let started = Instant::now();
    let done = load.run(warm_up)?;
    let interval = started.elapsed() * 2 / u32::try_from(done).unwrap_or(u32::MAX);
    phase::pause("ready")?;
    let mut delays = paced(&mut load, messages, interval)?;
    delays.sort_unstable();
    let index = (delays.len() * options.number("percentile")? / 100).min(delays.len().saturating_sub(1));
    let delay = delays.get(index).copied().unwrap_or_default();
    phase::pause(&format!("done {}", delay.as_nanos()))
}

/// Sends a message each `interval` and returns what each took since it was due.
fn paced(load: &mut Load, messages: usize, interval: Duration) -> io::Result<Vec<Duration>> {
    let mut idle = Vec::from_iter(0..load.connections());
    let start = Instant::now();
    let mut due = vec![start; idle.len()];
    let mut next = start;
    let (mut begun, mut delays) = (0, Vec::with_capacity(messages));
    let (mut events, mut complete): (Vec<Event>, Vec<usize>) = (Vec::with_capacity(EVENTS), Vec::new());
    while delays.len() < messages {
        while begun < messages
            && next <= Instant::now()
            && let Some(slot) = idle.pop()
        {
            due[slot] = next;
            load.begin(slot)?;
            begun += 1;
            next += interval;
        }
        load.wait(&mut events, Some(&AT_ONCE), &mut complete)?;
        let now = Instant::now();
        for slot in complete.drain(..) {
            delays.push(now - due[slot]);
            idle.push(slot);
        }
    }
    Ok(delays)
}
