//! A private copy of a library in memory alone, for where no directory takes one (`memfd_create(2)`).

use std::io;
use std::path::PathBuf;

/// Makes a copy of `bytes` that nobody can change, and returns a path for `dlopen(3)`. `name` is shown by `/proc`.
///
/// It works whatever is mounted `noexec`: that is a property of file systems, and this belongs to none of them. The
/// descriptor is never closed, because the linker takes a second library of the same path for the first one.
///
/// # Errors
/// The errno; or `/proc` is not mounted, where the path of a descriptor lies.
#[cfg(target_os = "linux")]
pub(super) fn put(name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    use std::fs::File;
    use std::io::Write;
    use std::mem::ManuallyDrop;
    use std::os::fd::AsRawFd;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use rustix::io::Errno;

    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // It is mapped, not started as a program: that stays possible where `vm.memfd_noexec` forbids the other. Linux before
    // 6.3 does not know the flag.
    let made = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        made => made,
    };
    let mut file = File::from(made?);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if !path.exists() {
        return Err(io::Error::other("/proc is not mounted"));
    }
    let _kept = ManuallyDrop::new(file);
    Ok(path)
}

/// Only Linux gives memory a path.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub(super) fn put(_name: &str, _bytes: &[u8]) -> io::Result<PathBuf> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
