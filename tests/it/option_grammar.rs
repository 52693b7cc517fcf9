//! One grammar of options: the daemon and the test kit of plugin authors read every text alike.

use core::net::SocketAddr;
use core::time::Duration;
use std::fmt::Debug;
use std::fs;

use polyport::plugin::{Given, GivenValue, OptionSpec, OptionType, Values};
use polyport_plugin::testing::Harness;
use polyport_plugin::{Batch, Error, Handler, Ratio, Setup, Size, config};
use polyport_tests::plugins::repository;
use polyport_value::cases::{ADDRESSES, Case, DURATIONS, RATIOS, SIZES};
use polyport_value::{address, duration, rate, ratio, size};

config! {
    /// One option of each type that has a grammar of its own.
    #[derive(Debug)]
    struct Options {
        ratio: Option<Ratio> = none, "A share";
        duration: Option<Duration> = none, "A time";
        size: Option<Size> = none, "A number of bytes";
        address: Option<SocketAddr> = none, "An address";
    }
}

/// Answers with its options.
#[derive(Debug)]
struct Shows(Options);

impl Handler for Shows {
    type Config = Options;

    fn new(options: Options, _: &mut Setup<'_>) -> Result<Self, Error> {
        Ok(Self(options))
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch {
            let o = &self.0;
            let shown = [
                o.ratio.map(|ratio| ratio.get().to_string()),
                o.duration.map(|span| span.as_nanos().to_string()),
                o.size.map(|size| size.0.to_string()),
                o.address.map(|address| address.to_string()),
            ];
            datagram.reply(shown.into_iter().flatten().collect::<String>().as_bytes());
        }
    }
}

/// What a plugin gets in the test kit for option `name` written as `text`.
fn in_the_kit(name: &str, text: &str) -> Result<String, String> {
    let mut harness = Harness::<Shows>::try_new(&[(name, text)], 1).map_err(|refused| refused.message)?;
    harness.send("192.0.2.1:1", b"");
    Ok(String::from_utf8(harness.sent().remove(0).payload).unwrap())
}

/// What the daemon says to option `name` written as `text`. With `only`, every other value is out of bounds.
fn in_the_daemon(name: &str, kind: OptionType, text: &str, only: Option<f64>) -> Result<Values, String> {
    let spec = OptionSpec {
        name: name.to_owned(),
        help: "h".to_owned(),
        default: None,
        kind,
        bounds: only.map(|value| (value, value)),
        required: true,
        secret: false,
        file: None,
    };
    let given = Given { name, value: GivenValue::Text(text) };
    Values::check(&[spec], &[given]).map_err(|mut problems| problems.remove(0).message)
}

/// Every case of a numeric type, in both places.
fn numbers<T: Copy + Debug + ToString>(name: &str, kind: &OptionType, cases: &[Case<T>]) {
    for (text, expected) in cases {
        let kit = in_the_kit(name, text);
        assert_eq!(kit, expected.map(|value| value.to_string()).map_err(str::to_owned), "{name} {text:?}");
        let only = expected.ok().map(|value| value.to_string().parse().unwrap());
        let daemon = in_the_daemon(name, kind.clone(), text, only).map(drop);
        assert_eq!(daemon, expected.map(drop).map_err(str::to_owned), "{name} {text:?}");
    }
}

#[test]
fn the_daemon_and_the_test_kit_read_every_text_alike() {
    numbers("ratio", &OptionType::Ratio, RATIOS);
    numbers("duration", &OptionType::Duration, DURATIONS);
    numbers("size", &OptionType::Size, SIZES);
    for (text, expected) in ADDRESSES {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(in_the_kit("address", text), expected, "{text:?}");
        let daemon = in_the_daemon("address", OptionType::Addr, text, None);
        let port = |shown: &str| shown.parse::<SocketAddr>().unwrap().port();
        assert_eq!(
            daemon.map(|values| values.raw()[0].addr.port),
            expected.map(|shown| port(&shown)),
            "{text:?}"
        );
    }
}

#[test]
fn both_refuse_what_does_not_fit_into_a_plugins_value() {
    for (name, kind, text, reason) in [
        ("duration", OptionType::Duration, "300years", "longer than 292 years"),
        ("size", OptionType::Size, "9223372036854775808", "larger than 8 EiB"),
    ] {
        assert_eq!(in_the_kit(name, text), Err(reason.to_owned()));
        assert_eq!(in_the_daemon(name, kind, text, None).map(drop), Err(reason.to_owned()));
    }
}

/// The texts in backticks of a cell.
fn examples(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_examples_of_the_law_are_read_as_it_says() {
    type Accepts = fn(&str) -> bool;
    let law = fs::read_to_string(repository().join("plugins/ABI.md")).unwrap();
    let readers: [(&str, Accepts); 5] = [
        ("ratio", |text| ratio(text).is_ok()),
        ("duration", |text| duration(text).is_ok()),
        ("size", |text| size(text).is_ok()),
        ("address", |text| address(text).is_ok()),
        ("rate", |text| rate(text).is_ok()),
    ];
    for (name, accepts) in readers {
        let start = format!("| {name} |");
        let row = law.lines().find(|line| line.starts_with(&start)).expect(name);
        let cells: Vec<_> = row.split('|').collect();
        let (read, refused) = (cells[cells.len() - 3], cells[cells.len() - 2]);
        assert!(examples(read).count() >= 2 && examples(refused).count() >= 2, "{row}");
        examples(read).for_each(|text| assert!(accepts(text), "{name}: {text} is refused"));
        examples(refused).for_each(|text| assert!(!accepts(text), "{name}: {text} is read"));
    }
}
