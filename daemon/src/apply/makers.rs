//! Who makes the sockets that a reload adds, once rights are given up.

#[cfg(target_os = "linux")]
use polyport_terminal::Exit;

use super::prepare::Prepared;
use crate::broker::Maker;
#[cfg(target_os = "linux")]
use crate::config::Bind;
use crate::plugin::is_elevated;

/// For a plan that is about to be served: this process, or a broker if this one gives the right up. That it cannot be
/// had is no reason not to serve.
pub(super) fn start(prepared: &Prepared) -> Maker {
    if prepared.policy.is_off() {
        return Maker::Here;
    }
    if !prepared.plan.sandbox.broker {
        let why =
            "the sandbox of this daemon has `broker = \"off\"`, so it gets other addresses by a restart only";
        return Maker::Nobody(why.to_owned());
    }
    // The program would have its rights again, for whoever starts it.
    if is_elevated() {
        let why = "polyport has more rights than its caller, so it gets other addresses by a restart only";
        return Maker::Nobody(why.to_owned());
    }
    broker(prepared)
}

#[cfg(target_os = "linux")]
fn broker(prepared: &Prepared) -> Maker {
    let binds = prepared.plan.listen.iter().flat_map(|listen| &listen.bind);
    let low =
        |bind: &Bind| (bind.first..=bind.last).take_while(|port| *port < FIRST_HIGH).filter(|port| *port > 0);
    let mut low: Vec<u16> = binds.flat_map(low).collect();
    low.sort_unstable();
    low.dedup();
    match crate::broker::Broker::start(&low) {
        Ok(broker) => {
            log::debug!("process {} makes sockets for reloads", broker.pid());
            Maker::Broker(broker)
        }
        Err(error) => {
            let why = format!("the process cannot be started that makes sockets for reloads: {error}");
            log::warn!("{why}; other addresses take a restart");
            Maker::Nobody(why)
        }
    }
}

/// Below it, ports may need a right.
#[cfg(target_os = "linux")]
const FIRST_HIGH: u16 = 1024;

/// Only Linux has the layers that take the right away.
#[cfg(not(target_os = "linux"))]
fn broker(_: &Prepared) -> Maker {
    Maker::Here
}

#[cfg(target_os = "linux")]
pub(crate) use crate::broker::SUBCOMMAND as SOCKET_BROKER;

/// Runs the broker: standard input is its channel.
#[cfg(target_os = "linux")]
pub(crate) fn serve_sockets(low_ports: &[u16]) -> Exit {
    if is_elevated() || polyport_terminal::survive_signals().is_err() {
        return Exit::Permission;
    }
    crate::broker::serve(std::io::stdin(), low_ports)
}
