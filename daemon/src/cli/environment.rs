//! Variables of the environment that stand for flags: a flag goes before its variable, a variable before the file, and an
//! empty variable is none.

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// The command line without the variables that are empty.
pub(super) fn without_empty(command: Command) -> Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let command = command
        .mut_args(|arg| if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg });
    command.mut_subcommands(without_empty)
}

/// Who said an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nobody,
    Variable,
    Flag,
}

impl Said {
    /// Who said the argument `id`.
    pub(super) fn of(matches: &ArgMatches, id: &str) -> Self {
        match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Self::Flag,
            Some(ValueSource::EnvVariable) => Self::Variable,
            _ => Self::Nobody,
        }
    }
}

/// Which of two arguments counts that exclude each other: the one that is a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    Both,
    First,
    Second,
}

/// Which of the arguments `one` and `other` counts.
///
/// # Errors
/// Both are flags, or both are variables.
pub(super) fn either(
    command: &mut Command,
    matches: &ArgMatches,
    (one, shown): (&str, &str),
    (other, other_shown): (&str, &str),
) -> Result<Counts, clap::Error> {
    let contradict = |command: &mut Command, a: &str, b: &str| {
        Err(command
            .error(ErrorKind::ArgumentConflict, format!("the argument '{a}' cannot be used with '{b}'")))
    };
    match (Said::of(matches, one), Said::of(matches, other)) {
        (Said::Nobody, _) | (_, Said::Nobody) => Ok(Counts::Both),
        (Said::Flag, Said::Variable) => Ok(Counts::First),
        (Said::Variable, Said::Flag) => Ok(Counts::Second),
        (Said::Flag, Said::Flag) => contradict(command, shown, other_shown),
        (Said::Variable, Said::Variable) => {
            let name = |id: &str| {
                let arg = command.get_arguments().find(|arg| arg.get_id() == id);
                let name = arg.and_then(clap::Arg::get_env).map(|name| name.to_string_lossy().into_owned());
                name.unwrap_or_else(|| id.to_owned())
            };
            let (a, b) = (name(one), name(other));
            contradict(command, &a, &b)
        }
    }
}

/// The values of one variable: `;` and the end of a line part them, unless they stand in double quotes.
pub(super) fn listed(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let (mut is_quoted, mut is_escaped) = (false, false);
    for letter in text.chars() {
        match letter {
            ';' | '\n' if !is_quoted => values.push(String::new()),
            _ => {
                is_quoted ^= letter == '"' && !is_escaped;
                is_escaped = letter == '\\' && is_quoted && !is_escaped;
                if let Some(value) = values.last_mut() {
                    value.push(letter);
                }
            }
        }
    }
    values.iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_holds_several_values() {
        for (text, expected) in [
            ("a=b", &["a=b"][..]),
            ("a=b;c=d", &["a=b", "c=d"]),
            (" a=b ;\n c=d;\n", &["a=b", "c=d"]),
            ("a=b,t=\"1s x; 2s y\";c=d", &["a=b,t=\"1s x; 2s y\"", "c=d"]),
            ("a=\"\\\";\";b", &["a=\"\\\";\"", "b"]),
            (" ; ", &[]),
        ] {
            assert_eq!(listed(text), expected, "{text}");
        }
    }
}
