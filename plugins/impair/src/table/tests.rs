//! The tables against the figures of netem's, and files.

use super::*;
use crate::ParseError;

fn figures(table: &Table) -> [f64; 4] {
    let sigma = |value: &i16| f64::from(*value) / 8192.0;
    let values: Vec<f64> = table.values().iter().map(sigma).collect();
    let count = f64::from(u16::try_from(values.len()).unwrap());
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let (low, high) = (values.iter().copied().reduce(f64::min), values.iter().copied().reduce(f64::max));
    [mean, libm::sqrt(variance), low.unwrap(), high.unwrap()]
}

/// Mean and deviation in sigma, and the limits, of the tables that iproute2 makes.
#[test]
fn the_tables_are_those_of_netem() {
    for (table, expected) in [
        (Table::normal(), [-0.0008, 1.0001, -4.0, 3.52]),
        (Table::pareto(), [-0.0335, 0.820, -0.667, 4.0]),
        (Table::pareto_normal(), [-0.0253, 0.834, -1.50, 3.88]),
    ] {
        assert_eq!(table.values().len(), 4096);
        assert!(table.values().is_sorted());
        for (found, expected) in figures(&table).into_iter().zip(expected) {
            assert!((found - expected).abs() < 0.005, "{found}, not {expected}: {:?}", figures(&table));
        }
    }
    let [mean, deviation, ..] = figures(&Table::normal());
    assert!((mean + 0.0008).abs() < 0.000_05 && (deviation - 1.0001).abs() < 0.000_05, "{mean} {deviation}");
}

/// A number over all values, in their order: each counts.
fn sum(table: &Table) -> u64 {
    table.values().iter().fold(0, |sum, value| crate::mix(sum, value.cast_unsigned().into(), 0))
}

/// Against generators that do it as iproute2's do, value after value, computed apart from this code.
#[test]
fn each_value_is_that_of_netem() {
    assert_eq!(sum(&Table::normal()), 0x563C_3A35_9162_789F);
    assert_eq!(sum(&Table::pareto()), 0xF76F_A19C_1FE0_5AB4);
    assert_eq!(sum(&Table::pareto_normal()), 0x8BE3_FB06_D51C_6D7A);
}

#[test]
fn files_are_read() {
    let text = "# This is a table.\n -5461 -5460\n\n\t0\r\n  # of\n 32767 -32768\n";
    assert_eq!(Table::parse(text).unwrap().values(), [-5461, -5460, 0, 32_767, -32_768]);
    let wrong = |text: &str| Table::parse(text).unwrap_err();
    assert_eq!(wrong("1 2\n3 x\n").line, 2);
    assert_eq!(wrong("1\n2\n40000").line, 3);
    assert_eq!(wrong("1.5").line, 1);
    assert_eq!(wrong("# nothing\n\n").line, 2);
    assert_eq!(wrong(""), ParseError::new(1, "there is no value"));
    let many = "1 ".repeat(Table::MOST);
    assert_eq!(Table::parse(&many).unwrap().values().len(), Table::MOST);
    assert_eq!(wrong(&(many + "\n1")), ParseError::new(2, "more than 16384 values"));
}

#[test]
fn the_ends_of_a_table_are_reached() {
    let table = Table(Box::new([-3, 0, 7]));
    assert_eq!((table.pick(0), table.pick(u64::MAX)), (-3, 7));
    assert_eq!((table.remainder(3), table.remainder(u32::MAX)), (-3, -3));
}
