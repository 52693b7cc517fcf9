//! polyport-echo
