//! Shares: `2.5%`, `0.025`.

/// A share from 0 to 1, written as a percentage (`2.5%`) or as a number (`0.025`).
///
/// # Errors
/// The text is no number, or lies outside 0 to 1 (0% to 100%).
pub fn ratio(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text.trim(), 1.0),
    };
    let value = number
        .parse::<f64>()
        .map(|value| value / scale)
        .map_err(|_| "expected a ratio such as 2.5% or 0.025".to_owned())?;
    if (0.0..=1.0).contains(&value) {
        return Ok(value.abs()); // -0.0 becomes 0.0.
    }
    Err("expected a ratio from 0% to 100%, such as 2.5% or 0.025".to_owned())
}
