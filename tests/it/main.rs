//! Tests of polyport from outside, one binary: each module is a matter, each test a sentence about it.

#[cfg(test)]
mod abi_layout;
#[cfg(test)]
#[cfg(target_os = "linux")] // The whole of 127.0.0.0/8 is on the loopback interface only there.
mod access;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod accounting;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod activation;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod arrivals;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod bad_peers;
#[cfg(test)]
mod binding;
#[cfg(test)]
mod broken_handlers;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod budget;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod built_in;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod capacity;
#[cfg(test)]
mod chains;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod configuration;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod conformance;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod control;
#[cfg(test)]
mod cpp;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod crashes;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod decay;
#[cfg(test)]
mod defaults;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod delays;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod discard;
#[cfg(test)]
mod documented;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod documents;
#[cfg(test)]
mod echo;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod ending;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod example_configurations;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod example_plugins;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod explained;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod fair_ports;
#[cfg(test)]
mod finding;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod first_hours;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod followed;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod forged_requests;
#[cfg(test)]
mod frozen;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod full_queues;
#[cfg(test)]
mod full_send_buffer;
#[cfg(test)]
mod ground_truth;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod hardships;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod headers;
#[cfg(test)]
mod hostile_handlers;
#[cfg(test)]
mod included;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod injected;
#[cfg(test)]
mod inspection;
#[cfg(test)]
mod installed_header;
#[cfg(test)]
mod instances;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod interfaces;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod kernel_drops;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod kubernetes;
#[cfg(test)]
mod libraries;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod listener;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod load_books;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod loops;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod lossy;
#[cfg(test)]
mod many_mistakes;
#[cfg(test)]
mod many_ports;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod marks;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod memory;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod metrics;
#[cfg(test)]
mod misbehaving;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod network_changes;
#[cfg(test)]
mod new_plugins;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod not_sent;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod notified;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod odd_datagrams;
#[cfg(test)]
mod option_grammar;
#[cfg(test)]
mod option_lists;
#[cfg(test)]
mod option_tables;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod output;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod path_mtu;
#[cfg(test)]
mod pictures;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod planned;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod readme;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod recordings;
#[cfg(test)]
mod refused;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod relay;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod relay_clients;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod release;
#[cfg(test)]
mod reload;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod reload_addresses;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod reload_sockets;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod reply_policy;
#[cfg(test)]
mod responder;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod screen;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod sessions;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod signals;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod slow_link;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod soak;
#[cfg(test)]
mod stale_bytes;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod stamp;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod stamp_load;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod system_calls;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod system_limits;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod take_over;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tap;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod textbook;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod top;
#[cfg(test)]
mod tried;
#[cfg(test)]
mod trust;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tutorial;
#[cfg(test)]
mod variables;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod wakes;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod watched_load;

/// The program, about to be started.
#[cfg(test)]
fn polyport() -> polyport_tests::Launch {
    polyport_tests::Launch::new(env!("CARGO_BIN_EXE_polyport-under-test"))
}
