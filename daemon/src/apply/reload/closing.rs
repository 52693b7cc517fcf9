//! Closing the sockets of listeners that have gone, which is not for the loop to do.
//!
//! The kernel frees a closed socket some milliseconds later, when no processor can be reading it any more (RCU), and it does so on the
//! processor that has closed it, in the midst of whatever runs there. Of thousands of sockets, some hundred come due at a time: up to
//! 3 ms in which the loop would stand still, in no call of its own and at no time that it could choose. So a thread closes them, and
//! keeps off the processor that the loop runs on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::reactor::Socket;

/// How many sockets are still to be closed, by the loop's side.
#[derive(Debug, Default)]
pub(super) struct Closing {
    open: Arc<AtomicUsize>,
}

/// Sockets on their way. They are closed wherever it is dropped, also if the thread has failed.
#[derive(Debug)]
pub(super) struct Portion {
    sockets: Vec<Socket>,
    open: Arc<AtomicUsize>,
    /// The processor on which the loop has sent them.
    loop_cpu: Option<usize>,
}

impl Closing {
    /// Sockets for the thread to close.
    pub(super) fn portion(&self, sockets: Vec<Socket>) -> Portion {
        self.open.fetch_add(sockets.len(), Ordering::Relaxed);
        Portion { sockets, open: Arc::clone(&self.open), loop_cpu: cpu::current() }
    }

    /// Whether all of them are closed: their addresses are free.
    pub(super) fn is_done(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }
}

impl Portion {
    /// Closes them, off the loop's processor if there is another one. Returns whether none is left.
    pub(super) fn close(self, place: &mut cpu::Place) -> bool {
        place.keep_off(self.loop_cpu);
        let open = Arc::clone(&self.open);
        drop(self);
        open.load(Ordering::Acquire) == 0
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        let closed = self.sockets.len();
        self.sockets.clear();
        self.open.fetch_sub(closed, Ordering::Release);
    }
}

/// Which processor a thread runs on.
#[cfg(target_os = "linux")]
pub(super) mod cpu {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// The one of this thread.
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it is not known")]
    pub(in super::super) fn current() -> Option<usize> {
        Some(sched_getcpu())
    }

    /// Where the calling thread may run. The kernel refuses to say it on machines of more than 1024 processors; there it
    /// runs anywhere.
    #[derive(Debug, Default)]
    pub(in super::super) struct Place {
        /// What it may without this, and which processor it keeps off.
        off: Option<(CpuSet, usize)>,
    }

    impl Place {
        /// From now on it runs on any other processor that it may, if there is one.
        pub(in super::super) fn keep_off(&mut self, cpu: Option<usize>) {
            let Some(cpu) = cpu.filter(|cpu| *cpu < CpuSet::MAX_CPU) else { return };
            if self.off.is_some_and(|(_, off)| off == cpu) {
                return;
            }
            let Some(all) = self.off.map(|(all, _)| all).or_else(|| sched_getaffinity(None).ok()) else {
                return;
            };
            let mut rest = all;
            rest.unset(cpu);
            if rest.count() > 0 && sched_setaffinity(None, &rest).is_ok() {
                self.off = Some((all, cpu));
            }
        }

        /// It runs wherever it may again: threads that a plugin or a library begins have what this one has.
        pub(in super::super) fn anywhere(&mut self) {
            if let Some((all, _)) = self.off.take() {
                sched_setaffinity(None, &all).unwrap_or(());
            }
        }
    }
}

/// Which processor a thread runs on: not known here.
#[cfg(not(target_os = "linux"))]
pub(super) mod cpu {
    /// None.
    pub(in super::super) fn current() -> Option<usize> {
        None
    }

    /// Anywhere.
    #[derive(Debug, Default)]
    pub(in super::super) struct Place;

    impl Place {
        /// It runs where it likes.
        pub(in super::super) fn keep_off(&mut self, _cpu: Option<usize>) {}

        /// As before.
        pub(in super::super) fn anywhere(&mut self) {}
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::reactor::SocketOptions;

    fn bound() -> (Socket, std::net::SocketAddr) {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        let local = socket.local_addr().unwrap();
        (socket, local)
    }

    #[test]
    fn what_is_told_to_be_closed_is() {
        let closing = Closing::default();
        let ((first, at), (second, _)) = (bound(), bound());
        let (one, other) = (closing.portion(vec![first]), closing.portion(vec![second]));
        assert!(!closing.is_done());
        // On a thread of its own: where this one may run is nobody else's business.
        std::thread::spawn(move || assert!(!one.close(&mut cpu::Place::default()))).join().unwrap();
        UdpSocket::bind(at).expect("its address is free");
        // Nobody takes it any more, as where the thread has failed.
        drop(other);
        assert!(closing.is_done());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_keeps_off_one_processor_for_a_while_if_there_is_another() {
        use rustix::thread::{sched_getaffinity, sched_getcpu};
        std::thread::spawn(|| {
            let all = sched_getaffinity(None).unwrap();
            let mut place = cpu::Place::default();
            for _ in 0..2 {
                let cpu = sched_getcpu();
                place.keep_off(Some(cpu));
                assert_eq!(sched_getaffinity(None).unwrap().is_set(cpu), all.count() == 1);
                assert!(all.count() == 1 || sched_getcpu() != cpu);
            }
            place.anywhere();
            assert_eq!(sched_getaffinity(None).unwrap(), all);
        })
        .join()
        .unwrap();
    }
}
