//! polyport-abi
