//! Keeping threads to processors of their own (`sched_setaffinity(2)`): a thread that is moved finds its caches empty.

use crate::outcome::ExitError;

/// The processors that `--pin` names, one for each thread: `2,3` and `4-7`, or for an empty text those that this process may
/// use. Nothing for nothing.
///
/// # Errors
/// A text that names no processors, fewer than threads, or one that this process may not use.
pub fn processors(text: Option<&str>, threads: u32) -> Result<Vec<u32>, ExitError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let allowed = allowed()?;
    let mut named = if text.is_empty() { allowed.clone() } else { read(text)? };
    if let Some(other) = named.iter().find(|number| !allowed.contains(number)) {
        return Err(ExitError::usage(format!(
            "--pin: this process may not use processor {other}, but {}",
            list(&allowed)
        )));
    }
    if named.len() < threads as usize {
        return Err(ExitError::usage(format!(
            "--pin: {threads} threads, and processors {} for them: lower --threads",
            list(&named)
        )));
    }
    named.truncate(threads as usize);
    Ok(named)
}

fn list(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(",")
}

fn read(text: &str) -> Result<Vec<u32>, ExitError> {
    let wrong = || ExitError::usage(format!("--pin: `{text}` names no processors: write 2,3 or 4-7"));
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse().ok().filter(|number| *number < MOST).ok_or_else(wrong);
        let (first, last): (u32, u32) = (number(first)?, number(last)?);
        if first > last {
            return Err(wrong());
        }
        numbers.extend((first..=last).filter(|number| !numbers.contains(number)).collect::<Vec<_>>());
    }
    Ok(numbers)
}

/// Processors that a set of the system can name.
#[cfg(target_os = "linux")]
const MOST: u32 = 1024;
#[cfg(not(target_os = "linux"))]
const MOST: u32 = 0;

#[cfg(target_os = "linux")]
fn allowed() -> Result<Vec<u32>, ExitError> {
    let set = rustix::thread::sched_getaffinity(None)
        .map_err(|error| ExitError::io("ask for the processors", &error.into()))?;
    Ok((0..MOST).filter(|number| set.is_set(*number as usize)).collect())
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Result<Vec<u32>, ExitError> {
    Err(ExitError::usage("--pin: this system keeps no thread to a processor"))
}

/// Keeps the calling thread to a processor.
///
/// # Errors
/// Those of `sched_setaffinity(2)`: the processor was taken away since it was asked for.
#[cfg(target_os = "linux")]
pub fn keep_to(processor: u32) -> Result<(), ExitError> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(processor as usize);
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| ExitError::io(&format!("keep to processor {processor}"), &error.into()))
}

/// Nothing: [`processors`] has refused.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub const fn keep_to(_: u32) -> Result<(), ExitError> {
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn processors_are_named_or_any() {
        let ours = allowed().unwrap();
        let all = u32::try_from(ours.len()).unwrap();
        assert!(processors(None, 99).unwrap().is_empty());
        assert_eq!(processors(Some(""), all).unwrap(), ours);
        let (first, last) = (ours[0], ours[ours.len() - 1]);
        assert_eq!(processors(Some(&format!("{first}-{first},{last}")), 1).unwrap(), [first]);
        for (wrong, threads) in [("x", 1), ("1-", 1), ("3-1", 1), ("1024", 1), ("", all + 1)] {
            assert!(processors(Some(wrong), threads).is_err(), "{wrong} {threads}");
        }
        let text = processors(Some("1023"), 1).unwrap_err().to_string();
        assert!(text.contains("may not use processor 1023"), "{text}");
    }

    #[test]
    fn a_thread_stays_where_it_is_kept() {
        let last = *allowed().unwrap().last().unwrap();
        std::thread::spawn(move || {
            keep_to(last).unwrap();
            assert_eq!(allowed().unwrap(), [last]);
        })
        .join()
        .unwrap();
    }
}
