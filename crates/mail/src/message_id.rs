//! Message identifiers (RFC 5322 §3.6.4): unique for ever, everywhere.

use std::hash::{BuildHasher as _, RandomState};
use std::time::SystemTime;

/// `<26 random characters@host>`: 128 bits of chance, so no counter and no clock needs to be kept. `host` is our own name.
pub fn generate(host: &str) -> String {
    let mut id = String::with_capacity(host.len() + 30);
    id.push('<');
    let number = random();
    (0..26).rev().for_each(|i| id.push(digit((number >> (5 * i)) as u8)));
    id.push('@');
    id.push_str(host);
    id.push('>');
    id
}

/// Digits and letters without i, l, o, u: an identifier is sometimes read aloud.
fn digit(number: u8) -> char {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    char::from(ALPHABET[usize::from(number & 31)])
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_ne_bytes(bytes),
        // No secret is made here, only something unique: the hasher's own keys and the time are that as well.
        Err(_) => {
            let hash = || u128::from(RandomState::new().hash_one(SystemTime::now()));
            hash() << 64 | hash()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn identifiers_differ_and_have_their_form() {
        let ids: HashSet<String> = (0..1000).map(|_| generate("mx.example.com")).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let local = id.strip_prefix('<').and_then(|id| id.strip_suffix("@mx.example.com>")).unwrap();
            assert!(
                local.len() == 26 && local.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()),
                "{local}"
            );
        }
    }
}
