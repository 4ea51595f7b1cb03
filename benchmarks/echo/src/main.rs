//! The two ends of the network benchmarks that are not Python: an echo server on bare epoll, which is the
//! floor no event loop can pass, and the clients that put every server under the same load.
//!
//! Started by `benchmarks/net/`, one process per measurement, and driven over standard input and output
//! (`phase.rs`). Holds only the choice of the subcommand; the work is in `serve.rs`, `exchange.rs` (with `message.rs`), `latency.rs`,
//! `connect.rs`, `idle.rs` and `datagrams.rs`.

mod connect;
mod datagrams;
mod exchange;
mod idle;
mod latency;
mod message;
mod options;
mod phase;
mod serve;

use std::io;
use std::process::ExitCode;

use message::Message;
use options::Options;

const USAGE: &str = "usage: echo serve
       echo serve-datagrams
       echo exchange|lines|requests --port N --connections N --size BYTES --depth N --messages N --warmup N
       echo latency --port N --connections N --size BYTES --depth 1 --messages N --warmup N --percentile N
       echo connect --port N --size BYTES --connections N --warmup N
       echo idle --port N --connections N
       echo datagrams --port N --connections N --size BYTES --depth N --messages N --warmup N";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let outcome = Options::parse(arguments).and_then(|options| run(&command, &options));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo {command}: {error}");
            if error.kind() == io::ErrorKind::InvalidInput {
                eprintln!("{USAGE}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, options: &Options) -> io::Result<()> {
    match command {
        "serve" => serve::serve(),
        "exchange" => exchange::exchange(Message::Bytes, options),
        "lines" => exchange::exchange(Message::Line, options),
        "requests" => exchange::exchange(Message::Request, options),
        "latency" => latency::latency(options),
        "connect" => connect::connect(options),
        "idle" => idle::idle(options),
        "serve-datagrams" => datagrams::serve(),
        "datagrams" => datagrams::exchange(options),
        other => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("unknown command {other:?}"))),
    }
}
