//! The conversion of letters: any octets, in any cut, and what was converted needs no second conversion. The first octet
//! chooses the target, the second the cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::convert::{Survey, Target, Writer};

fn convert(letter: &[u8], target: Target, piece: usize) -> Option<Vec<u8>> {
    let mut survey = Survey::new();
    letter.chunks(piece).for_each(|piece| survey.feed(piece));
    survey.finish();
    let conversion = survey.convert(target).ok()?;
    let (mut writer, mut out) = (Writer::new(&conversion), Vec::new());
    letter.chunks(piece).for_each(|piece| writer.feed(piece, &mut out));
    writer.finish(&mut out);
    assert!(!conversion.is_empty() || out == letter, "a letter that fits is not changed");
    assert!(out.len() <= letter.len() * 4 + 4096, "a letter grows out of proportion");
    Some(out)
}

fuzz_target!(|input: &[u8]| {
    let [choice, cut, letter @ ..] = input else { return };
    let target = [(false, true), (false, false), (true, false)][usize::from(choice % 3)];
    let target = Target { eight_bit: target.0, binary: target.1 };
    let out = convert(letter, target, usize::MAX);
    assert_eq!(convert(letter, target, usize::from(*cut) + 1), out, "the cut matters");
    if let Some(out) = out {
        assert_eq!(convert(&out, target, 64).as_ref(), Some(&out), "converted twice");
    }
});
