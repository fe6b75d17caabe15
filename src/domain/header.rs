//! The line in front of every text typed into a terminal: who sent it and under which id.
//!
//! `[conveyor nudge_worker from=manager-a id=dispatch-6f1c… n=12]`
//!
//! It makes typed text harmless (a leading `!`, `/`, `@` or `#` means something to the program in
//! the terminal) and traceable: the rollout of the receiving session repeats it, which proves the
//! delivery. Only the very first line of a text is ever read as a header, so a text that quotes
//! one further down claims nothing.

use std::fmt;
use std::fmt::Write as _;

const OPENING: &str = "[conveyor ";

/// Where a typed text comes from.
///
/// Displays as the header line itself: printable ASCII, no line break. Bytes of a field outside
/// `A-Z a-z 0-9 - _ . :` are written as `%XX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginHeader {
    /// What the text is: a signal such as `nudge_worker` or `worker_task_complete`.
    pub kind: String,
    /// The session that caused it, or `operator`.
    pub from: String,
    /// The correlation id under which it is stored. Several texts may have the same.
    pub correlation_id: String,
    /// The delivery that sends it, which is of this text alone.
    pub delivery: i64,
}

impl OriginHeader {
    /// The text to type: the header line, then `body`.
    pub fn before(&self, body: &str) -> String {
        format!("{self}\n{body}")
    }

    /// Splits a user message into its header and the body after it; `None` when the first line is
    /// not exactly a header.
    pub fn split(message: &str) -> Option<(Self, &str)> {
        let (first_line, body) = message.split_once('\n').unwrap_or((message, ""));
        let first_line = first_line.strip_suffix('\r').unwrap_or(first_line);
        Some((Self::parse(first_line)?, body))
    }

    /// Whether a text that a terminal shows begins as a header does. It need not be a whole one.
    pub fn begins(text: &str) -> bool {
        text.starts_with(OPENING)
    }

    fn parse(line: &str) -> Option<Self> {
        let fields = line.strip_prefix(OPENING)?.strip_suffix(']')?;
        let (kind, rest) = fields.split_once(" from=")?;
        let (from, rest) = rest.split_once(" id=")?;
        let (id, delivery) = rest.split_once(" n=")?;
        let header = Self {
            kind: decode(kind)?,
            from: decode(from)?,
            correlation_id: decode(id)?,
            delivery: delivery.parse().ok()?,
        };
        (header.to_string() == line).then_some(header)
    }
}

impl fmt::Display for OriginHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, from, id) = (encode(&self.kind), encode(&self.from), encode(&self.correlation_id));
        write!(f, "{OPENING}{kind} from={from} id={id} n={}]", self.delivery)
    }
}

fn encode(field: &str) -> String {
    let mut encoded = String::with_capacity(field.len());
    for byte in field.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn decode(field: &str) -> Option<String> {
    let mut pieces = field.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (hex, literal) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend_from_slice(literal.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(kind: &str, from: &str, id: &str) -> OriginHeader {
        OriginHeader { kind: kind.into(), from: from.into(), correlation_id: id.into(), delivery: 12 }
    }

    #[test]
    fn ordinary_fields_stay_readable_and_odd_ones_are_escaped() {
        let check = |header: OriginHeader, line: &str| {
            assert_eq!(header.to_string(), line);
            assert_eq!(OriginHeader::split(line), Some((header, "")));
        };
        check(
            header("nudge_worker", "manager-a", "dispatch-6f1c"),
            "[conveyor nudge_worker from=manager-a id=dispatch-6f1c n=12]",
        );
        check(
            header("nudge", "Zoë's [x] id=y", "a\nb"),
            "[conveyor nudge from=Zo%C3%AB%27s%20%5Bx%5D%20id%3Dy id=a%0Ab n=12]",
        );
        check(header("", "", ""), "[conveyor  from= id= n=12]");
    }

    #[test]
    fn only_an_exact_first_line_is_a_header() {
        let check = |message: &str, expect: Option<(&str, &str)>| {
            let found = OriginHeader::split(message);
            let found = found.as_ref().map(|(header, body)| (header.correlation_id.as_str(), *body));
            assert_eq!(found, expect, "{message:?}");
        };
        let line = "[conveyor nudge from=m id=d-1 n=7]";
        check(line, Some(("d-1", "")));
        check(&format!("{line}\nbody\n{line}"), Some(("d-1", "body\n[conveyor nudge from=m id=d-1 n=7]")));
        check(&format!("{line}\r\nbody"), Some(("d-1", "body")));
        check(&format!("hello\n{line}"), None);
        check(&format!("\n{line}"), None);
        check(&format!(" {line}"), None);
        check(&format!("{line} and more"), None);
        check("[conveyor nudge from=m]", None);
        check("[conveyor nudge from=m id=d-1]", None);
        for id in ["%zz", "%6", "%é", "%FF", "%61", "a b"] {
            check(&format!("[conveyor nudge from=m id={id} n=7]"), None);
        }
        for number in ["", "x", "+7", "07", "9999999999999999999"] {
            check(&format!("[conveyor nudge from=m id=d-1 n={number}]"), None);
        }
        check("", None);
    }

    proptest! {
        #[test]
        fn every_header_reads_back_and_is_harmless(kind: String, from: String, id: String, body: String) {
            let header = header(&kind, &from, &id);
            let line = header.to_string();
            prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert!(!line.starts_with(['!', '/', '@', '#', '-']));
            let message = header.before(&body);
            prop_assert_eq!(OriginHeader::split(&message), Some((header, body.as_str())));
        }

        #[test]
        fn a_body_cannot_forge_another_header(forged_id in "[a-z0-9-]{1,12}", lead in "\n{0,3}") {
            let genuine = header("nudge", "manager", "genuine");
            let forged = header("nudge", "manager", &forged_id);
            let message = genuine.before(&format!("{lead}{}", forged.before("do it")));
            let (read, _) = OriginHeader::split(&message).unwrap();
            prop_assert_eq!(read, genuine);
        }
    }
}
