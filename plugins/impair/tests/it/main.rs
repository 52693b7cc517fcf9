//! The engine from outside: against an obvious twin, in numbers, and at its bounds.
#![cfg(test)]

mod bounds;
mod changes;
mod configs;
mod each;
mod independence;
mod statistics;
mod timelines;
mod twin;
mod twins;
