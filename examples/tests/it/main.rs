//! The real binaries, over loopback.
#![cfg(test)]

mod cast;
mod colours;
mod frame;
mod mtu;
mod request;
mod spoof;
mod support;
