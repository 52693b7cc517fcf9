//! polyport.toml -> checked plan
