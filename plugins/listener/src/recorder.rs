//! Datagrams into a pcapng file, until it cannot be written.

use std::io;
use std::path::Path;

use pcap_file::PcapError;

use crate::capture::{Capture, PACKET_OVERHEAD};
use crate::files::Files;
use crate::packet::{Heard, build};

/// Writes what is heard. After the first error it is over: a disk that is full stays so for a while, and half a block in
/// the middle would spoil the file.
#[derive(Debug)]
pub(crate) struct Recorder {
    state: Option<State>,
    packet: Vec<u8>,
}

#[derive(Debug)]
struct State {
    files: Files,
    capture: Capture,
}

/// What became of a datagram.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in the file, or will be when that is flushed.
    Recorded,
    /// This one could not be written, and no later one will be.
    Failed(io::Error),
    /// Recording has ended before.
    Over,
}

impl Recorder {
    /// Begins a file at `path`; see [`Files::open`].
    pub(crate) fn open(path: &Path, limit: u64, keep: u32, successor: bool) -> io::Result<Self> {
        let capture = Capture::new().map_err(system)?;
        let files = Files::open(path, limit, keep, successor)?;
        Ok(Self { state: Some(State { files, capture }), packet: Vec::new() })
    }

    /// Records a datagram that came in at `unix_ns` by that interface; index 0 is not known.
    pub(crate) fn record(&mut self, heard: &Heard<'_>, unix_ns: u64, index: u32, name: &str) -> Outcome {
        let Some(state) = self.state.as_mut() else { return Outcome::Over };
        let result = if build(heard, &mut self.packet) {
            state.write(index, name, unix_ns, &self.packet)
        } else {
            Err(io::Error::other("a datagram does not fit into an IP packet"))
        };
        match result {
            Ok(()) => Outcome::Recorded,
            Err(error) => {
                self.end();
                Outcome::Failed(error)
            }
        }
    }

    /// Hands all that was recorded to the system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(state) = self.state.as_mut() else { return Ok(()) };
        let result = state.files.flush();
        if result.is_err() {
            self.end();
        }
        result
    }

    fn end(&mut self) {
        if let Some(state) = self.state.take() {
            state.files.abandon();
        }
    }
}

impl State {
    fn write(&mut self, index: u32, name: &str, unix_ns: u64, packet: &[u8]) -> io::Result<()> {
        if self.files.is_full_with(packet.len() as u64 + PACKET_OVERHEAD) {
            self.files.rotate()?;
            self.capture = Capture::new().map_err(system)?;
        }
        self.capture.packet(index, name, unix_ns, packet).map_err(system)?;
        let written = self.files.write(self.capture.bytes());
        self.capture.clear();
        written
    }
}

fn system(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other @ (PcapError::IncompleteBuffer
        | PcapError::InvalidField(_)
        | PcapError::Utf8Error(_)
        | PcapError::FromUtf8Error(_)
        | PcapError::InvalidInterfaceId(_)) => io::Error::other(other),
    }
}
