//! UDP sockets in batches.
