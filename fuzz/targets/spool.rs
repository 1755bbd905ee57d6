//! What the disk gives back: segments, and letters with their state. No octets make the readers panic, and what is read is
//! written to something that reads equal. The first octet chooses the reader; for both halves of a letter, the second is
//! the length of the first half.
#![no_main]

use libfuzzer_sys::fuzz_target;
use queue::letter::QueueId;
use queue::letter::codec::{decode, decode_meta, decode_state, encode_meta, encode_state};
use queue::spool::fuzz_scan;

const ID: QueueId = QueueId(7);

fn meta(octets: &[u8]) {
    let Ok(letter) = decode_meta(ID, octets) else { return };
    assert_eq!(decode_meta(ID, &encode_meta(&letter)).as_ref(), Ok(&letter));
}

fn state(octets: &[u8]) {
    let Ok(course) = decode_state(octets) else { return };
    assert_eq!(decode_state(&encode_state(&course)).as_ref(), Ok(&course));
}

fn both(octets: &[u8]) {
    let Some((&length, octets)) = octets.split_first() else { return };
    let (meta, state) = octets.split_at(usize::from(length).min(octets.len()));
    let Ok((letter, course)) = decode(ID, meta, state) else { return };
    assert_eq!(letter.recipients.len(), course.states.len());
    assert!(letter.recipients.iter().zip(&course.states).all(|(recipient, progress)| recipient.state == progress.state));
    assert_eq!(decode(ID, &encode_meta(&letter), &encode_state(&course)), Ok((letter, course)));
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, octets)) = input.split_first() else { return };
    match choice % 4 {
        0 => fuzz_scan(octets),
        1 => meta(octets),
        2 => state(octets),
        _ => both(octets),
    }
});
