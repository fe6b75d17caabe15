//! A stand-in for the terminal of Codex, for demonstrations and tests without a model.
//!
//! It looks like Codex where this program looks: composer, progress line, title. It takes text as
//! Codex does: a bracketed paste into the composer, then Enter. What it answers is up to whoever
//! holds it.

mod keys;
mod screen;
mod terminal;

pub use terminal::StandIn;
