//! Option texts, parsed as the daemon parses them from its configuration file. The grammar of ratios,
//! durations, sizes and addresses is that of `polyport-value`, as the daemon's is.

use core::net::SocketAddr;

use polyport_abi as abi;

use crate::config::Opt;

/// One parsed value with the kind of its option.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parsed {
    pub(super) kind: u32,
    pub(super) value: Value,
}

/// The value proper.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Missing,
    Int(i64),
    Float(f64),
    Text(String),
    Addr(SocketAddr),
    /// Of the kind that the list has without its bit.
    List(Vec<Self>),
}

/// The values of all options, in their order, from `name = text` pairs and the defaults. The error names
/// the option.
pub(super) fn parse_all(options: &[Opt], given: &[(&str, &str)]) -> Result<Vec<Parsed>, (String, String)> {
    if let Some((name, _)) = given.iter().find(|(name, _)| options.iter().all(|o| o.name() != *name)) {
        return Err(((*name).to_owned(), "there is no such option".to_owned()));
    }
    let one = |option: &Opt| {
        let text = given.iter().rev().find(|(name, _)| *name == option.name()).map(|(_, text)| *text);
        match text.or_else(|| option.default_text()) {
            Some(text) => parse(option, text),
            None if option.raw().flags & abi::OPT_REQUIRED != 0 => Err("is required".to_owned()),
            None => Ok(Value::Missing),
        }
    };
    let with_kind = |option: &Opt| match one(option) {
        Ok(value) => Ok(Parsed { kind: option.raw().kind, value }),
        Err(message) => Err((option.name().to_owned(), message)),
    };
    options.iter().map(with_kind).collect()
}

fn parse(option: &Opt, text: &str) -> Result<Value, String> {
    let kind = option.raw().kind;
    if kind & abi::OPT_LIST == 0 {
        return one(option, kind, text);
    }
    let pieces = text.split(',').map(str::trim).enumerate().filter(|_| !text.trim().is_empty());
    let read = |(at, piece)| {
        one(option, kind & !abi::OPT_LIST, piece).map_err(|message| format!("element {}: {message}", at + 1))
    };
    pieces.map(read).collect::<Result<_, _>>().map(Value::List)
}

fn one(option: &Opt, kind: u32, text: &str) -> Result<Value, String> {
    let parsed = match kind {
        abi::OPT_BOOL => Value::Int(match text {
            "true" => 1,
            "false" => 0,
            _ => return Err(format!("{text:?} is neither true nor false")),
        }),
        abi::OPT_INT => Value::Int(int(text)?),
        abi::OPT_FLOAT => Value::Float(float(text)?),
        abi::OPT_RATIO => Value::Float(polyport_value::ratio(text)?),
        abi::OPT_DURATION => {
            let nanos = polyport_value::duration(text)?.as_nanos();
            Value::Int(i64::try_from(nanos).map_err(|_| "longer than 292 years")?)
        }
        abi::OPT_SIZE => {
            Value::Int(i64::try_from(polyport_value::size(text)?).map_err(|_| "larger than 8 EiB")?)
        }
        abi::OPT_STRING | abi::OPT_JSON => Value::Text(text.to_owned()),
        abi::OPT_ENUM => Value::Int(choice(option, text)?),
        abi::OPT_ADDR => Value::Addr(polyport_value::address(text)?),
        other => return Err(format!("option kind {other} is unknown")),
    };
    in_bounds(option, &parsed)?;
    Ok(parsed)
}

/// An integer as TOML has it, where `_` may part the digits.
fn int(text: &str) -> Result<i64, String> {
    text.replace('_', "").parse().map_err(|_| format!("{text:?} is not an integer"))
}

/// A number as TOML has it, but for `inf` and `nan`, which no option takes.
fn float(text: &str) -> Result<f64, String> {
    let number = text.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("{text:?} is not a number"))
}

fn choice(option: &Opt, text: &str) -> Result<i64, String> {
    let at = option.choice_names().position(|name| name == text);
    at.and_then(|at| i64::try_from(at).ok()).ok_or_else(|| {
        format!("{text:?} is none of {}", option.choice_names().collect::<Vec<_>>().join(", "))
    })
}

fn in_bounds(option: &Opt, parsed: &Value) -> Result<(), String> {
    let (min, max) = (option.raw().min, option.raw().max);
    #[expect(clippy::cast_precision_loss, reason = "the ABI compares bounds as doubles")]
    let value = match parsed {
        Value::Int(i) => *i as f64,
        Value::Float(f) => *f,
        Value::Missing | Value::Text(_) | Value::Addr(_) | Value::List(_) => return Ok(()),
    };
    let unbounded = min == 0.0 && max == 0.0;
    if unbounded || (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(format!("{value} is out of bounds: {min} to {max} is allowed"))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::testing::Harness;
    use crate::{Batch, Config as _, Error, Handler, Ratio, Setup, Size, choices, config};

    choices! { #[derive(Debug)] enum Colour { Red = "red", Green = "green" } }
    config! {
        #[derive(Debug)]
        struct All {
            on: bool = true, "h";
            r#type: i64 = -5, "h";
            port: u16 = 53, "h";
            level: u8 = 3, "h", min = 1, max = 9;
            factor: f64 = 1.5, "h";
            share: Ratio = "2.5%", "h";
            wait: Duration = "15ms", "h";
            room: Size = "64KiB", "h", max = 1_000_000;
            name: String = required, "h", reads;
            colour: Colour = "green", "h";
            to: SocketAddr = "[::1]:53", "h";
            more: Option<i64> = none, "h", secret;
            waits: Vec<Duration> = "1s, 20ms", "h", min = 1_000_000;
            colours: Option<Vec<Colour>> = none, "h";
        }
    }

    fn one(name: &str, text: &str) -> Result<Value, String> {
        let option = All::OPTIONS.iter().find(|o| o.name() == name).unwrap();
        parse(option, text)
    }

    #[test]
    fn texts_are_read_as_the_configuration_file_has_them() {
        assert_eq!(one("share", "0.025"), Ok(Value::Float(0.025)));
        assert_eq!(one("share", "2.5%"), Ok(Value::Float(0.025)));
        assert_eq!(one("wait", "1.5s"), Ok(Value::Int(1_500_000_000)));
        assert_eq!(one("wait", "10µs"), Ok(Value::Int(10_000)));
        assert_eq!(one("room", "4096"), Ok(Value::Int(4096)));
        assert_eq!(one("room", "64KiB"), Ok(Value::Int(65_536)));
        assert_eq!(one("colour", "red"), Ok(Value::Int(0)));
        assert_eq!(one("type", "1_000"), Ok(Value::Int(1000)));
        assert_eq!(one("on", "false"), Ok(Value::Int(0)));
        assert_eq!(one("to", "127.0.0.1:7"), Ok(Value::Addr(([127, 0, 0, 1], 7).into())));
    }

    /// Answers with what arrived in the struct.
    #[derive(Debug)]
    struct Shows(All);

    impl Handler for Shows {
        type Config = All;

        fn new(all: All, _: &mut Setup<'_>) -> Result<Self, Error> {
            Ok(Self(all))
        }

        fn on_batch(&mut self, batch: &mut Batch<'_>) {
            for datagram in batch {
                let a = &self.0;
                let numbers = (a.on, a.r#type, a.port, a.level, a.factor, a.share.get(), a.wait, a.room.0);
                let text = format!("{numbers:?} {} {:?} {} {:?}", a.name, a.colour, a.to, a.more);
                datagram.reply(text.as_bytes());
                datagram.reply(format!("{:?} {:?}", a.waits, a.colours).as_bytes());
            }
        }
    }

    #[test]
    fn the_values_arrive_in_the_struct() {
        let mut h = Harness::<Shows>::new(&[("name", "né"), ("share", "100%"), ("more", "-9")]);
        h.send("192.0.2.1:1", b"");
        let text = "(true, -5, 53, 3, 1.5, 1.0, 15ms, 65536) né Green [::1]:53 Some(-9)";
        let sent = h.sent();
        assert_eq!(String::from_utf8_lossy(&sent[0].payload), text);
        assert_eq!(sent[1].payload, b"[1s, 20ms] None");
        let mut h = Harness::<Shows>::new(&[("name", ""), ("waits", " "), ("colours", "red,green, red")]);
        h.send("192.0.2.1:1", b"");
        assert_eq!(h.sent()[1].payload, b"[] Some([Red, Green, Red])");
    }

    #[test]
    fn wrong_texts_are_refused_in_words() {
        let wrong = [
            ("share", "101%"),
            ("share", "NaN"),
            ("wait", "15"),
            ("wait", "-1s"),
            ("wait", "ms"),
            ("room", "2MiB"),
            ("level", "0"),
            ("level", "10"),
            ("port", "65536"),
            ("port", "-1"),
            ("on", "yes"),
            ("colour", "blue"),
            ("to", "localhost:1"),
            ("type", "1.5"),
            ("factor", ""),
            ("factor", "nan"),
            ("wait", "99999999999999999999h"),
            ("waits", "1s,"),
            ("waits", "1s,1us"),
            ("colours", "red;green"),
        ];
        for (name, text) in wrong {
            assert!(one(name, text).is_err(), "{name} = {text}");
        }
        assert_eq!(one("colour", "blue"), Err("\"blue\" is none of red, green".into()));
        assert_eq!(one("colours", "red,blue"), Err("element 2: \"blue\" is none of red, green".into()));
    }

    #[test]
    fn required_unknown_and_default() {
        let missing = parse_all(All::OPTIONS, &[]).unwrap_err();
        assert_eq!(missing, ("name".into(), "is required".into()));
        let unknown = parse_all(All::OPTIONS, &[("nmae", "x")]).unwrap_err();
        assert_eq!(unknown.0, "nmae");
        let all = parse_all(All::OPTIONS, &[("name", "x")]).unwrap();
        assert_eq!(all.len(), 14);
        assert_eq!(
            (&all[1].value, &all[9].value, &all[11].value),
            (&Value::Int(-5), &Value::Int(1), &Value::Missing)
        );
        assert_eq!(All::OPTIONS[11].raw().flags, abi::OPT_SECRET);
        assert_eq!(All::OPTIONS[8].raw().flags, abi::OPT_REQUIRED | abi::OPT_READS);
    }
}
