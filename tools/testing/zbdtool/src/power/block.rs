// SPDX-License-Identifier: GPL-2.0

//! Blocks that say what they are: whose data, where it belongs, and of which generation.
//!
//! What is found after a power cut is not compared with one expected content, because several are allowed. So each
//! block names its place and its generation, and the rest of it depends on them: a block that was torn, or mixed up
//! with another, is no block at all.

use crate::pattern;

const MAGIC: [u8; 8] = *b"zlpower1";
/// Magic, run, place, index, generation.
const HEADER: usize = 40;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The device's life that wrote it: another value for each recording.
    pub run: u64,
    /// The zone, or the file.
    pub place: u64,
    /// The number of the block in the zone or file.
    pub index: u64,
    /// Number of resets of a sequential zone, number of the write in a conventional zone or a file.
    pub generation: u64,
}

/// What was found in the place of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing but zeros.
    Zeros,
    /// A whole block.
    Block(Tag),
    /// Anything else.
    Garbage,
}

impl Tag {
    fn words(&self) -> [u64; 4] {
        [self.run, self.place, self.index, self.generation]
    }

    fn seed(&self) -> u64 {
        self.words().iter().fold(0, |seed: u64, word| {
            (seed ^ word)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
        })
    }

    /// Makes `buf` the block of this tag.
    pub fn fill(&self, buf: &mut [u8]) {
        buf[..8].copy_from_slice(&MAGIC);
        for (i, word) in self.words().iter().enumerate() {
            buf[8 + 8 * i..16 + 8 * i].copy_from_slice(&word.to_le_bytes());
        }
        pattern::fill(&mut buf[HEADER..], self.seed(), 0);
    }

    /// Makes each block of `buf` the one of this tag and of those that follow it.
    pub fn fill_all(&self, buf: &mut [u8], unit: usize) {
        for (i, block) in buf.chunks_exact_mut(unit).enumerate() {
            let index = self.index + i as u64;
            Tag { index, ..*self }.fill(block);
        }
    }
}

/// Says what the block `buf` is.
pub fn read(buf: &[u8]) -> Content {
    if pattern::nonzero(buf).is_none() {
        return Content::Zeros;
    }
    if buf.len() <= HEADER || buf[..8] != MAGIC {
        return Content::Garbage;
    }
    let word = |i: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&buf[8 + 8 * i..16 + 8 * i]);
        u64::from_le_bytes(bytes)
    };
    let tag = Tag {
        run: word(0),
        place: word(1),
        index: word(2),
        generation: word(3),
    };
    match pattern::mismatch(&buf[HEADER..], tag.seed(), 0) {
        None => Content::Block(tag),
        Some(_) => Content::Garbage,
    }
}

/// Says what each block of `buf` is.
pub fn read_all(buf: &[u8], unit: usize) -> Vec<Content> {
    buf.chunks(unit).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: Tag = Tag {
        run: 7,
        place: 3,
        index: 12,
        generation: 2,
    };

    #[test]
    fn a_block_says_what_it_is() {
        for unit in [512, 1024, 4096] {
            let mut buf = vec![0; 3 * unit];
            assert_eq!(read_all(&buf, unit), [Content::Zeros; 3]);
            TAG.fill_all(&mut buf, unit);
            let tags: Vec<Content> = (12..15)
                .map(|index| Content::Block(Tag { index, ..TAG }))
                .collect();
            assert_eq!(read_all(&buf, unit), tags);
        }
    }

    #[test]
    fn any_changed_byte_makes_garbage() {
        let mut buf = vec![0; 512];
        TAG.fill(&mut buf);
        for at in 0..buf.len() {
            buf[at] ^= 1;
            assert_eq!(read(&buf), Content::Garbage, "byte {at}");
            buf[at] ^= 1;
        }
        assert_eq!(read(&buf), Content::Block(TAG));
    }

    #[test]
    fn a_block_of_two_halves_is_garbage() {
        let (mut old, mut new) = (vec![0; 4096], vec![0; 4096]);
        TAG.fill(&mut old);
        Tag {
            generation: 3,
            ..TAG
        }
        .fill(&mut new);
        for at in [512, 2048, 4088] {
            let torn = [&new[..at], &old[at..]].concat();
            assert_eq!(read(&torn), Content::Garbage);
            let lost = [&new[..at], &vec![0; 4096 - at]].concat();
            assert_eq!(read(&lost), Content::Garbage);
        }
    }
}
