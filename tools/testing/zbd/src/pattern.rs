// SPDX-License-Identifier: GPL-2.0

//! Test data that names its place: every 8-byte word depends on the seed and on its position.

/// A page-aligned buffer, as direct I/O wants it.
pub struct Buffer {
    words: Vec<u8>,
    start: usize,
    len: usize,
}

/// Alignment of the buffers: covers every logical block size up to a page.
const ALIGN: usize = 4096;

impl Buffer {
    /// A zeroed buffer of `len` bytes.
    pub fn new(len: usize) -> Self {
        let words = vec![0u8; len + ALIGN];
        let start = words.as_ptr().align_offset(ALIGN);
        Self { words, start, len }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.words[self.start..self.start + self.len]
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.words[self.start..self.start + self.len]
    }
}

/// The word at byte position `pos`; never 0, so that lost data cannot look right.
fn word(seed: u64, pos: u64) -> u64 {
    let mut x = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(pos | 1);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) | 1
}

/// Fills `buf` with the pattern of the bytes from `pos` on.
pub fn fill(buf: &mut [u8], seed: u64, pos: u64) {
    for (i, chunk) in buf.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&word(seed, pos + 8 * i as u64).to_le_bytes());
    }
}

/// The first offset in `buf` that does not hold the pattern.
pub fn mismatch(buf: &[u8], seed: u64, pos: u64) -> Option<usize> {
    buf.chunks_exact(8)
        .enumerate()
        .find(|(i, chunk)| **chunk != word(seed, pos + 8 * *i as u64).to_le_bytes())
        .map(|(i, _)| 8 * i)
}

/// The first offset in `buf` that is not zero.
pub fn nonzero(buf: &[u8]) -> Option<usize> {
    buf.iter().position(|b| *b != 0)
}

/// A small random number generator (xorshift), repeatable from its seed.
pub struct Rng(u64);

impl Rng {
    /// A generator; the same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    #[expect(
        clippy::should_implement_trait,
        reason = "there is no end that an iterator could have"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_found_only_where_it_was_made() {
        let mut buf = Buffer::new(8192);
        fill(buf.bytes_mut(), 3, 4096);
        assert_eq!(mismatch(buf.bytes(), 3, 4096), None);
        assert_eq!(mismatch(&buf.bytes()[512..], 3, 4096 + 512), None);
        assert_eq!(mismatch(buf.bytes(), 3, 8192), Some(0));
        assert_eq!(mismatch(buf.bytes(), 4, 4096), Some(0));
        buf.bytes_mut()[5000] ^= 1;
        assert_eq!(mismatch(buf.bytes(), 3, 4096), Some(5000));
    }

    #[test]
    fn lost_data_never_looks_right() {
        let zeros = Buffer::new(4096);
        assert_eq!(mismatch(zeros.bytes(), 0, 0), Some(0));
        assert_eq!(nonzero(zeros.bytes()), None);
        let mut buf = Buffer::new(4096);
        fill(buf.bytes_mut(), 0, 0);
        assert_eq!(buf.bytes().as_ptr() as usize % 4096, 0);
        assert!(buf.bytes().chunks_exact(8).all(|c| c != [0; 8]));
    }
}
