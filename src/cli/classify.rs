//! `conveyor classify`

use std::io::{IsTerminal, Read};

use super::show::Show;
use crate::actors::calls::classify::ClassifyArgs;
use crate::domain::Failure;

impl Show for ClassifyArgs {
    fn take_input(&mut self) -> Result<(), Failure> {
        let stdin = std::io::stdin();
        if self.text.is_some() || self.file.is_some() || stdin.is_terminal() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        stdin.lock().read_to_end(&mut bytes).map_err(|error| {
            Failure::external(format!("failed to read standard input: {error}"))
                .hint("give the text with --text or --file")
        })?;
        if !bytes.is_empty() {
            self.text = Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        Ok(())
    }
}
