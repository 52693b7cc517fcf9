//! The header as `plugins/abi/install.sh` installs it: an example builds with what pkg-config says of it, and with `CMake`, from a
//! directory that has nothing else of the repository, and serves.

use std::env::consts::DLL_SUFFIX;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use polyport_abi::{ABI_MAJOR, ABI_MINOR};
use polyport_tests::plugins::{repository, spec};
use polyport_tests::tool::tool;

use crate::polyport;

/// Where it is installed, below a root that packages are made in.
const PREFIX: &str = "/opt/polyport";

const FILES: [&str; 4] = [
    "include/polyport/polyport_plugin.h",
    "share/cmake/PolyportPlugin/PolyportPluginConfig.cmake",
    "share/cmake/PolyportPlugin/PolyportPluginConfigVersion.cmake",
    "share/pkgconfig/polyport-plugin.pc",
];

/// The header, installed below `root`; the prefix there.
#[track_caller]
fn installed(root: &Path, more: &[&str]) -> PathBuf {
    let mut install = Command::new("sh");
    install.arg(repository().join("plugins/abi/install.sh")).arg(format!("--prefix={PREFIX}"));
    let mut destdir = std::ffi::OsString::from("--destdir=");
    destdir.push(root);
    let output = install.arg(destdir).args(more).env_remove("PREFIX").env_remove("DESTDIR").output().unwrap();
    success(&output);
    root.join(&PREFIX[1..])
}

/// The folder of the example, alone.
fn example(dir: &Path) -> PathBuf {
    let copy = dir.join("policer-c");
    fs::create_dir(&copy).unwrap();
    for file in ["policer.c", "Makefile", "CMakeLists.txt"] {
        fs::copy(repository().join("examples/plugins/policer-c").join(file), copy.join(file)).unwrap();
    }
    copy
}

#[track_caller]
fn success(output: &Output) {
    let text =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    assert!(output.status.success(), "{}:\n{text}", output.status);
}

/// A plugin is never loaded that others may write, whatever the umask of who runs the tests.
#[track_caller]
fn lets_the_burst_pass(library: &Path) {
    let mut dir = library.parent();
    for _ in 0..2 {
        let path = dir.unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        dir = path.parent();
    }
    fs::set_permissions(library, fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = polyport().listen(spec("127.0.0.1:0", library) + ",rate=0.001,burst=2,name=example").serve();
    let client = daemon.client(0);
    client.expect_echo(b"one");
    client.expect_echo(b"two");
    client.send(b"three");
    let served = daemon.stop();
    assert_eq!(
        (served.counted("example", "passed_total"), served.counted("example", "dropped_total")),
        (2, 1)
    );
}

#[test]
fn what_is_installed_are_four_files_that_everybody_may_read() {
    let root = tempfile::tempdir().unwrap();
    let prefix = installed(root.path(), &[]);
    for file in FILES {
        let about = fs::metadata(prefix.join(file)).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o644, "{file}");
        let text = fs::read_to_string(prefix.join(file)).unwrap();
        assert!(!text.contains('@') && !text.contains(&*root.path().to_string_lossy()), "{file}: {text}");
    }
    let count = Command::new("find").arg(root.path()).args(["-type", "f"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&count.stdout).lines().count(), FILES.len());
    let ours = fs::read(repository().join("plugins/abi/include/polyport_plugin.h")).unwrap();
    assert_eq!(fs::read(prefix.join(FILES[0])).unwrap(), ours);
    // What cannot be is refused before anything is made.
    for wrong in ["--prefix=here", "--datadir=/elsewhere", "--nonsense"] {
        let mut install = Command::new("sh");
        install.arg(repository().join("plugins/abi/install.sh")).arg(wrong).current_dir(root.path());
        let refused = install.env("DESTDIR", root.path()).output().unwrap();
        assert_eq!(refused.status.code(), Some(64), "{wrong}");
        assert!(!refused.stderr.is_empty());
    }
    let after = Command::new("find").arg(root.path()).args(["-type", "f"]).output().unwrap();
    assert_eq!(after.stdout, count.stdout);
}

#[test]
fn an_example_builds_with_make_and_pkg_config_and_serves() {
    let (Some(make), Some(pkg_config), Some(_)) = (tool("make"), tool("pkg-config"), tool("cc")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    // Debian has its headers elsewhere than others.
    let prefix =
        installed(&root, &["--includedir=/opt/polyport/include/triplet", "--datadir=/opt/polyport/lib/data"]);
    let found = |command: &mut Command| {
        command
            .env("PKG_CONFIG_LIBDIR", prefix.join("lib/data/pkgconfig"))
            .env("PKG_CONFIG_SYSROOT_DIR", &root)
            .env_remove("PKG_CONFIG_PATH")
            .output()
            .unwrap()
    };
    let version = found(Command::new(&pkg_config).args(["--modversion", "polyport-plugin"]));
    assert_eq!(String::from_utf8_lossy(&version.stdout).trim(), format!("{ABI_MAJOR}.{ABI_MINOR}"));
    let newer = format!("polyport-plugin >= {ABI_MAJOR}.{}", ABI_MINOR + 1);
    assert!(!found(Command::new(&pkg_config).args(["--exists", &newer])).status.success());

    let example = example(dir.path());
    let strict = "CFLAGS=-O2 -Wall -Wextra -Wpedantic -Werror";
    success(&found(Command::new(make).arg(strict).current_dir(&example)));
    lets_the_burst_pass(&example.join("libpolicer_c.so"));
}

#[test]
fn an_example_builds_with_cmake_and_serves() {
    let (Some(cmake), Some(_), Some(_)) = (tool("cmake"), tool("make"), tool("cc")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    // CMake finds the header from its own place, so the prefix may be another than was said.
    let prefix = installed(&root, &[]);
    let example = example(dir.path());
    let build = example.join("build");
    let configure = |source: &Path, build: &Path| {
        let mut command = Command::new(&cmake);
        command.arg("-S").arg(source).arg("-B").arg(build).args(["-G", "Unix Makefiles"]);
        command.arg("-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror").env("CMAKE_PREFIX_PATH", &prefix);
        command.env_remove("CMAKE_GENERATOR").output().unwrap()
    };
    success(&configure(&example, &build));
    success(&Command::new(&cmake).arg("--build").arg(&build).output().unwrap());
    let suffix = if cfg!(target_os = "macos") { ".so" } else { DLL_SUFFIX };
    lets_the_burst_pass(&build.join(format!("libpolicer_c{suffix}")));

    // Another interface, or one that is newer, is not this one.
    let list = fs::read_to_string(example.join("CMakeLists.txt")).unwrap();
    let wanted = format!("find_package(PolyportPlugin {ABI_MAJOR}.{ABI_MINOR}");
    assert!(list.contains(&wanted), "{list}");
    for other in [format!("{ABI_MAJOR}.{}", ABI_MINOR + 1), format!("{}.0", ABI_MAJOR + 1)] {
        let asks = list.replace(&wanted, &format!("find_package(PolyportPlugin {other}"));
        fs::write(example.join("CMakeLists.txt"), asks).unwrap();
        let refused = configure(&example, &dir.path().join(&other));
        assert!(!refused.status.success(), "{other}");
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(why.contains("PolyportPlugin"), "{why}");
    }
}
