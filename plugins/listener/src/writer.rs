//! Datagrams into a pcapng file: what the thread of a recorder does.

use std::io;
use std::path::Path;

use pcap_file::PcapError;
use polyport_recording::{Batch as _, Bounds, Files, Recorder, Sink, Tally};

use crate::capture::{Capture, PACKET_OVERHEAD};
use crate::interfaces::Interfaces;
use crate::packet::{Heard, build};
use crate::queued::Batch;

/// Bytes collected before a write: a few of the largest datagrams, or hundreds of small ones.
const BUFFER: u64 = 256 << 10;

/// Bytes of a batch, its payloads and what is noted of them. Three batches exist, so 6 MiB may wait in all.
const BATCH_BYTES: usize = 2 << 20;
/// A batch of so many bytes is handed over at once. A smaller one waits for the next tick.
const HAND_OVER_BYTES: usize = 64 << 10;

/// Writes batches to a file. After an error the rest of the batch is left out, and the next one is an attempt: a disk that was
/// full may have room again, and a pipe a new reader. Then a section begins, so that every reader understands what follows.
#[derive(Debug)]
pub(crate) struct Writer {
    files: Files,
    capture: Capture,
    interfaces: Interfaces,
    packet: Vec<u8>,
    /// Where each packet in `capture` ends.
    ends: Vec<usize>,
    /// The last write has failed.
    failed: bool,
}

/// Begins a recording at `path`, see [`Writer::open`], and the thread that writes it.
pub(crate) fn record(path: &Path, limit: u64, keep: u32, successor: bool) -> io::Result<Recorder<Batch>> {
    let (writer, begun) = Writer::open(path, limit, keep, successor)?;
    Recorder::start(writer, begun, Bounds { batch: BATCH_BYTES, hand_over: HAND_OVER_BYTES })
}

impl Sink for Writer {
    type Batch = Batch;

    fn write(&mut self, batch: &Batch, goes_on: &dyn Fn() -> bool) -> Tally {
        self.write_all(batch, goes_on)
    }
}

impl Writer {
    /// Begins a file at `path`, see [`Files::open`], with its first section: a recording without a packet is one too. That
    /// this cannot be written yet, on a full disk for example, is no reason to do without, and is told by the tally.
    pub(crate) fn open(path: &Path, limit: u64, keep: u32, successor: bool) -> io::Result<(Self, Tally)> {
        let capture = Capture::new().map_err(system)?;
        let files = Files::open(path, limit, keep, successor, capture.bytes())?;
        let (interfaces, packet, ends) = (Interfaces::default(), Vec::new(), Vec::new());
        let mut writer = Self { files, capture, interfaces, packet, ends, failed: false };
        let mut tally = Tally { works: true, ..Tally::default() };
        if let Err(error) = writer.flush(&mut tally, &|| false) {
            writer.failed = true;
            tally.note(0, 0, error);
        }
        Ok((writer, tally))
    }

    fn write_all(&mut self, batch: &Batch, goes_on: &dyn Fn() -> bool) -> Tally {
        let mut tally = Tally { works: true, ..Tally::default() };
        let total = batch.len();
        if std::mem::take(&mut self.failed)
            && let Err(error) = self.begin_section()
        {
            self.failed = true;
            tally.note(0, total, error);
            return tally;
        }
        match self.follow() {
            Ok(begun_again) => tally.begun_again = begun_again,
            Err(error) => {
                self.failed = true;
                tally.note(0, total, error);
                return tally;
            }
        }
        for heard in batch.iter() {
            let result = self.add(&heard, &mut tally, goes_on);
            if let Err(error) = result {
                self.failed = true;
                tally.error = Some(error);
                tally.works = false;
                break;
            }
        }
        if !self.failed
            && let Err(error) = self.flush(&mut tally, goes_on)
        {
            self.failed = true;
            tally.error = Some(error);
            tally.works = false;
        }
        // What was not written is lost with its section.
        tally.failed = total - tally.recorded;
        tally
    }

    /// Adds a packet to what will be written, and writes if it is much. A datagram that fits no packet is no reason to stop.
    fn add(&mut self, heard: &Heard<'_>, tally: &mut Tally, goes_on: &dyn Fn() -> bool) -> io::Result<()> {
        if !build(heard, &mut self.packet) {
            tally.error = Some(io::Error::other("a datagram does not fit into an IP packet"));
            return Ok(());
        }
        let waiting = self.capture.bytes().len() as u64;
        let more = self.packet.len() as u64 + PACKET_OVERHEAD;
        let much = waiting + more > BUFFER || self.files.is_full_with(waiting + more);
        if much && !self.ends.is_empty() {
            self.flush(tally, goes_on)?;
        }
        if self.files.is_begun() && self.files.is_full_with(more) {
            self.files.rotate()?;
            self.begin_section()?;
            self.flush(tally, goes_on)?;
        }
        let name = self.interfaces.name(heard.about.ifindex);
        self.capture.packet(&heard.about, name, &self.packet).map_err(system)?;
        self.ends.push(self.capture.bytes().len());
        Ok(())
    }

    /// Writes what was collected. What is counted is in the file, and nothing else is.
    fn flush(&mut self, tally: &mut Tally, goes_on: &dyn Fn() -> bool) -> io::Result<()> {
        let (written, result) = self.files.write(self.capture.bytes(), goes_on);
        let whole = self.ends.partition_point(|end| *end <= written);
        tally.recorded += whole as u64;
        let result = match result {
            Ok(()) => {
                self.files.keep_all(written as u64);
                Ok(())
            }
            Err(error) => {
                let end = whole.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
                // The error of the write says more.
                self.files.keep_only(end as u64).unwrap_or(());
                Err(error)
            }
        };
        self.capture.clear();
        self.ends.clear();
        result
    }

    /// Begins the file again, if somebody has moved it away, removed it or cut it.
    fn follow(&mut self) -> io::Result<bool> {
        let is_astray = self.files.is_astray()?;
        if is_astray {
            self.begin_section()?;
            self.files.begin_again(self.capture.bytes())?;
        }
        Ok(is_astray)
    }

    fn begin_section(&mut self) -> io::Result<()> {
        self.capture = Capture::new().map_err(system)?;
        self.ends.clear();
        Ok(())
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;

    use pcap_file::pcapng::{Block, PcapNgReader};
    use rustix::fs::OFlags;

    use super::*;
    use crate::packet::About;

    fn batch(payloads: &[&[u8]]) -> Batch {
        let mut batch = Batch::default();
        for payload in payloads {
            batch.push(&Heard { about: About { ifindex: Some(1), ..About::UNKNOWN }, payload });
        }
        batch
    }

    fn reader(path: &Path) -> File {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        File::options().read(true).custom_flags(flags).open(path).unwrap()
    }

    /// What a pipe holds.
    fn taken(mut from: &File) -> Vec<u8> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap_err();
        bytes
    }

    /// Kinds of the blocks: s(ection), i(nterface), p(acket).
    fn blocks(bytes: &[u8]) -> String {
        let mut reader = PcapNgReader::new(bytes).unwrap();
        let mut kinds = String::from("s");
        while let Some(block) = reader.next_block() {
            kinds.push(match block.unwrap() {
                Block::SectionHeader(_) => 's',
                Block::InterfaceDescription(_) => 'i',
                Block::EnhancedPacket(_) => 'p',
                other @ (Block::Packet(_)
                | Block::SimplePacket(_)
                | Block::NameResolution(_)
                | Block::InterfaceStatistics(_)
                | Block::SystemdJournalExport(_)
                | Block::Unknown(_)) => panic!("{other:?}"),
            });
        }
        kinds
    }

    /// The next reader of a pipe has not seen how the section began.
    #[test]
    fn what_follows_a_failure_can_be_read_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let first = reader(&path);
        let mut writer = Writer::open(&path, 1 << 20, 1, false).unwrap().0;
        let tally = writer.write(&batch(&[b"one", b"two"]), &|| true);
        assert_eq!((tally.recorded, tally.failed, tally.works), (2, 0, true));
        assert_eq!(blocks(&taken(&first)), "sipp");
        drop(first);
        for _ in 0..2 {
            let tally = writer.write(&batch(&[b"to nobody"]), &|| true);
            assert_eq!((tally.recorded, tally.failed, tally.works), (0, 1, false));
            assert_eq!(tally.error.unwrap().kind(), io::ErrorKind::BrokenPipe);
        }
        let second = reader(&path);
        let tally = writer.write(&batch(&[b"three"]), &|| true);
        assert_eq!((tally.recorded, tally.failed, tally.works), (1, 0, true));
        let tally = writer.write(&batch(&[b"four", b""]), &|| true);
        assert_eq!((tally.recorded, tally.failed, tally.error.is_none()), (2, 0, true));
        assert_eq!(blocks(&taken(&second)), "sippp");
    }

    /// Half a packet is in the pipe when its reader has had enough: it is not counted.
    #[test]
    fn only_whole_packets_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let _sleeps = reader(&path);
        let mut writer = Writer::open(&path, 1 << 20, 1, false).unwrap().0;
        let long = vec![7; 30_000];
        let tally = writer.write(&batch(&[&long, &long, &long]), &|| false);
        // The pipe holds 64 KiB.
        assert_eq!((tally.recorded, tally.failed, tally.works), (2, 1, false));
        assert_eq!(tally.error.unwrap().kind(), io::ErrorKind::WouldBlock);
    }

    /// At every moment, from the first on, what lies there is a recording: empty, full and just begun.
    #[test]
    fn a_recording_without_a_packet_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("a.pcapng"), dir.path().join("a.1.pcapng"));
        let (mut writer, begun) = Writer::open(&path, 1000, 1, false).unwrap();
        assert!(begun.works && begun.error.is_none());
        assert_eq!(blocks(&fs::read(&path).unwrap()), "s");
        let tally = writer.write(&batch(&[&[7; 400], &[7; 400], &[7; 400]]), &|| true);
        assert_eq!((tally.recorded, tally.failed), (3, 0));
        assert_eq!(
            (blocks(&fs::read(&path).unwrap()), blocks(&fs::read(&aside).unwrap())),
            ("sip".into(), "sip".into())
        );
        drop(writer);
        // There is no room for the beginning, and later there is.
        let (writer, begun) = Writer::open(Path::new("/dev/full"), 1000, 1, false).unwrap();
        assert!(writer.failed && !begun.works);
        assert_eq!(begun.error.unwrap().kind(), io::ErrorKind::StorageFull);
    }

    /// A datagram that is too long is no reason to stop.
    #[test]
    fn what_fits_no_packet_is_counted_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut writer = Writer::open(&path, 1 << 20, 1, false).unwrap().0;
        let tally = writer.write(&batch(&[b"one", &vec![0; 65_600], b"two"]), &|| true);
        assert_eq!((tally.recorded, tally.failed, tally.works), (2, 1, true));
        assert_eq!(blocks(&fs::read(&path).unwrap()), "sipp");
    }
}
