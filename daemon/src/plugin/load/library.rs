//! Loads a library: from a file to a table of functions that may be called.
#![expect(unsafe_code, reason = "opens libraries and reads what they export")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::io::{self, Read};
use std::mem::{ManuallyDrop, MaybeUninit, offset_of};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{ptr, slice};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use polyport_abi::{
    OPT_ADDR, OPT_BOOL, OPT_DURATION, OPT_ENUM, OPT_FLOAT, OPT_INT, OPT_JSON, OPT_LIST, OPT_RATIO, OPT_READS,
    OPT_REQUIRED, OPT_SECRET, OPT_SIZE, OPT_STRING, OPT_WRITES, SYMBOL, pp_opt, pp_plugin,
};
use polyport_terminal::counted;

use super::generations::Generations;
use super::option::{FileUse, OptionSpec, OptionType, Values};
use super::plugin::{Functions, Plugin};
use crate::plugin::find::{
    Beside, Cause, Identity, MAX_LIBRARY_BYTES, Owners, Refusal, Refused, SearchPath, Stages, find_beside,
    stage_candidates, trusted_file,
};

/// The tables of the plugins that are linked into the program, each the same that its library exports.
pub type BuiltIn = &'static [&'static pp_plugin];

/// The names of plugins that are built in.
#[must_use]
pub fn built_in_names(built_in: BuiltIn) -> Vec<String> {
    built_in.iter().filter_map(|table| Some(Identity::of(&table.ident).ok()?.name)).collect()
}

// A reload checks options on a thread of its own.
// SAFETY: their pointers lead to their own memory alone, which nothing changes.
unsafe impl Send for Values {}

/// Loads plugins, each file once.
#[derive(Debug)]
pub struct Loader {
    search: SearchPath,
    built_in: BuiltIn,
    owners: Owners,
    stages: Stages,
    /// Plugins by the path of the user's file without symbolic links.
    loaded: BTreeMap<PathBuf, Arc<Plugin>>,
    /// All builds of all files, also those that no file has any more.
    generations: Generations<Plugin>,
    /// Plugins that are linked into the program, by name.
    linked: BTreeMap<String, Arc<Plugin>>,
    /// Plugins by what they were called: for a thousand listeners a file is walked to once.
    named: BTreeMap<String, Arc<Plugin>>,
    /// Addresses of the tables of all plugins.
    tables: Vec<usize>,
}

impl Loader {
    /// A loader that looks plugins up in `search`. It keeps its private copies in a runtime directory that the
    /// environment names; `var` reads a variable of the environment. With elevated rights it does not ask the environment.
    #[must_use]
    pub fn new(search: SearchPath, var: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let elevated = search.is_elevated();
        // The user who started the program may own the directory, and could change the copy.
        let candidates = if elevated { Vec::new() } else { stage_candidates(var) };
        Self {
            search,
            built_in: &[],
            owners: Owners::of_this_process(elevated),
            stages: Stages::new(candidates, std::process::id()),
            loaded: BTreeMap::new(),
            generations: Generations::default(),
            linked: BTreeMap::new(),
            named: BTreeMap::new(),
            tables: Vec::new(),
        }
    }

    /// Sets the plugins that serve where the search path has no library of their name.
    #[must_use]
    pub fn with_built_in(self, built_in: BuiltIn) -> Self {
        Self { search: self.search.with_built_in(built_in_names(built_in)), built_in, ..self }
    }

    /// The plugin with this name or path. It is loaded on the first call for its file. A name of which no library is found
    /// may be that of a plugin that is built in.
    ///
    /// # Errors
    /// What is wrong with the file, or with who else may write it. No code of it has run, unless the dynamic linker
    /// accepted it.
    pub fn load(&mut self, reference: &str) -> Result<Arc<Plugin>, Refusal> {
        if let Some(plugin) = self.named.get(reference) {
            return Ok(Arc::clone(plugin));
        }
        let plugin = match self.search.find(reference) {
            Ok(path) => self.load_file(&path).map_err(|cause| Refusal { path, cause })?,
            Err(refusal) if matches!(refusal.cause, Cause::NotFound { .. }) => {
                self.built_in(reference).ok_or(refusal)??
            }
            Err(refusal) => return Err(refusal),
        };
        let from = plugin.path().map_or_else(|| "built in".to_owned(), |path| path.display().to_string());
        log::debug!("plugin `{reference}` is {}: {from}", plugin.identity());
        self.named.insert(reference.to_owned(), Arc::clone(&plugin));
        Ok(plugin)
    }

    /// Moves all that it knows into another loader, and leaves one that finds nothing.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let nothing = Self {
            search: SearchPath::default(),
            built_in: self.built_in,
            owners: self.owners,
            stages: Stages::new(Vec::new(), std::process::id()),
            loaded: BTreeMap::new(),
            generations: Generations::default(),
            linked: BTreeMap::new(),
            named: BTreeMap::new(),
            tables: Vec::new(),
        };
        std::mem::replace(self, nothing)
    }

    /// Looks plugins up in `search` from now on, and each file again: one whose bytes were never loaded is loaded as a new
    /// generation. Whose bytes were, is the plugin that it was then.
    pub fn look_again(&mut self, search: SearchPath) {
        self.search = search.with_built_in(self.built_in_names().collect());
        self.loaded.clear();
        self.named.clear();
    }

    /// Knows from now on what serves, each by what it is called, and nothing else: whatever was looked at meanwhile, and whatever
    /// lies in the files now. A plugin that is not among them is looked up in `search`.
    pub fn keep(&mut self, search: SearchPath, serving: impl IntoIterator<Item = (String, Arc<Plugin>)>) {
        self.look_again(search);
        for (reference, plugin) in serving {
            if let Some(real) = &plugin.real {
                self.loaded.insert(real.clone(), Arc::clone(&plugin));
            }
            self.named.insert(reference, plugin);
        }
    }

    /// Looks at the file of one plugin again, as [`look_again`](Self::look_again) has it done for all, and says which build it is.
    /// Whatever `plugin` is called is that build from now on. One that is built in has no file, and stays.
    ///
    /// # Errors
    /// What is wrong with the file; then nothing that is called so is known any more.
    pub fn load_again(&mut self, plugin: &Arc<Plugin>) -> Result<Arc<Plugin>, Refusal> {
        let Some(path) = plugin.path() else { return Ok(Arc::clone(plugin)) };
        let is_other = |other: &Arc<Plugin>| !Arc::ptr_eq(other, plugin);
        self.loaded.retain(|_, other| is_other(other));
        let called = self.named.iter().filter(|(_, other)| !is_other(other)).map(|(name, _)| name.clone());
        let called: Vec<String> = called.collect();
        self.named.retain(|_, other| is_other(other));
        let build = self.load_file(path).map_err(|cause| Refusal { path: path.to_path_buf(), cause })?;
        self.named.extend(called.into_iter().map(|name| (name, Arc::clone(&build))));
        Ok(build)
    }

    /// Where plugins are looked up.
    pub(in crate::plugin) fn search(&self) -> &SearchPath {
        &self.search
    }

    /// Whose files are loaded.
    pub(in crate::plugin) fn owners(&self) -> Owners {
        self.owners
    }

    /// Names of the plugins that are linked into the program.
    pub fn built_in_names(&self) -> impl Iterator<Item = String> {
        self.built_in.iter().filter_map(|table| Some(Identity::of(&table.ident).ok()?.name))
    }

    /// The table of this name that is linked into the program.
    pub(in crate::plugin) fn table(&self, name: &str) -> Option<&'static pp_plugin> {
        let accepted = |table: &pp_plugin| Identity::of(&table.ident).is_ok_and(|found| found.name == name);
        self.built_in.iter().copied().find(|table| accepted(table))
    }

    /// Every directory in which plugins are looked for.
    pub fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.search.all().map(PathBuf::as_path)
    }

    /// The directories that were given to look for plugins in, and cannot be used, each with the reason.
    pub fn unusable_dirs(&self) -> impl Iterator<Item = (&Path, io::Error)> {
        self.search.unusable()
    }

    /// Where the private copies of the libraries are that are in no memory of ours alone.
    pub fn copies(&self) -> impl Iterator<Item = &Path> {
        self.stages.dirs()
    }

    /// Removes the private copies of the libraries, which stay mapped: for a daemon that soon may not do it any more.
    /// Backtraces then show the functions of plugins without their names.
    pub fn remove_copies(&mut self) {
        self.stages.remove();
    }

    fn load_file(&mut self, path: &Path) -> Result<Arc<Plugin>, Cause> {
        let trusted = trusted_file(path, self.owners).map_err(|refused| match refused {
            Refused::Unreadable(e) => Cause::Unreadable(e),
            Refused::NotAFile => Cause::NotALibrary("a directory, a device or a pipe"),
            Refused::Untrusted(distrust) => Cause::Untrusted(distrust),
        })?;
        if let Some(plugin) = self.loaded.get(&trusted.real) {
            return Ok(Arc::clone(plugin));
        }
        let mut bytes = Vec::new();
        // One byte more than allowed shows that there is more.
        trusted.file.take(MAX_LIBRARY_BYTES + 1).read_to_end(&mut bytes).map_err(Cause::Unreadable)?;
        if bytes.len() as u64 > MAX_LIBRARY_BYTES {
            return Err(Cause::TooLarge);
        }
        let identity = Identity::read(&bytes)?;
        let beside = find_beside(path, &bytes, self.owners)?;
        let content = self.generations.content(&bytes, &beside);
        let plugin = match self.generations.find(&trusted.real, content) {
            Some(known) => known,
            None => {
                let generation = self.generations.next(&trusted.real);
                let file = Origin {
                    path: Some(path.to_path_buf()),
                    real: Some(trusted.real.clone()),
                    library: None,
                    generation,
                };
                let plugin = Arc::new(self.open(file, &bytes, identity, &beside)?);
                self.generations.add(&trusted.real, content, &plugin);
                plugin
            }
        };
        self.loaded.insert(trusted.real, Arc::clone(&plugin));
        Ok(plugin)
    }

    /// Copies and loads the bytes of a file, whose identity was accepted.
    fn open(
        &mut self,
        file: Origin,
        bytes: &[u8],
        identity: Identity,
        beside: &Beside,
    ) -> Result<Plugin, Cause> {
        let name = format!("{}-{}", identity.name, identity.version);
        let staged = self.stages.put(&name, bytes, beside).map_err(|tried| Cause::NoStage { tried })?;
        for copy in &staged.before {
            let _kept = open(copy)?;
        }
        let staged = staged.path;
        let library = open(&staged)?;
        let path = file.path.as_deref().unwrap_or_else(|| Path::new(""));
        log::debug!("plugin {identity} of {} runs as its copy {}", path.display(), staged.display());
        // SAFETY: the symbol is a data symbol; only its address is taken here.
        let symbol = unsafe { library.get::<*const pp_plugin>(SYMBOL.to_bytes_with_nul()) };
        let table: *const pp_plugin =
            symbol.map_err(|e| Cause::NoSymbol(linker_text(&e, &staged)))?.into_raw().cast_const().cast();
        if self.tables.contains(&table.addr()) {
            return Err(Cause::NotFresh);
        }
        self.tables.push(table.addr());
        plugin(identity, &copy_table(table)?, Origin { library: Some(library), ..file })
    }

    /// The plugin of this name that is linked into the program, by the same checks as one of a library.
    fn built_in(&mut self, name: &str) -> Option<Result<Arc<Plugin>, Refusal>> {
        if let Some(plugin) = self.linked.get(name) {
            return Some(Ok(Arc::clone(plugin)));
        }
        let accepted = |table: &pp_plugin| Identity::of(&table.ident).ok().filter(|found| found.name == name);
        let (table, identity) = self.built_in.iter().find_map(|table| Some((*table, accepted(table)?)))?;
        let origin = Origin { path: None, real: None, library: None, generation: 1 };
        let plugin = copy_table(table).and_then(|table| plugin(identity, &table, origin)).map(Arc::new);
        if let Ok(plugin) = &plugin {
            self.linked.insert(name.to_owned(), Arc::clone(plugin));
        }
        Some(plugin.map_err(|cause| Refusal { path: PathBuf::from(name), cause }))
    }
}

/// Opens a private copy. Also what is dropped stays loaded.
fn open(copy: &Path) -> Result<ManuallyDrop<Library>, Cause> {
    // SAFETY: running a plugin's code is what the user asked for; its identity was accepted, and what it brings is trusted as it
    // is.
    let library = unsafe { Library::open(Some(copy), RTLD_NOW | RTLD_LOCAL) };
    library.map(ManuallyDrop::new).map_err(|e| Cause::Linker(linker_text(&e, copy)))
}

/// Where the functions of a plugin come from.
struct Origin {
    path: Option<PathBuf>,
    real: Option<PathBuf>,
    library: Option<ManuallyDrop<Library>>,
    generation: usize,
}

/// The plugin that a table describes, if all that the host calls is there.
fn plugin(identity: Identity, table: &pp_plugin, origin: Origin) -> Result<Plugin, Cause> {
    Ok(Plugin {
        path: origin.path,
        real: origin.real,
        name: Arc::from(identity.name.as_str()),
        identity,
        options: options(table)?,
        functions: functions(table)?,
        generation: origin.generation,
        _library: origin.library,
    })
}

/// The error of the dynamic linker (`dlerror(3)`) without the path of the private copy, which tells the user nothing.
fn linker_text(error: &libloading::Error, staged: &Path) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    let text = text.replace(&format!("{}: ", staged.display()), "");
    if text.contains("static TLS") {
        return format!(
            "{text}; build its allocator without initial-exec TLS (disable_initial_exec_tls, local_dynamic_tls)"
        );
    }
    text
}

/// Copies as much of a plugin's table as both sides know. Functions that an older plugin does not have are NULL.
fn copy_table(table: *const pp_plugin) -> Result<pp_plugin, Cause> {
    let needed = offset_of!(pp_plugin, on_timer);
    // SAFETY: the exported table begins with a `pp_ident` and its size, whatever its minor version.
    let size = unsafe { table.wrapping_byte_add(offset_of!(pp_plugin, size)).cast::<u32>().read() };
    let size = usize::try_from(size).unwrap_or(0);
    if size < needed {
        return Err(Cause::ShortTable { size, needed });
    }
    let mut own = MaybeUninit::<pp_plugin>::zeroed();
    let bytes = size.min(size_of::<pp_plugin>());
    // SAFETY: the plugin says its table has `size` bytes, and no more than our own size is copied.
    unsafe { ptr::copy_nonoverlapping(table.cast::<u8>(), own.as_mut_ptr().cast::<u8>(), bytes) };
    // SAFETY: zeroes are a valid `pp_plugin` (numbers, byte arrays, nullable pointers), and so is the copy.
    Ok(unsafe { own.assume_init() })
}

/// The functions in a table.
fn functions(table: &pp_plugin) -> Result<Functions, Cause> {
    Ok(Functions {
        create: table.create.ok_or(Cause::MissingFunction("create"))?,
        destroy: table.destroy.ok_or(Cause::MissingFunction("destroy"))?,
        on_batch: table.on_batch.ok_or(Cause::MissingFunction("on_batch"))?,
        on_timer: table.on_timer,
        check: table.check,
        on_session: table.on_session,
        rescue: table.rescue,
        save: table.save,
        reconfigure: table.reconfigure,
        on_wake: table.on_wake,
    })
}

/// Most options of a plugin. A larger number is taken for garbage.
pub(in crate::plugin) const MAX_OPTIONS: usize = 256;

/// The options that a plugin declares in its table.
pub(in crate::plugin) fn options(table: &pp_plugin) -> Result<Vec<OptionSpec>, Cause> {
    let n = usize::try_from(table.n_options).unwrap_or(usize::MAX);
    if n == 0 {
        return Ok(Vec::new());
    }
    if n > MAX_OPTIONS || table.options.is_null() {
        return Err(Cause::BadOptionTable(format!(
            "{} at {:?}",
            counted(n, "option", "options"),
            table.options
        )));
    }
    // SAFETY: the plugin declares `n` options there, static data by contract.
    let declared = unsafe { slice::from_raw_parts(table.options, n) };
    declared.iter().map(option).collect()
}

/// One declared option in the host's own types.
pub(in crate::plugin) fn option(o: &pp_opt) -> Result<OptionSpec, Cause> {
    let name = text(o.name).ok_or_else(|| Cause::BadOptionTable("an option without a name".into()))?;
    let plain = match o.kind & !OPT_LIST {
        OPT_BOOL => OptionType::Bool,
        OPT_INT => OptionType::Int,
        OPT_FLOAT => OptionType::Float,
        OPT_RATIO => OptionType::Ratio,
        OPT_DURATION => OptionType::Duration,
        OPT_SIZE => OptionType::Size,
        OPT_STRING => OptionType::String,
        OPT_ENUM => {
            let choices =
                text(o.choices).ok_or_else(|| Cause::BadOptionTable(format!("{name} has no choices")))?;
            OptionType::Enum(choices.split('|').map(str::to_owned).collect())
        }
        OPT_ADDR => OptionType::Addr,
        OPT_JSON => OptionType::Json,
        _ => return Err(Cause::UnknownOptionType { option: name, kind: o.kind }),
    };
    let kind = match (o.kind & OPT_LIST != 0, plain) {
        (false, plain) => plain,
        (true, OptionType::Json) => return Err(Cause::UnknownOptionType { option: name, kind: o.kind }),
        (true, element) => OptionType::List(Box::new(element)),
    };
    Ok(OptionSpec {
        name,
        help: text(o.help).unwrap_or_default(),
        default: text(o.def),
        kind,
        bounds: (o.min != 0.0 || o.max != 0.0).then_some((o.min, o.max)),
        required: o.flags & OPT_REQUIRED != 0,
        secret: o.flags & OPT_SECRET != 0,
        file: match (o.flags & OPT_READS != 0, o.flags & OPT_WRITES != 0) {
            (_, true) => Some(FileUse::Writes),
            (true, false) => Some(FileUse::Reads),
            (false, false) => None,
        },
    })
}

/// A copy of a C string; none for NULL. What is not UTF-8 is replaced.
fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL, and NUL-terminated static data by contract.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

#[cfg(test)]
#[path = "library_tests.rs"]
mod tests;
