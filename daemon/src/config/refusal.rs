//! Why a part of a setting is not what it should be.

/// Why a text is no bind address, no port or no group; becomes a problem at its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) label: String,
    pub(super) help: Option<String>,
}
