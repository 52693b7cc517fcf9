//! Where each field of the fixed header lies (SPEC.md section 1).

/// Octets of the fixed header ([P-3]).
pub const HEADER_LEN: usize = 44;

/// Octets of the longest header with options: `hlen` is one octet in units of four ([P-5]).
pub const MAX_HEADER_LEN: usize = 1020;

/// First four octets of every frame ([P-4]).
pub const MAGIC: [u8; 4] = [0x0E, 0x50, 0x50, 0x54];

/// The one version this crate speaks.
pub const VERSION: u8 = 1;

/// The fixed header as an array, so that every field access is in bounds by type.
pub(crate) type Fixed = [u8; HEADER_LEN];

/// A field of `N` octets at a place known at compile time.
#[derive(Clone, Copy)]
pub(crate) struct Field<const N: usize> {
    at: usize,
}

pub(crate) const MAGIC_AT: Field<4> = Field::at(0);
pub(crate) const VERSION_AT: Field<1> = Field::at(4);
pub(crate) const KIND_AT: Field<1> = Field::at(5);
pub(crate) const FLAGS_AT: Field<1> = Field::at(6);
pub(crate) const HLEN_AT: Field<1> = Field::at(7);
pub(crate) const REQUEST_ID_AT: Field<8> = Field::at(8);
pub(crate) const STREAM_ID_AT: Field<4> = Field::at(16);
pub(crate) const ATTEMPT_AT: Field<1> = Field::at(20);
pub(crate) const CODE_AT: Field<1> = Field::at(21);
pub(crate) const PAYLOAD_LEN_AT: Field<2> = Field::at(22);
pub(crate) const SEQ_AT: Field<8> = Field::at(24);
pub(crate) const TIMESTAMP_AT: Field<8> = Field::at(32);
pub(crate) const CHECKSUM_AT: Field<4> = Field::at(40);

// [P-3]: every u64 lies at a multiple of 8, and the last field ends the header.
const _: () = assert!(REQUEST_ID_AT.at.is_multiple_of(8));
const _: () = assert!(SEQ_AT.at.is_multiple_of(8) && TIMESTAMP_AT.at.is_multiple_of(8));
const _: () = assert!(CHECKSUM_AT.at + 4 == HEADER_LEN && MAX_HEADER_LEN == 255 * 4);

impl<const N: usize> Field<N> {
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "evaluated at compile time: every caller is a constant"
    )]
    const fn at(at: usize) -> Self {
        assert!(at + N <= HEADER_LEN, "a field must lie inside the fixed header");
        Self { at }
    }

    /// Octets of the field. The place is a constant, so the bounds test folds away.
    #[inline]
    pub(crate) fn read(self, fixed: &Fixed) -> [u8; N] {
        let mut octets = [0; N];
        if let Some(source) = fixed.get(self.at..self.at.saturating_add(N)) {
            octets.copy_from_slice(source);
        }
        octets
    }

    #[inline]
    pub(crate) fn write(self, fixed: &mut Fixed, octets: [u8; N]) {
        if let Some(target) = fixed.get_mut(self.at..self.at.saturating_add(N)) {
            target.copy_from_slice(&octets);
        }
    }
}

impl Field<1> {
    #[inline]
    pub(crate) fn octet(self, fixed: &Fixed) -> u8 {
        let [octet] = self.read(fixed);
        octet
    }
}
