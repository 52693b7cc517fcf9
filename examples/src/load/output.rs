//! Where the result goes besides the screen.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use polyport_terminal::{Escaped, Exit};

use super::forms::{csv, hdr_log, junit, openmetrics};
use super::json::LoadReport;
use super::page;
use super::summary::Summary;
use crate::heading;
use crate::outcome::ExitError;

/// The forms of the result that programs and browsers read.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// One JSON object instead of the summary screen: `polyport-load report` reads it
    #[arg(long, help_heading = heading::OUTPUT)]
    pub json: bool,
    /// One JSON object a line instead of the summary screen, while the run goes on: start, every interval, end; intervals of the warm-up come before the start
    #[arg(long, conflicts_with = "json", help_heading = heading::OUTPUT)]
    pub json_stream: bool,
    /// The files
    #[command(flatten)]
    pub files: FileArgs,
}

/// Files with the result. Each is written beside its name first and then renamed, so that nobody reads half of it.
#[derive(Args, Clone, Debug, Default)]
pub struct FileArgs {
    /// Write a page with pictures, for any browser: one file, without script and network
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    pub html: Option<PathBuf>,
    /// Write the pictures of that page alone, as SVG
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    pub svg: Option<PathBuf>,
    /// Write a row for each interval
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    pub csv: Option<PathBuf>,
    /// Histograms of each interval.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = heading::OUTPUT,
        help = "Write the histograms of each interval as a log of HdrHistogram"
    )]
    pub hdr_log: Option<PathBuf>,
    /// Thresholds as test cases.
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT, help = "Write the thresholds as test cases of JUnit")]
    pub junit: Option<PathBuf>,
    /// Gauges.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = heading::OUTPUT,
        help = "Write gauges as OpenMetrics, for the textfile collector of node_exporter"
    )]
    pub openmetrics: Option<PathBuf>,
}

impl FileArgs {
    /// Sees to it that every file can be written, before a run takes its time.
    ///
    /// # Errors
    /// The first one that cannot, with [`Exit::CannotCreate`].
    pub fn check(&self) -> Result<(), ExitError> {
        let files = [&self.html, &self.svg, &self.csv, &self.hdr_log, &self.junit, &self.openmetrics];
        for path in files.into_iter().flatten() {
            if path.is_dir() {
                return Err(unwritten(path, Exit::CannotCreate, &io::ErrorKind::IsADirectory.into()));
            }
            if !is_special(path) {
                beside(&behind(path))?;
            }
        }
        Ok(())
    }

    /// Writes the files that were asked for.
    ///
    /// # Errors
    /// The first one that cannot be written.
    pub fn write(&self, report: &LoadReport, summary: &Summary) -> Result<(), ExitError> {
        let put = |path: &Option<PathBuf>, make: &dyn Fn() -> Result<Vec<u8>, ExitError>| match path {
            Some(path) => store(path, &make()?),
            None => Ok(()),
        };
        put(&self.html, &|| Ok(page::html(report, summary).into_bytes()))?;
        put(&self.svg, &|| Ok(page::svg(report, summary).into_bytes()))?;
        put(&self.csv, &|| Ok(csv::table(report).into_bytes()))?;
        put(&self.hdr_log, &|| {
            let duration = Duration::from_nanos(report.length());
            hdr_log::log(summary, duration).map_err(|error| ExitError::new(Exit::Software, error))
        })?;
        put(&self.junit, &|| Ok(junit::document(report).into_bytes()))?;
        put(&self.openmetrics, &|| Ok(openmetrics::text(report).into_bytes()))
    }
}

/// Writes a file by way of another one, so that it is whole whenever it is there.
///
/// # Errors
/// It cannot be made or written.
pub fn store(path: &Path, octets: &[u8]) -> Result<(), ExitError> {
    if is_special(path) {
        return fs::write(path, octets).map_err(|error| unwritten(path, Exit::Io, &error));
    }
    let path = &behind(path);
    let mut file = beside(path)?;
    file.write_all(octets)
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| unwritten(path, Exit::Io, &error))?;
    file.persist(path).map(|_| ()).map_err(|error| unwritten(path, Exit::CannotCreate, &error.error))
}

/// What a link points to: renaming would replace the link itself.
fn behind(path: &Path) -> PathBuf {
    // What is not there yet has no other name.
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A new file beside `path`, which goes again if nothing comes of it.
fn beside(path: &Path) -> Result<tempfile::NamedTempFile, ExitError> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    // As any new file: what the umask leaves of it. A collector of metrics is another user.
    let readable = fs::Permissions::from_mode(0o666);
    tempfile::Builder::new()
        .prefix(".polyport-load-")
        .permissions(readable)
        .tempfile_in(folder)
        .map_err(|error| unwritten(path, Exit::CannotCreate, &error))
}

/// Whether a path names something that is no file, such as `/dev/stdout`, which renaming would replace.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|known| !known.is_file())
}

fn unwritten(path: &Path, exit: Exit, error: &io::Error) -> ExitError {
    let name = Escaped(path.as_os_str().as_encoded_bytes());
    ExitError::new(exit, format!("cannot write {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        for text in ["first", "second"] {
            store(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain), "as other files");
        store(Path::new("/dev/null"), b"x").unwrap();
        assert!(is_special(Path::new("/dev/null")), "it was not replaced");
    }

    #[test]
    fn a_link_stays_one_and_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let (file, link) = (elsewhere.path().join("file"), folder.path().join("link"));
        fs::write(&file, "first").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        store(&link, b"second").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "second");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let files = FileArgs { html: Some(folder.path().to_owned()), ..FileArgs::default() };
        let failure = files.check().unwrap_err();
        assert_eq!(failure.exit, Exit::CannotCreate);
        assert!(failure.to_string().contains("directory"), "{failure}");
    }

    #[test]
    fn what_cannot_be_made_is_told_before_the_run() {
        let files = FileArgs { csv: Some("/nowhere/result.csv".into()), ..FileArgs::default() };
        let failure = files.check().unwrap_err();
        assert_eq!(failure.exit, Exit::CannotCreate);
        assert!(failure.to_string().contains("/nowhere/result.csv"));
        FileArgs::default().check().unwrap();
    }
}
