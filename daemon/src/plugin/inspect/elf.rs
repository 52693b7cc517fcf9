//! An ELF file (`elf(5)`) of this machine as bytes: nobody vouches for them, so each walk has a bound.

use std::ops::Range;

use object::elf::{
    PT_LOAD, R_AARCH64_ABS64, R_AARCH64_GLOB_DAT, R_AARCH64_RELATIVE, R_RISCV_64, R_RISCV_RELATIVE,
    R_X86_64_64, R_X86_64_GLOB_DAT, R_X86_64_RELATIVE, RelocationType, SHT_DYNAMIC, SHT_NOBITS, STB_LOCAL,
    SectionHeader64, SectionType,
};
use object::read::elf::{ElfFile64, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, Object, RelocationFlags, RelocationTarget, SectionIndex};

/// Sections of a file. One that has more was made to be walked for long.
const MOST_SECTIONS: usize = 4096;
/// Symbols that are looked at: a library with all of Chromium in it exports fewer.
const MOST_SYMBOLS: usize = 1 << 20;
/// Relocations that are looked at. Sections may overlap, so that the length of the file is no bound.
const MOST_RELOCATIONS: usize = 1 << 23;
/// Bytes of a text. The end of a longer one is not looked for.
pub(super) const LONGEST_TEXT: usize = 4096;

/// A file whose section headers tell where everything is.
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    file: ElfFile64<'a, Endianness>,
}

type Section = SectionHeader64<Endianness>;

impl<'a> Elf<'a> {
    /// None of a file of another kind, or one without section headers, which the dynamic linker does not need.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let file = ElfFile64::parse(bytes).ok()?;
        let sections = file.elf_section_table().len();
        (sections > 0 && sections <= MOST_SECTIONS).then_some(Self { bytes, file })
    }

    /// The first section of a kind.
    pub(super) fn section(&self, kind: SectionType) -> Option<&'a Section> {
        let endian = self.file.endian();
        self.file.elf_section_table().iter().find(|section| section.sh_type(endian) == kind)
    }

    /// The section of this name that is not the linker's business, such as `.comment`.
    pub(super) fn named(&self, name: &[u8]) -> Option<&'a Section> {
        let endian = self.file.endian();
        let table = self.file.elf_section_table();
        // Where the names are is not told; it is the section that names itself.
        let names = |at: u16| table.section(SectionIndex(usize::from(at))).ok().map(|found| self.data(found));
        let names = names(self.file.elf_header().e_shstrndx.get(endian).0)?;
        table.iter().find(|section| text(names, section.sh_name(endian)) == Some(name))
    }

    /// The bytes of a section; none that the file lacks.
    pub(super) fn data(&self, section: &'a Section) -> &'a [u8] {
        let endian = self.file.endian();
        if section.sh_type(endian) == SHT_NOBITS {
            return &[];
        }
        section.data(endian, self.bytes).unwrap_or_default()
    }

    /// The texts that a section refers to.
    pub(super) fn texts(&self, section: &'a Section) -> &'a [u8] {
        let link = section.link(self.file.endian());
        self.file.elf_section_table().section(link).map_or(&[][..], |texts| self.data(texts))
    }

    /// The entries of the dynamic section: tag and value.
    pub(super) fn dynamic(&self) -> (Vec<(i64, u64)>, &'a [u8]) {
        const ENTRY: usize = 16;
        let Some(section) = self.section(SHT_DYNAMIC) else { return (Vec::new(), &[]) };
        let entries = self.data(section).chunks_exact(ENTRY).take(MOST_SECTIONS).filter_map(|entry| {
            Some((i64::from_ne_bytes(*entry.first_chunk()?), u64::from_ne_bytes(*entry.last_chunk()?)))
        });
        (entries.take_while(|(tag, _)| *tag != 0).collect(), self.texts(section))
    }

    /// The dynamic symbols that the file defines for others: name and address.
    pub(super) fn exported(&self) -> impl Iterator<Item = (&'a [u8], u64)> {
        let endian = self.file.endian();
        let table = self.file.elf_dynamic_symbol_table();
        let names = self.file.elf_section_table().section(table.string_section());
        let names = names.map_or(&[][..], |texts| self.data(texts));
        let symbols = table.symbols().iter().skip(1).take(MOST_SYMBOLS);
        let defined = symbols.filter(move |s| !s.is_undefined(endian) && s.st_bind() != STB_LOCAL);
        defined.filter_map(move |s| Some((text(names, s.st_name(endian))?, s.st_value(endian))))
    }

    /// The bytes that lie at an address when the file is loaded at address 0 and its pointers are set, as far as they are in the
    /// file.
    pub(super) fn loaded(&self, address: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = self.mapped(address)?.get(..len)?.to_vec();
        let end = address.checked_add(u64::try_from(len).ok()?)?;
        for (at, pointer) in self.pointers(address..end) {
            let at = usize::try_from(at - address).ok()?;
            if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                *place = pointer.to_ne_bytes();
            }
        }
        Some(bytes)
    }

    /// The text at an address, without its NUL; none where it does not end.
    pub(super) fn text_at(&self, address: u64) -> Option<&'a [u8]> {
        ended(self.mapped(address)?)
    }

    /// What the file maps from an address on.
    fn mapped(&self, address: u64) -> Option<&'a [u8]> {
        let endian = self.file.endian();
        let loads = self.file.elf_program_headers().iter().filter(|p| p.p_type(endian) == PT_LOAD);
        loads.take(MOST_SECTIONS).find_map(|segment| {
            let skip = usize::try_from(address.checked_sub(segment.p_vaddr(endian))?).ok()?;
            let data = segment.data(endian, self.bytes).ok()?;
            data.get(skip..).filter(|rest| !rest.is_empty())
        })
    }

    /// The pointers that the linker sets in a range. Those that it only moves, by the packed `DT_RELR`, are in the file as they
    /// are.
    fn pointers(&self, range: Range<u64>) -> Vec<(u64, u64)> {
        let endian = self.file.endian();
        let table = self.file.elf_dynamic_symbol_table();
        let all = self.file.dynamic_relocations().into_iter().flatten().take(MOST_RELOCATIONS);
        let within = all.filter(|(at, _)| range.contains(at));
        within
            .filter_map(|(at, relocation)| {
                let RelocationFlags::Elf { r_type } = relocation.flags() else { return None };
                let base = if is_relative(r_type) {
                    0
                } else if let (RelocationTarget::Symbol(index), true) =
                    (relocation.target(), names_symbol(r_type))
                {
                    table.symbol(index).ok()?.st_value(endian)
                } else {
                    return None;
                };
                Some((at, base.wrapping_add_signed(relocation.addend())))
            })
            .collect()
    }
}

fn is_relative(kind: RelocationType) -> bool {
    let relative = if cfg!(target_arch = "aarch64") {
        R_AARCH64_RELATIVE
    } else if cfg!(target_arch = "riscv64") {
        R_RISCV_RELATIVE
    } else {
        R_X86_64_RELATIVE
    };
    kind == relative
}

fn names_symbol(kind: RelocationType) -> bool {
    if cfg!(target_arch = "aarch64") {
        [R_AARCH64_ABS64, R_AARCH64_GLOB_DAT].contains(&kind)
    } else if cfg!(target_arch = "riscv64") {
        kind == R_RISCV_64
    } else {
        [R_X86_64_64, R_X86_64_GLOB_DAT].contains(&kind)
    }
}

/// The text that begins at an offset of a string table.
pub(super) fn text(table: &[u8], at: u32) -> Option<&[u8]> {
    ended(table.get(usize::try_from(at).ok()?..)?)
}

/// The bytes before the first NUL.
fn ended(bytes: &[u8]) -> Option<&[u8]> {
    let near = bytes.get(..LONGEST_TEXT).unwrap_or(bytes);
    near.get(..memchr::memchr(0, near)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_before_its_bound_or_is_none() {
        assert_eq!(text(b"\0one\0two", 1), Some(&b"one"[..]));
        assert_eq!((text(b"\0one\0two", 5), text(b"x\0", 9)), (None, None));
        let long = [vec![b'a'; LONGEST_TEXT], vec![0]].concat();
        assert_eq!((text(&long, 0), text(&long, 1).map(<[u8]>::len)), (None, Some(LONGEST_TEXT - 1)));
    }

    #[test]
    fn what_is_no_elf_file_or_has_no_sections_is_none() {
        assert!(Elf::parse(b"").is_none());
        assert!(Elf::parse(&[0x7F; 4096]).is_none());
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = Elf::parse(&own);
        assert_eq!(elf.is_some(), cfg!(target_os = "linux"));
        assert!(Elf::parse(&own[..own.len() / 2]).is_none(), "the section headers are at the end");
    }
}
