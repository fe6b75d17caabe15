//! A thing that was looked at, and whether it was as it should be.

use serde_json::{Map, Value, json};

/// One check of a receipt.
#[derive(Debug)]
pub(super) struct Check {
    name: &'static str,
    /// What was seen.
    seen: Map<String, Value>,
    /// What was not as it should be.
    problems: Vec<String>,
}

impl Check {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, seen: Map::new(), problems: Vec::new() }
    }

    /// Keeps what was seen.
    pub(super) fn saw(mut self, what: &str, value: impl Into<Value>) -> Self {
        self.seen.insert(what.to_owned(), value.into());
        self
    }

    /// Notes a problem unless what was seen at `pointer`, such as `/dispatch/state`, is `wanted`.
    pub(super) fn expect(mut self, pointer: &str, wanted: impl Into<Value>) -> Self {
        let wanted = wanted.into();
        let seen = Value::Object(std::mem::take(&mut self.seen));
        let found = seen.pointer(pointer).unwrap_or(&Value::Null);
        if *found != wanted {
            self.problems.push(format!("{pointer} is {found}, not {wanted}"));
        }
        if let Value::Object(seen) = seen {
            self.seen = seen;
        }
        self
    }

    pub(super) fn passed(&self) -> bool {
        self.problems.is_empty()
    }

    /// As the receipt has it.
    pub(super) fn json(&self) -> Value {
        let mut fields = self.seen.clone();
        fields.insert("name".to_owned(), self.name.into());
        fields.insert("status".to_owned(), if self.passed() { "passed" } else { "failed" }.into());
        if !self.passed() {
            fields.insert("problems".to_owned(), json!(self.problems));
        }
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_passes_when_everything_is_as_it_should_be() {
        let good = Check::new("good")
            .saw("dispatch", json!({"state": "blocked"}))
            .expect("/dispatch/state", "blocked");
        assert_eq!(
            good.json(),
            json!({"dispatch": {"state": "blocked"}, "name": "good", "status": "passed"})
        );
        let bad = Check::new("bad").saw("count", 1).expect("/count", 0).expect("/missing", true);
        assert!(!bad.passed());
        let problems = json!(["/count is 1, not 0", "/missing is null, not true"]);
        assert_eq!(bad.json(), json!({"count": 1, "name": "bad", "problems": problems, "status": "failed"}));
    }
}
