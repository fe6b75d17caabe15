//! What is on the screen, and what the person is about to do.

use super::keys::Deed;
use crate::domain::Role;
use crate::store::top::{TopFrame, TopPair, TopSession};

/// What the keys mean at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each is a deed.
    Watching,
    /// They make a text for this session.
    Writing { session: String, text: String },
    /// `y` does it.
    Confirming { question: String, deed: Deed },
}

/// All of it.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) frame: TopFrame,
    /// The chosen row.
    pub(super) row: usize,
    /// The chosen side of the pair.
    pub(super) side: Role,
    pub(super) mode: Mode,
    /// What became of the last deeds, since a key was pressed.
    pub(super) said: Vec<String>,
    /// What is being done, oldest first.
    pub(super) under_way: Vec<String>,
    /// Why there is no newer look.
    pub(super) trouble: Option<String>,
}

impl Screen {
    pub(super) fn new(frame: TopFrame) -> Self {
        Self {
            frame,
            row: 0,
            side: Role::Worker,
            mode: Mode::Watching,
            said: Vec::new(),
            under_way: Vec::new(),
            trouble: None,
        }
    }

    /// Takes a newer look. The chosen pair stays chosen wherever it is now.
    pub(super) fn renew(&mut self, frame: TopFrame) {
        let chosen = self.pair().map(|pair| pair.task.clone());
        self.frame = frame;
        self.trouble = None;
        let found = self.frame.pairs.iter().position(|pair| Some(&pair.task) == chosen.as_ref());
        self.row = found.unwrap_or(self.row).min(self.frame.pairs.len().saturating_sub(1));
    }

    pub(super) fn say(&mut self, said: String) {
        self.said.push(said);
    }

    /// Lets the person confirm a deed.
    pub(super) fn ask(&mut self, question: String, deed: Deed) {
        self.mode = Mode::Confirming { question, deed };
    }

    /// The chosen pair.
    pub(super) fn pair(&self) -> Option<&TopPair> {
        self.frame.pairs.get(self.row)
    }

    /// The chosen session.
    pub(super) fn session(&self) -> Option<&TopSession> {
        self.pair().map(|pair| match self.side {
            Role::Worker => &pair.worker,
            Role::Manager => &pair.manager,
        })
    }
}
