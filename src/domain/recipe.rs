//! How a session's thread and files became known.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a session was started or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipe {
    /// We created the thread on an app-server of its own.
    PrivateServer,
    /// Its process holds the lock of the thread.
    Embedded,
    /// Its process holds the rollout open.
    OpenFiles,
    /// Somebody named the rollout.
    Given,
}

impl Recipe {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrivateServer => "private_server",
            Self::Embedded => "embedded",
            Self::OpenFiles => "open_files",
            Self::Given => "given",
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Recipe {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::PrivateServer, Self::Embedded, Self::OpenFiles, Self::Given]
            .into_iter()
            .find(|recipe| recipe.as_str() == word)
            .ok_or(())
    }
}
