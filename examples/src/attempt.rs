//! One address of a host after the other: a name such as `localhost` often has two, and the server listens at one.
//!
//! The next is tried where the system or the network refuses, never because of silence: over UDP that may be loss.

use std::net::SocketAddr;

use polyport_terminal::remark;

use crate::outcome::ExitError;

/// Does `attempt` with the first of `candidates`, and with the next ones while the failure is
/// [of one address](ExitError::of_one_address); tells the user, unless `quiet`. The second argument of `attempt` says
/// whether there is another one to come.
///
/// # Errors
/// The first failure that another address cannot mend, or the last one.
pub fn each<T>(
    candidates: &[SocketAddr],
    quiet: bool,
    mut attempt: impl FnMut(SocketAddr, bool) -> Result<T, ExitError>,
) -> Result<T, ExitError> {
    let Some((last, others)) = candidates.split_last() else {
        return Err(ExitError::usage("there is no address to ask"));
    };
    for (index, candidate) in others.iter().enumerate() {
        match attempt(*candidate, true) {
            Err(failure) if failure.is_of_one_address() => {
                if !quiet {
                    let next = others.get(index + 1).unwrap_or(last);
                    remark(format_args!("{failure}; trying {next}"));
                }
            }
            result => return result,
        }
    }
    attempt(*last, false)
}

#[cfg(test)]
mod tests {
    use polyport_terminal::Exit;

    use super::*;

    fn addresses() -> Vec<SocketAddr> {
        ["[::1]:7", "127.0.0.1:7", "192.0.2.1:7"].map(|text| text.parse().unwrap()).to_vec()
    }

    /// Which addresses were tried until the one that does not answer `refused`.
    fn tried(end: usize, last: Result<(), ExitError>) -> (Vec<(SocketAddr, bool)>, Result<(), ExitError>) {
        let (mut seen, mut last) = (Vec::new(), Some(last));
        let result = each(&addresses(), true, |address, more| {
            seen.push((address, more));
            if seen.len() == end {
                return last.take().unwrap();
            }
            Err(ExitError::new(Exit::NoReply, "refused").of_one_address())
        });
        (seen, result)
    }

    #[test]
    fn a_refusal_leads_to_the_next_address_and_nothing_else_does() {
        let all: Vec<(SocketAddr, bool)> = addresses().into_iter().zip([true, true, false]).collect();
        let (seen, result) = tried(2, Ok(()));
        assert_eq!(seen, all[..2]);
        result.unwrap();
        let (seen, result) = tried(1, Err(ExitError::new(Exit::NoReply, "silence")));
        assert_eq!((seen.as_slice(), result.unwrap_err().to_string().as_str()), (&all[..1], "silence"));
        let (seen, result) = tried(4, Ok(()));
        assert_eq!((seen, result.unwrap_err().exit), (all, Exit::NoReply), "all refuse");
        each(&[], true, |_, _| Ok(())).unwrap_err();
    }
}
