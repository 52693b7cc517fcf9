//! `polyport peers`: who sends most to a listener.

use std::fmt::Write;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use polyport_terminal::{Escaped, Exit, counted};
use serde_json::{Value, json};

use super::ctl::{Failure, To, connect, finish, printed};
use crate::control::wire::{self, Peers, PeersParams};

/// Arguments of `peers`.
#[derive(Debug, Args)]
pub(super) struct PeersArgs {
    /// Name of the listener
    listener: String,
    /// Most peers that are shown, up to 64
    #[arg(
        long,
        value_name = "N",
        default_value_t = wire::PEERS,
        env = "POLYPORT_PEERS_LIMIT",
        hide_env_values = true
    )]
    limit: usize,
    /// How long the daemon looks before the answer
    #[arg(
        long = "for",
        value_name = "DURATION",
        default_value = "2s",
        value_parser = polyport_value::duration,
        env = "POLYPORT_PEERS_FOR",
        hide_env_values = true
    )]
    long: Duration,
    #[command(flatten)]
    to: To,
}

/// The daemon is asked at least so often while it looks: it stops when nobody has asked for ten seconds.
const AGAIN: Duration = Duration::from_secs(5);

/// Says who sends most.
pub(super) fn run(args: &PeersArgs) -> Exit {
    let told = ask(args).map(|(peers, whole)| printed(&args.to, &whole, || told(&peers)));
    finish(&args.to, told)
}

/// Has the daemon look for a while, and says what it saw.
fn ask(args: &PeersArgs) -> Result<(Peers, Value), Failure> {
    let mut client = connect(&args.to)?;
    let params = PeersParams { listener: args.listener.clone(), limit: Some(args.limit) };
    let params = json!(params);
    client.call::<Peers>("peers", &params)?;
    let mut left = args.long;
    // Nobody sends by it: it is a wait that ends by time alone.
    let (_held, never) = mpsc::channel::<()>();
    loop {
        let step = left.min(AGAIN);
        never.recv_timeout(step).unwrap_or(());
        left = left.saturating_sub(step);
        let answer = client.call::<Peers>("peers", &params)?;
        if left.is_zero() {
            return Ok(answer);
        }
    }
}

/// What was seen, for people.
#[expect(clippy::cast_precision_loss, reason = "a decimal is shown")]
fn told(peers: &Peers) -> String {
    let seconds = Duration::from_millis(peers.window_ms).as_secs_f64();
    let mut out = format!(
        "listener {}: {} in {seconds:.1} s\n",
        Escaped(peers.listener.as_bytes()),
        counted(peers.datagrams, "datagram", "datagrams"),
    );
    if peers.peers.is_empty() {
        return out;
    }
    writeln!(out, "\n  {:<46}{:>7}{:>12}{:>12}{:>12}", "PEER", "SHARE", "DATAGRAMS", "BYTES", "UP TO MORE")
        .unwrap_or(());
    for peer in &peers.peers {
        let address = Escaped(peer.address.as_bytes()).to_string();
        let address = if address.contains(':') { format!("[{address}]") } else { address };
        let port = peer.port.map_or_else(|| "*".to_owned(), |port| port.to_string());
        let share = 100.0 * peer.datagrams as f64 / peers.datagrams.max(1) as f64;
        writeln!(
            out,
            "  {:<46}{share:>6.1}%{:>12}{:>12}{:>12}",
            format!("{address}:{port}"),
            peer.datagrams,
            peer.bytes,
            peer.more
        )
        .unwrap_or(());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::Peer;

    #[test]
    fn peers_are_told_with_their_shares() {
        let peer = |address: &str, port, datagrams| Peer {
            address: address.to_owned(),
            port,
            datagrams,
            bytes: 7,
            more: 1,
        };
        let peers = vec![peer("2001:db8::1", None, 3), peer("192.0.2.1", Some(53), 1)];
        let mut all = Peers { listener: "a\n".to_owned(), window_ms: 2500, datagrams: 4, bytes: 28, peers };
        let expected = "\
listener a\\n: 4 datagrams in 2.5 s

  PEER                                            SHARE   DATAGRAMS       BYTES  UP TO MORE
  [2001:db8::1]:*                                 75.0%           3           7           1
  192.0.2.1:53                                    25.0%           1           7           1
";
        assert_eq!(told(&all), expected);
        all.peers.clear();
        (all.datagrams, all.window_ms) = (0, 0);
        assert_eq!(told(&all), "listener a\\n: 0 datagrams in 0.0 s\n");
    }
}
