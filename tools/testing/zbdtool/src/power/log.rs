// SPDX-License-Identifier: GPL-2.0

//! The log that dm-log-writes, and QEMU's blklogwrites, keep of what was written to a disk.
//!
//! A sector with a super block, then for each entry a sector that describes it and the data. dm-log-writes logs a
//! write that needs no flush (FUA) when it is completed, and all others only with the flush that makes them durable:
//! a run of plain writes directly before a flush is what was in the disk's cache when that flush was sent.

use crate::pattern::Buffer;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Bits of [`Entry::flags`].
pub const FLUSH: u64 = 1 << 0;
pub const FUA: u64 = 1 << 1;
pub const DISCARD: u64 = 1 << 2;
pub const MARK: u64 = 1 << 3;
const KNOWN: u64 = (1 << 5) - 1;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const HEADER: usize = 32;

/// One entry; positions and lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it was written on the disk.
    pub pos: u64,
    pub len: u64,
    pub flags: u64,
    /// Where the data is in the log.
    pub data: u64,
    /// The number in a mark that has one.
    pub mark: Option<u64>,
}

impl Entry {
    pub fn is(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// Whether the disk's cache may have lost it until the next flush.
    pub fn is_cached(&self) -> bool {
        !self.is(FLUSH | FUA | MARK)
    }
}

/// A log, with its entries.
pub struct Log {
    file: File,
    pub entries: Vec<Entry>,
}

fn word(buf: &[u8], i: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&buf[8 * i..8 * i + 8]);
    u64::from_le_bytes(bytes)
}

fn bad(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The number at the end of a mark's text, such as `lines=12`.
fn mark_number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.split_once('=')?.1.parse().ok()
}

impl Log {
    /// Reads the entries of a log. With `tail`, also those that the super block does not count yet, because the
    /// machine died before it was written again.
    pub fn read(file: File, tail: bool) -> io::Result<Self> {
        let size = (&file).seek(SeekFrom::End(0))?;
        let mut buf = Buffer::new(4096);
        let mut sector = |pos: u64| -> io::Result<[u8; 512]> {
            let mut head = [0; 512];
            file.read_exact_at(&mut buf.bytes_mut()[..512], pos)?;
            head.copy_from_slice(&buf.bytes()[..512]);
            Ok(head)
        };
        let head = sector(0)?;
        let unit = word(&head, 3) & 0xffff_ffff;
        if word(&head, 0) != MAGIC || word(&head, 1) != 1 {
            return Err(bad("not a log of writes".into()));
        }
        if !unit.is_power_of_two() || unit < 512 {
            return Err(bad(format!("sectors of {unit} bytes")));
        }
        let count = word(&head, 2);
        let mut entries: Vec<Entry> = Vec::new();
        let mut pos = unit;
        while (entries.len() as u64) < count || tail {
            let counted = (entries.len() as u64) < count;
            if pos + unit > size {
                if counted {
                    return Err(bad(format!("ends after {} entries", entries.len())));
                }
                break;
            }
            let head = sector(pos)?;
            let entry = Entry {
                pos: word(&head, 0).wrapping_mul(unit),
                len: word(&head, 1).wrapping_mul(unit),
                flags: word(&head, 2),
                data: pos + unit,
                mark: None,
            };
            let stored = if entry.is(DISCARD) { 0 } else { entry.len };
            let end = (pos + unit).checked_add(stored);
            let sound = entry.flags & !KNOWN == 0 && end.is_some_and(|end| end <= size);
            if !sound && counted {
                return Err(bad(format!("entry {} is damaged", entries.len())));
            }
            // Nothing was written here: no write is empty unless it flushes or marks.
            let nothing = entry.len == 0 && !entry.is(FLUSH | MARK);
            if !counted && (!sound || nothing) {
                break;
            }
            let mark = (word(&head, 3) as usize).min(512 - HEADER);
            entries.push(Entry {
                mark: entry
                    .is(MARK)
                    .then(|| mark_number(&head[HEADER..HEADER + mark]))
                    .flatten(),
                ..entry
            });
            pos += unit + stored;
        }
        Ok(Self { file, entries })
    }

    /// Reads a part of an entry's data: `buf.len()` bytes, `offset` bytes from its start. What was discarded is zeros.
    pub fn data(&self, entry: &Entry, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if entry.is(DISCARD) {
            buf.fill(0);
            return Ok(());
        }
        self.file.read_exact_at(buf, entry.data + offset)
    }
}

/// Logs made by hand, for tests.
#[cfg(test)]
pub mod made {
    use super::*;
    use std::io::Write;

    /// A file without a name, with these bytes.
    pub fn file(bytes: &[u8]) -> File {
        let name = format!("/tmp/zbdtool-{}-{:p}", std::process::id(), bytes);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&name)
            .expect("a temporary file");
        std::fs::remove_file(&name).expect("it was just made");
        file.write_all(bytes).expect("room for it");
        file
    }

    /// `counted` is the number of entries that the super block admits to.
    pub fn bytes(entries: &[(u64, u64, &[u8])], counted: u64) -> Vec<u8> {
        let mut out = vec![0; 512];
        for (i, word) in [MAGIC, 1, counted, 512].iter().enumerate() {
            out[8 * i..8 * i + 8].copy_from_slice(&word.to_le_bytes());
        }
        for (sector, flags, data) in entries {
            let mut head = [0; 512];
            let (sectors, text) = if flags & MARK != 0 {
                (0, data.len() as u64)
            } else {
                (data.len() as u64 / 512, 0)
            };
            for (i, word) in [*sector, sectors, *flags, text].iter().enumerate() {
                head[8 * i..8 * i + 8].copy_from_slice(&word.to_le_bytes());
            }
            head[HEADER..HEADER + text as usize].copy_from_slice(&data[..text as usize]);
            out.extend_from_slice(&head);
            if flags & (MARK | DISCARD) == 0 {
                out.extend_from_slice(data);
            }
        }
        out
    }

    /// The log of these entries: sector, flags, data or text.
    pub fn log(entries: &[(u64, u64, &[u8])]) -> Log {
        Log::read(file(&bytes(entries, entries.len() as u64)), false).expect("a good log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: [(u64, u64, &[u8]); 6] = [
        (8, 0, &[1; 4096]),
        (0, FLUSH, &[]),
        (0, MARK, b"lines=31"),
        (16, FUA, &[2; 512]),
        (64, DISCARD, &[0; 1024]),
        (0, MARK, b"dm-log-writes-end"),
    ];

    #[test]
    fn entries_are_found_with_their_data() {
        let log = made::log(&ENTRIES);
        let seen: Vec<(u64, u64, u64)> = log
            .entries
            .iter()
            .map(|e| (e.pos, e.len, e.flags))
            .collect();
        assert_eq!(
            seen,
            [
                (4096, 4096, 0),
                (0, 0, FLUSH),
                (0, 0, MARK),
                (8192, 512, FUA),
                (32768, 1024, DISCARD),
                (0, 0, MARK),
            ]
        );
        let marks: Vec<Option<u64>> = log.entries.iter().map(|e| e.mark).collect();
        assert_eq!(marks, [None, None, Some(31), None, None, None]);
        let mut buf = [9; 512];
        log.data(&log.entries[0], 1024, &mut buf).expect("data");
        assert_eq!(buf, [1; 512]);
        log.data(&log.entries[3], 0, &mut buf).expect("data");
        assert_eq!(buf, [2; 512]);
        log.data(&log.entries[4], 512, &mut buf).expect("data");
        assert_eq!(buf, [0; 512]);
    }

    #[test]
    fn a_tail_is_read_up_to_what_was_never_written() {
        let mut bytes = made::bytes(&ENTRIES, 2);
        let count = |bytes: &[u8], tail| {
            Log::read(made::file(bytes), tail)
                .expect("a good log")
                .entries
                .len()
        };
        assert_eq!(count(&bytes, false), 2);
        assert_eq!(count(&bytes, true), 6);
        bytes.extend_from_slice(&[0; 4096]);
        assert_eq!(count(&bytes, true), 6);
        // The data of the fourth entry did not get into the file any more.
        bytes.truncate(512 + 512 + 4096 + 512 + 512 + 512 + 100);
        assert_eq!(count(&bytes, true), 3);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let good = made::bytes(&ENTRIES, 6);
        let mut magic = good.clone();
        magic[0] ^= 1;
        let mut flags = good.clone();
        flags[512 + 16] = 0x40;
        let mut short = good.clone();
        short.truncate(good.len() - 600);
        for bytes in [magic, flags, short, vec![0; 512]] {
            assert!(Log::read(made::file(&bytes), false).is_err());
        }
    }
}
