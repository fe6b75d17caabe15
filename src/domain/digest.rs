//! What a text is known by without being kept.

use sha2::{Digest, Sha256};

/// The SHA-256 of a text, in hexadecimal.
pub fn sha256(text: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(text))
}

/// Bytes, in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_by_what_sha256sum_says() {
        assert_eq!(sha256("go on"), "b5013eb1c1b2db1f7eb99e0b780ab6c69f2d4e61657bb173f45f91a777fb8d50");
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
    }
}
