-- Threads that continue another thread's history. An older Codex copies the lines of that thread into
-- the rollout of the new one, ends of turns included.
CREATE TABLE thread_forks (
    thread_id   TEXT NOT NULL,
    forked_from TEXT NOT NULL,
    PRIMARY KEY (thread_id, forked_from),
    CHECK (thread_id <> forked_from)
) STRICT, WITHOUT ROWID;
CREATE INDEX thread_forks_from ON thread_forks (forked_from, thread_id);

-- Facts about a thread that nobody was told of, whichever name it had then.
CREATE INDEX turn_facts_unrouted_thread ON turn_facts (thread_id, session_id) WHERE routed_at IS NULL;

-- What waits for a session to take it: in its mailbox, or because no push reached it.
CREATE INDEX routed_notifications_waiting ON routed_notifications (target_session_id, created_at)
    WHERE consumed_at IS NULL AND (state = 'pending' OR (state = 'delivered' AND delivery_mode = 'pull_required'));
