//! Parsers for values on the command line.

use jiff::Zoned;
use serde_json::{Map, Value};

use crate::domain::moment;
use crate::domain::time::iso;

/// Free text. It may begin with a hyphen, as a list item does, but not be a flag whose own value was
/// forgotten: use with `allow_hyphen_values`.
///
/// # Errors
/// A sentence for clap to show.
pub fn text(value: &str) -> Result<String, String> {
    let is_flag = value.strip_prefix("--").is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    });
    if is_flag { Err("this is a flag, not a text".to_owned()) } else { Ok(value.to_owned()) }
}

/// An instant, as people name it; given as stored text, so that it means the same everywhere.
///
/// # Errors
/// A sentence for clap to show.
pub fn moment(value: &str) -> Result<String, String> {
    match moment::parse(value, &Zoned::now()) {
        Some(at) => Ok(iso(at)),
        None => Err(format!("this is no instant; say it like {}", moment::EXAMPLES)),
    }
}

/// A JSON object.
///
/// # Errors
/// A sentence for clap to show.
pub fn json_object(value: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(value) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("this is JSON, but not an object: {…}".to_owned()),
        Err(error) => Err(format!("this is not JSON: {error}")),
    }
}

/// A day, the longest wait that makes sense here.
const MAX_SECONDS: f64 = 86_400.0;

/// A number of seconds, fractions allowed.
///
/// # Errors
/// A sentence for clap to show.
pub fn seconds(value: &str) -> Result<f64, String> {
    let seconds: f64 = value.parse().map_err(|_| "this is not a number of seconds".to_owned())?;
    if (0.0..=MAX_SECONDS).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!("seconds must be from 0 to {MAX_SECONDS}"))
    }
}

/// A share of a whole.
///
/// # Errors
/// A sentence for clap to show.
pub fn share(value: &str) -> Result<f64, String> {
    let share: f64 = value.parse().map_err(|_| "this is not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share is from 0 to 1".to_owned()) }
}

/// A name that can be a directory, a tmux session and a word of a command line.
///
/// # Errors
/// A sentence for clap to show.
pub fn plain_name(value: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !value.is_empty() && !value.starts_with('-') && value.chars().all(is_plain) {
        Ok(value.to_owned())
    } else {
        Err("a name has only letters, digits, - and _".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_finite_and_not_negative() {
        for (value, expect) in
            [("0", Some(0.0)), ("2.5", Some(2.5)), ("-1", None), ("NaN", None), ("inf", None), ("x", None)]
        {
            assert_eq!(seconds(value).ok(), expect, "{value}");
        }
    }

    #[test]
    fn a_share_is_from_nothing_to_all() {
        for (value, expect) in [
            ("0", Some(0.0)),
            ("0.02", Some(0.02)),
            ("1", Some(1.0)),
            ("1.5", None),
            ("-1", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(share(value).ok(), expect, "{value}");
        }
    }

    #[test]
    fn only_an_object_is_one() {
        fn check(value: &str, expect: bool) {
            assert_eq!(json_object(value).is_ok(), expect, "{value}");
        }
        check("{}", true);
        check(r#" {"a": [1]} "#, true);
        check("[1]", false);
        check("{bad", false);
        check("null", false);
        check("", false);
    }

    #[test]
    fn text_may_look_like_a_list_but_not_like_a_flag() {
        fn check(value: &str, expect: bool) {
            assert_eq!(text(value).is_ok(), expect, "{value}");
        }
        check("go on", true);
        check("- first\n- second", true);
        check("-1", true);
        check("--verbose does not work", true);
        check("--", true);
        check("", true);
        check("--json", false);
        check("--loop-run", false);
    }
}
