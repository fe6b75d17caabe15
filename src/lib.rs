//! conveyor: the supervision runtime that lets one AI coding session steer another.
//!
//! A **task** is a unit of supervised work; a **binding** ties one **worker** and one **manager**
//! session to it. The runtime tails the worker's rollout file, turns each ended turn into a durable
//! fact, and Dispatch routes that fact to the manager: pushed into its session, or left in its
//! mailbox until it asks. Dispatch is mechanical: it never judges the work.
//!
//! Dependencies point one way: `cli → actors → reports → {store, codex, tmux} → domain`.
//!
//! - [`cli`]: parse, make the call, show the reply.
//! - [`actors`]: the running system. [`actors::calls`] holds every call once: its arguments, its
//!   reply, and what serving it means. The same actors run in the supervisor (`conveyor run`) and,
//!   when none is alive, inside a one-shot command.
//! - [`store`]: the only SQL. One writer thread with group commit, readers beside it.
//! - [`reports`]: read models: what is told of what the store holds.
//! - [`codex`]: the only code that knows Codex: rollouts, sessions, its app-server, its screen.
//! - [`tmux`]: the only tmux calls.
//! - [`domain`]: rules and types without I/O.
//! - [`own_dir`]: directories that only their owner may enter.
//! - [`fault`]: where the tests make things go wrong.
//!
//! # What always holds
//!
//! 1. A fact is stored before anyone is told.
//! 2. No external effect happens without a durable record that it is about to.
//! 3. An effect that may have happened is never repeated without evidence.
//! 4. No claim can be finished by anyone but its claimant.
//! 5. Killing any process at any instruction loses no fact and doubles no mailbox item.
//! 6. Terminal text, prompts and transcripts are redacted unless `--include-content` is given.
//! 7. User text never passes through a shell.
//! 8. The socket is mode 0600 in a 0700 directory, and both who listens and who connects check the other's uid.
//! 9. A timeout means *unknown*, never *failed*.
//! 10. Every error says what happened, to which object, and the next command to try.

pub mod actors;
pub mod cli;
pub mod codex;
pub mod domain;
pub mod fault;
pub mod own_dir;
pub mod reports;
pub mod store;
pub mod tmux;
