//! The hot path of the daemon allocates nothing: the real loop on real sockets, with an allocator that counts.
//! Counted is the daemon; a plugin has an allocator of its own.

#[cfg(test)]
mod sockets;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
    use std::thread;

    use polyport::exchange::ExchangeLimits;
    use polyport::limits::Limits;
    use polyport::metrics::{Counters, DropReason};
    use polyport::plugin::{Loader, SearchPath, Values};
    use polyport::reactor::{Clock, Flow, ListenerSpec, MioIo, Needs, OnFault, Reactor, Socket};
    use polyport::reply::{ReplyPolicy, ReplyTtl};
    use polyport_counting_alloc::CountingAlloc;
    use polyport_net::SocketOptions;
    use polyport_terminal::Signals;
    use polyport_tests::DEADLINE;

    #[global_allocator]
    static ALLOCATOR: CountingAlloc = CountingAlloc;

    /// A loop with listeners that echo: one on its address alone, one on all, and one whose answers decay, where the system
    /// has that.
    struct Bench {
        reactor: Reactor<MioIo>,
        exact: SocketAddr,
        any: SocketAddr,
        decaying: SocketAddr,
        _watch: Sender<()>,
    }

    impl Bench {
        fn new() -> Self {
            let executable = std::env::current_exe().unwrap();
            let search = SearchPath::new(&[], None, &[], Some(&executable));
            let plugin = Loader::new(search, |name| std::env::var_os(name)).load("echo").unwrap();
            let exchange = ExchangeLimits::default();
            let (stop, stopped) = UnixStream::pair().unwrap();
            let signals = Signals::from_stream(stopped).unwrap();
            let io = MioIo::new(Clock::new(), exchange.slots, signals).unwrap();
            let mut reactor = Reactor::new(io, Limits::default(), exchange, 1, [7; 16]);
            // As the daemon does: the second look at the drops of the kernel, which a busy machine lets come, would
            // allocate otherwise.
            reactor.reserve(3);
            let mut listen = |ip: Ipv4Addr, ttl: ReplyTtl| {
                let recv_hop_limit = ttl == ReplyTtl::Decay;
                let options = SocketOptions { recv_hop_limit, ..SocketOptions::default() };
                let socket = Socket::bind((ip, 0).into(), &options).unwrap();
                let local = socket.local_addr().unwrap();
                let values = Rc::new(Values::check(plugin.options(), &[]).unwrap());
                let (name, plugin) = (Arc::from(local.to_string()), Arc::clone(&plugin));
                let on_fault = OnFault::Restart;
                reactor
                    .add(ListenerSpec {
                        name,
                        local,
                        socket,
                        plugin,
                        values,
                        on_fault,
                        access: None,
                        reply: Rc::new(ReplyPolicy { ttl, ..ReplyPolicy::default() }),
                        needs: Needs::default(),
                        outgoing: Rc::default(),
                        kernel_drops_seen: 0,
                        sessions: None,
                        chain: false,
                        tag: 0,
                    })
                    .unwrap();
                SocketAddr::from((Ipv4Addr::LOCALHOST, local.port()))
            };
            let exact = listen(Ipv4Addr::LOCALHOST, ReplyTtl::System);
            let any = listen(Ipv4Addr::UNSPECIFIED, ReplyTtl::System);
            let decays = if cfg!(target_os = "linux") { ReplyTtl::Decay } else { ReplyTtl::System };
            let decaying = listen(Ipv4Addr::UNSPECIFIED, decays);
            Self { reactor, exact, any, decaying, _watch: watch(stop) }
        }

        fn sum(&self) -> Counters {
            self.reactor.reports().fold(Counters::default(), |mut sum, report| {
                sum += report.counters;
                sum
            })
        }

        /// Turns until `datagrams` more were served; returns the allocations of these turns alone.
        fn serve(&mut self, datagrams: usize) -> usize {
            let done = self.sum().received + datagrams as u64;
            let mut allocations = 0;
            while self.sum().received < done {
                let before = polyport_counting_alloc::allocations();
                let flow = self.reactor.turn().unwrap();
                allocations += polyport_counting_alloc::allocations() - before;
                assert_eq!(flow, Flow::Continue);
            }
            allocations
        }
    }

    /// Stops a loop that waits for what does not come, and so fails the test; until the result is dropped.
    fn watch(mut stop: UnixStream) -> Sender<()> {
        let (alive, dropped) = channel();
        thread::spawn(move || {
            if dropped.recv_timeout(3 * DEADLINE) == Err(RecvTimeoutError::Timeout) {
                stop.write_all(b"!").unwrap();
            }
        });
        alive
    }

    /// Times that each pattern of traffic is seen; the first ones may still learn and grow.
    const ROUNDS: usize = 200;
    const FIRST: usize = 20;

    /// Runs `round`, which sends and returns how many datagrams, and fails if a later one allocates.
    #[track_caller]
    fn expect_no_allocation(what: &str, bench: &mut Bench, mut round: impl FnMut(&Bench) -> usize) {
        let (mut allocations, mut datagrams) = (0, 0);
        for number in 0..ROUNDS {
            let sent = round(bench);
            let allocated = bench.serve(sent);
            if number >= FIRST {
                (allocations, datagrams) = (allocations + allocated, datagrams + sent);
            }
        }
        assert_eq!(allocations, 0, "{what}: of {datagrams} datagrams");
        let sum = bench.sum();
        assert_eq!(
            (sum.received, sum.replied, sum.sent),
            (sum.received, sum.received, sum.received),
            "{what}"
        );
        assert_eq!(sum.dropped(DropReason::BacklogFull), 0);
    }

    /// A client that need not allocate either; its answers are taken in the next round.
    struct Peer(UdpSocket);

    impl Peer {
        fn new() -> Self {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            Self(socket)
        }

        fn send(&self, to: SocketAddr, payload: &[u8]) {
            let mut answer = [0; 2048];
            while self.0.recv(&mut answer).is_ok() {}
            assert_eq!(self.0.send_to(payload, to).unwrap(), payload.len());
        }
    }

    #[test]
    fn the_counter_counts_and_the_hot_path_does_not_move_it() {
        let before = polyport_counting_alloc::allocations();
        let mut bench = Bench::new();
        assert!(polyport_counting_alloc::allocations() > before + 10, "the counter counts");
        let peers: Vec<Peer> = (0..32).map(|_| Peer::new()).collect();
        for of in [|bench: &Bench| bench.exact, |bench: &Bench| bench.any, |bench: &Bench| bench.decaying] {
            expect_no_allocation("one datagram", &mut bench, |bench| {
                peers[0].send(of(bench), b"one");
                1
            });
            expect_no_allocation("a batch of many peers", &mut bench, |bench| {
                peers.iter().for_each(|peer| peer.send(of(bench), b"of many peers"));
                peers.len()
            });
            expect_no_allocation("empty datagrams", &mut bench, |bench| {
                (0..8).for_each(|_| peers[1].send(of(bench), b""));
                8
            });
            expect_no_allocation("a run of one peer", &mut bench, |bench| {
                (0..30).for_each(|_| peers[2].send(of(bench), b"equal ones"));
                30
            });
        }
        expect_no_allocation("both listeners", &mut bench, |bench| {
            peers[0].send(bench.exact, b"one");
            peers[1].send(bench.any, b"two");
            2
        });
    }

    /// Only there does a kernel join datagrams into trains.
    #[cfg(target_os = "linux")]
    mod trains {
        use std::io::IoSlice;
        use std::net::Ipv4Addr;
        use std::num::NonZeroU16;

        use polyport::reactor::Socket;
        use polyport_net::{RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, wait_readable};
        use polyport_tests::DEADLINE;

        use super::{Bench, expect_no_allocation};

        #[test]
        fn trains_allocate_nothing() {
            const CARS: usize = 32;
            let mut bench = Bench::new();
            let client = Socket::bind((Ipv4Addr::LOCALHOST, 0).into(), &SocketOptions::default()).unwrap();
            let bytes = [7; 64 * CARS];
            let mut send = SendBatch::new(1);
            let layout = SlotLayout::new(2048, 64);
            let (mut recv, mut memory) = (RecvBatch::new(CARS), vec![0; layout.memory(CARS)]);
            let mut owed = 0;
            expect_no_allocation("trains", &mut bench, |bench| {
                while owed > 0 {
                    assert!(wait_readable(&client, DEADLINE).unwrap(), "{owed} answers are missing");
                    owed -= recv.recv(&client, &mut memory, layout, CARS).unwrap();
                }
                let parts = [IoSlice::new(&bytes)];
                let segment = NonZeroU16::new(64);
                let to = bench.exact;
                let train = SendMessage { to, from: None, parts: &parts, segment, tos: 0, hop_limit: None };
                assert_eq!(send.send(&client, &[train]).unwrap(), 1);
                owed += CARS;
                CARS
            });
        }
    }
}
