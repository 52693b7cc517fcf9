//! What all pictures are made of.
//!
//! ```text
//!   scale    values to places, and the round values of an axis
//!   sheet    pieces of SVG
//!   markup   elements of HTML and XML
//! ```

pub(crate) mod markup;
pub(crate) mod scale;
pub(crate) mod sheet;
