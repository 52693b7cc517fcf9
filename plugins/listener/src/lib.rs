//! The plugin listener.
