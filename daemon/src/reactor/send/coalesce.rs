//! Runs of equal datagrams to one peer become one message (`UDP_SEGMENT` of `udp(7)`), so that the kernel's work for a
//! message is done once for the run.

use std::io::IoSlice;
use std::num::{NonZeroU8, NonZeroU16};

use arrayvec::ArrayVec;

use crate::exchange::Output;
use crate::reactor::io::Message;

/// Most outputs that are sent together, and so the most messages of one send call.
pub(crate) const MAX_OUTPUTS: usize = 64;
/// Most datagrams of one message. Every kernel with `UDP_SEGMENT` takes so many.
const MAX_SEGMENTS: usize = 64;
/// Most payload bytes of one message: those of the largest datagram over IPv4.
const MAX_BYTES: usize = 65_507;
/// Largest datagram that is joined with others, bytes: the payload of one Ethernet frame. A larger datagram needs IP
/// fragments, which the kernel does not make of a segmented message.
const MAX_SEGMENT: usize = 1472;

/// Consecutive outputs that leave as one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// How many outputs the run has.
    pub(crate) outputs: usize,
    /// How many datagrams they are.
    pub(crate) datagrams: usize,
    /// Bytes of each datagram but the last, which may be shorter; 0 for a single datagram.
    pub(crate) segment: usize,
}

/// The run at the head of `outputs`, which is not empty.
#[inline]
pub(crate) fn head(outputs: &[Output<'_>]) -> Run {
    let single = Run { outputs: 1, datagrams: 1, segment: 0 };
    let Some((first, rest)) = outputs.split_first() else { return single };
    if first.segment > 0 {
        return Run { outputs: 1, datagrams: first.datagrams(), segment: first.segment };
    }
    let size = first.payload.len();
    if size == 0 || size > MAX_SEGMENT {
        return single;
    }
    let most = MAX_SEGMENTS.min(MAX_BYTES / size);
    let mut n = 1;
    for next in rest.iter().take(most - 1) {
        let len = next.payload.len();
        let joins = next.segment == 0
            && (1..=size).contains(&len)
            && next.to == first.to
            && next.from == first.from
            && next.tos == first.tos
            && next.hop_limit == first.hop_limit
            && next.df == first.df;
        if !joins {
            break;
        }
        n += 1;
        // Only the last datagram of a segmented message may be shorter.
        if len < size {
            break;
        }
    }
    Run { outputs: n, datagrams: n, segment: if n > 1 { size } else { 0 } }
}

/// Whether the kernel can take a run as one segmented message at all.
pub(crate) fn fits(run: Run) -> bool {
    run.segment <= MAX_SEGMENT && run.datagrams <= MAX_SEGMENTS
}

/// Appends to `messages` one for each of the `runs` that `outputs` begin with. `parts` are the bytes, one part for each
/// output.
pub(crate) fn messages<'a>(
    outputs: &'a [Output<'a>],
    parts: &'a [IoSlice<'a>],
    runs: &[Run],
    messages: &mut ArrayVec<Message<'a>, MAX_OUTPUTS>,
) {
    let mut at = 0;
    for run in runs {
        let Some((first, parts)) = outputs.get(at).zip(parts.get(at..at + run.outputs)) else { return };
        at += run.outputs;
        let segment = u16::try_from(run.segment).ok().and_then(NonZeroU16::new);
        let (to, from) = (&first.to, first.from.as_ref());
        let (tos, hop_limit) = (first.tos, NonZeroU8::new(first.hop_limit));
        messages.push(Message { to, from, parts, segment, tos, hop_limit, df: first.df });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::exchange::{Answers, ReplySource};

    fn output(payload: &[u8], port: u16) -> Output<'_> {
        let to = SocketAddr::from(([192, 0, 2, 1], port));
        Output {
            answers: Answers::default(),
            payload,
            to,
            from: None,
            at_ns: 0,
            segment: 0,
            tos: 0,
            session: 0,
            to_client: false,
            proved: false,
            df: false,
            answers_group: false,
            ticket: 0,
            asked_with: 0,
            hop_limit: 0,
        }
    }

    fn run(outputs: usize, segment: usize) -> Run {
        Run { outputs, datagrams: outputs, segment }
    }

    #[test]
    fn equal_datagrams_to_one_peer_are_a_run_and_the_last_may_be_shorter() {
        let o = [output(b"aa", 1), output(b"bb", 1), output(b"c", 1), output(b"d", 1)];
        assert_eq!(head(&o), run(3, 2));
        assert_eq!(head(&o[2..]), run(2, 1));
        assert_eq!(head(&o[3..]), run(1, 0));
    }

    #[test]
    fn another_peer_a_longer_or_an_empty_datagram_ends_a_run() {
        assert_eq!(head(&[output(b"aa", 1), output(b"bb", 2)]), run(1, 0));
        assert_eq!(head(&[output(b"a", 1), output(b"bb", 1)]), run(1, 0));
        assert_eq!(head(&[output(b"a", 1), output(b"", 1)]), run(1, 0));
        assert_eq!(head(&[output(b"", 1), output(b"", 1)]), run(1, 0));
        assert_eq!(head(&[output(b"a", 1), Output { tos: 1, ..output(b"b", 1) }]), run(1, 0));
        assert_eq!(head(&[output(b"a", 1), Output { hop_limit: 1, ..output(b"b", 1) }]), run(1, 0));
        assert_eq!(head(&[output(b"a", 1), Output { df: true, ..output(b"b", 1) }]), run(1, 0));
        assert_eq!(head(&[output(b"a", 1), Output { asked_with: 1, ..output(b"b", 1) }]), run(2, 1));
    }

    #[test]
    fn answers_from_two_addresses_or_interfaces_are_no_run() {
        let from = |ip: &str, ifindex| {
            let from = Some(ReplySource { ip: ip.parse().unwrap(), ifindex });
            Output { from, ..output(b"a", 1) }
        };
        let first = from("198.51.100.1", 1);
        assert_eq!(head(&[first, first]), run(2, 1));
        for other in [from("198.51.100.2", 1), from("198.51.100.1", 2), output(b"a", 1)] {
            assert_eq!(head(&[first, other]), run(1, 0), "{other:?}");
        }
    }

    #[test]
    fn a_message_holds_no_more_than_the_kernel_takes() {
        let small = vec![output(b"a", 1); 100];
        assert_eq!(head(&small), run(64, 1));
        let bytes = vec![0; 1473];
        assert_eq!(head(&vec![output(&bytes[..1472], 1); 64]), run(44, 1472));
        assert_eq!(head(&vec![output(&bytes, 1); 64]), run(1, 0));
    }

    #[test]
    fn a_train_is_a_message_of_its_own() {
        let train = Output { segment: 2, ..output(b"aabbc", 1) };
        let outputs = [train, output(b"aa", 1)];
        assert_eq!(head(&outputs), Run { outputs: 1, datagrams: 3, segment: 2 });
        assert!(!fits(Run { outputs: 1, datagrams: 65, segment: 2 }));
        assert!(!fits(Run { outputs: 1, datagrams: 2, segment: 1473 }));
    }
}
