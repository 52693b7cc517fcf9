//! An explained frame as a table for people.

use std::fmt::Write;

use polyport_terminal::Style;

use super::explain::explain;
use super::verdict::{Verdict, class};
use crate::text::hex;

/// One line a field; the last line is the class.
#[must_use]
pub fn as_table(datagram: &[u8], verdict: Verdict<'_>, style: Style) -> String {
    let heading = format!("{:>6}  {:<32}  {:<14}  meaning", "offset", "hex", "field");
    let mut text = style.bold(heading);
    for line in explain(datagram, verdict.map(|_| ())) {
        let (offset, octets, field) = (line.offset, shortened(line.octets), line.field);
        // Writing to a String cannot fail.
        write!(text, "\n{offset:>6}  {octets:<32}  {field:<14}  {}", line.meaning).unwrap_or_default();
    }
    let class = class(verdict);
    let class = if verdict.is_ok() { style.green(class) } else { style.red(class) };
    format!("{text}\nclass: {class}")
}

/// Sixteen octets fill the column.
fn shortened(octets: &[u8]) -> String {
    if octets.len() <= 16 { hex(octets) } else { format!("{}.. +{}", hex(&octets[..12]), octets.len() - 12) }
}
