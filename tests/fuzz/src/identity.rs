//! A library file, of which only the bytes are known.

use polyport::plugin::Identity;

/// Reads the identity of a file.
pub fn file(data: &[u8]) {
    match Identity::read(data) {
        Ok(identity) => accepted(data, &identity),
        Err(cause) => {
            let text = cause.to_string();
            assert!(!text.is_empty() && printable(&text), "{text:?}");
        }
    }
}

fn accepted(data: &[u8], identity: &Identity) {
    // A field of 104 bytes, each of them at most as `\u{10ffff}`.
    for text in [&identity.name, &identity.version, &identity.toolchain, &identity.about] {
        assert!(printable(text) && text.len() <= 104 * 10, "{text:?}");
    }
    // The magic once more, at the end, with a size that is right: nobody can say which one counts.
    let twice = [data, &with_identity(data)].concat();
    assert!(Identity::read(&twice).is_err(), "two identities in one file");
    let cut = start(data) + 255;
    assert!(Identity::read(&data[..cut]).is_err(), "an identity that is not whole");
}

/// The 256 bytes of the identity, wherever they lie.
fn with_identity(data: &[u8]) -> Vec<u8> {
    let start = start(data);
    data.get(start..start + 256).unwrap_or_default().to_vec()
}

/// Where the identity lies.
fn start(data: &[u8]) -> usize {
    let magic = polyport_plugin::abi::MAGIC;
    let at = |start: &usize| {
        data.get(*start..start + 24).is_some_and(|head| {
            head.starts_with(&magic)
                && head.get(22..24) == Some(&polyport_plugin::abi::IDENT_SIZE.to_ne_bytes()[..])
        })
    };
    (0..data.len()).find(at).unwrap_or_default()
}

fn printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
