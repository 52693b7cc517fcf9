//! What the plugin gets for a value of each type, and what is said about a wrong one.

use super::*;

fn spec(name: &str, kind: OptionType) -> OptionSpec {
    OptionSpec {
        name: name.to_owned(),
        help: "what it is for".to_owned(),
        default: None,
        kind,
        bounds: None,
        required: false,
        secret: false,
        file: None,
    }
}

fn colours() -> OptionType {
    OptionType::Enum(vec!["red".to_owned(), "blue".to_owned()])
}

fn check(spec: OptionSpec, value: GivenValue<'_>) -> Result<Values, OptionProblem> {
    let given = [Given { name: &spec.name.clone(), value }];
    Values::check(&[spec], &given).map_err(|mut problems| problems.remove(0))
}

fn message(kind: OptionType, value: GivenValue<'_>) -> String {
    check(spec("x", kind), value).unwrap_err().message
}

/// Whether a number is `expected`: no other value is within the bounds.
fn is(kind: &OptionType, value: &GivenValue<'_>, expected: (u32, f64)) -> bool {
    let only = |number| OptionSpec { bounds: Some((number, number)), ..spec("x", kind.clone()) };
    check(only(expected.1 + 1.0), value.clone()).is_err()
        && check(only(expected.1), value.clone()).is_ok_and(|values| values.raw()[0].kind == expected.0)
}

#[test]
fn numbers_of_each_type_arrive_from_a_file_and_from_the_command_line() {
    for (kind, value, expected) in [
        (OptionType::Int, GivenValue::Int(-7), (OPT_INT, -7.0)),
        (OptionType::Int, GivenValue::Text("-7"), (OPT_INT, -7.0)),
        (OptionType::Duration, GivenValue::Text("15ms"), (OPT_DURATION, 15e6)),
        (OptionType::Size, GivenValue::Text("64KiB"), (OPT_SIZE, 65_536.0)),
        (OptionType::Size, GivenValue::Int(1500), (OPT_SIZE, 1500.0)),
        (OptionType::Float, GivenValue::Float(0.5), (OPT_FLOAT, 0.5)),
        (OptionType::Float, GivenValue::Int(2), (OPT_FLOAT, 2.0)),
        (OptionType::Float, GivenValue::Text("0.5"), (OPT_FLOAT, 0.5)),
        (OptionType::Ratio, GivenValue::Text("25%"), (OPT_RATIO, 0.25)),
        (OptionType::Ratio, GivenValue::Float(0.25), (OPT_RATIO, 0.25)),
        (OptionType::Ratio, GivenValue::Int(1), (OPT_RATIO, 1.0)),
    ] {
        assert!(is(&kind, &value, expected), "{value:?}");
    }
}

#[test]
fn truth_and_words_arrive_as_what_they_are() {
    for (kind, value, expected) in [
        (OptionType::Bool, GivenValue::Bool(true), OPT_BOOL),
        (OptionType::Bool, GivenValue::Text("true"), OPT_BOOL),
        (OptionType::Bool, GivenValue::Text("false"), OPT_BOOL),
        (colours(), GivenValue::Text("blue"), OPT_ENUM),
    ] {
        assert_eq!(check(spec("x", kind), value).unwrap().raw()[0].kind, expected);
    }
}

#[test]
fn texts_arrive_with_their_length() {
    for (kind, value, expected) in [
        (OptionType::String, GivenValue::Text("a text"), (OPT_STRING, "a text")),
        (OptionType::Json, GivenValue::Text("{\"a\":1}"), (OPT_JSON, "{\"a\":1}")),
        (OptionType::Json, GivenValue::Text("[1]"), (OPT_JSON, "[1]")),
        (OptionType::Json, GivenValue::Text("\"a\""), (OPT_JSON, "\"a\"")),
        (OptionType::Json, GivenValue::Text("1.5"), (OPT_JSON, "1.5")),
        (OptionType::Json, GivenValue::Text("null"), (OPT_JSON, "null")),
        (OptionType::Json, GivenValue::Text("a word"), (OPT_JSON, "\"a word\"")),
        (OptionType::Json, GivenValue::List(vec![GivenValue::Int(2)], "[2]".to_owned()), (OPT_JSON, "[2]")),
        (OptionType::Json, GivenValue::Int(3), (OPT_JSON, "3")),
        (OptionType::Json, GivenValue::Float(0.5), (OPT_JSON, "0.5")),
        (OptionType::Json, GivenValue::Bool(true), (OPT_JSON, "true")),
    ] {
        let values = check(spec("x", kind), value.clone()).unwrap();
        let raw = &values.raw()[0];
        assert_eq!((raw.kind, raw.len as usize), (expected.0, expected.1.len()), "{value:?}");
        assert_eq!(values.text[0].to_str(), Ok(expected.1));
    }
}

#[test]
fn an_address_arrives_and_an_option_that_is_not_given_is_absent() {
    let values = check(spec("x", OptionType::Addr), GivenValue::Text("192.0.2.1:53")).unwrap();
    let raw = &values.raw()[0];
    assert_eq!((raw.kind, raw.addr.port), (OPT_ADDR, 53));
    let values = Values::check(&[spec("x", OptionType::Int)], &[]).unwrap();
    assert_eq!((values.raw().len(), values.raw()[0].kind), (1, 0));
}

#[test]
fn a_value_of_another_type_is_shown_beside_what_was_expected() {
    for (kind, value, expected) in [
        (OptionType::Bool, GivenValue::Text("yes"), "expected true or false, got the text \"yes\""),
        (OptionType::Int, GivenValue::Float(0.5), "expected an integer, got the number 0.5"),
        (OptionType::Int, GivenValue::Text("x"), "expected an integer, got the text \"x\""),
        (OptionType::Float, GivenValue::Bool(true), "expected a number, got true"),
        (OptionType::Float, GivenValue::Text("inf"), "expected a number, got the text \"inf\""),
        (OptionType::Ratio, GivenValue::Bool(false), "expected a share such as \"2.5%\" or 0.025, got false"),
        (
            OptionType::Duration,
            GivenValue::Float(1.5),
            "expected a duration such as \"15ms\", got the number 1.5",
        ),
        (OptionType::Duration, GivenValue::Int(15), "a duration needs its unit, such as 15ms or 15s"),
        (OptionType::Size, GivenValue::Bool(true), "expected a size such as \"64KiB\", got true"),
        (OptionType::String, GivenValue::Int(7), "expected text, got the integer 7"),
        (OptionType::String, GivenValue::List(Vec::new(), "[]".to_owned()), "expected text, got an array"),
        (OptionType::String, GivenValue::Text("a\0b"), "a NUL character is not possible here"),
        (colours(), GivenValue::Int(1), "expected one of its words, got the integer 1"),
        (colours(), GivenValue::Text("green"), "\"green\" is none of red, blue"),
        (
            OptionType::Addr,
            GivenValue::Int(53),
            "expected an address such as \"127.0.0.1:53\", got the integer 53",
        ),
    ] {
        assert_eq!(message(kind, value), expected);
    }
}

#[test]
fn the_ends_of_the_bounds_are_allowed() {
    let bounded = |value| check(OptionSpec { bounds: Some((2.0, 4.0)), ..spec("x", OptionType::Int) }, value);
    for value in [2, 4] {
        bounded(GivenValue::Int(value)).unwrap();
    }
    for value in ["1", "5"] {
        let problem = bounded(GivenValue::Text(value)).unwrap_err();
        assert_eq!(problem.message, format!("{value} is out of bounds: 2 to 4 is allowed"));
        assert_eq!((problem.given, problem.part), (Some(0), Part::Value));
        assert_eq!(problem.help.unwrap(), "x = 7: what it is for");
    }
}

#[test]
fn the_last_of_two_values_counts_and_else_the_default() {
    let specs = [OptionSpec { default: Some("3".to_owned()), ..spec("x", OptionType::Int) }];
    let given = [1, 2].map(|value| Given { name: "x", value: GivenValue::Int(value) });
    let in_force = |given: &[Given<'_>], number| {
        let specs = [OptionSpec { bounds: Some((number, number)), ..specs[0].clone() }];
        Values::check(&specs, given).is_ok()
    };
    assert!(in_force(&given, 2.0) && !in_force(&given, 1.0));
    assert!(in_force(&[], 3.0) && !in_force(&[], 2.0));
}

#[test]
fn what_must_be_given_is_missed() {
    let problems = Values::check(&[OptionSpec { required: true, ..spec("x", colours()) }], &[]).unwrap_err();
    assert_eq!(
        problems,
        [OptionProblem {
            given: None,
            part: Part::Value,
            message: "option `x` must be given: what it is for".to_owned(),
            help: Some("x = \"red\" | \"blue\": what it is for".to_owned()),
        }]
    );
}

#[test]
fn a_secret_is_not_shown_but_what_is_missing_is_named() {
    let secret = OptionSpec { secret: true, required: true, ..spec("key", OptionType::Int) };
    let given = [Given { name: "key", value: GivenValue::Text("hunter2") }];
    let problems = Values::check(std::slice::from_ref(&secret), &given).unwrap_err();
    assert_eq!(problems[0].message, "expected an integer");
    let problems = Values::check(&[secret], &[]).unwrap_err();
    assert_eq!(problems[0].message, "option `key` must be given: what it is for");
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_or_with_all() {
    let specs = [spec("delay", OptionType::Int), spec("relay", OptionType::Int)];
    let problem = |specs: &[OptionSpec], name| {
        let given = [Given { name, value: GivenValue::Int(1) }];
        let mut problems = Values::check(specs, &given).unwrap_err();
        assert_eq!(problems.len(), 1);
        let problem = problems.remove(0);
        assert_eq!((problem.given, problem.part), (Some(0), Part::Name));
        assert_eq!(problem.message, format!("the plugin has no option `{name}`"));
        problem.help.unwrap()
    };
    assert_eq!(problem(&specs, "delai"), "did you mean `delay`?");
    assert_eq!(problem(&specs, "rely"), "did you mean `relay`?");
    assert_eq!(problem(&specs, "dlai"), "did you mean `delay`?", "two steps away");
    assert_eq!(problem(&specs, "dl"), "its options are delay, relay", "three are too far");
    assert_eq!(problem(&[], "delay"), "this plugin has no options");
}

#[test]
fn every_type_has_an_example_that_it_takes() {
    for (kind, shown) in [
        (OptionType::Bool, "true"),
        (OptionType::Int, "7"),
        (OptionType::Float, "0.5"),
        (OptionType::Ratio, "\"2.5%\""),
        (OptionType::Duration, "\"15ms\""),
        (OptionType::Size, "\"64KiB\""),
        (OptionType::String, "\"text\""),
        (OptionType::Addr, "\"127.0.0.1:53\""),
        (OptionType::Json, "{ ... }"),
    ] {
        assert_eq!(kind.example(), shown);
        check(spec("x", kind), GivenValue::Text(shown.trim_matches('"'))).unwrap();
    }
}

#[test]
fn a_list_is_read_element_by_element() {
    let list = |element| OptionType::List(Box::new(element));
    let values = check(spec("x", list(OptionType::Int)), GivenValue::Text(" 1, -2 ,3")).unwrap();
    let raw = values.raw()[0];
    assert_eq!((raw.kind, raw.len), (OPT_LIST | OPT_INT, 3));
    assert!(values.lists[0].iter().all(|value| value.kind == OPT_INT));
    for (value, len) in
        [(GivenValue::Text(" "), 0), (GivenValue::Int(7), 1), (GivenValue::List(vec![], "[]".into()), 0)]
    {
        assert_eq!(check(spec("x", list(OptionType::Int)), value).unwrap().raw()[0].len, len);
    }
    let wrong = check(spec("x", list(OptionType::Bool)), GivenValue::Text("true,,false")).unwrap_err();
    assert_eq!(wrong.part, Part::Element(1));
    assert_eq!(wrong.message, "element 2: expected true or false, got the text \"\"");
    let secret = OptionSpec { secret: true, ..spec("x", list(OptionType::Bool)) };
    assert_eq!(check(secret, GivenValue::Text("hunter2")).unwrap_err().message, "expected a list");
    assert_eq!(list(OptionType::Size).example(), "[\"64KiB\"]");
    assert_eq!(list(colours()).example(), "[\"red\", \"blue\"]");
}

#[test]
fn a_default_that_is_wrong_is_the_fault_of_the_plugin() {
    let spec = OptionSpec { default: Some("15".to_owned()), ..spec("x", OptionType::Duration) };
    let problem = Values::check(&[spec], &[]).unwrap_err().remove(0);
    assert_eq!((problem.given, problem.part), (None, Part::Declaration));
    assert_eq!(
        problem.message,
        "the plugin's own default of `x` is wrong: a duration needs its unit, such as 15ms or 15s"
    );
}
