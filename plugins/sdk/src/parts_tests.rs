//! Sets of options under names, in sets under names.

use core::time::Duration;

use super::*;
use crate::config::Value;
use crate::testing::Harness;
use crate::{Batch, Config as _, Error, Handler, Ratio, Setup, config};

config! {
    #[derive(Debug)]
    struct Deep {
        last: u8 = 1, "h", max = 9;
        r#type: String = "x", "h";
    }
}
config! {
    #[derive(Debug)]
    struct Line {
        loss: Ratio = "1%", "h";
        wait: Option<Duration> = none, "h", secret;
        r#mod: Deep = nested;
    }
}
config! {
    #[derive(Debug)]
    struct All {
        first: u8 = 1, "h";
        line: Line = flattened, "What happens to everything";
        up: Line = nested, "What comes in";
        down: Line = nested;
        last: i64 = -1, "h";
    }
}

const NAMES: [&str; 14] = [
    "first",
    "loss",
    "wait",
    "mod.last",
    "mod.type",
    "up.loss",
    "up.wait",
    "up.mod.last",
    "up.mod.type",
    "down.loss",
    "down.wait",
    "down.mod.last",
    "down.mod.type",
    "last",
];

#[test]
fn names_are_joined_and_everything_else_is_kept() {
    let names: Vec<_> = All::OPTIONS.iter().map(Opt::name).collect();
    assert_eq!(names, NAMES);
    for option in All::OPTIONS {
        let raw = option.raw();
        assert_eq!(raw.flags, if option.name().ends_with("wait") { crate::abi::OPT_SECRET } else { 0 });
        let (_, own) = option.name().rsplit_once('.').unwrap_or_else(|| ("", option.name()));
        let default = match (option.name(), own) {
            ("last", _) => Some("-1"),
            (_, "wait") => None,
            (_, "loss") => Some("1%"),
            (_, "type") => Some("x"),
            _ => Some("1"),
        };
        assert_eq!(option.default_text(), default, "{}", option.name());
        let bounded = option.name().ends_with("mod.last");
        assert_eq!(raw.max.to_bits() == 9_f64.to_bits(), bounded, "{}", option.name());
    }
}

/// Answers with what arrived, and refuses a wait below `up` by the name of its own set.
#[derive(Debug)]
struct Shows(All);

impl Handler for Shows {
    type Config = All;

    fn new(all: All, _: &mut Setup<'_>) -> Result<Self, Error> {
        if all.up.wait.is_some() {
            return Err(Error::option("wait", "not this way").under("up"));
        }
        Ok(Self(all))
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch {
            let line = |line: &Line| {
                let Deep { last, r#type } = &line.r#mod;
                format!("{} {:?} {last} {type}", line.loss.get(), line.wait)
            };
            let All { first, line: own, up, down, last } = &self.0;
            let text = format!("{first}; {}; {}; {}; {last}", line(own), line(up), line(down));
            datagram.reply(text.as_bytes());
        }
    }
}

#[test]
fn every_value_arrives_in_the_field_of_its_name() {
    let given = [
        ("down.mod.type", "d"),
        ("up.mod.type", "u"),
        ("mod.type", "o"),
        ("down.wait", "4s"),
        ("wait", "2s"),
        ("down.loss", "0.4"),
        ("up.loss", "0.3"),
        ("loss", "0.2"),
        ("down.mod.last", "4"),
        ("up.mod.last", "3"),
        ("mod.last", "2"),
        ("first", "5"),
        ("last", "6"),
    ];
    let mut harness = Harness::<Shows>::new(&given);
    harness.send("192.0.2.1:1", b"");
    let text = String::from_utf8(harness.sent()[0].payload.clone()).unwrap();
    assert_eq!(text, "5; 0.2 Some(2s) 2 o; 0.3 None 3 u; 0.4 Some(4s) 4 d; 6");
}

#[test]
fn what_is_refused_is_refused_by_its_whole_name() {
    let refused = |given: &[(&str, &str)]| {
        let refused = Harness::<Shows>::try_new(given, 1).unwrap_err();
        (refused.option.clone().unwrap_or_default(), refused.message)
    };
    assert_eq!(refused(&[("up.wait", "1s")]).0, "up.wait");
    assert_eq!(refused(&[("up.mod.last", "10")]).0, "up.mod.last");
    assert_eq!(refused(&[("up", "1s")]), ("up".into(), "there is no such option".into()));
    assert_eq!(refused(&[("up.los", "1s")]).0, "up.los");
    // Of values that a host passes and did not check.
    let value = |name: &str| match name.rsplit('.').next() {
        Some("loss") => Value::Ratio(0.5),
        Some("type") => Value::Text(""),
        Some("wait") => Value::Missing,
        _ => Value::Int(1),
    };
    let blamed = |values: &[Value<'_>]| {
        All::from_values(values).err().map(|error| error.option_name().map(str::to_owned))
    };
    let good = NAMES.map(value);
    assert_eq!(blamed(&good), None);
    for (at, name) in NAMES.iter().enumerate() {
        let mut values = good;
        values[at] = Value::Json("");
        assert_eq!(blamed(&values), Some(Some((*name).to_owned())));
        // Fewer than there are: the first that has none is told.
        let first = NAMES[at..].iter().find(|name| !name.ends_with("wait")).unwrap();
        assert_eq!(blamed(&good[..at]), Some(Some((*first).to_owned())));
    }
}

#[test]
fn names_are_of_letters_and_digits_in_parts() {
    for good in ["a", "a.b", "up.loss_burst.x", "_", "A-1.b2", "a._b"] {
        assert!(is_name(good.as_bytes()), "{good}");
    }
    for bad in ["", ".", "a.", ".a", "a..b", "1a", "a.1", "-a", "a b", "a=b", "a,b", "\u{e4}", "a\"b"] {
        assert!(!is_name(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn names_overlap_where_one_is_a_whole_beginning() {
    for (a, b, same, begins) in [
        ("up", "up", true, false),
        ("up", "up.loss", false, true),
        ("up.loss", "up", false, true),
        ("up", "upper", false, false),
        ("up.loss", "up.loss_burst", false, false),
        ("up.loss", "up.late", false, false),
    ] {
        let seen = overlap(a.as_bytes(), b.as_bytes());
        assert_eq!(
            (matches!(seen, Overlap::Same), matches!(seen, Overlap::Begins)),
            (same, begins),
            "{a} {b}"
        );
    }
}

/// As many as a host takes, with long names: the compiler compares each with each.
#[expect(dead_code, reason = "only the options are asked for")]
mod many {
    use crate::{Config as _, config};

    config! {
        #[derive(Debug)]
        pub(super) struct Eight {
            a: u8 = 0, "h";
            b: u8 = 0, "h";
            c: u8 = 0, "h";
            d: u8 = 0, "h";
            e: u8 = 0, "h";
            f: u8 = 0, "h";
            g: u8 = 0, "h";
            h: u8 = 0, "h";
        }
    }
    config! {
        #[derive(Debug)]
        pub(super) struct More { a: Eight = nested; b: Eight = nested; c: Eight = nested; d: Eight = nested; }
    }
    config! {
        #[derive(Debug)]
        pub(super) struct Most {
            a_rather_long_name: More = nested;
            a_rather_long_namf: More = nested;
            c: More = nested;
            d: More = nested;
            e: More = nested;
            f: More = nested;
            g: More = nested;
            h: More = nested;
        }
    }

    #[test]
    fn the_compiler_joins_as_many_as_a_host_takes() {
        assert_eq!(Most::OPTIONS.len(), 256);
        assert_eq!(Most::OPTIONS[63].name(), "a_rather_long_namf.d.h");
        Most::from_values(&[]).unwrap_err();
    }
}
