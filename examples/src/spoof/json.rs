//! The table of cases and clients as one JSON object.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::case::{Cell, Row};

/// What `polyport-spoof --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpoofReport {
    /// Each case.
    pub cases: Vec<CaseReport>,
    /// Whether the client that checks request ids did right in every case.
    pub safe: bool,
}

/// A case, and what each client did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseReport {
    /// What was done to the clients.
    pub case: String,
    /// The client that takes whatever comes.
    pub promiscuous: CellReport,
    /// The client that relies on a connected socket.
    pub connected: CellReport,
    /// The client that checks request ids.
    pub request_id: CellReport,
}

/// What one client did in one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellReport {
    /// Replies that must not be taken.
    pub forged: usize,
    /// Replies that must not be taken and were taken.
    pub forged_accepted: usize,
    /// Replies that must be taken.
    pub genuine: usize,
    /// Replies that must be taken and were taken.
    pub genuine_accepted: usize,
    /// Replies not taken, by the name of the counter; the kernel gives no reasons.
    pub rejects: BTreeMap<String, u64>,
}

impl SpoofReport {
    /// The whole table.
    #[must_use]
    pub fn new(rows: &[Row], safe: bool) -> Self {
        Self { cases: rows.iter().map(CaseReport::new).collect(), safe }
    }
}

impl CaseReport {
    fn new((case, [promiscuous, connected, request_id]): &Row) -> Self {
        Self {
            case: case.name().to_owned(),
            promiscuous: CellReport::new(promiscuous),
            connected: CellReport::new(connected),
            request_id: CellReport::new(request_id),
        }
    }
}

impl CellReport {
    fn new(cell: &Cell) -> Self {
        Self {
            forged: cell.forged,
            forged_accepted: cell.forged_taken,
            genuine: cell.genuine,
            genuine_accepted: cell.genuine_taken,
            rejects: cell.rejects.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        }
    }
}
