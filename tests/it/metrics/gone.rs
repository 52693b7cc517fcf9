//! Addresses that go and come again: what was counted is still counted.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use polyport_tests::Client;
use polyport_tests::ports::free_range;
use polyport_tests::wait;

use super::{name_of, scrape, serve};
use crate::polyport;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NAME: &str = "polyport_received_datagrams_total";

fn write(file: &Path, tables: &[(&str, &str)]) {
    let table = |(name, bind): &(&str, &str)| {
        format!("[[listen]]\nname = \"{name}\"\nbind = {bind}\nplugin = \"echo\"\nrecv_buffer = \"4KiB\"\n")
    };
    fs::write(file, tables.iter().map(table).collect::<String>()).unwrap();
}

fn series(listener: &str, address: &str, plugin: &str) -> String {
    format!("{NAME}{{listener=\"{listener}\",address=\"{address}\",plugin=\"{plugin}\"}}")
}

#[test]
fn a_range_that_comes_again_goes_on_where_it_ended() {
    let first = free_range(&[LOCALHOST], 4, 3000);
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    let (range, other) = (format!("127.0.0.1:{first}-{}", first + 1), format!("127.0.0.1:{}", first + 3));
    let (a, b) = (format!("\"{range}\""), format!("\"{other}\""));
    write(&file, &[("a", &a), ("b", &b)]);
    let (mut daemon, at) = serve(launch.arg("-c").arg(&file));
    for port in [first, first + 1, first + 1] {
        Client::of((LOCALHOST, port).into()).expect_echo(b"?");
    }
    let of_range = series("a", &range, "echo");
    wait::until("three were counted", || scrape(at).get(&of_range) == Some(&3.0));
    write(&file, &[("b", &b)]);
    daemon.reload(1);
    assert_eq!(scrape(at).get(&of_range), None, "its series ends");
    write(&file, &[("b", &b), ("a", &a)]);
    daemon.reload(2);
    assert_eq!(scrape(at).get(&of_range), Some(&3.0));
    Client::of((LOCALHOST, first).into()).expect_echo(b"?");
    wait::until("one more was counted", || scrape(at).get(&of_range) == Some(&4.0));
    // It is of this listener, and of no other that has the address later.
    write(&file, &[("b", &b)]);
    daemon.reload(3);
    write(&file, &[("b", &b), ("c", &a)]);
    daemon.reload(4);
    let all = scrape(at);
    assert_eq!(all.get(&series("c", &range, "echo")), Some(&0.0));
    assert!(all.keys().filter(|series| name_of(series) == NAME).count() == 2, "{all:?}");
    drop(daemon.stop());
}

/// Beyond the first thousand addresses all are one series, of which some go.
#[test]
fn the_sum_of_the_others_does_not_shrink_when_some_of_them_go() {
    const ADDRESSES: u16 = 1003;
    let first = free_range(&[LOCALHOST], ADDRESSES, 4000);
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    let bind = |count: u16| {
        let all: Vec<String> = (0..count).map(|n| format!("\"127.0.0.1:{}\"", first + n)).collect();
        format!("[{}]", all.join(", "))
    };
    write(&file, &[("a", &bind(ADDRESSES))]);
    let (mut daemon, at) = serve(launch.arg("-c").arg(&file));
    (ADDRESSES - 3..ADDRESSES).for_each(|n| Client::of((LOCALHOST, first + n).into()).expect_echo(b"?"));
    let others = series("(others)", "(others)", "(others)");
    wait::until("three were counted", || scrape(at).get(&others) == Some(&3.0));
    write(&file, &[("a", &bind(ADDRESSES - 2))]);
    daemon.reload(1);
    assert_eq!(scrape(at).get(&others), Some(&3.0));
    write(&file, &[("a", &bind(ADDRESSES))]);
    daemon.reload(2);
    Client::of((LOCALHOST, first + ADDRESSES - 1).into()).expect_echo(b"?");
    wait::until("one more was counted", || scrape(at).get(&others) == Some(&4.0));
    drop(daemon.stop());
}

/// While thousands go, some a turn, and everybody asks: no page has a sum that was larger before.
#[test]
fn no_sum_shrinks_while_addresses_go() {
    const SINGLE: u16 = 1000;
    const RANGE: u16 = 3000;
    let first = free_range(&[LOCALHOST], SINGLE + RANGE + 1, 5200);
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    let single = |n: u16| format!("\"127.0.0.1:{}\"", first + n);
    let mut bind: Vec<String> = (0..SINGLE).map(single).collect();
    bind.push(single(SINGLE));
    let stays = format!("[{}]", bind.join(", "));
    bind.push(format!("\"127.0.0.1:{}-{}\"", first + SINGLE + 1, first + SINGLE + RANGE));
    let all = format!("[{}]", bind.join(", "));
    write(&file, &[("a", &all)]);
    let (mut daemon, at) = serve(launch.arg("-c").arg(&file));
    let asked = [SINGLE, SINGLE + 1, SINGLE + RANGE / 2, SINGLE + RANGE];
    asked.iter().for_each(|n| Client::of((LOCALHOST, first + n).into()).expect_echo(b"?"));
    let others = series("(others)", "(others)", "(others)");
    let expected = f64::from(u8::try_from(asked.len()).unwrap());
    wait::until("all were counted", || scrape(at).get(&others) == Some(&expected));
    let ends = AtomicBool::new(false);
    for (nth, text) in [(1, &stays), (2, &all), (3, &stays)] {
        write(&file, &[("a", text)]);
        ends.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let pages = (0..2).map(|_| {
                scope.spawn(|| {
                    let mut pages = 0;
                    while !ends.load(Ordering::Relaxed) || pages == 0 {
                        assert_eq!(scrape(at).get(&others), Some(&expected), "page {pages} of reload {nth}");
                        pages += 1;
                    }
                })
            });
            let pages: Vec<_> = pages.collect();
            let told = daemon.reload(nth);
            ends.store(true, Ordering::Relaxed);
            pages.into_iter().for_each(|pages| pages.join().unwrap());
            assert!(told.contains("reloaded: 3000 addresses "), "{told}");
        });
    }
    let served = daemon.stop();
    assert_eq!(served.received("a", "received"), asked.len() as u64, "{}", served.finished.stdout);
}
