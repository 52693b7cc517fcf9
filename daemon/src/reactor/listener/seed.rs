//! The seed of a handler.

use std::net::SocketAddr;

use siphasher::sip::SipHasher24;

/// The seed of a handler, made from the reactor's seed and the listener's name and address, so that it does not depend
/// on the order of the configuration. The hash is keyed: the random numbers of one handler tell nothing about those of
/// another.
pub(crate) fn instance_seed(seed: u64, name: &str, local: SocketAddr) -> u64 {
    SipHasher24::new_with_keys(seed, 0).hash(format!("{name} {local}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts() {
        let (a, b) = (SocketAddr::from(([127, 0, 0, 1], 7)), SocketAddr::from(([127, 0, 0, 1], 8)));
        let seeds = [
            instance_seed(1, "x", a),
            instance_seed(2, "x", a),
            instance_seed(1, "y", a),
            instance_seed(1, "x", b),
        ];
        assert!((0..4).all(|i| (0..i).all(|j| seeds[i] != seeds[j])));
        assert_eq!(seeds[0], instance_seed(1, "x", a));
    }
}
