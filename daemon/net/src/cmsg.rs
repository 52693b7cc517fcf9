//! The format of control messages: `cmsg(3)`, RFC 3542 section 4. What they mean is in `control.rs`.
//!
//! Reading and writing go over byte slices with checked bounds, not over `CMSG_NXTHDR`'s pointers: a buffer that
//! the kernel cut (`MSG_CTRUNC`), or a fuzzer made, must not lead outside it.
#![expect(unsafe_code, reason = "CMSG_LEN and CMSG_SPACE are unsafe fn in libc, though they only compute")]

use std::mem::offset_of;

use libc::{c_int, c_uint, cmsghdr};

/// A buffer for `N` bytes of control messages, aligned as the kernel's headers need it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Buffer<const N: usize> {
    align: [cmsghdr; 0],
    pub(crate) bytes: [u8; N],
}

impl<const N: usize> Buffer<N> {
    pub(crate) const fn new() -> Self {
        Self { align: [], bytes: [0; N] }
    }
}

/// One control message: who made it, what it is, its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) level: c_int,
    pub(crate) kind: c_int,
    pub(crate) data: &'a [u8],
}

/// Walks the control messages in `bytes`; stops at the first that is not whole.
pub(crate) fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages { rest: bytes }
}

pub(crate) struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let len = read_length(self.rest)?;
        let message = Message {
            level: c_int::from_ne_bytes(array_at(self.rest, LEVEL)?),
            kind: c_int::from_ne_bytes(array_at(self.rest, KIND)?),
            data: self.rest.get(DATA..len)?,
        };
        // The last message may come without the padding that would follow it.
        self.rest = self.rest.get(space(message.data.len())..).unwrap_or_default();
        Some(message)
    }
}

/// Appends control messages to a buffer.
pub(crate) struct Writer<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// Appends one message. The callers' buffers are sized at compile time for all they write; `false` if one
    /// did not fit all the same, in which case nothing is appended. Padding keeps what was there: nobody reads it.
    #[must_use]
    pub(crate) fn push(&mut self, level: c_int, kind: c_int, data: &[u8]) -> bool {
        let end = self.used + space(data.len());
        let Some(room) = self.buffer.get_mut(self.used..end) else { return false };
        let (header, body) = room.split_at_mut(DATA);
        write_length(header, DATA + data.len());
        header[LEVEL..][..size_of::<c_int>()].copy_from_slice(&level.to_ne_bytes());
        header[KIND..][..size_of::<c_int>()].copy_from_slice(&kind.to_ne_bytes());
        body[..data.len()].copy_from_slice(data);
        self.used = end;
        true
    }

    /// Bytes written, for `msg_controllen`.
    pub(crate) const fn used(&self) -> usize {
        self.used
    }
}

/// Bytes that a message with `data` bytes takes in a buffer, padding included.
#[expect(clippy::cast_possible_truncation, reason = "asserted to be small")]
pub(crate) const fn space(data: usize) -> usize {
    assert!(data <= MAX_DATA, "no control message read or written here is that long");
    // SAFETY: CMSG_SPACE is arithmetic on its argument.
    let space = unsafe { libc::CMSG_SPACE(data as c_uint) };
    space as usize
}

/// `N` bytes of `bytes` from `offset` on, if they are there.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// `cmsg_len`: header and data. The kernel's field is as wide as the distance to the next one: 8 bytes on 64-bit
/// Linux whatever the C library declares, 4 on macOS.
fn read_length(bytes: &[u8]) -> Option<usize> {
    let len = if LEVEL - LENGTH == size_of::<u64>() {
        usize::try_from(u64::from_ne_bytes(array_at(bytes, LENGTH)?)).ok()?
    } else {
        usize::try_from(u32::from_ne_bytes(array_at(bytes, LENGTH)?)).ok()?
    };
    (len >= DATA && len - DATA <= MAX_DATA).then_some(len)
}

fn write_length(header: &mut [u8], len: usize) {
    let field = &mut header[LENGTH..LEVEL];
    let bytes = len.to_ne_bytes();
    let width = field.len();
    if cfg!(target_endian = "little") {
        field.copy_from_slice(&bytes[..width]);
    } else {
        field.copy_from_slice(&bytes[bytes.len() - width..]);
    }
}

const LENGTH: usize = 0;
const LEVEL: usize = offset_of!(cmsghdr, cmsg_level);
const KIND: usize = offset_of!(cmsghdr, cmsg_type);
/// Where the data starts: the header and its padding.
const DATA: usize = {
    // SAFETY: CMSG_LEN is arithmetic on its argument.
    let len = unsafe { libc::CMSG_LEN(0) };
    len as usize
};
/// Longest data that is looked at; the kernel's own limit for all of them together (`net.core.optmem_max`) is
/// of this order. It keeps the arithmetic above far from overflow.
const MAX_DATA: usize = 128 * 1024;

const _: () = {
    assert!(LEVEL == 4 || LEVEL == 8, "cmsg_len comes first and is 4 or 8 bytes wide");
    assert!(LEVEL <= size_of::<usize>(), "write_length takes it from a usize");
    assert!(DATA >= KIND + size_of::<c_int>(), "the header comes before the data");
};

#[cfg(test)]
mod tests {
    use super::*;

    fn two_messages() -> Vec<u8> {
        let mut buffer = Buffer::<96>::new();
        let mut writer = Writer::new(&mut buffer.bytes);
        assert!(writer.push(1, 2, &[1, 2, 3, 4, 5]));
        assert!(writer.push(41, 50, &[9; 20]));
        let used = writer.used();
        buffer.bytes[..used].to_vec()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = two_messages();
        let read: Vec<_> = messages(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0], Message { level: 1, kind: 2, data: &[1, 2, 3, 4, 5] });
        assert_eq!(read[1], Message { level: 41, kind: 50, data: &[9; 20] });
    }

    #[test]
    fn libc_reads_the_same() {
        let mut buffer = Buffer::<96>::new();
        let bytes = two_messages();
        buffer.bytes[..bytes.len()].copy_from_slice(&bytes);
        let mut header = crate::sys::Header::new();
        header.msg.msg_control = buffer.bytes.as_mut_ptr().cast();
        header.msg.msg_controllen = crate::sys::fit(bytes.len()).unwrap();
        // SAFETY: the header points to a buffer of whole, aligned control messages.
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header.msg) };
        // SAFETY: `first` is the header of the first of them.
        let second = unsafe { libc::CMSG_NXTHDR(&raw const header.msg, first) };
        // SAFETY: it is not null, as there are two messages, so it points to the second header.
        let second = unsafe { second.as_ref() }.expect("a second message");
        assert_eq!((second.cmsg_level, second.cmsg_type), (41, 50));
        assert_eq!(crate::sys::length(second.cmsg_len), DATA + 20);
    }

    #[test]
    fn the_longest_data_is_read_and_what_says_it_is_longer_is_not() {
        const LONGEST: usize = 128 * 1024;
        let mut bytes = vec![0; space(LONGEST) + 8];
        let mut writer = Writer::new(&mut bytes);
        assert!(writer.push(1, 2, &vec![7; LONGEST]));
        let used = writer.used();
        assert!(messages(&bytes[..used]).map(|message| message.data.len()).eq([LONGEST]));
        write_length(&mut bytes[..DATA], DATA + LONGEST + 1);
        assert_eq!(messages(&bytes).count(), 0);
    }

    #[test]
    fn a_full_buffer_takes_no_more() {
        let mut bytes = [0xAA; 40];
        let mut writer = Writer::new(&mut bytes);
        assert!(writer.push(1, 1, &[0; 4]));
        assert!(!writer.push(1, 1, &[0; 4]));
        assert_eq!(writer.used(), space(4));
    }

    /// Cut at every length, and with every byte set to each of some hostile values: the walk ends, and what it
    /// yields lies inside the buffer.
    #[test]
    fn any_cut_or_garbled_buffer_is_walked_safely() {
        let whole = two_messages();
        let bound = whole.len() / DATA + 1;
        for cut in 0..=whole.len() {
            assert!(messages(&whole[..cut]).count() <= bound);
            for at in 0..cut {
                for value in [0, 1, 7, 15, 16, 17, 0x7F, 0x80, 0xFF] {
                    let mut bytes = whole[..cut].to_vec();
                    bytes[at] = value;
                    let total: usize = messages(&bytes).map(|m| m.data.len()).sum();
                    assert!(messages(&bytes).count() <= bound && total <= cut);
                }
            }
        }
        assert_eq!(messages(&[0xFF; 64]).count(), 0);
        assert_eq!(messages(&[0; 64]).count(), 0, "a length of 0 must not walk for ever");
    }
}
