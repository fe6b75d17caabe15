//! `conveyor transcript-show`

use serde_json::Value;

use super::show::Show;
use crate::actors::calls::transcripts::{TranscriptShowArgs, TranscriptShowReply};

impl Show for TranscriptShowArgs {
    fn text(&self, reply: &TranscriptShowReply) -> Option<String> {
        Some(reply.segments.iter().map(segment).collect::<Vec<_>>().join("\n"))
    }
}

fn segment(segment: &Value) -> String {
    let word = |key: &str| segment[key].as_str().unwrap_or("-");
    let head = format!(
        "--- {} at {}: {} {}, capture {}",
        word("role"),
        word("captured_at"),
        word("segment_kind"),
        segment["id"],
        segment["source_capture_id"]
    );
    match segment["segment_text"].as_str() {
        Some(text) => format!("{head}\n{text}"),
        None => format!(
            "{head}\n[content redacted: {} lines, {} bytes]",
            segment["line_count"], segment["byte_count"]
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_segment_shows_its_text_or_how_long_it_is() {
        let check = |text: Value, expect: &str| {
            let stored = json!({
                "id": 7, "role": "worker", "captured_at": "T", "segment_kind": "segment", "source_capture_id": 3,
                "byte_count": 9, "line_count": 2, "segment_text": text,
            });
            assert_eq!(segment(&stored), format!("--- worker at T: segment 7, capture 3\n{expect}"));
        };
        check(json!("one\ntwo"), "one\ntwo");
        check(Value::Null, "[content redacted: 2 lines, 9 bytes]");
    }
}
