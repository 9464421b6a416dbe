// SPDX-License-Identifier: GPL-2.0

//! Data that says which write it is of: each word of eight bytes can be decoded to the write's number and its place.

use super::history::{Run, Source};
use zbd::uapi::SECTOR;

const WORDS: usize = SECTOR as usize / 8;
/// In the upper byte of a word before it is mixed.
const MARK: u64 = 0xa5;

/// Mixes the bits of a word; each word has another result.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

/// Undoes [`mix`].
fn unmix(mut x: u64) -> u64 {
    x = (x ^ (x >> 32)).wrapping_mul(0xcfee_444d_8b59_a89b);
    x = (x ^ (x >> 32)).wrapping_mul(0xcfee_444d_8b59_a89b);
    x ^ (x >> 32)
}

fn encode(serial: u32, word: u32) -> u64 {
    mix((MARK << 56) | (u64::from(serial) << 24) | u64::from(word & 0xff_ffff))
}

/// The write and the word of it, if it is of one.
fn decode(word: u64) -> Option<(u32, u32)> {
    let plain = unmix(word);
    (plain >> 56 == MARK).then_some(((plain >> 24) as u32, (plain & 0xff_ffff) as u32))
}

/// Fills `buf` with the data of a write.
pub fn fill(buf: &mut [u8], serial: u32) {
    for (i, word) in buf.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&encode(serial, i as u32).to_le_bytes());
    }
}

/// What a word in a sector comes from: the sector of the write that has it in the same place.
fn source(word: u64, index: usize) -> Source {
    if word == 0 {
        return Source::Zero;
    }
    match decode(word) {
        Some((serial, at)) if at as usize % WORDS == index => Source::Written {
            serial,
            offset: at / WORDS as u32,
        },
        _ => Source::Garbage,
    }
}

/// Decodes data that was read from sector `at` on.
pub fn runs(buf: &[u8], at: u32) -> Vec<Run> {
    let mut list: Vec<Run> = Vec::new();
    for (at, sector) in (at..).zip(buf.chunks_exact(SECTOR as usize)) {
        // Mostly all words are of one source; a sector that is written while it is read may be of several.
        let mut sources: Vec<Source> = Vec::with_capacity(2);
        for (index, word) in sector.chunks_exact(8).enumerate() {
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            let source = source(word, index);
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        if let (Some(last), [source]) = (list.last_mut(), sources.as_slice()) {
            let next = match last.source {
                Source::Written { serial, offset } => Source::Written {
                    serial,
                    offset: offset + last.len,
                },
                other => other,
            };
            if last.at + last.len == at && next == *source {
                last.len += 1;
                continue;
            }
        }
        list.extend(sources.into_iter().map(|source| Run { at, len: 1, source }));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_undone() {
        for x in [0, 1, u64::MAX, 0xa5 << 56, 0x0123_4567_89ab_cdef] {
            assert_eq!(unmix(mix(x)), x);
        }
        assert_eq!(decode(encode(77, 12_345)), Some((77, 12_345)));
        assert_eq!(decode(0), None);
        assert_eq!(decode(0xffff_ffff_ffff_ffff), None);
    }

    fn written(serial: u32, offset: u32) -> Source {
        Source::Written { serial, offset }
    }

    #[test]
    fn data_is_traced_to_its_write() {
        let mut buf = vec![0u8; 8 * 512];
        fill(&mut buf[..2048], 5);
        fill(&mut buf[2048..3072], 6);
        let run = |at, len, source| Run { at, len, source };
        assert_eq!(
            runs(&buf, 16),
            [
                run(16, 4, written(5, 0)),
                run(20, 2, written(6, 0)),
                run(22, 2, Source::Zero)
            ]
        );
        // From the middle of a write.
        assert_eq!(runs(&buf[512..1024], 1), [run(1, 1, written(5, 1))]);
        // A sector that is half written, one that was shifted by a word, and one that is damaged.
        buf[256..512].fill(0);
        assert_eq!(
            runs(&buf[..512], 0),
            [run(0, 1, written(5, 0)), run(0, 1, Source::Zero)]
        );
        buf.copy_within(2048..2560, 8);
        assert_eq!(runs(&buf[..512], 0)[1].source, Source::Garbage);
        fill(&mut buf[..512], 5);
        buf[100] ^= 1;
        assert!(runs(&buf[..512], 0).contains(&run(0, 1, Source::Garbage)));
    }
}
