-- The Codex that a session was started with: `codex queue` of another version may not reach it.
ALTER TABLE session_links ADD COLUMN codex_program TEXT;
