//! The identity of a library, read from its bytes before any of its code runs (I8).

use std::fmt;

use object::{Architecture, FileKind, Object, ObjectKind, ObjectSegment};
use polyport_abi::{
    ABI_MAJOR, ABI_MINOR, F_DEBUG, F_PANIC_ABORT, F_PER_LISTENER, IDENT_SIZE, LAYOUT, MAGIC, pp_ident,
};
use polyport_terminal::Escaped;

use super::refusal::Cause;

/// What a plugin says of itself. A value of this type exists only if this polyport may load the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the plugin.
    pub name: String,
    /// Version of the plugin.
    pub version: String,
    /// Compiler that built the plugin, and its version.
    pub toolchain: String,
    /// One line about the plugin.
    pub about: String,
    /// Minor version of the ABI that the plugin was built with.
    pub abi_minor: u16,
    flags: u32,
}

impl Identity {
    /// Finds and checks the identity in the bytes of a library file.
    ///
    /// # Errors
    /// Why this polyport must not load the library.
    pub fn read(file: &[u8]) -> Result<Self, Cause> {
        check_container(file)?;
        Raw::find(file)?.accept()
    }

    /// Checks an identity that is linked into the program.
    ///
    /// # Errors
    /// Why this polyport must not use the plugin.
    pub(in crate::plugin) fn of(ident: &pp_ident) -> Result<Self, Cause> {
        Raw::find(&bytes_of(ident))?.accept()
    }

    /// The ABI that the plugin was built for, as `1.0`.
    #[must_use]
    pub fn abi(&self) -> String {
        format!("{ABI_MAJOR}.{}", self.abi_minor)
    }

    /// Whether the plugin knows more of the ABI than this polyport has, and says that it works all the same.
    #[must_use]
    pub fn is_newer_than_host(&self) -> bool {
        self.abi_minor > ABI_MINOR
    }

    /// Whether a panic in the plugin would abort the daemon.
    #[must_use]
    pub fn aborts_on_panic(&self) -> bool {
        self.flags & F_PANIC_ABORT != 0
    }

    /// Whether the plugin was built without optimisation.
    #[must_use]
    pub fn is_debug_build(&self) -> bool {
        self.flags & F_DEBUG != 0
    }

    /// Whether one instance serves all addresses of a listener, instead of one for each.
    #[must_use]
    pub fn is_per_listener(&self) -> bool {
        self.flags & F_PER_LISTENER != 0
    }
}

/// What a library says of itself, whether or not this polyport may load it. Texts are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Name of the plugin.
    pub name: String,
    /// Version of the plugin.
    pub version: String,
    /// What built it.
    pub toolchain: String,
    /// One line about the plugin.
    pub about: String,
    /// The ABI that it was built with: major and minor.
    pub abi: (u16, u16),
    /// Oldest minor version of a host that it works with.
    pub min_host_minor: u16,
    /// Sizes of the structs that it shares with the host, a byte each.
    pub layout: u32,
    flags: u32,
}

impl Said {
    /// Finds the only identity in the bytes of a library file.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub(in crate::plugin) fn read(file: &[u8]) -> Result<Self, Cause> {
        Raw::find(file).map(|raw| raw.said())
    }

    /// What is linked into the program.
    pub(in crate::plugin) fn of(ident: &pp_ident) -> Option<Self> {
        Self::read(&bytes_of(ident)).ok()
    }

    /// Whether a panic in the plugin would abort the daemon; none if it is of no language that panics.
    #[must_use]
    pub fn aborts_on_panic(&self) -> Option<bool> {
        self.toolchain.starts_with("rustc").then_some(self.flags & F_PANIC_ABORT != 0)
    }

    /// Whether the plugin was built without optimisation.
    #[must_use]
    pub fn is_debug_build(&self) -> bool {
        self.flags & F_DEBUG != 0
    }

    /// Whether one instance serves all addresses of a listener, instead of one for each.
    #[must_use]
    pub fn is_per_listener(&self) -> bool {
        self.flags & F_PER_LISTENER != 0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// An identity that is linked into the program, as it would lie in a file.
fn bytes_of(ident: &pp_ident) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::from(IDENT_SIZE));
    bytes.extend(ident.magic);
    for number in [ident.abi_major, ident.abi_minor, ident.min_host_minor, ident.ident_size] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend([ident.layout, ident.flags].map(u32::to_ne_bytes).concat());
    bytes.extend(ident.name.iter().chain(&ident.version).chain(&ident.toolchain).chain(&ident.about));
    bytes
}

/// The plugin ABI of this polyport: major and minor.
#[must_use]
pub const fn host_abi() -> (u16, u16) {
    (ABI_MAJOR, ABI_MINOR)
}

/// The sizes of the structs that this polyport shares with plugins, a byte each.
#[must_use]
pub const fn host_layout() -> u32 {
    LAYOUT
}

/// The plugin ABI of this polyport, as `1.0`.
#[must_use]
pub fn plugin_abi() -> String {
    format!("{ABI_MAJOR}.{ABI_MINOR}")
}

/// Checks that the file is a complete shared library for this machine, by its ELF (`elf(5)`) or Mach-O headers.
fn check_container(file: &[u8]) -> Result<(), Cause> {
    let kind = FileKind::parse(file).map_err(|_| Cause::NotALibrary("no ELF or Mach-O header"))?;
    match kind {
        FileKind::Elf64 | FileKind::MachO64 => {}
        FileKind::Elf32 | FileKind::MachO32 => {
            return Err(Cause::OtherMachine { built_for: "a 32-bit machine".into(), host: host_name() });
        }
        FileKind::MachOFat32 | FileKind::MachOFat64 => {
            return Err(Cause::NotALibrary(
                "a universal binary; extract this machine's part with lipo -thin",
            ));
        }
        FileKind::DyldCache | _ => return Err(Cause::NotALibrary("no ELF or Mach-O header")),
    }
    let truncated = Cause::Truncated { len: file.len() };
    let Ok(object) = object::File::parse(file) else { return Err(truncated) };
    if object.architecture() != HOST {
        let built_for = format!("{:?}", object.architecture()).to_lowercase();
        return Err(Cause::OtherMachine { built_for, host: host_name() });
    }
    if object.kind() != ObjectKind::Dynamic {
        return Err(Cause::NotALibrary("an executable or an object file; link it with -shared"));
    }
    let complete = object.segments().all(|segment| segment.data().is_ok());
    if complete { Ok(()) } else { Err(truncated) }
}

/// The architecture this daemon was built for.
const HOST: Architecture = if cfg!(target_arch = "x86_64") {
    Architecture::X86_64
} else if cfg!(target_arch = "aarch64") {
    Architecture::Aarch64
} else if cfg!(target_arch = "riscv64") {
    Architecture::Riscv64
} else {
    Architecture::Unknown
};

fn host_name() -> &'static str {
    std::env::consts::ARCH
}

/// The 256 bytes of a `pp_ident` as they lie in the file, in the byte order of this machine, which the plugin was built
/// for.
struct Raw<'a>(&'a [u8; IDENT_SIZE as usize]);

impl<'a> Raw<'a> {
    /// Finds the only identity in a file. The magic may also be part of an error text, so a candidate counts only with
    /// the right `ident_size`.
    fn find(file: &'a [u8]) -> Result<Self, Cause> {
        let mut found = None;
        let mut count = 0;
        for at in memchr::memmem::find_iter(file, &MAGIC) {
            let candidate =
                file.get(at..).and_then(|rest| rest.first_chunk::<{ IDENT_SIZE as usize }>()).map(Raw);
            if let Some(raw) = candidate.filter(|raw| raw.u16(22) == IDENT_SIZE) {
                found = Some(raw);
                count += 1;
            }
        }
        match (found, count) {
            (Some(raw), 1) => Ok(raw),
            (None, _) => Err(Cause::NoIdentity),
            (Some(_), n) => Err(Cause::ManyIdentities(n)),
        }
    }

    /// What the identity says.
    fn said(&self) -> Said {
        Said {
            name: text(self.field::<40>(32)),
            version: text(self.field::<24>(72)),
            toolchain: text(self.field::<56>(96)),
            about: text(self.field::<104>(152)),
            abi: (self.u16(16), self.u16(18)),
            min_host_minor: self.u16(20),
            layout: self.u32(24),
            flags: self.u32(28),
        }
    }

    /// What the identity says, if this polyport may use the plugin.
    fn accept(&self) -> Result<Identity, Cause> {
        let Said { name, version, toolchain, about, abi, min_host_minor, layout, flags } = self.said();
        let (major, minor) = abi;
        if major != ABI_MAJOR {
            return Err(Cause::OtherMajor { name, version, major, minor });
        }
        if min_host_minor > ABI_MINOR {
            return Err(Cause::NeedsNewerHost { name, version, minor: min_host_minor });
        }
        if layout != LAYOUT {
            return Err(Cause::OtherLayout { name, version, layout });
        }
        Ok(Identity { name, version, toolchain, about, abi_minor: minor, flags })
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.field(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.field(at))
    }
}

/// Text up to the first NUL, safe to print (P41).
fn text<const N: usize>(bytes: [u8; N]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(N);
    Escaped(bytes.get(..end).unwrap_or_default()).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_offsets_are_those_of_the_struct() {
        use std::mem::offset_of;

        use polyport_abi::pp_ident;
        let offsets = [
            (offset_of!(pp_ident, abi_major), 16),
            (offset_of!(pp_ident, abi_minor), 18),
            (offset_of!(pp_ident, min_host_minor), 20),
            (offset_of!(pp_ident, ident_size), 22),
            (offset_of!(pp_ident, layout), 24),
            (offset_of!(pp_ident, flags), 28),
            (offset_of!(pp_ident, name), 32),
            (offset_of!(pp_ident, version), 72),
            (offset_of!(pp_ident, toolchain), 96),
            (offset_of!(pp_ident, about), 152),
        ];
        for (actual, used) in offsets {
            assert_eq!(actual, used);
        }
    }

    #[test]
    fn plain_files_are_refused_in_words() {
        assert!(matches!(Identity::read(b""), Err(Cause::NotALibrary(_))));
        assert!(matches!(
            Identity::read(b"#!/bin/sh\nexit 0\n and some more text"),
            Err(Cause::NotALibrary(_))
        ));
        assert!(matches!(
            Identity::read(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
            Err(Cause::Truncated { len: 16 })
        ));
    }

    /// An ELF library of this machine without section headers, whose only segment says that it ends at `len`.
    fn elf_that_says_it_ends_at(len: u64) -> Vec<u8> {
        const HEADER: u16 = 64;
        const PROGRAM_HEADER: u16 = 56;
        let machine: u16 = if HOST == Architecture::Aarch64 {
            183
        } else if HOST == Architecture::Riscv64 {
            243
        } else {
            62
        };
        let program_header = usize::from(HEADER);
        let little = u8::from(cfg!(target_endian = "little"));
        let mut elf = vec![0_u8; program_header + usize::from(PROGRAM_HEADER)];
        let fields: [(usize, &[u8]); 10] = [
            (0, &[0x7F, b'E', b'L', b'F', 2, 2 - little, 1]),
            (16, &3_u16.to_ne_bytes()), // `ET_DYN`, a shared object.
            (18, &machine.to_ne_bytes()),
            (20, &1_u32.to_ne_bytes()),
            (32, &u64::from(HEADER).to_ne_bytes()),
            (52, &HEADER.to_ne_bytes()),
            (54, &PROGRAM_HEADER.to_ne_bytes()),
            (56, &1_u16.to_ne_bytes()),
            (program_header, &1_u32.to_ne_bytes()), // `PT_LOAD`, from offset 0 on.
            (program_header + 32, &len.to_ne_bytes()),
        ];
        for (at, bytes) in fields {
            elf[at..at + bytes.len()].copy_from_slice(bytes);
        }
        elf
    }

    /// Without section headers only the segments tell where a file should end. Its code would be cut off.
    #[test]
    fn a_library_that_ends_inside_a_segment_is_truncated() {
        let file = |len: usize| {
            let mut file = elf_that_says_it_ends_at(200);
            file.resize(len, 0);
            Identity::read(&file).unwrap_err()
        };
        assert!(matches!(file(199), Cause::Truncated { len: 199 }));
        assert!(matches!(file(200), Cause::NoIdentity));
    }

    /// A library with an identity, changed by `edit`, as its last bytes.
    fn library(edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
        const LEN: usize = 256 + IDENT_SIZE as usize;
        let mut file = elf_that_says_it_ends_at(LEN as u64);
        file.resize(LEN, 0);
        let (_, identity) = file.split_at_mut(256);
        let fields: [(usize, &[u8]); 10] = [
            (0, &MAGIC),
            (16, &ABI_MAJOR.to_ne_bytes()),
            (18, &7_u16.to_ne_bytes()),
            (20, &ABI_MINOR.to_ne_bytes()),
            (22, &IDENT_SIZE.to_ne_bytes()),
            (24, &LAYOUT.to_ne_bytes()),
            (32, b"echo"),
            (72, b"1.2.3"),
            (96, b"rustc"),
            (152, b"sends back"),
        ];
        for (at, bytes) in fields {
            identity[at..at + bytes.len()].copy_from_slice(bytes);
        }
        edit(identity);
        file
    }

    #[test]
    fn all_that_a_plugin_says_of_itself_is_read() {
        let read = |flags: u32| {
            Identity::read(&library(|identity| identity[28..32].copy_from_slice(&flags.to_ne_bytes())))
                .unwrap()
        };
        let echo = read(0);
        assert_eq!((echo.to_string().as_str(), echo.abi_minor), ("echo 1.2.3", 7));
        assert_eq!((echo.toolchain.as_str(), echo.about.as_str()), ("rustc", "sends back"));
        for (flags, expected) in
            [(0, (false, false)), (F_PANIC_ABORT, (true, false)), (F_DEBUG, (false, true)), (3, (true, true))]
        {
            assert_eq!((read(flags).aborts_on_panic(), read(flags).is_debug_build()), expected, "{flags}");
        }
    }

    #[test]
    fn each_number_that_differs_is_a_refusal_of_its_own() {
        let refused = |at: usize, number: u16| {
            let edit = |identity: &mut [u8]| identity[at..at + 2].copy_from_slice(&number.to_ne_bytes());
            Identity::read(&library(edit)).unwrap_err()
        };
        assert!(matches!(refused(16, ABI_MAJOR + 1), Cause::OtherMajor { major: 2, minor: 7, .. }));
        assert!(
            matches!(refused(20, ABI_MINOR + 1), Cause::NeedsNewerHost { minor, .. } if minor == ABI_MINOR + 1)
        );
        assert!(matches!(refused(24, 0), Cause::OtherLayout { .. }));
        assert!(matches!(refused(22, IDENT_SIZE + 1), Cause::NoIdentity), "the magic may stand in a text");
        let two = [library(|_| {}), library(|_| {})].concat();
        assert!(matches!(Identity::read(&two), Err(Cause::ManyIdentities(2))));
    }

    #[test]
    fn a_library_of_another_kind_or_machine_is_refused() {
        let read = |at: usize, bytes: &[u8]| {
            let mut file = library(|_| {});
            file[at..at + bytes.len()].copy_from_slice(bytes);
            Identity::read(&file).unwrap_err()
        };
        let sparc = 43_u16.to_ne_bytes();
        assert!(
            matches!(read(18, &sparc), Cause::OtherMachine { host, .. } if host == std::env::consts::ARCH)
        );
        assert!(
            matches!(read(4, &[1]), Cause::OtherMachine { built_for, .. } if built_for == "a 32-bit machine")
        );
        let executable = 2_u16.to_ne_bytes();
        assert!(matches!(read(16, &executable), Cause::NotALibrary(why) if why.contains("-shared")));
        let universal = 0xCAFE_BABE_0000_0002_u64.to_be_bytes();
        assert!(matches!(read(0, &universal), Cause::NotALibrary(why) if why.contains("lipo")));
    }

    #[test]
    fn text_is_bounded_and_escaped() {
        assert_eq!(text(*b"abc\0zzz"), "abc");
        assert_eq!(text(*b"abcdefg"), "abcdefg");
        assert_eq!(text(*b"a\x1b[1m\xff\0"), "a\\u{1b}[1m\\xff");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes: Vec<u8>, elf: bool, at in 0_usize..400) {
            if elf {
                bytes.splice(0..0, *b"\x7fELF\x02\x01\x01");
            }
            let at = at.min(bytes.len());
            bytes.splice(at..at, MAGIC);
            prop_assert!(Identity::read(&bytes).is_err());
        }
    }
}
