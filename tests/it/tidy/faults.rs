//! Every named fault point stands where it says, once, and a test comes to it.

use super::source::{Source, Token};
use super::{Finding, find};
use conveyor::fault::Point;
use std::path::Path;

/// The file that names the points.
const TABLE: &str = "src/fault.rs";

/// The test that says how each is come to. Leaving one out does not compile.
const WAYS: &str = "tests/it/crash/mod.rs";

/// Where the program, outside tests, comes to a point: the points by their names in the code.
fn reached(file: &Source) -> Vec<(usize, String)> {
    let tokens = file.tokens();
    let uses = tokens.windows(3).filter(|three| three[0].text == "Point" && three[1].text == "::");
    let is_ours = |three: &&[Token]| !three[0].in_test && names().contains(&three[2].text);
    uses.filter(is_ours).map(|three| (three[2].line, three[2].text.clone())).collect()
}

fn names() -> Vec<String> {
    Point::ALL.iter().map(|point| format!("{point:?}")).collect()
}

/// Points that a file comes to and that are said to be elsewhere.
pub(super) fn misplaced(file: &Source) -> Vec<Finding> {
    if file.path == Path::new(TABLE) {
        return Vec::new();
    }
    let is_here = |name: &str| {
        let point = Point::ALL.iter().find(|point| format!("{point:?}") == name);
        point.is_some_and(|point| file.path == Path::new("src").join(point.file()))
    };
    let wrong = reached(file).into_iter().filter(|(_, name)| !is_here(name));
    wrong.map(|(line, name)| find(file, line, format!("Point::{name} is said to be elsewhere"))).collect()
}

/// Points that are not come to exactly once.
pub(super) fn not_once(files: &[Source]) -> Vec<String> {
    let program = files.iter().filter(|file| file.path != Path::new(TABLE));
    let reached: Vec<String> = program.flat_map(reached).map(|(_, name)| name).collect();
    let times = |name: &String| reached.iter().filter(|reached| *reached == name).count();
    names().into_iter().filter(|name| times(name) != 1).collect()
}

/// Points that the crash test does not speak of.
pub(super) fn untested(files: &[Source]) -> Vec<String> {
    let ways = files.iter().find(|file| file.path == Path::new(WAYS));
    let tested: Vec<String> = ways.into_iter().flat_map(reached).map(|(_, name)| name).collect();
    names().into_iter().filter(|name| !tested.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_out_of_place_or_missing_is_found() {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let files = [
            source("src/store/writer.rs", "fn f() { Point::StoreBegin.reach(); Point::PushMade.reach() }"),
            source("src/actors/hands.rs", "fn f() { Point::PushMade.reach() }"),
            source("src/actors/dispatcher.rs", "#[cfg(test)] fn f() { Point::DispatchClaimed.reach() }"),
        ];
        let lines =
            |file: &Source| misplaced(file).into_iter().map(|finding| finding.what).collect::<Vec<_>>();
        assert_eq!(lines(&files[0]), ["Point::PushMade is said to be elsewhere"]);
        assert!(lines(&files[1]).is_empty() && lines(&files[2]).is_empty());
        let not_once = not_once(&files);
        assert!(!not_once.contains(&"StoreBegin".to_owned()));
        assert!(["PushMade", "DispatchClaimed"].iter().all(|name| not_once.contains(&(*name).to_owned())));
        assert!(untested(&files).contains(&"StoreBegin".to_owned()));
    }
}
