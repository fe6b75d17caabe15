//! Which session or pane a tmux command is about.

use std::fmt;
use std::str::FromStr;

use super::TmuxError;

/// A pane's id, unique for the life of its server: `%3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PaneId(u32);

impl fmt::Display for PaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl FromStr for PaneId {
    type Err = TmuxError;

    fn from_str(text: &str) -> Result<Self, TmuxError> {
        let number = text.strip_prefix('%').filter(|digits| is_number(digits));
        number.and_then(|digits| digits.parse().ok()).map(Self).ok_or_else(|| TmuxError::Invalid {
            what: "tmux pane id",
            value: text.to_owned(),
            problem: "is not of the form %3",
        })
    }
}

/// The name of a tmux session, without the characters tmux reserves in targets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionName(String);

impl SessionName {
    /// Checks a name. tmux itself turns `:` and `.` into `_`, reads a leading `$` as a session id,
    /// and escapes control characters, so none of them can be part of a name.
    pub fn new(name: impl Into<String>) -> Result<Self, TmuxError> {
        let name = name.into();
        let problem = if name.is_empty() {
            "is empty"
        } else if name.starts_with(['$', '=', '%', '@']) {
            "starts with a character that tmux reserves for ids"
        } else if name.contains([':', '.']) {
            "contains ':' or '.', which tmux reserves"
        } else if name.contains(char::is_control) {
            "contains a control character"
        } else {
            return Ok(Self(name));
        };
        Err(Self::invalid(name, problem))
    }

    /// Checks the name of a session that is to be made: tmux would put values in the place of formats
    /// (`#S`, `#{…}`), and escape backslashes and variables (`$HOME`).
    pub fn of_new(name: impl Into<String>) -> Result<Self, TmuxError> {
        let Self(name) = Self::new(name)?;
        if is_rewritten(&name) {
            return Err(Self::invalid(name, "contains a '\\', or a '$' or '#' that tmux reads as its own"));
        }
        Ok(Self(name))
    }

    fn invalid(name: String, problem: &'static str) -> TmuxError {
        TmuxError::Invalid { what: "tmux session name", value: name, problem }
    }

    /// The bare name, as `tmux list-sessions` shows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target that matches this name exactly, where tmux would else try prefixes and patterns.
    pub(super) fn exact(&self) -> String {
        format!("={}:", self.0)
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place to look at or type into. Displays in the form tmux is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// One pane: `%3`. The safest target, for it never means another pane.
    Pane(PaneId),
    /// The active pane of a session: `=name:`. What that is changes when somebody splits the window.
    Session(SessionName),
    /// One pane, but only as long as it belongs to the session: `=name:.%3`.
    PaneOfSession(SessionName, PaneId),
    /// A window, or a pane by number, of a session: `=name:1` or `=name:1.0`.
    Position(SessionName, String),
}

impl Target {
    /// The target of a recorded session: its tmux session and, if known, its pane.
    ///
    /// The pane is a pane id (`%3`) or, in old databases, a window or pane number (`1`, `1.0`).
    pub fn stored(session: &str, pane: Option<&str>) -> Result<Self, TmuxError> {
        let session = SessionName::new(session)?;
        match pane.map(|pane| pane.trim_start_matches('.')) {
            None | Some("") => Ok(Self::Session(session)),
            Some(pane) if is_position(pane) => Ok(Self::Position(session, pane.to_owned())),
            Some(pane) => Ok(Self::PaneOfSession(session, pane.parse()?)),
        }
    }
}

/// Accepts `%3`, `name`, `=name:`, `name:%3`, `name:1` and `name:1.0`.
impl FromStr for Target {
    type Err = TmuxError;

    fn from_str(text: &str) -> Result<Self, TmuxError> {
        if text.starts_with('%') {
            return text.parse().map(Self::Pane);
        }
        let name = text.strip_prefix('=').unwrap_or(text);
        match name.split_once(':') {
            Some((session, pane)) => Self::stored(session, Some(pane)),
            None => Self::stored(name, None),
        }
    }
}

impl From<PaneId> for Target {
    fn from(pane: PaneId) -> Self {
        Self::Pane(pane)
    }
}

impl From<SessionName> for Target {
    fn from(session: SessionName) -> Self {
        Self::Session(session)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pane(pane) => pane.fmt(f),
            Self::Session(session) => f.write_str(&session.exact()),
            Self::PaneOfSession(session, pane) => write!(f, "{}.{pane}", session.exact()),
            Self::Position(session, position) => write!(f, "{}{position}", session.exact()),
        }
    }
}

/// Whether tmux would make another name of it.
fn is_rewritten(name: &str) -> bool {
    let followed_by = |sign: char, special: fn(char) -> bool| {
        name.match_indices(sign).any(|(at, _)| name[at + 1..].starts_with(special))
    };
    name.contains('\\')
        || followed_by('$', |next| next.is_ascii_alphabetic() || "_{".contains(next))
        || followed_by('#', |next| next.is_ascii_uppercase() || next.is_ascii_punctuation())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_position(text: &str) -> bool {
    match text.split_once('.') {
        Some((window, pane)) => is_number(window) && is_number(pane),
        None => is_number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_written_so_that_tmux_cannot_guess() {
        let check = |text: &str, expect: &str| {
            let target: Target = text.parse().expect(text);
            assert_eq!(target.to_string(), expect, "{text}");
        };
        check("%3", "%3");
        check("codex-a", "=codex-a:");
        check("=codex-a:", "=codex-a:");
        check("with space", "=with space:");
        check("-dash*", "=-dash*:");
        check("codex-a:%12", "=codex-a:.%12");
        check("codex-a:.%12", "=codex-a:.%12");
        check("=codex-a:.%12", "=codex-a:.%12");
        check("codex-a:0", "=codex-a:0");
        check("codex-a:1.0", "=codex-a:1.0");
    }

    #[test]
    fn a_written_target_reads_back() {
        for text in ["%3", "a", "a:%12", "a:0", "a:1.0"] {
            let target: Target = text.parse().expect(text);
            assert_eq!(target.to_string().parse::<Target>().expect(text), target);
        }
    }

    #[test]
    fn what_tmux_would_read_differently_is_refused() {
        for text in [
            "",
            "=",
            ":",
            "%",
            "%x",
            "%+3",
            "%99999999999",
            "$1",
            "@1",
            "a.b",
            "a:b",
            "a:1.",
            "a:1.2.3",
            "a\nb",
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(matches!(error, TmuxError::Invalid { .. }), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_new_session_has_the_name_it_is_given() {
        for good in ["a", "a b", "a#5", "pull #7", "a#b", "a$5", "cost $", "a#"] {
            assert_eq!(SessionName::of_new(good).unwrap().as_str(), good);
        }
        for bad in ["a$b", "a${b}", "a\\b", "a#S", "a##", "a#[fg=red]", "a#{pid}", "a.b"] {
            assert!(SessionName::of_new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_recorded_session_keeps_its_pane() {
        let check = |pane: Option<&str>, expect: &str| {
            assert_eq!(Target::stored("worker", pane).unwrap().to_string(), expect);
        };
        check(None, "=worker:");
        check(Some(""), "=worker:");
        check(Some("%4"), "=worker:.%4");
        check(Some("0"), "=worker:0");
    }
}
