//! A load sends, receives, accounts and waits without allocating, once each target has answered.

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::net::{SocketAddr, UdpSocket};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use clap::Parser;
    use polyport_counting_alloc::{CountingAlloc, allocations};
    use polyport_protocol::client::Slot;
    use polyport_protocol::{MAGIC, MILLISECOND, SECOND};
    use polyport_tools::clock::Clock;
    use polyport_tools::load::args::Args;
    use polyport_tools::load::config::Config;
    use polyport_tools::load::feed::{Feed, Turn};
    use polyport_tools::load::live::{Counters, Live};
    use polyport_tools::load::outbox::TRAIN_BATCH;
    use polyport_tools::load::part::Part;
    use polyport_tools::load::schedule::Schedule;
    use polyport_tools::load::transceiver::Transceiver;

    #[global_allocator]
    static ALLOCATOR: CountingAlloc = CountingAlloc;

    /// Follows a load of 100 ms, and waits until all is answered or 30 s have passed. How often that allocated.
    fn follow(
        transceiver: &mut Transceiver<'_>,
        (live, feed): (&Live, &Feed),
        config: &Config,
        clock: Clock,
        backlog: &mut VecDeque<Slot>,
    ) -> usize {
        let start = clock.now();
        let mut schedule = Schedule::new(config, Part::whole(config.flows), start, 100 * MILLISECOND, false);
        let mut turn = Turn::default();
        let before = allocations();
        loop {
            transceiver.send_due(&mut schedule, backlog, false);
            let received = transceiver.receive().unwrap();
            let now = clock.now();
            let Transceiver { ledger, intervals, latencies, .. } = &mut *transceiver;
            ledger.expire(now);
            live.publish(0, Counters::of(ledger), &mut intervals.window);
            feed.tell(0, &mut turn, ledger, latencies);
            assert!(live.gather(&mut intervals.window).is_some(), "nobody else is there");
            let due = backlog.front().copied().or_else(|| schedule.peek()).map(|slot| slot.planned);
            if due.is_none() && transceiver.ledger.in_flight() == 0 {
                return allocations() - before;
            }
            assert!(now < start + 30 * SECOND, "{} have no answer", transceiver.ledger.in_flight());
            if !received {
                let deadline = due.unwrap_or(now + MILLISECOND);
                config.pacing.wait(transceiver.outbox().sockets(), &[], now, deadline).unwrap();
            }
        }
    }

    /// What a stateless reflector of STAMP answers in no time: its times are that of the packet.
    fn reflected(packet: &[u8]) -> [u8; 44] {
        let mut answer = [0; 44];
        for (to, from) in [(0, 0..16), (16, 4..12), (24, 0..4), (28, 4..14)] {
            answer[to..to + from.len()].copy_from_slice(&packet[from]);
        }
        answer
    }

    #[test]
    fn a_load_does_not_allocate() {
        let stop = Arc::new(AtomicBool::new(false));
        let echoes: Vec<_> = (0..3)
            .map(|_| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                let (address, stop) = (socket.local_addr().unwrap(), Arc::clone(&stop));
                let echo = thread::spawn(move || {
                    let mut octets = vec![0; 2048];
                    while !stop.load(Ordering::Relaxed) {
                        if let Ok((len, from)) = socket.recv_from(&mut octets) {
                            let answer =
                                if octets.starts_with(&MAGIC) { &octets[..len] } else { &reflected(&octets) };
                            socket.send_to(answer, from).unwrap();
                        }
                    }
                });
                (address, echo)
            })
            .collect();
        let targets: Vec<SocketAddr> = echoes.iter().map(|(address, _)| *address).collect();
        for more in [
            "",
            "--gso off",
            "--flows 4",
            "--pacing hybrid",
            "--distribution random --flows 2",
            "--sizes 100:1,300:1",
            "--arrival burst:5",
            "--stamp",
            "--stamp --size 300 --flows 2",
        ] {
            let mut line = vec!["polyport-load".to_owned()];
            line.extend(targets.iter().map(ToString::to_string));
            // So many intervals that each of the two loads reaches some of its own.
            let expected = if more.contains("--stamp") { "" } else { "--raw-echo" };
            let rest = format!("{expected} --rate 3000/s --timeout 30s -d 40s --interval 50ms");
            line.extend(format!("{rest} {more}").split_ascii_whitespace().map(str::to_owned));
            let config = Args::try_parse_from(line).unwrap().config().unwrap();
            let clock = Clock::start();
            let mut transceiver = Transceiver::new(&config, clock, Part::whole(config.flows)).unwrap();
            transceiver.intervals.begin(clock.now());
            let live = Live::new(1).unwrap();
            let feed = Feed::new(1, targets.len()).unwrap();
            let mut backlog = VecDeque::with_capacity(TRAIN_BATCH);
            let first = follow(&mut transceiver, (&live, &feed), &config, clock, &mut backlog);
            assert!(first > 0, "{more}: the counter counts");
            assert_eq!(follow(&mut transceiver, (&live, &feed), &config, clock, &mut backlog), 0, "{more}");
            transceiver.ledger.finish(clock.now(), false);
            transceiver.ledger.audit().unwrap();
            assert_eq!(transceiver.ledger.total().ok, 600, "{more}");
            let intervals: Vec<_> = transceiver.intervals.iter().map(|(_, interval)| interval.ok).collect();
            assert_eq!(intervals.iter().sum::<u64>(), 600, "{more}");
            assert!(intervals.iter().filter(|ok| **ok > 0).count() >= 4, "{more}: {intervals:?}");
            assert_eq!(
                transceiver.intervals.window.percentiles().map(|read| read.count),
                Some(600),
                "{more}"
            );
        }
        stop.store(true, Ordering::Relaxed);
        echoes.into_iter().for_each(|(_, echo)| echo.join().unwrap());
    }
}
