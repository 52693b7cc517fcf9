//! Options of what datagrams carry.

use clap::Args;

use crate::heading;
use crate::load::config::Expect;
use crate::load::mix::Mix;
use crate::load::template::Template;
use crate::outcome::ExitError;
use crate::payload::PayloadArgs;

/// Octets of payload, if nobody says how many: a short request.
const DEFAULT_PAYLOAD: u16 = 32;

/// What is sent, and how long it is.
#[derive(Args, Clone, Debug)]
pub struct ContentArgs {
    /// Octets of payload in each datagram
    #[arg(long, default_value_t = DEFAULT_PAYLOAD, value_name = "OCTETS", help_heading = heading::CONTENT)]
    pub payload: u16,
    /// Octets of each whole datagram, reached by padding
    #[arg(long, value_name = "OCTETS", help_heading = heading::CONTENT)]
    pub size: Option<u16>,
    /// Octets of whole datagrams, each size with its share: 64:7,576:4,1500:1; or imix, which is packets of 64, 576 and 1500 octets as
    /// 7:4:1, the smallest as small as a frame can be
    #[arg(long, value_parser = Mix::parse, value_name = "SIZE:SHARE,...", conflicts_with_all = ["size", "text", "template"], help_heading = heading::CONTENT)]
    pub sizes: Option<Mix>,
    /// With --expect any: what to send, instead of letters
    #[arg(long, conflicts_with_all = ["payload", "size", "raw_echo"], help_heading = heading::CONTENT)]
    pub text: Option<String>,
    /// With --expect any: a text that is another one in each datagram, with the fields {seq}, {time} (when it left, in ns since a moment that is another one in each run: no wall time) and {random:8} (hexadecimal digits)
    #[arg(long, value_parser = Template::parse, conflicts_with_all = ["payload", "size", "raw_echo", "text"], help_heading = heading::CONTENT)]
    pub template: Option<Template>,
    /// With --expect any
    #[command(flatten)]
    pub file: PayloadArgs,
}

impl ContentArgs {
    /// The text of a datagram, if one was given.
    ///
    /// # Errors
    /// Targets want frames, there are two payloads, one has a length besides its own, or a file cannot be read.
    pub(super) fn load(&self, expect: Expect) -> Result<Option<Vec<u8>>, ExitError> {
        let file = self.file.payload_file.is_some();
        let given = [
            (self.text.is_some(), "--text"),
            (file, "--payload-file"),
            (self.template.is_some(), "--template"),
        ];
        let mut names = given.into_iter().filter(|(given, _)| *given).map(|(_, name)| name);
        let (one, other) = (names.next(), names.next());
        if let Some(name) = one.filter(|_| !matches!(expect, Expect::Any | Expect::Nothing)) {
            return Err(ExitError::usage(format!(
                "{name} is for --expect any: frames have a payload of their own"
            )));
        }
        if let (Some(one), Some(other)) = (one, other) {
            return Err(ExitError::usage(format!(
                "{one} and {other} are two payloads: leave one of them out"
            )));
        }
        if file && (self.size.is_some() || self.sizes.is_some() || self.payload != DEFAULT_PAYLOAD) {
            return Err(ExitError::usage(
                "--payload-file is as long as it is: without --payload, --size and --sizes",
            ));
        }
        Ok(self.file.load()?.or_else(|| self.text.clone().map(String::into_bytes)))
    }
}
