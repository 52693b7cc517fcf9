//! The plugin responder.
