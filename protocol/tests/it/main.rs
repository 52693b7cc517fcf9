//! Tests of the public API: the vectors of SPEC.md section 18 and the properties of [P-93].

#[cfg(test)]
mod roundtrip;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod window_model;
