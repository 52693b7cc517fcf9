//! The shape of the workspace, held by tests.
//!
//! ```text
//! scan       Rust text without comments and strings, and the files of the tree
//! layering   arrows between crates, and between the modules of the daemon
//! modules    which file of a crate names items of which other
//! circles    arrows between the files of a crate: never round in a circle
//! locks      the lock file of the fuzzer is that of the project
//! map        what the map names is there
//! checklist  every requirement has its line, and every test that the line names is there
//! netem      every option of a bad network has its row against netem's, and the tests that the row names are there
//! rules      the law of plugins has the rules that are named, and a finder for each pitfall
//! links      every link of a page leads somewhere, and every page is in the book
//! imports    one order of imports in every file
//! comments   comments are sentences
//! tidy       file size, the fence around unsafe, words that must not be there
//! ```
//!
//! Every rule is a function of a path and a text, so that each is also tried on a sample that breaks it.

#[cfg(test)]
mod checklist;
#[cfg(test)]
mod circles;
#[cfg(test)]
mod comments;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod links;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod map;
#[cfg(test)]
mod modules;
#[cfg(test)]
mod netem;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod scan;
#[cfg(test)]
mod tidy;
