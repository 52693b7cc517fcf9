//! `polyport completions` and `polyport man`: what shells complete, and the pages of the manual.

use std::path::PathBuf;

use clap::Args;
use polyport_terminal::{DAY, Exit, Manual, Page, Shell, completions, print_pages, write_pages};

use crate::config::keys;

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Which pages.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The page, such as `run`, `plugin new` or `polyport.toml` [default: that of polyport]
    page: Vec<String>,
    /// Write all pages to this directory, which is made if it is not there
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    dir: Option<PathBuf>,
}

/// What the pages say beside the command line.
const MANUAL: Manual = Manual {
    section: "8",
    of: "polyport",
    environment: &[
        ("POLYPORT_CONTROL", "The control socket, for commands that ask a daemon, and where `run` makes it."),
        (
            "POLYPORT_LOG",
            "Filters of the log, as env_logger reads them: `polyport::datagram=trace`, for example.",
        ),
        (
            "NO_COLOR",
            "Where it is set and not empty, there are no colours. `CLICOLOR_FORCE=1` wants them everywhere.",
        ),
    ],
    files: &[
        ("/etc/polyport/polyport.toml", "The configuration that is served if nothing else is found."),
        ("/run/polyport/control.sock", "The control socket of a daemon that root has started."),
        ("$XDG_RUNTIME_DIR/polyport/control.sock", "That of a daemon of a user."),
    ],
    see_also: &["polyport.toml(5)", "polyport-request(1)", "polyport-load(1)", "systemd.socket(5)", "udp(7)"],
};

/// Prints what a shell completes.
pub(super) fn complete(args: &CompletionsArgs, command: clap::Command) -> Exit {
    completions(args.shell, command)
}

/// Prints a page, or writes all.
pub(super) fn man(args: &ManArgs, command: clap::Command) -> Exit {
    let mut pages = MANUAL.pages(command);
    pages.push(keys::manual("polyport", DAY));
    if let Some(dir) = &args.dir {
        return write_pages(&pages, dir);
    }
    let words = args.page.join("-");
    let wanted = [words.clone(), format!("polyport-{words}"), "polyport".to_owned()];
    let is_wanted =
        |page: &Page, name: &String| page.file_name().rsplit_once('.').is_some_and(|(it, _)| it == name);
    let names = if words.is_empty() { wanted.get(2..) } else { wanted.get(..2) };
    let found =
        names.unwrap_or_default().iter().find_map(|name| pages.iter().find(|page| is_wanted(page, name)));
    match found {
        Some(page) => print_pages(std::slice::from_ref(page)),
        None => {
            polyport_terminal::complain(format_args!(
                "there is no page {}: `polyport --help` has the commands",
                polyport_terminal::Quoted(words.as_bytes())
            ));
            Exit::Usage
        }
    }
}
