//! Which configuration is meant, and where its plugins come from: of every command that reads one.

use std::path::PathBuf;

use clap::{ArgMatches, Args};

use super::environment::{self, Counts, Said};
use crate::apply::{Asked, BuiltIn, Sources};
use crate::config::By;

#[derive(Clone, Debug, Args)]
pub(super) struct PlanArgs {
    /// Configuration file; without it and --listen, the first that is found (`polyport --help` says where), or the
    /// built-in default
    #[arg(short, long, value_name = "FILE", env = "POLYPORT_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Listen without a file; repeatable. BIND is 127.0.0.1:7000, 0.0.0.0:7000-7099, 127.0.0.1:domain, :7000
    /// (every interface), localhost:7000 or eth0:7000 (all addresses of an interface). KEY is name, join, share, broadcast,
    /// freebind, `recv_buffer`, `send_buffer`, chain (others of this daemon may relay to this relay), `on_fault`, listen.wait,
    /// listen.device, listen.tos, listen.ttl, listen.sessions or reply.KEY; any other is an option of the plugin, such as up.loss,
    /// and options.KEY always is
    #[arg(long, value_name = "BIND=PLUGIN[,KEY=VALUE]...", env = "POLYPORT_LISTEN", hide_env_values = true)]
    pub(super) listen: Vec<String>,
    /// Where to look for plugins first; repeatable
    #[arg(long, value_name = "DIR", env = "POLYPORT_PLUGIN_DIR", hide_env_values = true)]
    plugin_dir: Vec<PathBuf>,
    /// What is given up before serving: `off`, or for example `user=nobody,landlock=off`; repeatable
    #[arg(
        long,
        value_name = "off|KEY=VALUE[,KEY=VALUE]...",
        env = "POLYPORT_SANDBOX",
        hide_env_values = true
    )]
    sandbox: Vec<String>,
    /// The file is named by a variable.
    #[arg(skip)]
    is_by_variable: bool,
}

impl PlanArgs {
    /// Takes apart what variables say, and decides what counts.
    pub(super) fn resolve(
        &mut self,
        command: &mut clap::Command,
        matches: &ArgMatches,
    ) -> Result<(), clap::Error> {
        match environment::either(command, matches, ("listen", "--listen"), ("config", "--config <FILE>"))? {
            Counts::Both => {}
            Counts::First => self.config = None,
            Counts::Second => self.listen.clear(),
        }
        let is_variable = |id| Said::of(matches, id) == Said::Variable;
        self.is_by_variable = is_variable("config");
        for (id, values) in [("listen", &mut self.listen), ("sandbox", &mut self.sandbox)] {
            if is_variable(id) {
                *values = values.iter().flat_map(|text| environment::listed(text)).collect();
            }
        }
        if is_variable("plugin_dir") {
            let dirs = self.plugin_dir.iter().flat_map(std::env::split_paths);
            self.plugin_dir = dirs.filter(|dir| !dir.as_os_str().is_empty()).collect();
        }
        Ok(())
    }

    /// Where plugins come from, besides what the plan says.
    pub(super) fn sources(&self, built_in: BuiltIn) -> Sources {
        Sources { dirs: self.plugin_dir.clone(), built_in }
    }

    /// Which configuration was asked for.
    pub(super) fn asked(&self) -> Asked {
        let by = if self.is_by_variable { By::Variable } else { By::Flag };
        Asked {
            listen: self.listen.clone(),
            file: self.config.clone().map(|path| (path, by)),
            sandbox: self.sandbox.clone(),
        }
    }
}
