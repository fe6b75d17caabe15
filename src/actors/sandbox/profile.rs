//! The profile for `sandbox-exec`: everything but the denied paths.

use super::Sandbox;
use crate::domain::Failure;

/// The profile.
///
/// # Errors
/// When a denied path is no text.
pub(super) fn of(sandbox: &Sandbox) -> Result<String, Failure> {
    let mut rules = vec!["(version 1)".to_owned(), "(allow default)".to_owned()];
    for path in &sandbox.denied {
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        let Some(text) = path.to_str() else {
            return Err(Failure::external(format!("{} is no text to deny by", path.display())));
        };
        let quoted = text.replace('\\', r"\\").replace('"', r#"\""#);
        // A socket is a file that is written to.
        rules.push(format!(r#"(deny file-read* file-write* network-outbound (subpath "{quoted}"))"#));
    }
    rules.push("(deny network-bind)".to_owned());
    rules.push("(deny network-inbound)".to_owned());
    Ok(rules.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_denied_path_is_named_and_nothing_else() {
        let sandbox =
            Sandbox { denied: vec!["/no/such \"state\"".into(), "/no/db".into()], scratch: "/tmp".into() };
        let profile = of(&sandbox).unwrap();
        assert!(profile.contains(r#"(subpath "/no/such \"state\"")"#), "{profile}");
        assert_eq!(profile.matches("(subpath").count(), 2);
    }
}
