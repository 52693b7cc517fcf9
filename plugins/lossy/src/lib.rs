//! polyport-lossy
