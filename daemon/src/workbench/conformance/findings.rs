//! What the end of a process says about rules.

use super::rules;
use crate::workbench::signals::signal_name;

/// Words of the C library and of the runtimes of languages, and the rule that was broken when they are printed.
const SAID: &[(&str, &str)] = &[
    ("free()", rules::FREE),
    ("munmap_chunk()", rules::FREE),
    ("double free", rules::FREE),
    ("realloc()", rules::FREE),
    ("has overflowed its stack", rules::CRASH),
    ("panic in a function that cannot unwind", rules::UNWIND),
    ("cannot catch foreign exceptions", rules::UNWIND),
    ("terminate called", rules::UNWIND),
    ("panicked at", rules::CRASH),
    ("stack smashing", rules::CRASH),
    ("malloc", rules::BEHIND),
    ("corrupted", rules::BEHIND),
];

/// The rule that was broken by a process which died by this signal and said this, and how.
pub(super) fn crash(signal: i32, errors: &[String]) -> (String, String) {
    let line = errors.iter().rev().find_map(|line| line.strip_prefix("error: SIG"));
    let line = line.map(|line| format!("SIG{}", line.trim_end_matches(": the process ends")));
    let what = line.map_or_else(|| format!("died by {}", signal_name(signal)), |line| short(&line));
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
        None if what.contains("while no plugin was called") => (
            rules::SENT.to_owned(),
            format!("{what}: the bytes of an entry cannot be read, or memory of the host was overwritten"),
        ),
        None => (rules::CRASH.to_owned(), what),
    }
}

/// Without the name of the instance, which every case has.
fn short(line: &str) -> String {
    let named = line.split_once(" of listener ");
    let rest = named.and_then(|(before, rest)| Some((before, rest.split_once(')')?.1)));
    rest.map_or_else(|| line.to_owned(), |(before, after)| format!("{before}{after}"))
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
        assert!(what == "SIGSEGV in on_batch: it wrote to byte 1 behind the bytes of datagram 3", "{what}");
        assert_eq!(
            found(&["free(): invalid pointer", "error: SIGABRT in destroy of x: the process ends"]).0,
            "3.1"
        );
        assert_eq!(found(&["error: SIGSEGV in on_batch of x: the process ends"]).0, "7.4");
        assert_eq!(found(&["error: SIGSEGV while no plugin was called: the process ends"]).0, "3.7");
        assert_eq!(found(&[]), ("7.4".into(), "died by SIGSEGV".into()));
    }
}
