//! Halves of characters in JSON: UTF-16 surrogates that are escaped without their other half.
//!
//! JSON allows `"\ud800"` (RFC 8259, section 8.2), but no text holds such a thing: whoever reads the
//! string later, SQLite among them, fails or makes invalid UTF-8 of it.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memmem};

/// The text of JSON with U+FFFD in place of every half.
pub(super) fn mended(json: Cow<'_, str>) -> Cow<'_, str> {
    let has_any = |escape: &str| memmem::find(json.as_bytes(), escape.as_bytes()).is_some();
    if !has_any(r"\ud") && !has_any(r"\uD") {
        return json;
    }
    let halves = halves(json.as_bytes());
    if halves.is_empty() {
        return json;
    }
    let mut mended = json.into_owned();
    for half in halves {
        mended.replace_range(half, r"\ufffd");
    }
    Cow::Owned(mended)
}

/// Where the escapes of halves stand.
fn halves(json: &[u8]) -> Vec<Range<usize>> {
    let mut halves = Vec::new();
    let mut at = 0;
    while let Some(backslash) = memchr(b'\\', &json[at..]) {
        let start = at + backslash;
        at = match (unit(json, start), unit(json, start + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => start + 12,
            (Some(0xd800..=0xdfff), _) => {
                halves.push(start..start + 6);
                start + 6
            }
            (Some(_), _) => start + 6,
            // Any other escape has one character.
            (None, _) => start + 2,
        };
        at = at.min(json.len());
    }
    halves
}

/// The UTF-16 unit that is escaped at this place.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(br"\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_replaced_and_all_else_stays() {
        let check = |json: &str, expect: &str| {
            assert_eq!(mended(Cow::Borrowed(json)), expect, "{json}");
        };
        check(r#""\ud800""#, r#""\ufffd""#);
        check(r#""a\uDFFFb\udbff\n\ud800\ud800""#, r#""a\ufffdb\ufffd\n\ufffd\ufffd""#);
        check(r#""\udc00\ud800""#, r#""\ufffd\ufffd""#);
        for whole in
            [r#""\ud83d\ude00 \u00e9""#, r#""\\ud800""#, r#""\\\\ud800""#, r#""\ud80""#, r#""\ud8"#, "\\", ""]
        {
            check(whole, whole);
        }
        check(r#""\\\ud800""#, r#""\\\ufffd""#);
    }
}
