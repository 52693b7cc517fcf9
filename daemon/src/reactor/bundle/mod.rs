//! Addresses that one handler serves together: those of a listener whose plugin is made once for all of them
//! (`PP_F_PER_LISTENER`).
//!
//! ```text
//! members   which they are, and what they have together
//! errands   what a call about one address leaves to be done for others
//! life      their handler: made, broken, and made again for all of them
//! deliver   the errands are run
//! ```
//!
//! Each address is a slot of the slab as any other, with its own socket, books, backlog and place in the round of visits, and
//! holds the instance. A visit has one slot in its hands, so what it means for others is put aside as an errand, and done when
//! the visit is over, before the next one.

mod deliver;
mod errands;
mod life;
mod members;

pub(crate) use errands::{Aside, Asking, Errand, Errands, Parcel};
pub(crate) use members::{Bundle, Bundles, Seat};
