//! Screens: any text is classified, and only what is on it counts.

use super::ITERATIONS;
use super::mutate::{Change, Corpus};
use bolero::check;
use conveyor::codex::pane::{PaneClass, classify, composer_text};

#[test]
fn a_screen_is_classified_whatever_it_shows() {
    let corpus = Corpus::of("panes");
    type Input = (u16, Vec<Change>, Option<String>);
    check!().with_type::<Input>().with_iterations(ITERATIONS).for_each(|(which, changes, title)| {
        let bytes = corpus.changed(*which, changes);
        let screen = String::from_utf8_lossy(&bytes);
        let class = classify(&screen, title.as_deref());
        assert_eq!(
            classify(&format!("{screen}\n  \n\n"), title.as_deref()),
            class,
            "empty lines below mean nothing"
        );
        // Text is typed only where there is a composer.
        assert!(!class.takes_input() || composer_text(&screen).is_some(), "{class}:\n{screen}");
        assert!(class != PaneClass::Unknown || composer_text(&screen).is_none(), "{screen}");
    });
}
