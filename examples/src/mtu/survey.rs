//! Both ways, one after the other: first how much gets there, then how much of that comes back whole.

use std::net::SocketAddr;

use polyport_protocol::client::MtuConfig;
use rand::rngs::StdRng;

use super::echo::Method;
use super::probe::{Prober, ProberConfig, SearchFor, expected};
use super::report::{Back, BackLimit, Finding};
use super::size::overhead;
use crate::driver::{Driver, End};
use crate::outcome::ExitError;

/// What to find out.
#[derive(Clone, Copy, Debug)]
pub struct SurveyConfig<'k> {
    /// The search's own.
    pub search: MtuConfig<'k>,
    /// How probes travel; [`Method::Padded`] measures the way there by [`Method::Forward`] first.
    pub method: Method,
    /// The address that the driver's socket was bound to.
    pub own: SocketAddr,
    /// Whether the driver's socket tells fragments from what came whole.
    pub tells_fragments: bool,
    /// Tell of each probe on stderr.
    pub verbose: bool,
}

/// Searches, and says what of the way back is known. `rng` gives a generator for each search.
///
/// # Errors
/// The search could not go on.
pub fn survey(
    driver: &mut Driver,
    config: &SurveyConfig<'_>,
    mut rng: impl FnMut() -> StdRng,
) -> Result<(Finding, End), ExitError> {
    let SurveyConfig { search, method, own, verbose, tells_fragments } = *config;
    let there = if method == Method::Padded { Method::Forward } else { method };
    let there = ProberConfig { search, method: there, search_for: SearchFor::There, own, verbose };
    let mut prober = Prober::new(there, rng());
    let end = driver.run(&mut prober)?;
    let mut finding = prober.outcome()?;
    let Some((payload, bound)) = finding.found().filter(|_| end == End::Finished) else {
        return Ok((finding, end));
    };
    // Answers as long as their probes went through the same search: they came back, whole or not.
    let came_back = finding.is_answered_in_full();
    let first = match (method, finding.fragmented) {
        (_, Some(fragmented)) if came_back => expected(fragmented.longest, overhead(search.destination)),
        (Method::Padded, _) => [payload, 0],
        (Method::Forward, _) if !came_back => return Ok((finding, end)),
        (Method::Forward | Method::Raw, _) => {
            let whole = tells_fragments || finding.is_uncut;
            finding.back = if whole { Back::after_round_trip(payload, bound) } else { Back::Untold };
            return Ok((finding, end));
        }
    };
    let search = MtuConfig { max_payload: payload, ..search };
    let mut prober =
        Prober::new(ProberConfig { search, method, search_for: SearchFor::Back, own, verbose }, rng());
    prober.expect(first);
    let end = driver.run(&mut prober)?;
    let back = prober.outcome()?;
    finding.back = match back.found() {
        _ if end == End::Interrupted => Back::Unmeasured,
        None => Back::NoEcho,
        Some(_) if !tells_fragments && !back.is_uncut => Back::Untold,
        Some((payload, bound)) => Back::Found { payload, limit: BackLimit::new(bound, back.fragmented) },
    };
    finding.add(back);
    Ok((finding, end))
}
