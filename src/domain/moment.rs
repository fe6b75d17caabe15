//! An instant, as people name it.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, ToSpan, Zoned};

use super::window::Window;

/// What is understood, for messages.
pub const EXAMPLES: &str =
    "2h, 7d, 22:30, today, yesterday, 2026-05-11, 2026-05-11T08:00 or 2026-05-11T08:00:00Z";

/// The instant that `text` names: one with its offset; a date, a time of day or both, as the clock
/// shows it where `now` is; or how long ago. A time of day is the last one before `now`.
pub fn parse(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Ok(window) = text.parse::<Window>() {
        return Some(window.start(now.timestamp()));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let local = local(text, now)?;
    Some(local.to_zoned(now.time_zone().clone()).ok()?.timestamp())
}

fn local(text: &str, now: &Zoned) -> Option<DateTime> {
    let midnight = now.date().to_datetime(Time::midnight());
    match text {
        "today" => return Some(midnight),
        "yesterday" => return midnight.checked_sub(1.day()).ok(),
        _ => {}
    }
    if let Ok(time) = text.parse::<Time>() {
        let today = now.date().to_datetime(time);
        return if today <= now.datetime() { Some(today) } else { today.checked_sub(1.day()).ok() };
    }
    text.parse::<DateTime>().ok().or_else(|| Some(text.parse::<Date>().ok()?.to_datetime(Time::midnight())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_many_names() {
        let now: Zoned = "2026-05-11T09:00:00+02:00[Europe/Berlin]".parse().unwrap();
        let check = |text: &str, expect: Option<&str>| {
            let expect = expect.map(|expect| expect.parse().unwrap());
            assert_eq!(parse(text, &now), expect, "{text}");
        };
        check("2h", Some("2026-05-11T05:00:00Z"));
        check("2026-05-11T08:00:00Z", Some("2026-05-11T08:00:00Z"));
        check("2026-05-11T08:00:00.5+02:00", Some("2026-05-11T06:00:00.5Z"));
        check("2026-05-11T08:00", Some("2026-05-11T06:00:00Z"));
        check("2026-05-11 08:00", Some("2026-05-11T06:00:00Z"));
        check("2026-05-11", Some("2026-05-10T22:00:00Z"));
        check("08:30", Some("2026-05-11T06:30:00Z"));
        check("22:30", Some("2026-05-10T20:30:00Z"));
        check("today", Some("2026-05-10T22:00:00Z"));
        check("yesterday", Some("2026-05-09T22:00:00Z"));
        check("tomorrow", None);
        check("", None);
        check("25:00", None);
    }
}
