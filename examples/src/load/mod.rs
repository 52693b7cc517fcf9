//! The load tester.

pub mod class;
pub mod frame;
pub mod histogram;
pub mod ledger;
pub mod plan;
pub mod reorder;
pub mod ring;
pub mod stream;
pub mod summary;
pub mod threshold;
pub mod unit;
