//! Results for programs: one JSON object on a line, as the schemas in `examples/schemas` describe it.

use polyport_terminal::Exit;
use serde::Serialize;

use crate::outcome::ExitError;

/// `result` on one line, the keys of each object in alphabetical order.
///
/// # Errors
/// None for the results of the clients; the library cannot know.
pub fn line(result: &impl Serialize) -> Result<String, ExitError> {
    // By way of a value, whose maps are sorted, so that the order of fields in our types is nobody's business.
    serde_json::to_value(result)
        .map(|value| value.to_string())
        .map_err(|error| ExitError::new(Exit::Software, format!("cannot write JSON: {error}")))
}
