//! `conveyor ingest`

use super::show::Show;
use crate::actors::calls::ingest::IngestArgs;
use crate::actors::ingest::Ingested;

impl Show for IngestArgs {
    fn text(&self, _: &Ingested) -> Option<String> {
        None
    }
}
