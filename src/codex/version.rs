//! Versions of Codex, and what the program can do.

use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt};

/// A version such as `0.169.0` or `0.170.0-alpha.3`. A pre-release is older than its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    pre_release: Option<String>,
}

impl Version {
    /// The first one that is known to do everything.
    pub const FIRST_CHECKED: Self = Self { numbers: [0, 169, 0], pre_release: None };

    /// Reads what `codex --version` prints: `codex-cli 0.169.0`.
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.split_whitespace().last()?;
        let (numbers, pre_release) = match word.split_once('-') {
            Some((numbers, rest)) => (numbers, Some(rest.to_owned())),
            None => (word, None),
        };
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(Self { numbers, pre_release })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let age = |version: &Self| (version.numbers, version.pre_release.is_none());
        age(self).cmp(&age(other)).then_with(|| self.pre_release.cmp(&other.pre_release))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        self.pre_release.iter().try_for_each(|rest| write!(f, "-{rest}"))
    }
}

/// How sessions are started and recognised with a certain Codex, best first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// A private app-server makes the thread, the terminal attaches to it: nothing to guess.
    PrivateServer,
    /// The terminal owns its thread; the `thread-writer-locks` entry it holds names it.
    #[value(name = "embedded")]
    #[serde(rename = "embedded")]
    EmbeddedLock,
    /// The terminal owns its thread; the rollout it has open names it.
    OpenFiles,
}

impl Recipe {
    /// What is known about a version without asking the program; `None` for older ones.
    pub fn of(version: &Version) -> Option<Self> {
        (*version >= Version::FIRST_CHECKED).then_some(Self::PrivateServer)
    }

    /// The same, or the best one in which the process of the terminal is the session's.
    #[must_use]
    pub fn in_own_terminal(self) -> Self {
        if self == Self::PrivateServer { Self::EmbeddedLock } else { self }
    }

    /// What `codex --help` shows.
    pub fn from_help(help: &str) -> Self {
        let offers = |flag: &str| help.split_whitespace().any(|word| word.trim_matches(',') == flag);
        if offers("--remote") && help.contains("unix://PATH") {
            Self::PrivateServer
        } else if offers("--no-daemon") {
            Self::EmbeddedLock
        } else {
            Self::OpenFiles
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(
                Version::parse(text).map(|version| version.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
        check("codex-cli 0.169.0\n", Some("0.169.0"));
        check("codex-cli 0.170.0-alpha.3", Some("0.170.0-alpha.3"));
        check("codex 1.2.3", Some("1.2.3"));
        check("codex-cli 0.169", None);
        check("codex-cli 0.169.0.1", None);
        check("codex-cli next", None);
        check("", None);
    }

    #[test]
    fn later_versions_compare_greater() {
        let order = ["0.9.10", "0.169.0-alpha.3", "0.169.0", "0.169.1", "1.0.0"];
        let versions: Vec<_> = order.iter().map(|text| Version::parse(text).unwrap()).collect();
        assert!(versions.is_sorted());
        assert!(versions.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn recipes_by_version() {
        fn check(version: &str, expected: Option<Recipe>) {
            assert_eq!(Recipe::of(&Version::parse(version).unwrap()), expected, "{version}");
        }
        check("0.169.0", Some(Recipe::PrivateServer));
        check("0.200.0-alpha.1", Some(Recipe::PrivateServer));
        check("0.168.9", None);
        check("0.169.0-alpha.9", None);
        check("0.0.0", None);
    }

    #[test]
    fn recipes_by_help_text() {
        fn check(help: &str, expected: Recipe) {
            assert_eq!(Recipe::from_help(help), expected, "{help}");
        }
        check(
            "  --remote <ADDR>\n  `ws://host:port`, or `unix://PATH`.\n  --no-daemon",
            Recipe::PrivateServer,
        );
        check("  --remote <ADDR>\n  `ws://host:port`\n  --no-daemon\n", Recipe::EmbeddedLock);
        check("  --remote <ADDR>\n  `ws://host:port`\n", Recipe::OpenFiles);
        check("  -s, --sandbox <MODE>\n", Recipe::OpenFiles);
        check("", Recipe::OpenFiles);
    }
}
