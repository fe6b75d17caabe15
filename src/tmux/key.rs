//! Names of keys, checked before tmux sees them: a name tmux does not know it would type as text.

use std::fmt;
use std::str::FromStr;

use super::TmuxError;

pub(super) const NAMED: [&str; 30] = [
    "Enter", "Escape", "Tab", "BTab", "Space", "BSpace", "Up", "Down", "Left", "Right", "Home", "End",
    "PageUp", "PageDown", "PPage", "NPage", "IC", "DC", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9",
    "F10", "F11", "F12",
];

/// A key as tmux names it: `Enter`, `Escape`, `C-c`, `M-x`, `y`, `F5`.
///
/// Any number of distinct `C-`, `M-` and `S-` modifiers before a named key or one visible ASCII
/// character. Names are kept in one spelling, so equal keys compare equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Submits what was typed.
    pub fn enter() -> Self {
        Self("Enter".to_owned())
    }

    /// Leaves a prompt, or interrupts a working Codex.
    pub fn escape() -> Self {
        Self("Escape".to_owned())
    }

    /// `C-c`: interrupts a working program and quits an idle Codex.
    pub fn interrupt() -> Self {
        Self("C-c".to_owned())
    }

    /// The name as given to `tmux send-keys`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = TmuxError;

    fn from_str(text: &str) -> Result<Self, TmuxError> {
        let invalid = || TmuxError::Invalid {
            what: "key",
            value: text.to_owned(),
            problem: "is not a tmux key name such as Enter, Escape, C-c or F5",
        };
        let (mut control, mut meta, mut shift) = (false, false, false);
        let mut rest = text;
        while let Some((modifier, after)) = split_modifier(rest) {
            let seen = match modifier {
                b'c' => &mut control,
                b'm' => &mut meta,
                _ => &mut shift,
            };
            if std::mem::replace(seen, true) {
                return Err(invalid());
            }
            rest = after;
        }
        let base = base_key(rest, control).ok_or_else(invalid)?;
        let modifiers: String = [(control, "C-"), (meta, "M-"), (shift, "S-")]
            .into_iter()
            .filter_map(|(present, prefix)| present.then_some(prefix))
            .collect();
        Ok(Self(modifiers + &base))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `C-c` is the modifier `c` and the rest `c`; a rest is never empty, so that `C--` is control-minus.
fn split_modifier(text: &str) -> Option<(u8, &str)> {
    let modifier = text.bytes().next()?.to_ascii_lowercase();
    let after = text.get(1..)?.strip_prefix('-').filter(|after| !after.is_empty())?;
    b"cms".contains(&modifier).then_some((modifier, after))
}

fn base_key(text: &str, control: bool) -> Option<String> {
    let mut bytes = text.bytes();
    match (bytes.next(), bytes.next()) {
        (Some(only), None) if only.is_ascii_graphic() => {
            // A terminal knows one control character per letter, whatever its case.
            let key = if control { only.to_ascii_lowercase() } else { only };
            Some(char::from(key).to_string())
        }
        _ => NAMED.iter().find(|name| name.eq_ignore_ascii_case(text)).map(|name| (*name).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_has_one_spelling() {
        let check = |text: &str, expect: &str| {
            assert_eq!(text.parse::<KeyName>().expect(text).as_str(), expect);
        };
        check("Enter", "Enter");
        check("escape", "Escape");
        check("C-c", "C-c");
        check("c-C", "C-c");
        check("s-m-c-Up", "C-M-S-Up");
        check("M-X", "M-X");
        check("y", "y");
        check("-", "-");
        check("C--", "C--");
        check("C-;", "C-;");
        check("f12", "F12");
        assert_eq!("C-C".parse::<KeyName>().unwrap(), KeyName::interrupt());
    }

    #[test]
    fn text_is_never_taken_for_a_key() {
        for text in [
            "",
            "Entr",
            "hello",
            "C-",
            "C-C-c",
            "C-é",
            "é",
            " ",
            "\n",
            "Enter ",
            "Enter Enter",
            "F13",
            "C-cc",
        ] {
            assert!(text.parse::<KeyName>().is_err(), "{text:?}");
        }
    }
}
