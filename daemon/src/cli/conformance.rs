//! `polyport plugin test`: whether a library keeps the rules of the ABI.

use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use polyport_terminal::{Exit, complain, say};

use super::plugin_args::{Search, key_value, printed};
use crate::workbench::{self, Bench, CASES, Case, Report, Terms, Trouble};

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Name of a plugin as in a configuration, or the path of a library
    #[arg(value_name = "NAME|FILE", required_unless_present = "list")]
    plugin: Option<String>,
    #[command(flatten)]
    pub(super) search: Search,
    /// An option of the plugin, which it has in every case; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    option: Vec<(String, String)>,
    /// Run this case alone; repeatable
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Seed of all chance: equal seeds give equal calls
    #[arg(long, default_value_t = 0, env = "POLYPORT_PLUGIN_TEST_SEED", hide_env_values = true)]
    seed: u64,
    /// How long the case `random` lasts, seconds
    #[arg(
        long,
        value_name = "S",
        default_value_t = 5,
        env = "POLYPORT_PLUGIN_TEST_SECONDS",
        hide_env_values = true
    )]
    seconds: u64,
    /// How long a call may take
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = polyport_value::duration,
        env = "POLYPORT_PLUGIN_TEST_TIMEOUT",
        hide_env_values = true
    )]
    timeout: Duration,
    /// Print the cases and the rules they are about, and run none
    #[arg(long)]
    list: bool,
    /// Print an object
    #[arg(
        long,
        env = "POLYPORT_PLUGIN_TEST_JSON",
        hide_env_values = true,
        value_parser = BoolishValueParser::new()
    )]
    json: bool,
    /// Be the process of one case
    #[arg(long, hide = true, requires = "case")]
    within: bool,
}

/// Does it.
pub(super) fn test(args: &Test, bench: &Bench) -> Exit {
    let cases = match chosen(&args.case) {
        Ok(cases) => cases,
        Err(unknown) => {
            complain(format_args!("there is no case `{unknown}`: `polyport plugin test --list` shows all"));
            return Exit::Usage;
        }
    };
    if args.list {
        return printed(listed(&cases), Exit::Ok);
    }
    let Some(plugin) = &args.plugin else { return Exit::Usage };
    let terms = Terms {
        options: args.option.clone(),
        seed: args.seed,
        lasting: Duration::from_secs(args.seconds),
        call: args.timeout,
    };
    if let (true, [case]) = (args.within, &cases[..]) {
        return workbench::within_case(bench, plugin, case.name, &terms);
    }
    let secrets = match workbench::inspect(bench, plugin) {
        Ok(inspected) if !inspected.is_loadable() => return printed(inspected.text(), Exit::Config),
        Ok(inspected) => inspected.secrets(),
        Err(refusal) => {
            complain(refusal);
            return Exit::Config;
        }
    };
    let mut report = Report { plugin: plugin.clone(), terms, secrets, ran: Vec::new() };
    for case in cases {
        match workbench::run_case(bench, plugin, case, &report.terms) {
            Ok(ran) => {
                if !args.json {
                    say(report.line(&ran));
                }
                report.ran.push(ran);
            }
            Err(Trouble::Plugin(why)) => {
                complain(why);
                return Exit::Config;
            }
            Err(Trouble::Os(error)) => {
                complain(format_args!("no case can be run: {error}"));
                return Exit::Os;
            }
        }
    }
    let exit = if report.is_kept() { Exit::Ok } else { Exit::Software };
    printed(if args.json { report.json() } else { report.summary() }, exit)
}

/// The cases of these names, or all.
fn chosen(names: &[String]) -> Result<Vec<&'static Case>, &String> {
    if names.is_empty() {
        return Ok(CASES.iter().collect());
    }
    names.iter().map(|name| CASES.iter().find(|case| case.name == name).ok_or(name)).collect()
}

fn listed(cases: &[&Case]) -> String {
    let line = |case: &&Case| format!("{:12} {:10} {}", case.name, case.rules.join(" "), case.about);
    let lines: Vec<String> = cases.iter().map(line).collect();
    format!("{}\nevery call is judged by {}", lines.join("\n"), workbench::EVERYWHERE.join(" "))
}
