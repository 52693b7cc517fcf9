//! The frame: where fields lie, how a datagram is checked and split, how one is written.

mod decode;
mod encode;
mod error;
pub(crate) mod field;
mod flags;
mod header;
mod kind;
mod reissue;
mod reply;
mod view;

#[cfg(test)]
mod tests;

pub use decode::{Decoder, Role};
pub use encode::Encoder;
pub use error::{DecodeError, EncodeError};
pub use field::{HEADER_LEN, MAGIC, MAX_HEADER_LEN, VERSION};
pub use flags::{Code, Flags};
pub use header::Header;
pub use kind::{Kind, is_grease};
pub use reissue::Reissue;
pub use reply::{InPlaceReply, Place, version_reply};
pub use view::Frame;

/// Pad octets of AUTH: 2 + 4 + 8 and 2 + 4 + 16 both lack two to a multiple of four.
const AUTH_PAD: usize = 2;
