//! One line of a rollout.

use std::borrow::Cow;

use super::json::RawObject;
use super::surrogates::mended;

/// What the rest of the program needs of a rollout line. Borrows from the line where it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutLine<'a> {
    /// When Codex wrote the line, as it wrote it. `None` when absent or empty: the reader's own
    /// clock stands in.
    pub timestamp: Option<Cow<'a, str>>,
    /// Place of the line in its thread, contiguous; older Codex versions do not write it.
    pub ordinal: Option<u64>,
    /// The `type` of the line, e.g. `event_msg`.
    pub kind: Cow<'a, str>,
    /// The `type` of the payload, for `event_msg` lines only.
    pub subtype: Option<Cow<'a, str>>,
    /// The payload as JSON text; `{}` when it is no object.
    pub payload: Cow<'a, str>,
}

impl<'a> RolloutLine<'a> {
    /// Reads one line, without its newline. `None` when it is not a JSON object with a string
    /// `type`. What no text can hold, bytes that are not UTF-8 and escapes of half a character, becomes
    /// U+FFFD, so that it does not hide the end of a turn.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        match mended(String::from_utf8_lossy(bytes)) {
            Cow::Borrowed(text) => Self::parse_text(text),
            Cow::Owned(text) => RolloutLine::parse_text(&text).map(RolloutLine::into_owned),
        }
    }

    fn parse_text(text: &'a str) -> Option<Self> {
        let object = RawObject::parse(text)?;
        let kind = object.text("type")?;
        let payload = object.raw("payload").filter(|json| json.starts_with('{')).unwrap_or("{}");
        let subtype =
            if kind == "event_msg" { RawObject::parse(payload).and_then(|p| p.text("type")) } else { None };
        Some(Self {
            timestamp: object.text("timestamp").filter(|text| !text.is_empty()),
            ordinal: object.integer("ordinal").and_then(|n| u64::try_from(n).ok()),
            kind,
            subtype,
            payload: Cow::Borrowed(payload),
        })
    }

    /// The same line without the borrow.
    pub fn into_owned(self) -> RolloutLine<'static> {
        RolloutLine {
            timestamp: self.timestamp.map(|text| Cow::Owned(text.into_owned())),
            ordinal: self.ordinal,
            kind: Cow::Owned(self.kind.into_owned()),
            subtype: self.subtype.map(|text| Cow::Owned(text.into_owned())),
            payload: Cow::Owned(self.payload.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(line: &str, kind: &str, subtype: Option<&str>, timestamp: Option<&str>, payload: &str) {
        let parsed = RolloutLine::parse(line.as_bytes()).expect(line);
        assert_eq!(parsed.kind, kind, "{line}");
        assert_eq!(parsed.subtype.as_deref(), subtype, "{line}");
        assert_eq!(parsed.timestamp.as_deref(), timestamp, "{line}");
        assert_eq!(parsed.payload, payload, "{line}");
    }

    #[test]
    fn reads_the_parts_that_matter() {
        check(
            r#"{"timestamp":"T","ordinal":3,"type":"event_msg","payload":{"type":"task_complete"},"metadata":{}}"#,
            "event_msg",
            Some("task_complete"),
            Some("T"),
            r#"{"type":"task_complete"}"#,
        );
        check(
            r#"{"type":"response_item","payload":{"type":"message"}}"#,
            "response_item",
            None,
            None,
            r#"{"type":"message"}"#,
        );
    }

    #[test]
    fn half_a_character_does_not_hide_the_message_around_it() {
        check(
            r#"{"type":"event_msg","payload":{"type":"task_complete","last_agent_message":"a\ud800b"}}"#,
            "event_msg",
            Some("task_complete"),
            None,
            r#"{"type":"task_complete","last_agent_message":"a\ufffdb"}"#,
        );
    }

    #[test]
    fn odd_members_read_as_absent() {
        check(r#"{"timestamp":"","type":"turn_context"}"#, "turn_context", None, None, "{}");
        check(
            r#"{"timestamp":7,"ordinal":-1,"type":"event_msg","payload":"text"}"#,
            "event_msg",
            None,
            None,
            "{}",
        );
        check(r#"{"type":"event_msg","payload":{"type":5}}"#, "event_msg", None, None, r#"{"type":5}"#);
        check(r#"{"type":"event_msg","payload":null}"#, "event_msg", None, None, "{}");
        check("{\"type\":\"\\u0065vent_msg\"}\r", "event_msg", None, None, "{}");
        check(r#"{"type":"a","type":"b"}"#, "b", None, None, "{}");
    }

    #[test]
    fn what_is_not_a_line_is_refused() {
        for line in
            ["", " ", "{broken json", "[1,2,3]", r#"["T",1,"event_msg",{}]"#, "7", "null", "\"type\"", "{}"]
        {
            assert_eq!(RolloutLine::parse(line.as_bytes()), None, "{line}");
        }
        for line in
            [r#"{"type":5}"#, r#"{"type":null}"#, r#"{"type":"a"} {"type":"b"}"#, "{\"type\":\"a\0\"}"]
        {
            assert_eq!(RolloutLine::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_bad_byte_in_a_message_does_not_hide_the_line() {
        let line = b"{\"type\":\"event_msg\",\"payload\":{\"type\":\"task_complete\",\"last_agent_message\":\"a\xffb\"}}";
        let parsed = RolloutLine::parse(line).unwrap();
        assert_eq!(parsed.subtype.as_deref(), Some("task_complete"));
        assert!(parsed.payload.contains("a\u{fffd}b"), "{}", parsed.payload);
    }

    #[test]
    fn deep_nesting_is_no_hazard() {
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let line = format!(r#"{{"type":"event_msg","payload":{{"deep":{nested},"type":"task_complete"}}}}"#);
        let parsed = RolloutLine::parse(line.as_bytes()).unwrap();
        assert_eq!(parsed.subtype.as_deref(), Some("task_complete"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_accepted(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = RolloutLine::parse(&bytes);
        }
    }
}
