//! `conveyor replay`

mod follow;
mod told;

pub(super) use follow::follow;

use super::show::Show;
use crate::actors::calls::replay::ReplayArgs;
use crate::reports::replay::Replay;
use told::Teller;

impl Show for ReplayArgs {
    fn text(&self, replay: &Replay) -> Option<String> {
        let mut teller = Teller::new(self.local);
        let mut lines = Teller::head(self, replay);
        lines.extend(replay.entries.iter().flat_map(|entry| teller.tell(entry)));
        if replay.entries.is_empty() {
            lines.push("nothing is on record".to_owned());
        }
        Some(lines.join("\n"))
    }

    fn is_styled(&self) -> bool {
        true
    }
}
