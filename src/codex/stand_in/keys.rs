//! What a terminal sends, as keys and pasted texts.

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// Something a person or tmux did at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// Text, typed or pasted.
    Text(String),
    /// Enter; inside a paste it is text.
    Enter,
    /// The key that takes the last character back.
    Backspace,
    /// C-c or C-d.
    Quit,
}

/// Makes keys of bytes, however they are cut into pieces.
#[derive(Debug, Default)]
pub(super) struct KeyReader {
    rest: Vec<u8>,
}

impl KeyReader {
    /// The keys that `bytes` complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.rest.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while let Some((key, length)) = next(&self.rest) {
            self.rest.drain(..length);
            keys.extend(key);
        }
        keys
    }
}

/// The first key and how many bytes it takes; `None` until it is whole. No key for a sequence that
/// means nothing here.
fn next(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    match *bytes.first()? {
        b'\r' | b'\n' => Some((Some(Key::Enter), 1)),
        0x7f | 0x08 => Some((Some(Key::Backspace), 1)),
        0x03 | 0x04 => Some((Some(Key::Quit), 1)),
        0x1b => escape(bytes),
        byte if byte.is_ascii_control() => Some((None, 1)),
        _ => {
            let end = bytes.iter().position(u8::is_ascii_control).unwrap_or(bytes.len());
            let whole = whole_characters(&bytes[..end]);
            (whole > 0).then(|| (Some(Key::Text(text(&bytes[..whole]))), whole))
        }
    }
}

fn escape(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    if let Some(pasted) = bytes.strip_prefix(PASTE_BEGIN) {
        let length = memchr::memmem::find(pasted, PASTE_END)?;
        let taken = PASTE_BEGIN.len() + length + PASTE_END.len();
        return Some((Some(Key::Text(text(&pasted[..length]).replace('\r', "\n"))), taken));
    }
    match bytes.get(1)? {
        b'[' => {
            let last = bytes.iter().skip(2).position(|byte| (0x40..=0x7e).contains(byte))?;
            Some((None, last + 3))
        }
        _ => Some((None, 2)),
    }
}

/// How many bytes are whole characters: a last one may still lack its end. Bytes that are no
/// characters count as whole.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Key {
        Key::Text(text.into())
    }

    #[test]
    fn bytes_become_keys() {
        let check = |bytes: &str, expect: &[Key]| {
            assert_eq!(KeyReader::default().feed(bytes.as_bytes()), expect, "{bytes:?}");
        };
        check("hi\r", &[typed("hi"), Key::Enter]);
        check("a\u{7f}", &[typed("a"), Key::Backspace]);
        check("\u{3}", &[Key::Quit]);
        check("\u{1b}[200~one\ntwo\r!\u{1b}[201~\r", &[typed("one\ntwo\n!"), Key::Enter]);
        check("\u{1b}[A\u{1b}[1;5Cx\u{1b}Oy", &[typed("x"), typed("y")]);
        check("\u{1}\tx", &[typed("x")]);
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        let bytes = "é\u{1b}[200~漢\n字\u{1b}[201~\r\u{1b}[Ax".as_bytes();
        let expect = vec![typed("é"), typed("漢\n字"), Key::Enter, typed("x")];
        for cut in 0..bytes.len() {
            let mut reader = KeyReader::default();
            let mut keys = reader.feed(&bytes[..cut]);
            keys.extend(reader.feed(&bytes[cut..]));
            assert_eq!(keys, expect, "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_the_reader() {
        assert_eq!(KeyReader::default().feed(b"\xff\xfea\r").last(), Some(&Key::Enter));
    }
}
