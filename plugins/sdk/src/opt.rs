//! One option as the plugin declares it: an entry of the table that the host reads.
#![expect(unsafe_code, reason = "the plugin boundary: the entry holds its texts as pointers")]

use core::ffi::CStr;
use core::ptr;

use polyport_abi::pp_opt;

use crate::text::text;

/// One declared option. Made by [`crate::config!`]; its strings are literals, which is what makes the
/// pointers inside valid for ever.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Opt(pp_opt);

impl Opt {
    pub(crate) const fn new(name: &'static CStr, help: &'static CStr, kind: u32) -> Self {
        let (name, help) = (name.as_ptr(), help.as_ptr());
        let (def, choices) = (ptr::null(), ptr::null());
        Self(pp_opt { name, help, def, choices, min: 0.0, max: 0.0, kind, flags: 0, reserved: 0 })
    }

    pub(crate) const fn default(mut self, text: &'static CStr) -> Self {
        self.0.def = text.as_ptr();
        self
    }

    pub(crate) const fn choices(mut self, text: &'static CStr) -> Self {
        self.0.choices = text.as_ptr();
        self
    }

    pub(crate) const fn bounds(mut self, min: f64, max: f64) -> Self {
        self.0.min = min;
        self.0.max = max;
        self
    }

    pub(crate) const fn flag(mut self, bit: u32) -> Self {
        self.0.flags |= bit;
        self
    }

    /// Gives the option another name.
    pub(crate) const fn renamed(mut self, name: &'static CStr) -> Self {
        self.0.name = name.as_ptr();
        self
    }

    /// The bytes of its name.
    pub(crate) const fn name_bytes(&self) -> &'static [u8] {
        // SAFETY: `new` and `renamed` took a static C string.
        unsafe { CStr::from_ptr(self.0.name) }.to_bytes()
    }

    /// The entry as the host reads it.
    #[must_use]
    pub const fn raw(&self) -> &pp_opt {
        &self.0
    }

    /// Name as written in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        // SAFETY: `new` and `renamed` took a static C string.
        unsafe { text(self.0.name) }
    }

    /// Default as written in the configuration.
    #[must_use]
    pub fn default_text(&self) -> Option<&'static str> {
        // SAFETY: `default` took a static C string.
        (!self.0.def.is_null()).then(|| unsafe { text(self.0.def) })
    }

    /// Choices of an enumeration, else none.
    pub fn choice_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        // SAFETY: `choices` took a static C string.
        let all = unsafe { text(self.0.choices) };
        all.split('|').filter(|name| !name.is_empty())
    }
}
