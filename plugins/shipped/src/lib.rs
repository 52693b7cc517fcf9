//! The handlers that come with polyport, linked into the program. It falls back on them where no library of their name is
//! found: after `cargo install`, and for a copy of the executable alone.
//!
//! This is the one list of them. A program passes it on (`daemon/src/main.rs`); the daemon itself names no handler.
#![forbid(unsafe_code)]

use polyport_plugin::abi::pp_plugin;

static DISCARD: pp_plugin = polyport_discard_handler::PLUGIN;
static ECHO: pp_plugin = polyport_echo_handler::PLUGIN;
static LISTENER: pp_plugin = polyport_listener_handler::PLUGIN;
static LOSSY: pp_plugin = polyport_lossy_handler::PLUGIN;
static RELAY: pp_plugin = polyport_relay_handler::PLUGIN;
static RESPONDER: pp_plugin = polyport_responder_handler::PLUGIN;
static STAMP: pp_plugin = polyport_stamp_handler::PLUGIN;

/// Their tables, the same that their libraries export.
pub static PLUGINS: [&pp_plugin; 7] = [&DISCARD, &ECHO, &LISTENER, &LOSSY, &RELAY, &RESPONDER, &STAMP];
