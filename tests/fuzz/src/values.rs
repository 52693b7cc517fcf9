//! Texts of option values.

use std::time::Duration;

use polyport_value::{address, duration, host_and_port, port_number, rate, ratio, size};

/// Reads a text as every type of value.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(share) = said(ratio(text)) {
        assert!((0.0..=1.0).contains(&share), "{share}");
        assert_eq!(ratio(&share.to_string()), Ok(share));
    }
    if let Ok(span) = said(duration(text)) {
        assert_eq!(duration(&format!("{}s {}ns", span.as_secs(), span.subsec_nanos())), Ok(span));
    }
    if let Ok(bytes) = said(size(text)) {
        assert_eq!((size(&bytes.to_string()), size(&format!(" {bytes} B"))), (Ok(bytes), Ok(bytes)));
    }
    if let Ok(place) = said(address(text)) {
        assert_eq!(address(&place.to_string()), Ok(place));
        assert!(host_and_port(text.trim()).is_some_and(|(_, port)| port_number(port) == Some(place.port())));
    }
    if let Ok(often) = said(rate(text)) {
        assert!(often.count > 0 && often.count <= 1_000_000_000_000, "{often:?}");
        assert!(often.period >= Duration::from_secs(1) && often.period.subsec_nanos() == 0, "{often:?}");
    }
}

/// An error is a sentence for a terminal: what was expected, on one line.
fn said<T>(result: Result<T, String>) -> Result<T, String> {
    if let Err(error) = &result {
        assert!(!error.is_empty() && !error.contains('\n'), "{error:?}");
    }
    result
}
