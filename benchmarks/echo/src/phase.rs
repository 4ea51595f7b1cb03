//! The conversation with the measuring process: a word out at the end of a phase, a line in to begin the next.
//!
//! The measuring process reads the server's CPU clock while a client waits here, so that neither start-up nor
//! warm-up nor shutdown is counted. Called by every client.

use std::io::{self, Write};

/// Says that a phase is over and waits for the word to go on. The end of the input means that nobody measures
/// any more, which is an error in the middle of a run.
pub fn pause(word: &str) -> io::Result<()> {
    announce(word)?;
    let mut line = String::new();
    match io::stdin().read_line(&mut line)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the measuring process has gone")),
        _ => Ok(()),
    }
}

/// Prints one line and makes sure that it leaves this process.
pub fn announce(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}
