//! The plugin `relay` as a library. Its handler is a crate of its own, because the daemon has it built in as well, and a
//! program can export the symbol of a plugin only once.

polyport_plugin::export_plugin!(polyport_relay_handler::PLUGIN);
