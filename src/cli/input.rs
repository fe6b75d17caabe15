//! Standard input, where a flag asks for it.

use std::io::Read;

use serde_json::{Map, Value};

use crate::actors::calls::values;
use crate::domain::Failure;

/// All of it, as text. `instead` is the flag that takes the same.
///
/// # Errors
/// When it cannot be read.
pub(super) fn text(instead: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| {
        Failure::external(format!("failed to read standard input: {error}")).hint(format!("use {instead}"))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// All of it, as a JSON object. `instead` is the flag that takes the same.
///
/// # Errors
/// When it cannot be read or is no JSON object.
pub(super) fn json_object(instead: &str) -> Result<Map<String, Value>, Failure> {
    let text = text(instead)?;
    if text.trim().is_empty() {
        return Err(Failure::usage("standard input is empty; it must be a JSON object")
            .hint(format!("pipe it in, or use {instead}")));
    }
    values::json_object(&text)
        .map_err(|problem| Failure::usage(format!("failed to read standard input: {problem}")))
}
