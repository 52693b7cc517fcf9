//! polyport-plugin
