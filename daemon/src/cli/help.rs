//! What `--help` and the manual pages say of each command beside its options: examples, exit codes, and the headings of the options.
//!
//! One table for all of them, so that nothing is said twice, and that a test can say what is missing.

use clap::{Arg, Command};
use polyport_terminal::version_flag;

/// What is said of one command.
struct Told {
    /// The words behind `polyport`.
    command: &'static str,
    examples: &'static str,
    /// Exit codes beside those of every command.
    exits: &'static str,
}

/// What every command that asks a daemon may end with.
macro_rules! asks {
    ($own:literal) => {
        concat!(
            "0 done, 64 usage",
            $own,
            ", 69 no daemon answers, 74 writing failed, 75 it is busy, 76 it is of another version or refuses, 77 it is somebody else's"
        )
    };
}

/// The exit codes of a service.
const SERVES: &str = "0 ended as asked, 64 usage, 69 there is nobody to take over from, 70 a handler broke that must not or did not \
    return, 71 the system refuses, 74 writing failed, 75 an address or the control socket is taken, 76 the other daemon does not hand \
    over, 77 a permission is missing, 78 the configuration or a plugin is wrong";
const PRINTS: &str = "0 printed, 64 usage, 74 writing failed";

const TOLD: [Told; 31] = [
    Told { command: "", examples: "", exits: SERVES },
    Told {
        command: "run",
        examples: "\
  polyport run -c polyport.toml
  polyport run --listen 127.0.0.1:7000=echo --listen '[::1]:7000=echo'
  polyport run --listen '127.0.0.1:7000-7099=lossy,loss=10%,delay=20ms,seed=7'
  polyport run -c polyport.toml --sandbox user=nobody --metrics 127.0.0.1:9100
  polyport run -c polyport.toml --take-over",
        exits: SERVES,
    },
    Told {
        command: "check",
        examples: "\
  polyport check
  polyport check -c polyport.toml --bind
  polyport check -c polyport.toml --json | jq .problems",
        exits: "0 it can be served, 64 usage, 71 the system refuses, 74 writing failed, 75 an address is taken (--bind), 77 a permission is \
            missing (--bind), 78 the configuration or a plugin is wrong",
    },
    Told {
        command: "plan",
        examples: "\
  polyport plan -c polyport.toml
  polyport plan -c polyport.toml --control off
  polyport plan -c polyport.toml --json | jq .daemon.changed",
        exits: "0 nothing is in the way, 64 usage, 69 the daemon that --control names does not answer, 71 there are too few file descriptors, \
            74 writing failed, 75 an address is held by another process, 76 the daemon is of another version or refuses, 77 a permission is \
            missing, 78 the configuration or a plugin is wrong",
    },
    Told {
        command: "status",
        examples: "\
  polyport status
  polyport status echo --limit 10
  polyport status --json | jq .total.received",
        exits: asks!(", 65 there is no such listener"),
    },
    Told {
        command: "reload",
        examples: "\
  polyport reload
  polyport check -c polyport.toml && polyport reload",
        exits: asks!(", 78 the configuration or a plugin is wrong, and all stays as it was"),
    },
    Told {
        command: "set",
        examples: "\
  polyport set slow loss=5% delay=20ms
  polyport set echo reply.rate=100/s",
        exits: asks!(", 65 there is no such listener, 78 an option or its value is wrong"),
    },
    Told {
        command: "add",
        examples: "\
  polyport add 127.0.0.1:7001=echo,name=second
  polyport add '127.0.0.1:7100-7199=lossy,loss=1%'",
        exits: asks!(", 78 it cannot be served"),
    },
    Told {
        command: "remove",
        examples: "\
  polyport drain second && polyport remove second",
        exits: asks!(", 65 there is no such listener, 78 what is left cannot be served"),
    },
    Told {
        command: "pause",
        examples: "\
  polyport pause echo",
        exits: asks!(", 65 there is no such listener"),
    },
    Told {
        command: "resume",
        examples: "\
  polyport resume echo",
        exits: asks!(", 65 there is no such listener"),
    },
    Told {
        command: "drain",
        examples: "\
  polyport drain echo --within 30s",
        exits: "0 drained, 64 usage, 65 there is no such listener, 69 it was not drained in time, or no daemon answers, 74 writing failed, 75 \
            the daemon is busy, 76 it is of another version or refuses, 77 it is somebody else's",
    },
    Told {
        command: "log-level",
        examples: "\
  polyport log-level
  polyport log-level debug",
        exits: asks!(""),
    },
    Told {
        command: "stop",
        examples: "\
  polyport stop
  polyport stop --control /run/polyport/control.sock",
        exits: asks!(""),
    },
    Told {
        command: "top",
        examples: "\
  polyport top
  polyport top --sort drops --filter dns
  polyport top --json -n 10 | jq .total.rates.received",
        exits: asks!(" or no terminal"),
    },
    Told {
        command: "peers",
        examples: "\
  polyport peers echo
  polyport peers echo --for 10s --limit 3 --json",
        exits: asks!(", 65 there is no such listener"),
    },
    Told {
        command: "tap",
        examples: "\
  polyport tap echo
  polyport tap --all --drops --duration 10s
  polyport tap --all -w - | wireshark -k -i -
  polyport tap echo --json | jq 'select(.verdict == \"dropped\")'",
        exits: "0 ended by Ctrl-C, --count, --duration, the end of the daemon, or a reader that has gone, 64 usage, 65 there is no such \
            listener, 69 no daemon answers, or it is gone without a word, 71 the system refuses, 73 the file cannot be made, 74 writing \
            failed, 75 there are too many taps, or the daemon is busy, 76 it is of another version or refuses, 77 it is somebody else's",
    },
    Told {
        command: "replay",
        examples: "\
  polyport tap echo --count 1000 -w echo.pcapng
  polyport replay echo.pcapng --to 127.0.0.1:7000
  polyport replay others.pcap --port 53 --to 192.0.2.1:53 --speed max",
        exits: "0 it was sent, 64 usage, or the file does not say where to, 65 it is no recording, breaks off, or has nothing that can be sent, \
            71 nothing could be sent, or waiting failed, 74 writing failed, 130 interrupted, after the report",
    },
    Told {
        command: "config",
        examples: "\
  polyport config template > polyport.toml
  polyport config explain limits.spin",
        exits: PRINTS,
    },
    Told {
        command: "config template",
        examples: "\
  polyport config template > polyport.toml",
        exits: PRINTS,
    },
    Told {
        command: "config explain",
        examples: "\
  polyport config explain
  polyport config explain recv_buffer
  polyport config explain relay.up.loss",
        exits: "0 printed, 64 usage, or there is no such key, 74 writing failed",
    },
    Told {
        command: "config schema",
        examples: "\
  polyport config schema > polyport.schema.json",
        exits: PRINTS,
    },
    Told {
        command: "completions",
        examples: "\
  polyport completions bash > /usr/share/bash-completion/completions/polyport
  polyport completions zsh > ~/.zfunc/_polyport
  polyport completions fish > ~/.config/fish/completions/polyport.fish",
        exits: PRINTS,
    },
    Told {
        command: "man",
        examples: "\
  polyport man | man -l -
  polyport man plugin try | man -l -
  polyport man polyport.toml | man -l -
  polyport man --dir pages",
        exits: "0 printed or written, 64 usage, or there is no such page, 73 a file cannot be made, 74 writing failed",
    },
    Told {
        command: "plugin",
        examples: "\
  polyport plugin list
  polyport plugin new hello
  polyport plugin test ./libhello.so",
        exits: "0 done, 64 usage, and those of each command",
    },
    Told {
        command: "plugin list",
        examples: "\
  polyport plugin list
  polyport plugin list --plugin-dir ./target/debug --json",
        exits: PRINTS,
    },
    Told {
        command: "plugin inspect",
        examples: "\
  polyport plugin inspect lossy
  polyport plugin inspect ./libhello.so --run --option greeting=hello",
        exits: "0 it can be loaded, 64 usage, 70 it breaks with --run, 71 the system refuses, 74 writing failed, 78 it cannot be loaded",
    },
    Told {
        command: "plugin try",
        examples: "\
  polyport plugin try echo --datagram hello
  polyport plugin try lossy --option loss=50% --option seed=7 --pcap echo.pcapng
  seq 10 | polyport plugin try ./libhello.so --stdin -v",
        exits: "0 every datagram is accounted for, 64 usage, 65 an input is wrong, 70 the books do not hold, or the plugin broke, 74 writing \
            failed, 78 it cannot be loaded",
    },
    Told {
        command: "plugin test",
        examples: "\
  polyport plugin test ./libhello.so
  polyport plugin test ./libhello.so --case random --seed 7 --seconds 60
  polyport plugin test --list",
        exits: "0 all rules are kept, 64 usage, 70 one is broken, 71 the system refuses, 74 writing failed, 78 it cannot be loaded",
    },
    Told {
        command: "plugin reload",
        examples: "\
  polyport plugin reload hello",
        exits: asks!(", 65 there is no such plugin, 78 it cannot be loaded, and all stays as it was"),
    },
    Told {
        command: "plugin new",
        examples: "\
  polyport plugin new hello
  polyport plugin new hello --lang c --path ./plugins/hello",
        exits: "0 it is begun, 64 usage, or the name is wrong, 73 it cannot be made, 74 writing failed, 77 root begins none, 78 there is no SDK",
    },
];

/// Columns that help has at most.
pub(super) const WIDEST: usize = 100;

/// The command line, with all that is told of each command and with options under headings.
pub(super) fn described(command: Command) -> Command {
    told(command.arg(version_flag()), "")
}

fn told(command: Command, path: &str) -> Command {
    let mut command = command.max_term_width(WIDEST).mut_args(|arg| match heading(&arg) {
        Some(heading) => arg.help_heading(heading),
        None => arg,
    });
    if let Some(told) = TOLD.iter().find(|told| told.command == path) {
        let text = command.get_after_help().map(ToString::to_string);
        let text = text.unwrap_or_else(|| format!("Examples:\n  {}", told.examples));
        let exits = folded(&format!("Exit codes: {}", told.exits));
        command = command.after_long_help(format!("{text}\n\n{exits}")).after_help(text);
    }
    command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        told(below, path.trim_start())
    })
}

/// Under which heading an option stands; none for what every command has, and for arguments without a name.
fn heading(arg: &Arg) -> Option<&'static str> {
    if arg.is_positional() {
        return None;
    }
    Some(match arg.get_id().as_str() {
        "help" | "version" => return None,
        "config" | "listen" | "plugin_dir" | "sandbox" | "bind" => "Configuration",
        "control" | "metrics" => "Control",
        "grace" | "take_over" => "Start and end",
        "verbose" | "quiet" | "log_format" => "Log",
        "json" | "once" | "write" | "dir" => "Output",
        "peer" | "port" | "direction" | "drops" | "all" | "offset" | "limit" | "sort" | "reverse"
        | "filter" => "Selection",
        "count" | "duration" | "interval" | "within" | "long" | "lasting" | "wait" | "speed" | "timeout"
        | "every" | "seconds" => "Timing",
        "datagram" | "hex" | "pcap" | "stdin" => "Input",
        _ => "Manner",
    })
}

/// The words in lines that find room.
fn folded(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if let Some(line) =
            lines.last_mut().filter(|line| line.is_empty() || line.len() + word.len() < WIDEST)
        {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory, Parser, Subcommand};

    use super::*;
    use crate::cli::Cli;

    /// Every command that is shown, with the words behind `polyport`.
    fn all(command: &Command, path: &str, into: &mut Vec<(String, Command)>) {
        into.push((path.to_owned(), command.clone()));
        for below in
            command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
        {
            all(below, format!("{path} {}", below.get_name()).trim_start(), into);
        }
    }

    fn commands() -> Vec<(String, Command)> {
        let mut command = described(Cli::command());
        command.build();
        let mut commands = Vec::new();
        all(&command, "", &mut commands);
        commands
    }

    #[test]
    fn every_command_is_told_of_and_no_other() {
        let commands: BTreeSet<String> = commands().into_iter().map(|(path, _)| path).collect();
        let told: BTreeSet<String> = TOLD.iter().map(|told| told.command.to_owned()).collect();
        assert_eq!(commands, told, "each command needs its examples and exit codes in TOLD");
    }

    #[test]
    fn help_has_headings_examples_and_exit_codes_and_fits_a_screen() {
        for (path, mut command) in commands() {
            let short = command.render_help().to_string();
            let long = command.render_long_help().to_string();
            assert!(short.contains("\nExamples:\n  polyport"), "{path}: {short}");
            assert!(
                long.contains("\nExamples:\n  ") && long.contains("\n\nExit codes: 0 "),
                "{path}: {long}"
            );
            assert!(!short.contains("Exit codes"), "{path}: {short}");
            // The line of usage is never broken.
            for line in long.lines().filter(|line| !line.starts_with("Usage: ")) {
                assert!(line.chars().count() <= WIDEST, "{path}: {line}");
            }
            for arg in command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set()) {
                let plain = ["help", "version"].contains(&arg.get_id().as_str());
                assert_eq!(arg.get_help_heading().is_none(), plain, "{path}: {arg}");
                assert!(arg.get_help().is_some() || arg.get_long_help().is_some(), "{path}: {arg}");
            }
            assert!(command.get_about().is_some(), "{path}");
        }
    }

    /// What is shown is understood: no example has a flag or a command that is not there.
    #[test]
    fn every_example_is_a_command_line_that_is_understood() {
        let mut seen = 0;
        for (path, command) in commands() {
            let help = command.get_after_help().unwrap().to_string();
            let examples = help.split("\n\n").next().unwrap();
            for line in examples.lines().skip(1).map(str::trim) {
                // Behind three spaces stands what it is for.
                let line = line.split("   ").next().unwrap();
                for part in
                    line.split(['|', '&', '>']).map(str::trim).filter(|part| part.starts_with("polyport"))
                {
                    let words = part.split_whitespace().map(|word| word.trim_matches('\''));
                    let parsed = Cli::try_parse_from(words);
                    assert!(parsed.is_ok(), "{path}: {part}: {}", parsed.unwrap_err());
                    seen += 1;
                }
            }
        }
        assert!(seen > 60, "{seen}");
    }

    #[test]
    fn what_is_not_told_of_is_found() {
        #[derive(Debug, Parser)]
        struct Small {
            #[command(subcommand)]
            _command: Below,
        }
        #[derive(Debug, Subcommand)]
        enum Below {
            /// A command that no table knows
            Unheard,
        }
        let mut command = described(Small::command());
        let below = command.find_subcommand_mut("unheard").unwrap();
        assert!(below.get_after_help().is_none());
    }
}
