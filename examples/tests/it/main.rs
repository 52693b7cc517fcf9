//! The real binaries, over loopback.
#![cfg(test)]

mod addresses;
mod cast;
mod colours;
mod documents;
mod endless;
mod frame;
mod full_disk;
mod help;
mod hostile;
mod kubernetes;
mod mtu;
#[cfg(target_os = "linux")]
mod obstacles;
mod payloads;
mod plot;
mod request;
mod schemas;
mod spoof;
mod support;

#[test]
fn every_client_says_its_name_its_package_its_version_and_its_build() {
    for name in ["cast", "frame", "load", "mtu", "plot", "request", "spoof"] {
        let run = support::run(name, &["--version"]);
        assert_eq!(run.code, 0, "{run:?}");
        let start = format!("polyport-{name} (polyport-tools) {} (commit ", env!("CARGO_PKG_VERSION"));
        assert!(run.out.starts_with(&start) && run.out.ends_with(")\n"), "{}", run.out);
        assert!(run.out.contains(std::env::consts::ARCH) && run.out.lines().count() == 1, "{}", run.out);
    }
}
