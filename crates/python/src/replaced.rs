//! What a program has replaced: asked before a native short cut is taken that would go past it.
//!
//! [`names`] answers for the names of modules (`asyncio.tasks.Task`, `time.monotonic`) and for the classes of others that native
//! code stands in for (`socket.socket`, `ThreadPoolExecutor`). Called by whoever takes the short cut.

pub mod names;
