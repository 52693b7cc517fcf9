//! The real binaries, over loopback.
#![cfg(test)]

mod addresses;
mod cast;
mod colours;
mod endless;
mod frame;
mod full_disk;
mod hostile;
mod mtu;
#[cfg(target_os = "linux")]
mod obstacles;
mod request;
mod schemas;
mod spoof;
mod support;

#[test]
fn every_client_says_its_name_its_package_and_its_version() {
    for name in ["cast", "frame", "load", "mtu", "request", "spoof"] {
        let run = support::run(name, &["--version"]);
        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!(run.out, format!("polyport-{name} (polyport-tools) {}\n", env!("CARGO_PKG_VERSION")));
    }
}
