-- The hash chain over the record: a link for each row that this program wrote, made in the same
-- transaction. Rows of other programs have none.
CREATE TABLE audit_chain (
    id             INTEGER PRIMARY KEY,
    table_name     TEXT NOT NULL,
    row_key        TEXT NOT NULL,
    -- Which of the row's columns: those it was written with, or those that its end settled.
    facet          TEXT NOT NULL,
    action         TEXT NOT NULL CHECK (action IN ('insert', 'update', 'delete')),
    at             TEXT NOT NULL,
    -- Four bytes a column, to tell which of them differs.
    column_digests BLOB NOT NULL,
    -- SHA-256 over the columns.
    digest         BLOB NOT NULL,
    -- SHA-256 over the hash of the link before and everything above.
    hash           BLOB NOT NULL
) STRICT;
CREATE INDEX audit_chain_row ON audit_chain (table_name, row_key, facet, id);

-- Where the chain begins: how many rows each table had by then.
CREATE TABLE audit_chain_start (
    table_name TEXT PRIMARY KEY NOT NULL,
    at         TEXT NOT NULL,
    row_count  INTEGER NOT NULL CHECK (row_count >= 0)
) STRICT;
INSERT INTO audit_chain_start (table_name, at, row_count)
SELECT name, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), rows FROM (
    SELECT 'acceptance_criteria' AS name, COUNT(*) AS rows FROM acceptance_criteria
    UNION ALL SELECT 'command_attempts', COUNT(*) FROM command_attempts
    UNION ALL SELECT 'commands', COUNT(*) FROM commands
    UNION ALL SELECT 'continuation_reviews', COUNT(*) FROM continuation_reviews
    UNION ALL SELECT 'deliveries', COUNT(*) FROM deliveries
    UNION ALL SELECT 'events', COUNT(*) FROM events
    UNION ALL SELECT 'executed_evidence', COUNT(*) FROM executed_evidence
    UNION ALL SELECT 'manager_decisions', COUNT(*) FROM manager_decisions
    UNION ALL SELECT 'routed_notifications', COUNT(*) FROM routed_notifications
    UNION ALL SELECT 'task_acknowledgements', COUNT(*) FROM task_acknowledgements
    UNION ALL SELECT 'task_continuations', COUNT(*) FROM task_continuations
    UNION ALL SELECT 'tasks', COUNT(*) FROM tasks
    UNION ALL SELECT 'terminal_captures', COUNT(*) FROM terminal_captures
    UNION ALL SELECT 'turn_facts', COUNT(*) FROM turn_facts
    UNION ALL SELECT 'worker_handoffs', COUNT(*) FROM worker_handoffs
);
