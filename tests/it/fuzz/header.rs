//! Origin headers: a text has exactly the one that was put before it.

use super::ITERATIONS;
use super::mutate::{Change, Corpus};
use bolero::check;
use conveyor::domain::OriginHeader;

#[test]
fn a_header_is_read_only_as_it_was_written() {
    let corpus = Corpus::of("fuzz/headers");
    check!().with_type::<(u16, Vec<Change>)>().with_iterations(ITERATIONS).for_each(|(which, changes)| {
        let bytes = corpus.changed(*which, changes);
        let text = String::from_utf8_lossy(&bytes);
        let Some((header, body)) = OriginHeader::split(&text) else { return };
        assert!(OriginHeader::begins(&text));
        let again = header.before(body);
        assert_eq!(OriginHeader::split(&again), Some((header, body)));
        assert_eq!(again.replace('\r', "").trim_end(), text.replace('\r', "").trim_end());
    });
}

#[test]
fn whoever_writes_a_header_is_named_by_it() {
    type Input = ((String, String, String), i64, String);
    check!().with_type::<Input>().with_iterations(ITERATIONS).for_each(
        |((kind, from, id), delivery, body)| {
            let header = OriginHeader {
                kind: kind.clone(),
                from: from.clone(),
                correlation_id: id.clone(),
                delivery: *delivery,
            };
            assert_eq!(OriginHeader::split(&header.before(body)), Some((header, body.as_str())));
        },
    );
}
