//! The options of loads that nobody answers.

use std::path::PathBuf;

use clap::Args;

use crate::heading;
use crate::load::config::Expect;
use crate::load::gso::Gso;
use crate::outcome::ExitError;

/// Options that go with `--expect nothing`.
#[derive(Args, Clone, Debug, Default)]
pub struct BooksArgs {
    /// With --expect nothing: the control socket of the daemon that serves the targets. It is asked before and after what came; what did not
    /// is lost, by where: in the network, in the kernel, in the daemon. There is no warm-up, and no trains leave
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["find_max", "find_knee", "pcap", "warmup"], help_heading = heading::TARGET)]
    pub books: Option<PathBuf>,
}

impl BooksArgs {
    /// The socket, if nothing is to be answered.
    ///
    /// # Errors
    /// One of the two options is there without the other.
    pub fn socket(&self, expect: Expect) -> Result<Option<PathBuf>, ExitError> {
        match (&self.books, expect) {
            (None, Expect::Nothing) => {
                Err(ExitError::usage("--expect nothing needs --books SOCKET: nobody else knows what arrived"))
            }
            (Some(_), Expect::Reply | Expect::Echo | Expect::Any | Expect::Stamp) => {
                Err(ExitError::usage("--books is for --expect nothing: answers tell what arrived"))
            }
            (books, _) => Ok(books.clone()),
        }
    }

    /// Whether trains leave: a kernel whose socket is full drops a train that it has not cut yet, and counts one datagram.
    ///
    /// # Errors
    /// They are asked for, and a daemon is to say where datagrams were lost.
    pub fn trains(&self, wanted: Gso) -> Result<Gso, ExitError> {
        match (&self.books, wanted) {
            (None, _) => Ok(wanted),
            (Some(_), Gso::Auto | Gso::Off) => Ok(Gso::Off),
            (Some(_), Gso::On) => Err(ExitError::usage(
                "--gso on does not go with --books: a kernel that drops a train counts it as one datagram, and the others would \
                 count as lost in the network: leave --gso out",
            )),
        }
    }
}
