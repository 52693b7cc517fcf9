//! Whose code is run: a plugin that others could have written, or could have put in the place of another, is refused with
//! the place and what to do, and nothing of it has run.
//!
//! The library of these tests leaves a file behind when it is loaded. Every attempt is made by `check` and by `run`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use polyport_tests::Launch;
use polyport_tests::plugins::{compile_c, fixture, spec};

use crate::polyport;

const CONFIG: i32 = 78;

/// A directory that is safe, with a library in `plugins` that tells when it is loaded.
struct Place {
    root: tempfile::TempDir,
    library: PathBuf,
}

impl Place {
    /// None, and a visible word, without a C compiler.
    fn new() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        let place = Self { library: root.path().join("plugins/libpolyport_told.so"), root };
        for dir in ["plugins", "way"] {
            place.make_dir(dir, 0o755);
        }
        let library = compile_c(&fixture("broken"), &[], place.root.path(), "told")?;
        fs::rename(library, &place.library).unwrap();
        chmod(place.root.path(), 0o755);
        Some(place)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn make_dir(&self, path: &str, mode: u32) -> PathBuf {
        let dir = self.at(path);
        fs::create_dir(&dir).unwrap();
        chmod(&dir, mode);
        dir
    }

    fn marker(&self) -> PathBuf {
        self.at("code-ran")
    }

    /// Fails unless `launch` is refused by `check` and by `run`, in these words, and nothing has run.
    #[track_caller]
    fn refuses(&self, launch: impl Fn(Launch) -> Launch, words: &[&str]) {
        for command in ["check", "run"] {
            let launch = launch(polyport().arg(command)).env("POLYPORT_TEST_MARKER", self.marker());
            let refused = launch.refused(CONFIG);
            refused.expect_stderr(words);
            assert!(!self.marker().exists(), "{command}: the constructor of a refused library ran");
        }
    }

    /// Fails unless the library at `path` is refused.
    #[track_caller]
    fn refuses_path(&self, path: &Path, words: &[&str]) {
        self.refuses(|launch| launch.listen(spec("127.0.0.1:0", path)), words);
    }

    /// Fails unless the library at `path` is accepted, and its code runs.
    #[track_caller]
    fn accepts_path(&self, path: &Path) {
        let launch = polyport().arg("check").listen(spec("127.0.0.1:0", path));
        launch.env("POLYPORT_TEST_MARKER", self.marker()).run().expect_code(0);
        fs::remove_file(self.marker()).expect("the constructor of an accepted library runs");
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    let Some(place) = Place::new() else { return };
    place.accepts_path(&place.library);
    for (mode, whom) in [(0o775, "its group"), (0o757, "anybody"), (0o777, "anybody")] {
        chmod(&place.library, mode);
        let told = format!("may be written by {whom} (mode 0{mode:o})");
        let remedy = format!("= help: `chmod go-w {}`", place.library.display());
        place.refuses_path(&place.library, &[&told, &remedy, "umask 022"]);
    }
    chmod(&place.library, 0o755);
    place.accepts_path(&place.library);
}

#[test]
fn a_file_in_a_directory_that_others_may_write_to_is_refused_however_it_was_found() {
    let Some(place) = Place::new() else { return };
    let dir = place.at("plugins");
    for mode in [0o775, 0o757] {
        chmod(&dir, mode);
        let told = format!("{} may be written to by ", dir.display());
        let remedy = format!("`chmod go-w {}`", dir.display());
        let words = [&*told, &remedy, "only what root"];
        place.refuses_path(&place.library, &words);
        place.refuses(|l| l.arg("--plugin-dir").arg(&dir).listen("127.0.0.1:0=told"), &words);
        place.refuses(|l| l.env("POLYPORT_PLUGIN_PATH", &dir).listen("127.0.0.1:0=told"), &words);
        let table = "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"told\"\n";
        place.refuses(|l| l.config(&format!("plugin_dirs = [\"{}\"]\n{table}", dir.display())), &words);
        place.refuses(|l| within(l, &dir).listen("127.0.0.1:0=./libpolyport_told.so"), &words);
    }
}

/// Started with this working directory.
fn within(mut launch: Launch, dir: &Path) -> Launch {
    launch.command().current_dir(dir);
    launch
}

#[test]
fn a_directory_far_above_counts_as_well() {
    let Some(place) = Place::new() else { return };
    place.make_dir("way/open", 0o777);
    place.make_dir("way/open/closed", 0o755);
    let path = place.at("way/open/closed/libtold.so");
    fs::rename(&place.library, &path).unwrap();
    place.refuses_path(&path, &["way/open may be written to by anybody (mode 0777)"]);
    // A path that goes through it and out again depends on it as well.
    let winding = place.at("way/open/closed/../../open/closed/libtold.so");
    place.refuses_path(&winding, &["way/open may be written to by anybody (mode 0777)"]);
    chmod(&place.at("way/open"), 0o1777);
    place.accepts_path(&path);
}

/// A4: the way to a file that is safe leads through a directory in which anybody could have made the link.
#[test]
fn a_symbolic_link_in_a_directory_for_all_is_refused() {
    let Some(place) = Place::new() else { return };
    let open = place.make_dir("way/open", 0o755);
    symlink(&place.library, open.join("libpolyport_told.so")).unwrap();
    place.accepts_path(&open.join("libpolyport_told.so"));
    chmod(&open, 0o777);
    let told = format!("{} may be written to by anybody (mode 0777)", open.display());
    place.refuses_path(&open.join("libpolyport_told.so"), &[&told]);
    place.refuses(|l| l.arg("--plugin-dir").arg(&open).listen("127.0.0.1:0=told"), &[&told]);
}

#[test]
fn a_link_to_a_link_is_as_safe_as_the_directory_of_each() {
    let Some(place) = Place::new() else { return };
    for dir in ["way/first", "way/middle"] {
        place.make_dir(dir, 0o755);
    }
    symlink("../middle/dir", place.at("way/first/dir")).unwrap();
    symlink(place.at("plugins"), place.at("way/middle/dir")).unwrap();
    let path = place.at("way/first/dir/libpolyport_told.so");
    place.accepts_path(&path);
    chmod(&place.at("way/middle"), 0o775);
    place.refuses_path(&path, &["way/middle may be written to by its group (mode 0775)"]);
    place.accepts_path(&place.library);
}

#[test]
fn a_hard_link_in_a_directory_where_anybody_may_make_names_is_refused() {
    let Some(place) = Place::new() else { return };
    let sticky = place.make_dir("way/sticky", 0o1777);
    let link = sticky.join("libpolyport_other.so");
    fs::hard_link(&place.library, &link).unwrap();
    place.refuses_path(&link, &["is one of 2 names of a file", "copy "]);
    place.accepts_path(&place.library);
}

/// What only root can set up: files of other users, and programs with more rights than who starts them.
#[cfg(target_os = "linux")]
mod as_root {
    use std::ffi::CStr;
    use std::os::unix::fs::{chown, lchown};
    use std::os::unix::process::CommandExt;

    use polyport_tests::plugins::built;
    use polyport_tests::tool::{root, skip};
    use rustix::fs::{StatVfsMountFlags, XattrFlags, setxattr, statvfs};

    use super::*;

    const NOBODY: u32 = 65_534;

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        let Some(place) = Place::new().filter(|_| root("gives files to another user")) else { return };
        let told = |path: &Path| format!("{} belongs to user {NOBODY}", path.display());
        chown(&place.library, Some(NOBODY), None).unwrap();
        let remedy = format!("`chown 0 {}`", place.library.display());
        place.refuses_path(&place.library, &[&told(&place.library), &remedy, "only what root alone"]);
        chown(&place.library, Some(0), None).unwrap();
        chown(place.at("plugins"), Some(NOBODY), None).unwrap();
        place.refuses_path(&place.library, &[&told(&place.at("plugins"))]);
    }

    /// In `/tmp` everybody makes links, and the sticky bit keeps each as it is: whose it is decides.
    #[test]
    fn a_symbolic_link_of_another_user_in_a_sticky_directory_is_refused() {
        let Some(place) = Place::new().filter(|_| root("gives links to another user")) else { return };
        let sticky = place.make_dir("way/sticky", 0o1777);
        let link = sticky.join("libpolyport_told.so");
        symlink(&place.library, &link).unwrap();
        place.accepts_path(&link);
        lchown(&link, Some(NOBODY), None).unwrap();
        let told = format!("{} is a symbolic link of user {NOBODY}", link.display());
        place.refuses_path(&link, &[&told, "`chown -h 0 "]);
        place.refuses(|l| l.arg("--plugin-dir").arg(&sticky).listen("127.0.0.1:0=told"), &[&told]);
    }

    /// A umask of 002 with a group for each user is usual; one with members is not the user's alone.
    #[test]
    fn a_build_that_the_users_own_group_may_write_is_theirs() {
        // `daemon` has a group of its own on every Linux system; nobody shares one with others.
        const DAEMON: u32 = 1;
        let Some(place) = Place::new().filter(|_| root("becomes another user")) else { return };
        let Some(copy) = Copy::new(&place) else { return };
        let named = |table: &str| fs::read_to_string(table).unwrap_or_default().contains("\ndaemon:x:1:");
        if !named("/etc/passwd") || !named("/etc/group") {
            return skip("no user `daemon` with a group of the same name");
        }
        let open = place.make_dir("way/theirs", 0o775);
        let theirs = open.join("libtold.so");
        fs::copy(&place.library, &theirs).unwrap();
        chmod(&theirs, 0o775);
        for (user, code) in [(DAEMON, 0), (NOBODY, CONFIG)] {
            for path in [&open, &theirs] {
                chown(path, Some(user), Some(user)).unwrap();
            }
            copy.by(user, &["check", "--listen", &spec("127.0.0.1:0", &theirs)]).expect_code(code);
        }
        chown(&theirs, Some(DAEMON), Some(NOBODY)).unwrap();
        chown(&open, Some(DAEMON), Some(DAEMON)).unwrap();
        let refused = copy.by(DAEMON, &["check", "--listen", &spec("127.0.0.1:0", &theirs)]);
        refused.expect_code(CONFIG).expect_stderr(&["its group"]);
    }

    /// Who is not root runs what is theirs, and root's.
    #[test]
    fn another_user_runs_their_own_files_and_those_of_root() {
        let Some(place) = Place::new().filter(|_| root("becomes another user")) else { return };
        let Some(copy) = Copy::new(&place) else { return };
        let open = place.make_dir("way/theirs", 0o755);
        let theirs = open.join("libtold.so");
        fs::copy(&place.library, &theirs).unwrap();
        for owner in [NOBODY, NOBODY + 1] {
            for path in [&open, &theirs] {
                chown(path, Some(owner), None).unwrap();
            }
            let finished = copy.by_nobody(&["check", "--listen", &spec("127.0.0.1:0", &theirs)]);
            if owner == NOBODY {
                finished.expect_code(0);
            } else {
                finished.expect_code(CONFIG).expect_stderr(&[
                    &format!("belongs to user {owner}"),
                    &format!("only what root or user {NOBODY} alone can have written is run"),
                ]);
            }
        }
        copy.by_nobody(&["check", "--listen", &spec("127.0.0.1:0", &place.library)]).expect_code(0);
        copy.by_nobody(&["check", "--listen", "127.0.0.1:0=echo"]).expect_code(0);
    }

    /// Root starts the program where another user has left a configuration; so does a third user.
    #[test]
    fn a_configuration_that_another_user_has_left_is_not_used_unless_it_is_named() {
        let Some(place) = Place::new().filter(|_| root("gives files to another user")) else { return };
        let Some(copy) = Copy::new(&place) else { return };
        let dir = place.make_dir("way/shared", 0o1777);
        let file = dir.join("polyport.toml");
        fs::write(&file, "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n").unwrap();
        chmod(&file, 0o644);
        let check = |user: u32, args: &[&str]| {
            let mut launch = Launch::new(&copy.program).arg("check").args(args);
            launch.command().current_dir(&dir);
            copy.run_by(user, launch)
        };
        for (owner, user, is_used) in [
            (0, 0, true),
            (0, NOBODY, true),
            (NOBODY, NOBODY, true),
            (NOBODY, 0, false),
            (NOBODY, NOBODY - 1, false),
        ] {
            chown(&file, Some(owner), None).unwrap();
            let found = check(user, &[]);
            if is_used {
                assert!(found.expect_code(0).stdout.contains("(working directory)"), "{}", found.stdout);
            } else {
                let told = format!("polyport.toml belongs to user {NOBODY}");
                found.expect_code(CONFIG).expect_stderr(&["is not used, since nobody has named it", &told]);
            }
            check(user, &["-c", "polyport.toml"]).expect_code(0);
        }
        // A link of another user leads wherever it likes.
        let other = place.at("bin/other.toml");
        fs::rename(&file, &other).unwrap();
        symlink(&other, &file).unwrap();
        lchown(&file, Some(NOBODY), None).unwrap();
        chown(&other, Some(0), None).unwrap();
        let told = format!("polyport.toml is a symbolic link of user {NOBODY}");
        check(0, &[]).expect_code(CONFIG).expect_stderr(&["is not used", &told]);
        // A place that this user may not look at may hold what is meant.
        let closed = place.make_dir("way/closed", 0o700);
        let mut launch = Launch::new(&copy.program).arg("check").env("XDG_CONFIG_HOME", &closed);
        launch.command().current_dir("/");
        let refused = copy.run_by(NOBODY, launch);
        refused.expect_code(CONFIG).expect_stderr(&[
            "cannot look for `",
            "Permission denied",
            "name a file: -c FILE",
        ]);
    }

    #[test]
    fn a_set_user_id_program_runs_nothing_of_its_caller() {
        let Some(place) = Place::new().filter(|_| root("makes a set-user-ID program")) else { return };
        let Some(copy) = Copy::new(&place) else { return };
        chmod(&copy.program, 0o4755);
        copy.runs_nothing_of_its_caller(&place);
    }

    #[test]
    fn a_program_with_capabilities_runs_nothing_of_its_caller() {
        let Some(place) = Place::new().filter(|_| root("gives a program capabilities")) else { return };
        let Some(copy) = Copy::new(&place) else { return };
        give_capability(&copy.program);
        copy.runs_nothing_of_its_caller(&place);
        // What lies beside the program is not built in if the caller could give the program another name there
        // (`protected_hardlinks` of `proc(5)` forbids it, where it is set).
        let theirs = place.make_dir("way/bin", 0o755);
        let linked = Copy { program: theirs.join("polyport"), marker: copy.marker.clone() };
        fs::hard_link(&copy.program, &linked.program).unwrap();
        fs::copy(&place.library, theirs.join("libpolyport_told.so")).unwrap();
        for path in [&theirs, &theirs.join("libpolyport_told.so")] {
            chown(path, Some(NOBODY), None).unwrap();
        }
        let refused = linked.by_nobody(&["check", "--listen", "127.0.0.1:0=told"]);
        refused.expect_code(CONFIG).expect_stderr(&["belongs to user 65534", "only what root alone"]);
        assert!(!copy.marker.exists());
    }

    /// `CAP_NET_BIND_SERVICE`, as `setcap cap_net_bind_service+ep` gives it (`capabilities(7)`, `linux/capability.h`).
    fn give_capability(program: &Path) {
        const NAME: &CStr = c"security.capability";
        const VERSION_2_EFFECTIVE: u32 = 0x0200_0001;
        const NET_BIND_SERVICE: u32 = 1 << 10;
        let words = [VERSION_2_EFFECTIVE, NET_BIND_SERVICE, 0, 0, 0];
        let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        setxattr(program, NAME, &value, XattrFlags::empty()).unwrap();
    }

    /// The program at a place of its own, with the library of `echo` beside it.
    struct Copy {
        program: PathBuf,
        marker: PathBuf,
    }

    impl Copy {
        /// None, and a visible word, where the file system gives no rights.
        fn new(place: &Place) -> Option<Self> {
            let dir = place.make_dir("bin", 0o755);
            if statvfs(&dir).unwrap().f_flag.contains(StatVfsMountFlags::NOSUID) {
                skip("the temporary directory is mounted nosuid");
                return None;
            }
            let program = dir.join("polyport");
            for (from, to) in [
                (PathBuf::from(env!("CARGO_BIN_EXE_polyport-under-test")), program.clone()),
                (built("echo"), dir.join("libpolyport_echo.so")),
            ] {
                fs::copy(from, &to).unwrap();
                chmod(&to, 0o755);
            }
            Some(Self { program, marker: place.marker() })
        }

        fn by_nobody(&self, args: &[&str]) -> polyport_tests::Finished {
            self.by(NOBODY, args)
        }

        fn by(&self, user: u32, args: &[&str]) -> polyport_tests::Finished {
            let launch = args.iter().fold(Launch::new(&self.program), Launch::arg);
            self.run_by(user, launch)
        }

        fn run(&self, launch: Launch) -> polyport_tests::Finished {
            self.run_by(NOBODY, launch)
        }

        fn run_by(&self, user: u32, launch: Launch) -> polyport_tests::Finished {
            let mut launch = launch.env("POLYPORT_TEST_MARKER", &self.marker);
            launch.command().uid(user).gid(user);
            launch.run()
        }

        #[track_caller]
        fn runs_nothing_of_its_caller(&self, place: &Place) {
            let start = || Launch::new(&self.program).arg("check");
            let dir = place.at("plugins");
            let config = place.at("theirs.toml");
            let table = "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = ";
            fs::write(&config, format!("plugin_dirs = [\"plugins\"]\n{table}\"told\"\n")).unwrap();
            let by_path = place.at("by-path.toml");
            fs::write(&by_path, format!("{table}\"plugins/libpolyport_told.so\"\n")).unwrap();
            let ways = [
                start().listen(spec("127.0.0.1:0", &place.library)),
                start().arg("--plugin-dir").arg(&dir).listen("127.0.0.1:0=told"),
                start().env("POLYPORT_PLUGIN_PATH", &dir).listen("127.0.0.1:0=told"),
                start().arg("-c").arg(&config),
                start().env("POLYPORT_CONFIG", &config),
                start().arg("-c").arg(&by_path),
            ];
            for (number, way) in ways.into_iter().enumerate() {
                let refused = self.run(way);
                assert!(!self.marker.exists(), "way {number}: the library of the caller ran");
                refused.expect_code(CONFIG).expect_stderr(&[
                    "libpolyport_told.so cannot be loaded",
                    "polyport has more rights than its caller",
                ]);
            }
            // What is built in runs, and its private copy is out of reach: in memory alone.
            let theirs = place.make_dir("runtime", 0o755);
            chown(&theirs, Some(NOBODY), None).unwrap();
            let launch = start().env("RUNTIME_DIRECTORY", &theirs).env("XDG_RUNTIME_DIR", &theirs);
            let finished = self.run(launch.listen("127.0.0.1:0=echo"));
            assert_eq!(finished.expect_code(0).stdout.lines().next(), Some("ok: 1 listener on 1 address"));
            let mut launch = Launch::new(&self.program).env("RUNTIME_DIRECTORY", &theirs);
            launch.command().uid(NOBODY).gid(NOBODY);
            let daemon = launch.listen("127.0.0.1:0=echo").serve();
            daemon.client(0).expect_echo(b"as it was built");
            let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
            assert!(maps.contains("/memfd:echo-0.1.0"), "{maps}");
            assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
        }
    }
}
