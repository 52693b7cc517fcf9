//! A frame from its parts.

use polyport_protocol::{EncodeError, Encoder, Header, Key};

use super::option::OptionArg;
use crate::input::MAX_DATAGRAM;

/// What a frame is made of, besides its header.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Options in the order of the wire, AUTH not among them.
    pub options: &'a [OptionArg],
    /// Key to seal with.
    pub key: Option<&'a Key>,
    /// The payload.
    pub payload: &'a [u8],
    /// Length to pad to; 0 for none.
    pub pad_to: usize,
}

/// Writes the frame.
///
/// # Errors
/// The encoder's reason; no space, where no datagram is as long.
pub fn build(header: &Header, parts: &Parts<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    let encoder = Encoder::new(&mut buffer, header);
    let encoder = parts.options.iter().fold(encoder, |encoder, option| encoder.option(&option.as_option()));
    let len = encoder.auth_if(parts.key).payload(parts.payload).pad_to(parts.pad_to).finish()?;
    buffer.truncate(len);
    Ok(buffer)
}
