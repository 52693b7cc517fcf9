//! Command lines, and what becomes of them.

use polyport_terminal::Exit;

use super::*;
use crate::load::drain::Drain;
use crate::load::gso::Gso;

fn config(line: &str) -> Result<Config, Exit> {
    let args = Args::try_parse_from(format!("polyport-load {line}").split(' ')).map_err(|_| Exit::Usage)?;
    args.config().map_err(|failure| failure.exit)
}

#[test]
fn the_defaults_are_a_modest_load() {
    let config = config("127.0.0.1:7000-7002,7001 127.0.0.1:7002 [::1]:7000").unwrap();
    assert_eq!(config.targets.len(), 4, "without repeats");
    assert_eq!(config.rate.to_string(), "1000/s");
    assert!(config.handshake && config.expect == Expect::Reply && config.key.is_none());
    assert_ne!(config.seed, self::config("127.0.0.1:1").unwrap().seed);
}

#[test]
fn what_is_wrong_has_its_code() {
    for line in [
        "",
        "127.0.0.1",
        "127.0.0.1:2-1",
        "127.0.0.1:1 --rate 0",
        "127.0.0.1:1 --size 20",
        "127.0.0.1:1 --timeout 0s",
        "127.0.0.1:1 --max-in-flight 0",
        "127.0.0.1:1 --payload 65500",
        "127.0.0.1:1 --threshold p98<1ms",
        "127.0.0.1:1 --duration 2years",
        "127.0.0.1:1 --duration 101d",
        "127.0.0.1:1 --drain 3x,9999d",
        "127.0.0.1:1 --drain 9999d",
        "127.0.0.1:1 --rate 1001M/s",
        "127.0.0.1:1 --max-in-flight 1000000000001",
        "127.0.0.1:1 --expect all",
        "127.0.0.1:1 --arrival burst:0",
        "127.0.0.1:1 --flow 5:1s --rate 5",
        "127.0.0.1:1 --flow 5:1s --ramp 0..5/1s",
        "127.0.0.1:1 --flow 5:60d,5:60d",
        "127.0.0.1:1 --ramp 0..5/1s --duration 5s",
        "127.0.0.1:1 --expect any --raw-echo",
        "127.0.0.1:1 --text hi",
        "127.0.0.1:1 --one-way --expect echo",
        "127.0.0.1:1 --template hi",
        "127.0.0.1:1 --sizes 20:1",
        "127.0.0.1:1 --in-flight 2 --rate 5",
        "127.0.0.1:1 --tos 3 --dscp ef",
        "127.0.0.1:1 --percentiles 101",
        "127.0.0.1:1 --expect any --text hi --size 5",
        "127.0.0.1:1 --payload-file /dev/null",
        "127.0.0.1:1 --expect any --text hi --payload-file /dev/null",
        "127.0.0.1:1 --expect any --size 5 --payload-file /dev/null",
        "127.0.0.1:1 --interval 0",
        "127.0.0.1:1 --interval 0s",
        "127.0.0.1:1-263 --flows 1000",
        "127.0.0.1:1 --flows 1 --threads 2",
        "127.0.0.1:1 --threads 0",
        "127.0.0.1:1 --min-rate 5/s",
        "127.0.0.1:1 --max-rate 5M/s",
        "127.0.0.1:1 --max-lag 5ms",
        "127.0.0.1:1 --search-time 5m",
        "127.0.0.1:1 --steps 5",
        "127.0.0.1:1 --step-time 5s",
        "127.0.0.1:1 --find-max loss<1% --steps 5",
        "127.0.0.1:1 --find-max loss<1% --step-time 5s",
        "127.0.0.1:1 --pin=x",
        "127.0.0.1:1 --gso maybe",
        "127.0.0.1:1-65535 127.0.0.2:1",
        "192.0.2.1:1",
    ] {
        assert_eq!(config(line).unwrap_err(), Exit::Usage, "{line}");
    }
    assert_eq!(config("127.0.0.1:no-such-service").unwrap_err(), Exit::HostNotFound);
    for line in
        ["/nowhere", "/dev/zero"].map(|file| format!("127.0.0.1:1 --expect any --payload-file {file}"))
    {
        assert_eq!(config(&line).unwrap_err(), Exit::BadInput, "{line}");
    }
    assert_eq!(config("127.0.0.1:1 --key-file /nowhere").unwrap_err(), Exit::BadInput);
    config("192.0.2.1:1 --i-own-the-target").unwrap();
    config("127.0.0.1:1 --find-max loss<1% --min-rate 5/s --max-rate 9/s --max-lag 5ms").unwrap();
    config("127.0.0.1:1 --find-max loss<1% --find-knee --steps 5 --step-time 5s --search-time 5m").unwrap();
}

#[test]
fn a_load_that_a_daemon_tells_of_has_neither_trains_nor_a_warm_up() {
    for line in ["", " --gso off", " --gso auto"] {
        let config = config(&format!("127.0.0.1:1 --expect nothing --books a{line}")).unwrap();
        assert_eq!((config.gso, config.warm_up, config.handshake), (Gso::Off, 0, false));
    }
    assert_eq!(config("127.0.0.1:1").unwrap().gso, Gso::Auto);
}

#[test]
fn a_bare_number_is_of_seconds() {
    let config = config("127.0.0.1:1 -d 3 --warmup 0 --timeout 0.5 --drain 2").unwrap();
    let second = 1_000_000_000;
    assert_eq!((config.duration, config.warm_up, config.timeout), (3 * second, 0, second / 2));
    assert_eq!(config.drain, Drain::Fixed(2 * second));
}

#[test]
fn each_thread_has_a_flow() {
    let read = |line: &str| {
        let config = config(line).unwrap();
        (config.flows, config.threads)
    };
    assert_eq!(read("127.0.0.1:1"), (1, 1));
    assert_eq!(read("127.0.0.1:1 --threads 3"), (3, 3));
    assert_eq!(read("127.0.0.1:1 --threads 3 --flows 7"), (7, 3));
    assert_eq!(read("127.0.0.1:1 --streams 7"), (7, 1));
}

#[test]
fn a_host_may_be_named_like_the_command() {
    let args = |line: &str| Args::try_parse_from(line.split(' '));
    let load = args("polyport-load report:7000").unwrap();
    assert!(load.command.is_none() && load.targets == ["report:7000"]);
    let show = args("polyport-load report show one.json").unwrap();
    assert!(show.command.is_some() && show.targets.is_empty());
    assert_eq!(
        config("127.0.0.1:1 report show one.json").unwrap_err(),
        Exit::Usage,
        "no target has such names"
    );
    args("polyport-load report").unwrap_err();
}

#[test]
fn a_shard_has_its_targets_and_their_part_of_the_rate() {
    let shard = config("127.0.0.1:7000-7009 --rate 1000/s --shard 2/3").unwrap();
    let ports: Vec<u16> = shard.targets.iter().map(std::net::SocketAddr::port).collect();
    assert_eq!((ports, shard.rate.to_string().as_str()), (vec![7002, 7005, 7008], "300/s"));
    for line in ["127.0.0.1:1 --shard 1/2", "127.0.0.1:1 --shard 2/2", "127.0.0.1:1 --start-at noon"] {
        assert_eq!(config(line).unwrap_err(), Exit::Usage, "{line}");
    }
}

#[test]
fn the_old_name_of_an_echo_is_still_understood() {
    assert_eq!(config("127.0.0.1:1 --raw-echo").unwrap().expect, Expect::Echo);
    assert_eq!(config("127.0.0.1:1 --expect echo").unwrap().expect, Expect::Echo);
    let any = config("127.0.0.1:1 --expect any --text hi").unwrap();
    assert_eq!((any.expect, any.shape().size()), (Expect::Any, 2));
}

#[test]
fn a_class_is_a_part_of_its_octet() {
    assert_eq!(config("127.0.0.1:1 --dscp ef").unwrap().tos, Some(46 << 2));
    assert_eq!(config("127.0.0.1:1 --tos 3 --ttl 5").unwrap().tos, Some(3));
}
