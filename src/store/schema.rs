//! placeholder until the schema lands
use super::StoreError;
/// prepares
pub fn prepare(conn: &mut rusqlite::Connection) -> Result<(), StoreError> {
    conn.execute_batch("create table if not exists tasks(id text primary key, name text not null, goal text not null, summary text, state text not null, created_at text not null, updated_at text not null)")?;
    Ok(())
}
