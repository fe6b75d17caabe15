-- Commands that conveyor ran itself, to see whether something holds.
CREATE TABLE executed_evidence (
    id                 INTEGER PRIMARY KEY,
    task_id            TEXT NOT NULL REFERENCES tasks (id),
    -- What it is about: a criterion, one pass of a loop, or the task as a whole.
    criterion_id       INTEGER REFERENCES acceptance_criteria (id),
    loop_run_id        TEXT REFERENCES runs (id),
    iteration          INTEGER,
    evidence_type      TEXT,
    argv_json          TEXT NOT NULL CHECK (json_valid(argv_json)),
    directory          TEXT NOT NULL,
    time_limit_seconds REAL NOT NULL CHECK (time_limit_seconds > 0),
    -- The session that ran it; none for a person.
    run_by_session_id  TEXT REFERENCES sessions (id),
    -- `running` is written before the command starts: one that stays so was killed with its runner.
    state              TEXT NOT NULL
        CHECK (state IN ('running', 'passed', 'failed', 'timed_out', 'interrupted', 'not_started')),
    started_at         TEXT NOT NULL,
    ended_at           TEXT,
    duration_ms        INTEGER CHECK (duration_ms >= 0),
    exit_code          INTEGER,
    error              TEXT,
    -- What it wrote, as far as it was kept, in a file; the digest is that of the file.
    output_path        TEXT,
    output_sha256      TEXT,
    output_bytes       INTEGER CHECK (output_bytes >= 0),
    output_kept_bytes  INTEGER CHECK (output_kept_bytes <= output_bytes),
    -- The git work tree it was taken on: what stood there before and after, and when last looked at.
    worktree           TEXT,
    git_commit         TEXT,
    git_dirty          INTEGER CHECK (git_dirty IN (0, 1)),
    tree_before        TEXT,
    tree_after         TEXT,
    tree_seen          TEXT,
    tree_seen_at       TEXT,
    CHECK ((ended_at IS NULL) = (state = 'running')),
    CHECK (state <> 'passed' OR exit_code IS 0),
    CHECK (criterion_id IS NULL OR loop_run_id IS NULL),
    CHECK ((loop_run_id IS NULL) = (iteration IS NULL) AND (loop_run_id IS NULL) = (evidence_type IS NULL)),
    CHECK ((output_path IS NULL) = (output_sha256 IS NULL)),
    CHECK ((worktree IS NULL) = (tree_before IS NULL) AND (worktree IS NULL) = (git_dirty IS NULL))
) STRICT;
CREATE INDEX executed_evidence_task ON executed_evidence (task_id, id);
CREATE INDEX executed_evidence_criterion ON executed_evidence (criterion_id, id) WHERE criterion_id IS NOT NULL;
CREATE INDEX executed_evidence_pass ON executed_evidence (loop_run_id, iteration, evidence_type, id)
    WHERE loop_run_id IS NOT NULL;
