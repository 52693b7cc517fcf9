//! Control messages, whatever bytes they are. For the fuzzer and for tests; no part of the library.

use crate::cmsg::{self, Message};
use crate::{control, error_queue};

/// Walks the bytes as the kernel's control messages, and reads what they mean.
///
/// # Panics
/// What was read lies outside of the bytes, or means what cannot be.
pub fn control_messages(bytes: &[u8]) {
    let all: Vec<Message<'_>> = cmsg::messages(bytes).collect();
    inside(bytes, &all);
    written_again(&all);
    let received = control::read(bytes);
    if let Some(source) = received.local.and_then(|local| local.source) {
        assert!(!source.is_unspecified() && !source.is_multicast());
    }
    error_queue::fuzz(bytes);
}

/// What the walk yields lies in the bytes, one message behind the other.
fn inside(bytes: &[u8], all: &[Message<'_>]) {
    let whole = bytes.as_ptr_range();
    let mut at = whole.start;
    for message in all {
        let data = message.data.as_ptr_range();
        assert!(data.start >= at && data.end <= whole.end);
        at = data.end;
    }
}

/// What was read and is written again is read as the same.
fn written_again(all: &[Message<'_>]) {
    let room = all.iter().map(|message| cmsg::space(message.data.len())).sum();
    let mut bytes = vec![0xEE; room];
    let mut writer = cmsg::Writer::new(&mut bytes);
    assert!(all.iter().all(|message| writer.push(message.level, message.kind, message.data)));
    assert_eq!(writer.used(), room);
    assert!(cmsg::messages(&bytes).eq(all.iter().map(|m| Message {
        level: m.level,
        kind: m.kind,
        data: m.data
    })));
}

#[cfg(test)]
mod tests {
    use super::control_messages;

    #[test]
    fn the_corpus_of_control_messages_holds() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 10, "{corpus}: {} files", files.len());
        for file in files {
            println!("{}", file.display());
            let bytes = std::fs::read(file).unwrap();
            for cut in 0..=bytes.len().min(300) {
                control_messages(&bytes[..cut]);
            }
            control_messages(&bytes);
        }
    }
}
