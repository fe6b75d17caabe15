//! Transcripts: what of a captured terminal is kept beside what was kept before.

use super::words::words;

words! {
    /// What is kept of a capture.
    CaptureMode {
        /// That it was made, and how long it is.
        Metadata = "metadata",
        /// Its last lines.
        Excerpt = "excerpt",
        /// All of it.
        Snapshot = "snapshot",
        /// What is new in it since the capture before.
        Segment = "segment",
        /// As segment, for agent-conveyor's callers.
        Full = "full",
    }
}

words! {
    /// What a kept segment is.
    SegmentKind {
        /// No text.
        Metadata = "metadata",
        /// The last lines of the capture.
        Excerpt = "excerpt",
        /// The whole capture.
        Snapshot = "snapshot",
        /// The lines that were added to the capture before.
        Segment = "segment",
        /// The whole capture: nothing joins it to the one before.
        Reset = "reset",
    }
}

/// Lines of an excerpt.
const EXCERPT_LINES: usize = 40;

/// A part of a capture that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// What it is.
    pub kind: SegmentKind,
    /// Its text; none for metadata.
    pub text: Option<String>,
    /// Its first line in the capture, counted from 1; none without text or lines.
    pub start_line: Option<usize>,
    /// Its last line.
    pub end_line: Option<usize>,
}

impl Segment {
    /// What `mode` keeps of `current`, the capture after `previous`. Nothing when they are the same.
    pub fn of(mode: CaptureMode, previous: Option<&str>, current: &str) -> Option<Self> {
        if previous == Some(current) {
            return None;
        }
        let lines: Vec<&str> = current.lines().collect();
        Some(match mode {
            CaptureMode::Metadata => {
                Self { kind: SegmentKind::Metadata, text: None, start_line: None, end_line: None }
            }
            CaptureMode::Excerpt => {
                Self::from_line(SegmentKind::Excerpt, &lines, lines.len().saturating_sub(EXCERPT_LINES))
            }
            CaptureMode::Snapshot => Self::from_line(SegmentKind::Snapshot, &lines, 0),
            CaptureMode::Segment | CaptureMode::Full => {
                let previous: Vec<&str> = previous.unwrap_or_default().lines().collect();
                match known_lines(&previous, &lines) {
                    0 => Self::from_line(SegmentKind::Reset, &lines, 0),
                    known => Self::from_line(SegmentKind::Segment, &lines, known),
                }
            }
        })
    }

    fn from_line(kind: SegmentKind, lines: &[&str], first: usize) -> Self {
        let kept = lines.get(first..).unwrap_or_default();
        let start_line = (!kept.is_empty()).then_some(first + 1);
        Self { kind, text: Some(kept.join("\n")), start_line, end_line: start_line.map(|_| lines.len()) }
    }
}

/// How many lines at the beginning of `current` are the end of `previous`: all of it when the
/// terminal only grew, fewer when its beginning has scrolled away.
fn known_lines(previous: &[&str], current: &[&str]) -> usize {
    let longest = previous.len().min(current.len());
    (1..=longest).rev().find(|length| previous.ends_with(&current[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        mode: CaptureMode,
        previous: Option<&str>,
        current: &str,
        expect: Option<(SegmentKind, Option<&str>)>,
    ) {
        let segment = Segment::of(mode, previous, current);
        let found = segment.as_ref().map(|segment| (segment.kind, segment.text.as_deref()));
        assert_eq!(found, expect, "{mode} {previous:?} {current:?}");
    }

    #[test]
    fn a_segment_is_what_was_added() {
        use SegmentKind::{Reset, Segment};
        let check = |previous, current, expect| check(CaptureMode::Segment, previous, current, expect);
        check(None, "a\nb", Some((Reset, Some("a\nb"))));
        check(Some("a\nb"), "a\nb", None);
        check(Some("a\nb"), "a\nb\nc", Some((Segment, Some("c"))));
        check(Some("a\nb\nc"), "b\nc\nd", Some((Segment, Some("d"))));
        check(Some("a\nb"), "x\ny", Some((Reset, Some("x\ny"))));
        check(Some("a\nb"), "", Some((Reset, Some(""))));
        check(Some(""), "a", Some((Reset, Some("a"))));
    }

    #[test]
    fn the_other_modes_look_at_the_capture_alone() {
        let long: Vec<String> = (1..=50).map(|line| line.to_string()).collect();
        let last = long[10..].join("\n");
        let long = long.join("\n");
        check(CaptureMode::Metadata, None, "a", Some((SegmentKind::Metadata, None)));
        check(CaptureMode::Excerpt, Some("1"), &long, Some((SegmentKind::Excerpt, Some(&last))));
        check(CaptureMode::Snapshot, Some("1"), &long, Some((SegmentKind::Snapshot, Some(&long))));
        check(CaptureMode::Snapshot, Some("1"), "1", None);
        let segment = Segment::of(CaptureMode::Excerpt, None, &long).unwrap();
        assert_eq!((segment.start_line, segment.end_line), (Some(11), Some(50)));
    }
}
