//! The two sides of a pair.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether a session works or supervises.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Does the work.
    Worker,
    /// Supervises a worker.
    Manager,
}

impl Role {
    /// The word in the database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Manager => "manager",
        }
    }

    /// The other side.
    pub fn other(self) -> Self {
        match self {
            Self::Worker => Self::Manager,
            Self::Manager => Self::Worker,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "worker" => Ok(Self::Worker),
            "manager" => Ok(Self::Manager),
            _ => Err(()),
        }
    }
}
