//! Recordings: where they may lie, and what becomes of them and of everybody else when a disk is full, slow or limited.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use polyport_tests::mounts::mounted;
use polyport_tests::tool::{make_pipe, root, tool};
use polyport_tests::{Client, wait};

use crate::polyport;

/// The user nobody.
const NOBODY: u32 = 65_534;

/// `--listen` of a listener that records into `file` and answers, so that a test knows what was heard. The answers are
/// recorded as well.
fn spec(file: &Path, more: &str) -> String {
    let file = file.display();
    format!("127.0.0.1:0=listener,name=heard,ack=true,leisure=0s,record=pcapng,file={file}{more}")
}

/// The blocks of a recording with their kinds, all of them whole.
#[track_caller]
pub(crate) fn blocks(bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut rest = bytes;
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().unwrap());
        let len = word(4) as usize;
        assert!(len >= 12 && rest.len() >= len && word(len - 4) as usize == len, "half a block");
        blocks.push((word(0), &rest[..len]));
        rest = &rest[len..];
    }
    blocks
}

/// Packets in a recording, all of whose blocks are whole.
#[track_caller]
pub(crate) fn packets(path: &Path) -> u64 {
    const ENHANCED_PACKET: u32 = 6;
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    blocks(&bytes).iter().filter(|(kind, _)| *kind == ENHANCED_PACKET).count() as u64
}

/// Sends `count` datagrams of `bytes`, each after the answer to the one before.
#[track_caller]
fn hear(client: &Client, count: u64, bytes: usize) {
    for _ in 0..count {
        assert_eq!(client.ask(&vec![b'x'; bytes]), b"ack");
    }
}

/// A14: what somebody else has put there decides neither where a recording goes nor who reads it.
#[test]
fn what_others_planted_is_refused() {
    if !root("makes files of another user") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
    let (file, victim) = (dir.path().join("heard.pcapng"), dir.path().join("victim"));
    let refused = |words: &[&str]| {
        let finished = polyport().listen(spec(&file, "")).refused(78);
        finished.expect_stderr(&["heard.pcapng: "]).expect_stderr(words);
        fs::remove_file(&file).unwrap();
    };
    // A link, to something and to nothing.
    fs::write(&victim, "precious").unwrap();
    for target in ["victim", "not there"] {
        symlink(target, &file).unwrap();
        lchown(&file, Some(NOBODY), None).unwrap();
        refused(&["a symbolic link on the way to it belongs to user 65534"]);
    }
    assert!(fs::read_to_string(&victim).unwrap() == "precious" && !dir.path().join("not there").exists());
    // A file of somebody else, one that all may write, and a pipe at whose other end anybody may be.
    fs::write(&file, "").unwrap();
    chown(&file, Some(NOBODY), None).unwrap();
    refused(&["belongs to user 65534"]);
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    refused(&["others may write the file that is there"]);
    if make_pipe(&file) {
        chown(&file, Some(NOBODY), None).unwrap();
        let _reader = File::options().read(true).write(true).open(&file).unwrap();
        refused(&["a pipe or device", "belongs to user 65534"]);
    }
    // A directory in which everybody may exchange files.
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    fs::write(&file, "").unwrap();
    refused(&["everybody may exchange files in the directory"]);
}

/// A14: a lock says nothing where anybody can take it.
#[test]
fn a_lock_of_somebody_else_does_not_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard.pcapng");
    fs::write(&file, "recorded before").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let reader = File::open(&file).unwrap();
    reader.lock().unwrap();
    let daemon = polyport().listen(spec(&file, "")).serve();
    hear(&daemon.client(0), 3, 10);
    // Our own is respected.
    polyport().listen(spec(&file, "")).refused(78).expect_stderr(&["another listener writes it"]);
    drop(daemon.stop());
    assert_eq!((packets(&file), fs::metadata(&file).unwrap().mode() & 0o777), (2 * 3, 0o600));
    assert_eq!(fs::read_to_string(dir.path().join("heard.1.pcapng")).unwrap(), "recorded before");
}

/// A7: the kernel would kill who writes beyond the limit.
#[test]
fn a_limit_of_file_sizes_ends_the_recording_and_nothing_else() {
    const COUNT: u64 = 600;
    /// The copies of plugins have to fit as well.
    const LIMIT: u64 = 24 << 20;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard.pcapng");
    let Some(prlimit) = tool("prlimit") else { return };
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let launch = polyport().replaced_by(prlimit).arg(format!("--fsize={LIMIT}")).arg("--").arg(program);
    let mut daemon = launch.listen("127.0.0.1:0=echo").listen(spec(&file, "")).serve();
    let client = daemon.client(1);
    for portion in 1..=COUNT / 10 {
        hear(&client, 10, 60_000);
        // Not faster than it is written: what matters here is not dropped, but refused by the system.
        let least = (portion * 600_000).min(LIMIT).saturating_sub(1 << 20);
        wait::until("most of it in the file", || fs::metadata(&file).unwrap().len() >= least);
    }
    daemon.process.wait_for_stderr("heard.pcapng cannot be written: File too large");
    daemon.client(0).expect_echo(b"still here");
    let served = daemon.stop();
    let (recorded, failed) = recorded(&served);
    // What comes behind the limit is not paced any more.
    let dropped = served.counted("heard", "record_dropped_total");
    assert_eq!((recorded + failed + dropped, packets(&file)), (2 * COUNT, recorded));
    assert!(failed > 0 && (LIMIT / 65_000..2 * COUNT).contains(&recorded), "{recorded}");
    assert!(fs::metadata(&file).unwrap().len() <= LIMIT);
    assert_eq!(served.finished.stderr.matches("cannot be written").count(), 1, "{}", served.finished.stderr);
}

/// Datagrams that are in the file, and those that are not because it could not be written.
fn recorded(served: &polyport_tests::served::Served) -> (u64, u64) {
    (served.counted("heard", "recorded_total"), served.counted("heard", "record_errors_total"))
}

/// C5: what is counted is in the file, and when there is room again, it is written again.
#[test]
fn a_disk_that_gets_room_again_is_written_again() {
    const COUNT: u64 = 600;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard.pcapng");
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let Some(launch) = mounted("size=1m,mode=0755", &[dir.path()], program) else { return };
    let mut daemon = launch.listen(spec(&file, "")).serve();
    let inside = |name: &str| {
        let inside = dir.path().join(name);
        Path::new("/proc").join(daemon.pid()).join("root").join(inside.strip_prefix("/").unwrap())
    };
    let (filler, seen) = (inside("filler"), inside("heard.pcapng"));
    fs::write(&filler, vec![0; 960 << 10]).unwrap();
    let client = daemon.client(0);
    hear(&client, COUNT, 100);
    daemon.process.wait_for_stderr("heard.pcapng cannot be written: No space left on device");
    fs::remove_file(filler).unwrap();
    hear(&client, COUNT, 100);
    daemon.process.wait_for_stderr("heard.pcapng is written again; ");
    // The file system is gone with the process.
    let (before, copy) = (File::open(seen).unwrap(), dir.path().join("copy"));
    let served = daemon.stop();
    std::io::copy(&mut &before, &mut File::create(&copy).unwrap()).unwrap();
    let (recorded, failed) = recorded(&served);
    assert_eq!((recorded + failed, packets(&copy)), (4 * COUNT, recorded), "{}", served.finished.stdout);
    assert!(failed > 0 && recorded > 2 * COUNT, "{recorded} {failed}");
}

/// A disk that takes nothing, for which the pipe of a reader that sleeps stands.
#[test]
fn a_recording_that_stands_still_delays_nobody_and_ends_in_time() {
    const COUNT: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    if !make_pipe(&pipe) {
        return;
    }
    let _sleeps = File::options().read(true).write(true).open(&pipe).unwrap();
    let mut daemon = polyport().listen("127.0.0.1:0=echo").listen(spec(&pipe, "")).serve();
    let (echo, heard) = (daemon.client(0), daemon.client(1));
    for _ in 0..COUNT {
        hear(&heard, 1, 60_000);
        echo.expect_echo(b"and I?");
    }
    daemon.process.wait_for_stderr("is written more slowly than datagrams come; ");
    let served = daemon.stop();
    let (recorded, failed) = recorded(&served);
    let dropped = served.counted("heard", "record_dropped_total");
    assert_eq!(recorded + failed + dropped, 2 * COUNT, "{}", served.finished.stdout);
    // A pipe holds 64 KiB, and the daemon 6 MiB more, which cannot be told at the end.
    assert!(dropped > 100 && recorded <= 2, "{}", served.finished.stdout);
}

/// A22: 100 files are renamed for every second datagram.
#[test]
fn rotation_delays_nobody() {
    const COUNT: u64 = 400;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard.pcapng");
    let daemon = polyport().listen("127.0.0.1:0=echo").listen(spec(&file, ",keep=100,rotate=128KiB")).serve();
    let (echo, heard) = (daemon.client(0), daemon.client(1));
    for _ in 0..COUNT {
        hear(&heard, 1, 65_000);
        echo.expect_echo(b"and I?");
    }
    let served = daemon.stop();
    let (recorded, failed) = recorded(&served);
    let dropped = served.counted("heard", "record_dropped_total");
    assert_eq!((recorded + dropped, failed), (2 * COUNT, 0), "{}", served.finished.stdout);
    let files: Vec<_> = dir.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.iter().all(|file| file.metadata().unwrap().len() <= 128 << 10));
    let kept: u64 = files.iter().map(|file| packets(file)).sum();
    assert!(
        files.len() <= 101 && kept == recorded.min(kept) && kept >= recorded.min(101),
        "{kept} of {recorded}"
    );
}

/// Packets that are in a recording so far, which is being written.
fn packets_so_far(bytes: &[u8]) -> u64 {
    let (mut rest, mut found) = (bytes, 0);
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()))
    };
    while let (Some(kind), Some(len)) = (word(rest, 0), word(rest, 4)) {
        let Some(behind) = rest.get(len as usize..) else { break };
        found += u64::from(kind == 6);
        rest = behind;
    }
    found
}

/// As logrotate(8) does it, and whoever tidies up: nobody has to tell the daemon, and it does not write into what is gone.
#[test]
fn a_recording_that_somebody_moves_away_removes_or_cuts_is_begun_again() {
    const COUNT: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let (file, moved) = (dir.path().join("heard.pcapng"), dir.path().join("moved"));
    let mut daemon = polyport().listen(spec(&file, "")).serve();
    let client = daemon.client(0);
    let ways: [&dyn Fn(); 3] =
        [&|| fs::rename(&file, &moved).unwrap(), &|| fs::remove_file(&file).unwrap(), &|| {
            File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
        }];
    let so_far = || fs::read(&file).map_or(0, |bytes| packets_so_far(&bytes));
    for (times, way) in ways.into_iter().enumerate() {
        hear(&client, COUNT, 100);
        wait::until("all of it in the file", || so_far() == 2 * COUNT);
        way();
        hear(&client, 1, 100);
        wait::until("the next one in a new file", || so_far() == 2);
        daemon.process.wait_for_stderr_times("by somebody: it is begun again", times + 1);
        hear(&client, COUNT, 100);
        wait::until("all of it in the new file", || so_far() == 2 * COUNT + 2);
        fs::remove_file(&file).unwrap();
        hear(&client, COUNT, 100);
        wait::until("as many as before", || so_far() == 2 * COUNT);
        fs::rename(&file, dir.path().join("aside")).unwrap();
    }
    hear(&client, COUNT, 100);
    let served = daemon.stop();
    let (recorded, failed) = recorded(&served);
    assert_eq!((recorded, failed), (2 * (3 * (3 * COUNT + 1) + COUNT), 0));
    assert_eq!((packets(&file), packets(&moved), packets(&dir.path().join("aside"))), (100, 100, 100));
}

/// Who reads slowly gets everything all the same.
#[test]
fn a_pipe_that_is_read_slowly_gets_everything() {
    const COUNT: u64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    if !make_pipe(&pipe) {
        return;
    }
    let reader = File::options().read(true).write(true).open(&pipe).unwrap();
    let daemon = polyport().listen("127.0.0.1:0=echo").listen(spec(&pipe, "")).serve();
    let (echo, heard) = (daemon.client(0), daemon.client(1));
    let found = std::sync::Mutex::new(Vec::new());
    let enough = || packets_so_far(&found.lock().unwrap()) == 2 * COUNT;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut piece = vec![0; 4096];
            while !enough() {
                let read = std::io::Read::read(&mut &reader, &mut piece).unwrap();
                found.lock().unwrap().extend(&piece[..read]);
                std::thread::park_timeout(std::time::Duration::from_millis(1));
            }
        });
        for _ in 0..COUNT {
            hear(&heard, 1, 20_000);
            echo.expect_echo(b"and I?");
        }
        wait::until("all of it read", enough);
    });
    let served = daemon.stop();
    assert_eq!(recorded(&served), (2 * COUNT, 0), "{}", served.finished.stdout);
    assert_eq!(served.counted("heard", "record_dropped_total"), 0);
}
