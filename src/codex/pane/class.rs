//! The classes of a Codex screen.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::domain::Asks;

/// What a Codex terminal is doing. Displays as `idle`, `working:retrying`, `blocked:approval`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaneClass {
    /// Waits for a prompt.
    Idle,
    /// Waits for a prompt; the last turn failed.
    IdleError,
    /// A turn runs.
    Working,
    /// A turn runs, and the model cannot be reached at the moment.
    WorkingRetrying,
    /// Something other than the composer takes the keys.
    Blocked(Block),
    /// Nobody works behind this screen.
    Dead(Death),
    /// Not a screen of Codex, or not one this program knows.
    Unknown,
}

/// What takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Block {
    /// A command, an edit or a tool call waits for permission.
    Approval,
    /// The model asks the user something.
    Question,
    /// The folder is not trusted yet.
    Trust,
    /// A newer Codex is offered; Enter would install it.
    Update,
    /// Hooks are new or changed.
    Hooks,
    /// The background server runs with other settings.
    Daemon,
    /// Another dialog with choices.
    Modal,
    /// The list of earlier sessions.
    Picker,
    /// The list of agents.
    Agents,
    /// A panel that is closed with a key.
    Overlay,
}

/// Why nobody works behind the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Death {
    /// The app-server is gone; the terminal tries to reach it.
    Server,
    /// Codex has exited.
    Exited,
}

impl PaneClass {
    const ALL: [Self; 17] = [
        Self::Idle,
        Self::IdleError,
        Self::Working,
        Self::WorkingRetrying,
        Self::Blocked(Block::Approval),
        Self::Blocked(Block::Question),
        Self::Blocked(Block::Trust),
        Self::Blocked(Block::Update),
        Self::Blocked(Block::Hooks),
        Self::Blocked(Block::Daemon),
        Self::Blocked(Block::Modal),
        Self::Blocked(Block::Picker),
        Self::Blocked(Block::Agents),
        Self::Blocked(Block::Overlay),
        Self::Dead(Death::Server),
        Self::Dead(Death::Exited),
        Self::Unknown,
    ];

    /// Reads [`PaneClass::as_str`] back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// Pasted text and Enter reach the session.
    ///
    /// See [`composer_text`](super::composer_text) for what stands in the composer already.
    pub fn takes_input(self) -> bool {
        matches!(self, Self::Idle | Self::IdleError | Self::Working | Self::WorkingRetrying)
    }

    /// Pasted text is lost, or answers a question nobody has read.
    pub fn blocks_paste(self) -> bool {
        matches!(self, Self::Blocked(_))
    }

    /// What the screen asks a person for. Lists and panels that a person opened ask nothing.
    pub fn asks(self) -> Option<Asks> {
        let Self::Blocked(block) = self else { return None };
        match block {
            Block::Approval => Some(Asks::Approval),
            Block::Question => Some(Asks::Answer),
            Block::Trust | Block::Update | Block::Hooks | Block::Daemon | Block::Modal => Some(Asks::Screen),
            Block::Picker | Block::Agents | Block::Overlay => None,
        }
    }

    /// The class as shown, logged and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::IdleError => "idle:error",
            Self::Working => "working",
            Self::WorkingRetrying => "working:retrying",
            Self::Blocked(Block::Approval) => "blocked:approval",
            Self::Blocked(Block::Question) => "blocked:question",
            Self::Blocked(Block::Trust) => "blocked:trust",
            Self::Blocked(Block::Update) => "blocked:update",
            Self::Blocked(Block::Hooks) => "blocked:hooks",
            Self::Blocked(Block::Daemon) => "blocked:daemon",
            Self::Blocked(Block::Modal) => "blocked:modal",
            Self::Blocked(Block::Picker) => "blocked:picker",
            Self::Blocked(Block::Agents) => "blocked:agents",
            Self::Blocked(Block::Overlay) => "blocked:overlay",
            Self::Dead(Death::Server) => "dead:server",
            Self::Dead(Death::Exited) => "dead:exited",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for PaneClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for PaneClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for PaneClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::parse(&word).ok_or_else(|| de::Error::custom(format!("no class of a screen: {word}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_reads_back() {
        for class in PaneClass::ALL {
            let json = serde_json::to_string(&class).unwrap();
            assert_eq!(json, format!("\"{class}\""));
            assert_eq!(serde_json::from_str::<PaneClass>(&json).unwrap(), class);
            assert!(!(class.takes_input() && class.blocks_paste()), "{class}");
            assert!(class.asks().is_none() || class.blocks_paste(), "{class}");
        }
        assert!(serde_json::from_str::<PaneClass>("\"asleep\"").is_err());
    }
}
