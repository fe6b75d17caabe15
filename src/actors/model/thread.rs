//! The writing side: a thread and its rollout, as a Codex writes it, and what must come of it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::domain::{OriginHeader, TurnKey, TurnOutcome};

/// What a session does that its rollout shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// A turn starts, also when the one before never ended.
    Start,
    /// The running turn ends.
    End(TurnOutcome),
    /// Something that is no turn.
    Noise,
    /// A line that is no JSON.
    Garbage,
}

/// The end of a turn, which must become one fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) key: TurnKey,
    pub(super) outcome: TurnOutcome,
}

/// A text that arrives in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) header: OriginHeader,
    /// The body; no two letters have the same.
    pub(super) mark: String,
    /// What the client that sent it called it.
    pub(super) client_id: String,
}

/// A line and what it tells.
#[derive(Debug, Clone, Default)]
struct Line {
    text: String,
    end: Option<End>,
    letter: Option<Letter>,
}

pub(super) struct Thread {
    pub(super) id: String,
    /// The session that is, or was, in it.
    pub(super) owner: usize,
    pub(super) path: PathBuf,
    /// What whole lines tell of ends, each with the byte behind its line.
    pub(super) ends: Vec<(u64, End)>,
    /// The letters that arrived.
    pub(super) letters: Vec<Letter>,
    file: File,
    length: u64,
    /// Older versions of Codex write no turn ids.
    has_turn_ids: bool,
    turns: usize,
    /// The id of the turn that runs, where there are ids.
    open: Option<Option<String>>,
    /// The last line stands half in the file; this is the other half.
    rest: Option<Line>,
}

impl Thread {
    /// Makes the rollout, with the line that names the thread.
    /// Every other one as an older Codex writes it.
    pub(super) fn create(directory: &Path, number: usize, owner: usize) -> Self {
        let id = format!("thread-{number}");
        let path = directory.join(format!("rollout-{id}.jsonl"));
        let file = OpenOptions::new().create_new(true).append(true).open(&path).unwrap();
        let meta = json!({"type": "session_meta", "payload": {"id": id}});
        let mut thread = Self {
            id,
            owner,
            path,
            ends: Vec::new(),
            letters: Vec::new(),
            file,
            length: 0,
            has_turn_ids: number.is_multiple_of(2),
            turns: 0,
            open: None,
            rest: None,
        };
        thread.append(&format!("{meta}\n"));
        thread
    }

    pub(super) fn path(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    /// Does something; with `half`, writes only half of the last line.
    pub(super) fn does(&mut self, deed: Deed, half: bool) {
        match deed {
            Deed::Start => self.start(half),
            Deed::End(outcome) => self.end(outcome, half),
            Deed::Noise => self.write(event(&json!({"type": "token_count"})), half),
            Deed::Garbage => self.write(Line { text: "{broken\n".into(), ..Line::default() }, half),
        }
    }

    /// A text arrives, in the running turn or in one that it starts.
    pub(super) fn receives(&mut self, letter: Letter, half: bool) {
        if self.open.is_none() {
            self.start(false);
        }
        let text = letter.header.before(&letter.mark);
        let payload = if self.has_turn_ids {
            let content = json!([{"type": "text", "text": text}]);
            let item = json!({"type": "UserMessage", "client_id": letter.client_id, "content": content});
            json!({"type": "item_completed", "turn_id": self.open, "item": item})
        } else {
            json!({"type": "user_message", "client_id": letter.client_id, "message": text})
        };
        self.write(Line { letter: Some(letter), ..event(&payload) }, half);
    }

    /// Writes the other half of the last line.
    pub(super) fn finish_line(&mut self) {
        if let Some(rest) = self.rest.take() {
            self.append(&rest.text);
            self.tell(rest);
        }
    }

    /// The ends that whoever has read up to `offset` knows.
    pub(super) fn ends_before(&self, offset: u64) -> impl Iterator<Item = &End> {
        self.ends.iter().filter(move |(at, _)| *at <= offset).map(|(_, end)| end)
    }

    fn start(&mut self, half: bool) {
        self.turns += 1;
        let turn_id = self.has_turn_ids.then(|| format!("{}-turn-{}", self.id, self.turns));
        let died = self.open.replace(turn_id.clone()).flatten();
        let end = died.map(|id| End { key: TurnKey::Id(id), outcome: TurnOutcome::Failed });
        self.write(Line { end, ..event(&json!({"type": "task_started", "turn_id": turn_id})) }, half);
    }

    fn end(&mut self, outcome: TurnOutcome, half: bool) {
        let Some(turn_id) = self.open.take() else { return };
        if outcome == TurnOutcome::Failed && turn_id.is_none() {
            self.write(event(&json!({"type": "error", "message": "no quota"})), false);
        }
        self.finish_line();
        let mut payload = match outcome {
            TurnOutcome::Completed => json!({"type": "task_complete", "last_agent_message": "done"}),
            TurnOutcome::Interrupted => json!({"type": "turn_aborted", "reason": "interrupted"}),
            TurnOutcome::Failed if turn_id.is_none() => json!({"type": "task_complete"}),
            TurnOutcome::Failed => json!({"type": "task_complete", "error": {"message": "no quota"}}),
        };
        payload["turn_id"] = json!(turn_id);
        let end = End { key: TurnKey::new(turn_id, self.length), outcome };
        self.write(Line { end: Some(end), ..event(&payload) }, half);
    }

    fn write(&mut self, mut line: Line, half: bool) {
        self.finish_line();
        if !half {
            self.append(&line.text);
            return self.tell(line);
        }
        let rest = line.text.split_off(line.text.len() / 2);
        self.append(&line.text);
        self.rest = Some(Line { text: rest, ..line });
    }

    fn append(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
        self.length += text.len() as u64;
    }

    /// The line is whole.
    fn tell(&mut self, line: Line) {
        let at = self.length;
        self.ends.extend(line.end.map(|end| (at, end)));
        self.letters.extend(line.letter);
    }
}

fn event(payload: &Value) -> Line {
    Line { text: format!("{}\n", json!({"type": "event_msg", "payload": payload})), ..Line::default() }
}
