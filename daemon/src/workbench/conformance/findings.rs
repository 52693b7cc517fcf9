//! What the end of a process says about rules.

use crate::workbench::signals::signal_name;

/// Words of the C library and of the runtimes of languages, and the rule that was broken when they are printed.
const SAID: &[(&str, &str)] = &[
    ("free()", "3.1"),
    ("munmap_chunk()", "3.1"),
    ("double free", "3.1"),
    ("realloc()", "3.1"),
    ("has overflowed its stack", "7.4"),
    ("panic in a function that cannot unwind", "7.1"),
    ("cannot catch foreign exceptions", "7.1"),
    ("terminate called", "7.1"),
    ("panicked at", "7.4"),
    ("stack smashing", "7.4"),
    ("malloc", "3.2"),
    ("corrupted", "3.2"),
];

/// The rule that was broken by a process which died by this signal and said this, and how.
pub(super) fn crash(signal: i32, errors: &[String]) -> (String, String) {
    let line = errors.iter().rev().find_map(|line| line.strip_prefix("error: SIG"));
    let line = line.map(|line| format!("SIG{}", line.trim_end_matches(": the process ends")));
    let what = line.unwrap_or_else(|| format!("died by {}", signal_name(signal)));
    if let Some((what, rule)) = what.split_once(" [rule ") {
        return (rule.trim_end_matches(']').to_owned(), what.to_owned());
    }
    let said = SAID.iter().find_map(|(words, rule)| {
        let line = errors.iter().find(|line| line.contains(words))?;
        Some((*rule, line.trim()))
    });
    match said {
        Some((rule, line)) => (rule.to_owned(), format!("{what} ({line})")),
        // It was the host that read it.
        None if what.contains("while no plugin was called") => {
            ("3.7".to_owned(), format!("{what}: the bytes of an entry cannot be read, or memory of the host was overwritten"))
        }
        None => ("7.4".to_owned(), what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_that_of_the_memory_or_of_what_the_runtime_says() {
        let found = |errors: &[&str]| {
            crash(libc::SIGSEGV, &errors.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
        };
        let (rule, what) = found(&[
            "something of its own",
            "error: SIGSEGV in on_batch of listener tested 198.51.100.1:7000 (plugin x): it wrote to byte 1 behind the \
             bytes of datagram 3 [rule 3.2]: the process ends",
        ]);
        assert_eq!(rule, "3.2");
        assert!(what.starts_with("SIGSEGV in on_batch") && what.ends_with("behind the bytes of datagram 3"), "{what}");
        assert_eq!(found(&["free(): invalid pointer", "error: SIGABRT in destroy of x: the process ends"]).0, "3.1");
        assert_eq!(found(&["error: SIGSEGV in on_batch of x: the process ends"]).0, "7.4");
        assert_eq!(found(&["error: SIGSEGV while no plugin was called: the process ends"]).0, "3.7");
        assert_eq!(found(&[]), ("7.4".into(), "died by SIGSEGV".into()));
    }
}
