//! `polyport-load` against servers that misbehave in known ways: every count must be exact.

#[cfg(test)]
mod accounting;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod capacity;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod modes;
#[cfg(test)]
mod page;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod results;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tester;
#[cfg(test)]
mod train_server;
#[cfg(test)]
mod trains;
