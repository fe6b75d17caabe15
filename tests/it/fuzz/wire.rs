//! Frames of the socket: what is none is refused, and what is one reads back.

use super::ITERATIONS;
use super::mutate::{Change, Corpus};
use bolero::check;
use conveyor::actors::wire::{Answer, Envelope, receive_blocking, send_blocking};

#[test]
fn a_frame_is_read_or_refused() {
    let corpus = Corpus::of("fuzz/frames");
    check!().with_type::<(u16, Vec<Change>)>().with_iterations(ITERATIONS).for_each(|(which, changes)| {
        let bytes = corpus.changed(*which, changes);
        let _ = receive_blocking::<Answer>(&mut &*bytes);
        let Ok(envelope) = receive_blocking::<Envelope>(&mut &*bytes) else { return };
        let Ok(request) = envelope.request() else { return };
        let mut again = Vec::new();
        send_blocking(&mut again, &envelope).unwrap();
        let back: Envelope = receive_blocking(&mut &*again).unwrap();
        let told = |request| serde_json::to_value(request).unwrap();
        assert_eq!(told(back.request().unwrap()), told(request));
    });
}

#[test]
fn every_frame_of_the_corpus_is_a_call() {
    let corpus = Corpus::of("fuzz/frames");
    for which in 0..u16::try_from(corpus.len()).unwrap() {
        let bytes = corpus.changed(which, &[]);
        receive_blocking::<Envelope>(&mut &*bytes).unwrap().request().unwrap();
    }
}
