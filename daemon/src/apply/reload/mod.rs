//! Reloading: SIGHUP has the configuration and the libraries read again, and the listeners follow, all of them or none.
//!
//! ```text
//! wanted       what is asked for: all of it, or one listener or plugin
//! work         what reads disks and runs `check`, on a thread of its own
//! thread       that thread
//! closing      it closes the sockets of those that have gone
//! differences  what can only be had by a restart, in words
//! remains      what of it nobody needs any more
//! assembly     from what was read to what the reactor is asked for
//! history      what became of reloads, for metrics
//! words        what has become of it
//! turns        from a wish to its end: asked, read, changed, told
//! ```

mod assembly;
mod closing;
mod differences;
mod history;
mod remains;
mod thread;
mod turns;
mod wanted;
mod words;
mod work;

pub(super) use turns::Reloading;
pub use wanted::Again;
