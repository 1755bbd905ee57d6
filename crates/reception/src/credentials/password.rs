//! New passwords.

use smtp::Secret;

/// Without 0, 1, i, l, o: nothing to mistake for another when it is read out.
const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// A new password that can be read out and typed: four groups of five small letters and digits, 99 bits.
///
/// # Panics
/// Where the operating system gives no random numbers: there is no safe way to go on.
pub fn generate_password() -> Secret {
    let mut password = Vec::with_capacity(23);
    while password.len() < 23 {
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).expect("the operating system gives random numbers");
        // 31 of 32 values are used, so that each character is as likely as any other.
        for letter in random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31))) {
            if password.len() % 6 == 5 {
                password.push(b'-');
            }
            password.push(*letter);
            if password.len() >= 23 {
                break;
            }
        }
    }
    Secret::new(password)
}
