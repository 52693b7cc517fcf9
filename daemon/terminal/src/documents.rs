//! Manual pages and completions: printed, or written where they belong.
//!
//! Every program has the two words `completions SHELL` and `man [--dir DIR]` as its first argument. A program of commands has them among
//! those. For one whose first argument is a target or a file, [`Documents`] reads them before the command line: no target is such a
//! word, because a target has a port, and a file of that name is `./man`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::ValueHint;
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::exit::Exit;
use crate::line::{complain, deliver};
use crate::manual::{Manual, Page};

pub use clap_complete::Shell;

const COMPLETIONS: &str = "completions";
const MAN: &str = "man";
const SHELL: &str = "shell";
const DIR: &str = "dir";

/// The documents of a program that has no commands of its own.
#[derive(Clone, Copy, Debug)]
pub struct Documents {
    /// What its manual says beside the command line.
    pub manual: Manual,
}

impl Documents {
    /// `command` with a help that names the two words.
    #[must_use]
    pub fn told(&self, command: Command) -> Command {
        let name = command.get_name().to_owned();
        let before = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let words = format!(
            "Documents:\n  {name} {COMPLETIONS} SHELL   what bash, elvish, fish, powershell or zsh completes\n  \
             {name} {MAN} [--dir DIR]     the manual page, or all of them in a directory"
        );
        command.after_long_help(format!("{before}\n\n{words}"))
    }

    /// Does what the first argument asks for, if it is one of the two words; none if not. `args` begin with the name of the program.
    ///
    /// # Errors
    /// The command line is wrong.
    pub fn asked(&self, command: &Command, args: &[OsString]) -> Option<Result<Exit, clap::Error>> {
        let first = args.get(1)?;
        if first != COMPLETIONS && first != MAN {
            return None;
        }
        let name = command.get_name().to_owned();
        let reader = Command::new(MAN).bin_name(name).subcommands(words()).disable_help_subcommand(true);
        Some(reader.try_get_matches_from(args).map(|matches| self.given(command, &matches)))
    }

    fn given(&self, command: &Command, matches: &ArgMatches) -> Exit {
        let command = self.told(command.clone());
        let Some((_, matches)) = matches.subcommand() else { return Exit::Usage };
        if let Ok(Some(shell)) = matches.try_get_one::<Shell>(SHELL) {
            return completions(*shell, command);
        }
        let pages = self.manual.pages(command);
        match matches.try_get_one::<PathBuf>(DIR) {
            Ok(Some(dir)) => write_pages(&pages, dir),
            _ => print_pages(pages.get(..1).unwrap_or_default()),
        }
    }
}

fn words() -> [Command; 2] {
    let shell = Arg::new(SHELL)
        .value_name("SHELL")
        .required(true)
        .value_parser(value_parser!(Shell))
        .help("The shell");
    let dir = Arg::new(DIR)
        .long(DIR)
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::DirPath)
        .help("Write all pages to this directory, which is made if it is not there");
    [
        Command::new(COMPLETIONS).about("Print what a shell needs to complete flags").arg(shell),
        Command::new(MAN).about("Print the page of the manual, or write all of them").arg(dir),
    ]
}

/// Prints what `shell` needs to complete `command`.
#[must_use]
pub fn completions(shell: Shell, mut command: Command) -> Exit {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    printed(String::from_utf8_lossy(&text).trim_end())
}

/// Prints pages, one behind the other.
#[must_use]
pub fn print_pages(pages: &[Page]) -> Exit {
    let text: String = pages.iter().map(Page::source).collect();
    printed(text.trim_end())
}

/// Writes each page to a file of its own in `dir`, which is made if it is not there.
#[must_use]
pub fn write_pages(pages: &[Page], dir: &Path) -> Exit {
    let written = fs::create_dir_all(dir).map_err(|error| (dir.to_owned(), error)).and_then(|()| {
        pages.iter().try_for_each(|page| {
            let path = dir.join(page.file_name());
            fs::write(&path, page.source()).map_err(|error: io::Error| (path, error))
        })
    });
    match written {
        Ok(()) => Exit::Ok,
        Err((path, error)) => {
            complain(format_args!("cannot write {}: {error}", path.display()));
            Exit::CannotCreate
        }
    }
}

fn printed(text: &str) -> Exit {
    match deliver(text) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(error);
            Exit::Io
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: Documents = Documents {
        manual: Manual { section: "1", of: "test", environment: &[], files: &[], see_also: &[] },
    };

    fn asked(args: &[&str]) -> Option<Result<Exit, clap::Error>> {
        let target = Arg::new("target").required(true);
        let args: Vec<OsString> = args.iter().map(Into::into).collect();
        DOCUMENTS.asked(&Command::new("test").about("Tests").arg(target), &args)
    }

    #[test]
    fn only_the_first_argument_asks_for_a_document() {
        for args in [
            &["test"][..],
            &["test", "host:1", "man"],
            &["test", "./man"],
            &["test", "man:1"],
            &["test", "--man"],
        ] {
            assert!(asked(args).is_none(), "{args:?}");
        }
        for args in [
            &["test", "completions"][..],
            &["test", "completions", "sh"],
            &["test", "man", "x"],
            &["test", "man", "--dir"],
        ] {
            assert!(asked(args).unwrap().unwrap_err().use_stderr(), "{args:?}");
        }
        assert!(!asked(&["test", "man", "--help"]).unwrap().unwrap_err().use_stderr());
    }

    #[test]
    fn pages_are_written_to_a_directory_that_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let within = dir.path().join("a/b");
        let args = ["test", "man", "--dir", within.to_str().unwrap()];
        assert_eq!(asked(&args).unwrap().unwrap(), Exit::Ok);
        let page = fs::read_to_string(within.join("test.1")).unwrap();
        assert!(page.contains("test man [\\-\\-dir DIR]") && page.contains(".SH DOCUMENTS"), "{page}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(
            asked(&["test", "man", "--dir", file.to_str().unwrap()]).unwrap().unwrap(),
            Exit::CannotCreate
        );
    }
}
