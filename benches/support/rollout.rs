//! A large rollout: turns with the lines that Codex writes, in the sizes that it writes them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Bytes of the text in one line of a kind, and how often a turn has such a line.
///
/// As recorded: an output of a command stands in the rollout twice, for the model and for the
/// screen, and so does what the agent says.
const TURN: [(&str, &str, usize, usize); 10] = [
    ("event_msg", r#""type":"task_started""#, 400, 1),
    ("turn_context", r#""approval_policy":"never""#, 2400, 1),
    ("response_item", r#""type":"message","role":"user""#, 1500, 1),
    ("response_item", r#""type":"reasoning""#, 3000, 8),
    ("response_item", r#""type":"function_call","name":"exec_command""#, 300, 8),
    ("response_item", r#""type":"function_call_output""#, 9000, 8),
    ("event_msg", r#""type":"item_completed""#, 18_000, 8),
    ("event_msg", r#""type":"token_count""#, 600, 8),
    ("response_item", r#""type":"message","role":"assistant""#, 4000, 1),
    ("event_msg", r#""type":"task_complete""#, 600, 1),
];

/// Appends turns to the rollout at `path` until it has `megabytes`, and waits for the disk. Gives its
/// size.
pub(crate) fn fill(path: &Path, megabytes: u32) -> u64 {
    let file = File::options().append(true).open(path).unwrap();
    let mut written = file.metadata().unwrap().len();
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut turn = 0;
    while written < u64::from(megabytes) * 1_000_000 {
        turn += 1;
        for (kind, head, bytes, times) in TURN {
            for _ in 0..times {
                let text = text(bytes);
                let line = format!(
                    r#"{{"timestamp":"2026-11-22T10:00:00.000Z","type":"{kind}","payload":{{{head},"turn_id":"turn-{turn}","text":"{text}"}}}}"#
                );
                writeln!(file, "{line}").unwrap();
                written += line.len() as u64 + 1;
            }
        }
    }
    file.into_inner().unwrap().sync_all().unwrap();
    written
}

/// Text as programs print it, with the escapes that JSON makes of their line ends.
fn text(bytes: usize) -> &'static str {
    const LINE: &str = r"   Compiling conveyor v0.2.0 (/home/user/project) \u001b[0m\tdone in 4.20s\n";
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| LINE.repeat(1000));
    let whole_lines = bytes / LINE.len() * LINE.len();
    &TEXT[..whole_lines.max(LINE.len())]
}
