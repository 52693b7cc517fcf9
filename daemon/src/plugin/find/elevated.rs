//! Whether the program has more rights than who has started it.
#![expect(unsafe_code, reason = "the C library knows, and no other interface tells")]

/// Whether the program was started set-user-ID, set-group-ID or with capabilities of its file, so that who started it
/// must not choose what runs in it.
///
/// Linux says so to the dynamic linker, which then ignores `LD_PRELOAD` and the like: `AT_SECURE` of `getauxval(3)`.
/// Elsewhere it is `issetugid(2)`. Capabilities that a service manager hands on (ambient ones) do not count: it had them
/// itself.
#[must_use]
pub fn is_elevated() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: reads a number that the kernel gave the process at its start.
    return unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    #[cfg(not(target_os = "linux"))]
    // SAFETY: asks for a property of the process; takes nothing and cannot fail.
    return unsafe { libc::issetugid() } != 0;
}

#[cfg(test)]
mod tests {
    #[test]
    fn who_was_started_as_everybody_is_has_no_more_rights() {
        assert!(!super::is_elevated());
    }
}
