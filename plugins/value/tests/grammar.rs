//! The functions against the table of cases, and any text at all.

#![cfg(test)]

use std::fmt::Debug;
use std::time::Duration;

use polyport_value::cases::{ADDRESSES, Case, DURATIONS, RATES, RATIOS, SIZES};
use polyport_value::{address, duration, rate, ratio, size};
use proptest::prelude::*;

#[track_caller]
fn every<T: Debug + PartialEq + Copy>(cases: &[Case<T>], read: impl Fn(&str) -> Result<T, String>) {
    for (text, expected) in cases {
        let expected = expected.map_err(str::to_owned);
        assert_eq!(read(text), expected, "{text:?}");
    }
}

fn nanos(text: &str) -> Result<u64, String> {
    duration(text).map(|span| u64::try_from(span.as_nanos()).unwrap())
}

#[test]
fn every_case_has_its_value_or_its_refusal() {
    every(RATIOS, ratio);
    every(DURATIONS, nanos);
    every(SIZES, size);
    every(RATES, |text| rate(text).map(|rate| (rate.count, rate.period.as_secs())));
    for (text, expected) in ADDRESSES {
        let expected = expected.map(|shown| shown.parse().unwrap()).map_err(str::to_owned);
        assert_eq!(address(text), expected, "{text:?}");
    }
    assert!(ratio("-0").unwrap().is_sign_positive());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_a_value_or_a_reason(
        text in any::<String>(), number in "[-+.0-9eE]{0,12}", unit in "[a-zA-Z/\u{b5}%: ]{0,4}"
    ) {
        for text in [&text, &format!("{number}{unit}")] {
            let errors = [
                ratio(text).err(), duration(text).err(), size(text).err(), address(text).err(), rate(text).err(),
            ];
            for error in errors {
                prop_assert!(error.is_none_or(|error| !error.is_empty()));
            }
            if let Ok(rate) = rate(text) {
                prop_assert!(rate.count > 0 && !rate.period.is_zero());
            }
        }
    }

    #[test]
    fn whole_numbers_come_back(number in 0..u64::MAX >> 30) {
        prop_assert_eq!(size(&number.to_string()), Ok(number));
        prop_assert_eq!(size(&format!("{number}GiB")), Ok(number << 30));
        prop_assert_eq!(duration(&format!("{number}ns")), Ok(Duration::from_nanos(number)));
    }
}
