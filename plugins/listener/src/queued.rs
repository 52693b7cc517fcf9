//! Datagrams that wait for the thread that writes them: payloads in one piece of memory, and what is known of each.

use polyport_recording as recording;

use crate::packet::{About, Heard};

/// Memory that an empty batch keeps, bytes. What a burst took beyond it is given back.
const KEPT: usize = 256 << 10;

/// Datagrams in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    heads: Vec<Head>,
    payloads: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    about: About,
    len: usize,
}

impl Batch {
    pub(crate) fn push(&mut self, heard: &Heard<'_>) {
        self.heads.push(Head { about: heard.about, len: heard.payload.len() });
        self.payloads.extend_from_slice(heard.payload);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Heard<'_>> {
        let mut rest = self.payloads.as_slice();
        self.heads.iter().map(move |head| {
            let payload = rest.split_off(..head.len).unwrap_or_default();
            Heard { about: head.about, payload }
        })
    }

    /// Memory that a datagram needs.
    pub(crate) fn bytes_of(heard: &Heard<'_>) -> usize {
        heard.payload.len() + size_of::<Head>()
    }
}

impl recording::Batch for Batch {
    fn len(&self) -> u64 {
        self.heads.len() as u64
    }

    fn bytes(&self) -> usize {
        self.payloads.len() + self.heads.len() * size_of::<Head>()
    }

    fn clear(&mut self) {
        self.heads.clear();
        self.heads.shrink_to(KEPT / size_of::<Head>());
        self.payloads.clear();
        self.payloads.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use polyport_recording::Batch as _;

    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut batch = Batch::default();
        let long = vec![7; 60_000];
        let payloads: [&[u8]; 4] = [b"one", b"", b"three", &long];
        for (number, payload) in payloads.iter().enumerate() {
            let heard = Heard { about: About { unix_ns: number as u64, ..About::UNKNOWN }, payload };
            let before = batch.bytes();
            batch.push(&heard);
            assert_eq!(batch.bytes() - before, Batch::bytes_of(&heard));
        }
        let found: Vec<_> = batch.iter().map(|heard| (heard.about.unix_ns, heard.payload.to_vec())).collect();
        assert_eq!(
            found,
            payloads.iter().enumerate().map(|(n, p)| (n as u64, p.to_vec())).collect::<Vec<_>>()
        );
        assert_eq!(batch.len(), 4);
        batch.clear();
        assert!(batch.is_empty() && batch.bytes() == 0 && batch.iter().next().is_none());
    }
}
