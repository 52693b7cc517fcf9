//! The plugin `discard` as a library. Its handler is a crate of its own, because the daemon has it built in as well, and a
//! program can export the symbol of a plugin only once.

polyport_plugin::export_plugin!(polyport_discard_handler::PLUGIN);
