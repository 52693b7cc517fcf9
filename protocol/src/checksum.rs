//! CRC-32C over a datagram with the checksum field taken as zero ([P-22]).

use crate::frame::field::{CHECKSUM_AT, Fixed};

/// CRC-32C (Castagnoli) of the datagram made of `fixed` and `rest`, whatever its checksum field holds.
#[inline]
pub(crate) fn crc32c(fixed: &Fixed, rest: &[u8]) -> u32 {
    let mut zeroed = *fixed;
    CHECKSUM_AT.write(&mut zeroed, [0; 4]);
    crc32c::crc32c_append(crc32c::crc32c(&zeroed), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_check_values() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8A91_36AA, "RFC 3720 B.4");
    }

    #[test]
    fn the_checksum_field_does_not_count() {
        let mut fixed = [7; 44];
        let before = crc32c(&fixed, b"rest");
        CHECKSUM_AT.write(&mut fixed, [0xFF; 4]);
        assert_eq!(crc32c(&fixed, b"rest"), before);
    }
}
