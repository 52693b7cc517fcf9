//! Real sockets on loopback: what the crate promises of the kernel.

#[cfg(test)]
#[cfg(target_os = "linux")]
mod addresses;
#[cfg(test)]
mod bind;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod cut_control;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod description;
#[cfg(test)]
mod error_queue;
#[cfg(test)]
mod fragments;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod header;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod source;
#[cfg(test)]
mod support;
#[cfg(test)]
mod trains;
