//! Numbers of rules in `plugins/ABI.md`: section and rule. A test holds that each says there what it is taken for.

/// A refusal has words.
pub(super) const REFUSAL: &str = "2.2";
/// A check does what `create` would do, and leaves nothing behind.
pub(super) const CHECK: &str = "2.4";
/// An instance leaves nothing behind.
pub(super) const LEFT_BEHIND: &str = "2.10";
/// State is that of an instance.
pub(super) const STATE: &str = "2.11";
/// Who allocates frees.
pub(super) const FREE: &str = "3.1";
/// Nothing behind a datagram is touched.
pub(super) const BEHIND: &str = "3.2";
/// An empty datagram is one.
pub(super) const EMPTY: &str = "3.3";
/// Nothing is touched after its time.
pub(super) const AFTER: &str = "3.6";
/// What is sent stays as it is.
pub(super) const SENT: &str = "3.7";
/// What a batch is.
pub(super) const BATCH: &str = "4.1";
/// Entries have room.
pub(super) const ENTRIES: &str = "4.2";
/// An entry has a destination.
pub(super) const DESTINATION: &str = "4.3";
/// What leaves later has room.
pub(super) const LATER: &str = "4.5";
/// The arena has an end.
pub(super) const ARENA: &str = "4.6";
/// A flush may be refused.
pub(super) const FLUSH: &str = "4.7";
/// An entry is valid.
pub(super) const ENTRY: &str = "4.13";
/// Datagrams are any bytes.
pub(super) const ANY_BYTES: &str = "4.16";
/// What may be called when.
pub(super) const WHEN: &str = "5";
/// Statics are safe for threads.
pub(super) const AT_ONCE: &str = "6.2";
/// No call blocks.
pub(super) const BLOCK: &str = "6.3";
/// Threads end in time.
pub(super) const THREADS: &str = "6.4";
/// Nothing unwinds over the boundary.
pub(super) const UNWIND: &str = "7.1";
/// What is not survivable.
pub(super) const CRASH: &str = "7.4";
/// One clock.
pub(super) const CLOCK: &str = "8";
/// Defaults are within their bounds.
pub(super) const DEFAULT: &str = "9.4";
/// Who refuses an option.
pub(super) const OPTION: &str = "9.5";
/// Ids of sessions.
pub(super) const SESSION: &str = "12.4";

/// What a ticket is good for.
pub(super) const TICKET: &str = "13.2";

/// Each number, with words of its rule.
pub const RULES: &[(&str, &str)] = &[
    (REFUSAL, "or NULL after filling the `pp_error`"),
    (CHECK, "It has no side effects"),
    (LEFT_BEHIND, "gives back all that the instance has"),
    (STATE, "State belongs into the instance"),
    (FREE, "Nothing allocated on one side is freed on the other"),
    (BEHIND, "and nothing beyond"),
    (EMPTY, "an empty datagram is a datagram"),
    (AFTER, "after its time"),
    (SENT, "stay as they are"),
    (BATCH, "`on_batch` gets `rx_len` datagrams"),
    (ENTRIES, "writes `tx[tx_len]` and then increments"),
    (DESTINATION, "`.rx == PP_NO_RX` needs `TX_TO`"),
    (LATER, "hands the bytes to the host"),
    (ARENA, "The arena is scratch memory"),
    (FLUSH, "`flush` takes what is queued"),
    (ENTRY, "The host checks every entry"),
    (ANY_BYTES, "any bytes, from anybody"),
    (WHEN, "No host function calls back into the plugin"),
    (AT_ONCE, "statics must be safe for threads"),
    (BLOCK, "Nothing may block"),
    (THREADS, "A plugin may start threads"),
    (UNWIND, "Nothing may unwind over the boundary"),
    (CRASH, "Not survivable"),
    (CLOCK, "must not read another clock"),
    (DEFAULT, "must itself be within the bounds"),
    (OPTION, "is refused by `check` and `create`"),
    (SESSION, "ends with one `PP_EV_CLOSED`"),
    (TICKET, "the ticket is too old"),
];
