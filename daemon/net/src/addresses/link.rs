//! The network interfaces as the kernel lists them.

use netlink_packet_core::NetlinkBuffer;

use super::Link;

/// Reads a message `RTM_NEWLINK` of `rtnetlink(7)`. Only what is needed is looked at: a whole message has some hundred
/// attributes, and newer kernels have more. `None` if it is cut off.
pub(super) fn read(message: &[u8]) -> Option<Link> {
    // `struct ifinfomsg`: family and type, then index and flags.
    const INDEX: usize = 4;
    const FLAGS: usize = 8;
    const LENGTH: usize = 16;
    let payload = NetlinkBuffer::new_checked(message).ok()?;
    let payload = message.get(message.len().checked_sub(payload.payload().len())?..)?;
    let index = i32::from_ne_bytes(payload.get(INDEX..INDEX + 4)?.try_into().ok()?);
    let flags = i32::from_ne_bytes(payload.get(FLAGS..FLAGS + 4)?.try_into().ok()?);
    let name = name(payload.get(LENGTH..)?)?;
    Some(Link {
        index: u32::try_from(index).ok()?,
        name: String::from_utf8_lossy(name).into_owned(),
        multicast: flags & libc::IFF_MULTICAST != 0,
    })
}

/// The attribute `IFLA_IFNAME`, without its NUL.
fn name(mut attributes: &[u8]) -> Option<&[u8]> {
    const HEADER: usize = 4;
    const ALIGNMENT: usize = 4;
    loop {
        let length = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..HEADER)?.try_into().ok()?);
        let value = attributes.get(HEADER..length)?;
        if kind == libc::IFLA_IFNAME {
            return Some(value.strip_suffix(b"\0").unwrap_or(value));
        }
        attributes = attributes.get(length.next_multiple_of(ALIGNMENT)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 16];
        bytes.extend([0, 0, 1, 0]);
        bytes.extend(7_i32.to_ne_bytes());
        bytes.extend(libc::IFF_MULTICAST.to_ne_bytes());
        bytes.extend([0; 4]);
        for (kind, value) in attributes {
            bytes.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    #[test]
    fn the_name_is_found_among_other_attributes_and_a_cut_message_is_none() {
        let whole = message(&[(99, b"odd"), (libc::IFLA_IFNAME, b"eth7\0"), (100, b"")]);
        let link = Link { index: 7, name: "eth7".to_owned(), multicast: true };
        assert_eq!(read(&whole), Some(link));
        assert_eq!(read(&message(&[(99, b"odd")])), None);
        for length in 0..whole.len() - 8 {
            read(&whole[..length]);
            let mut cut = whole[..length].to_vec();
            if length >= 16 {
                cut[..4].copy_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
                assert_eq!(read(&cut), None, "{length}");
            }
        }
    }
}
