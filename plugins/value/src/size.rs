//! Numbers of bytes: `1500`, `64KiB`.

/// A number of bytes: `1500`, `64KiB`, `4MiB`. `KB`, `MB` and `GB` are powers of 1000,
/// `KiB`, `MiB` and `GiB` powers of 1024 (IEC 80000-13).
///
/// Not the crate `bytesize`: it reads `4m` as 4,000,000, cuts fractions of a byte off and lets
/// a number that is too large saturate.
///
/// # Errors
/// No whole number, an unknown unit (units are spelled exactly), or more than 64 bits.
pub fn size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a size in bytes such as 1500, 64KiB or 4MiB";
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ if number.is_empty() => return Err(EXPECTED.to_owned()),
        _ => return Err(format!("{EXPECTED} (units: B, KB, MB, GB, KiB, MiB, GiB)")),
    };
    if number.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "the size does not fit into 64 bits".to_owned())
}
