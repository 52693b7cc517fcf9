//! `polyport-plot`: a picture of delay and loss over time, from the decision log of `relay` or `lossy`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use polyport_protocol::Nanos;
use polyport_terminal::{Escaped, Exit, Style, counted, delivered, remark};
use polyport_tools::VERSION;
use polyport_tools::clock::nanos;
use polyport_tools::heading;
use polyport_tools::json;
use polyport_tools::outcome::{self, ExitError, Outcome, deliver};
use polyport_tools::plot::draw::{Caption, picture};
use polyport_tools::plot::report::PlotReport;
use polyport_tools::plot::{Direction, Log, LogError, MAX_CLIENTS, Run, Selection};
use polyport_tools::text::duration;

/// Draws delay and loss over time of a run, from the file that `decisions` of relay or lossy names.
#[derive(Parser)]
#[command(
    name = "polyport-plot",
    version = VERSION,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{MORE}")
)]
struct Cli {
    /// The log; - is standard input
    #[arg(value_name = "LOG")]
    log: PathBuf,
    /// Where the picture goes, an SVG; - is standard output, and the default but for --json
    #[arg(short, long, value_name = "FILE", help_heading = heading::OUTPUT)]
    output: Option<PathBuf>,
    /// Print what is drawn as one JSON object; a picture is made only if --output names a file
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
    /// Only this client, as the log names it; an address without a port means all of its ports. May be repeated
    #[arg(long, value_name = "ADDRESS", help_heading = heading::TARGET)]
    client: Vec<String>,
    /// Only this direction. May be repeated
    #[arg(long, value_enum, help_heading = heading::TARGET)]
    direction: Vec<DirectionArg>,
    /// Only from this time on
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = heading::TIMING)]
    since: Option<Duration>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = heading::TIMING)]
    until: Option<Duration>,
    /// What stands above the picture [default: the name of the log]
    #[arg(long, value_name = "TEXT", help_heading = heading::OUTPUT)]
    title: Option<String>,
    /// A moment to be marked, such as '30s=the link breaks'. May be repeated
    #[arg(long, value_name = "TIME=NAME", value_parser = moment, help_heading = heading::OUTPUT)]
    moment: Vec<(Nanos, String)>,
}

const EXAMPLES: &str = "Examples:
  polyport-plot decisions.csv -o run.svg
  polyport-plot --client 192.0.2.7 --direction down --since 25s --until 40s decisions.csv > part.svg
  polyport-plot --moment '30s=the link breaks' --title 'seed 7' -o run.svg decisions.csv
  polyport-plot --json decisions.csv | jq .directions.down";

const MORE: &str = "Times count from the first decision of the log; without a unit they are of seconds.
A log has only those datagrams that something happened to; how many came is known by their
numbers. A log that is still being written may be drawn: its last line waits until it is whole.

Exit codes: 0 drawn, 64 usage, 65 the log is not there, empty or wrong, or has nothing of what is
to be drawn, 73 the output cannot be made, 74 reading or writing failed";

#[derive(Clone, Copy, ValueEnum)]
enum DirectionArg {
    /// From the client to the server
    Up,
    /// From the server to the client
    Down,
    /// There and back at once: the options of lossy that stand under no direction
    Only,
}

/// Where a picture goes.
enum Output<'a> {
    Nowhere,
    Stdout,
    File(&'a Path),
}

fn main() -> ExitCode {
    outcome::main(run)
}

#[expect(clippy::needless_pass_by_value, reason = "outcome::main hands the arguments over")]
fn run(cli: Cli) -> Outcome {
    let output = output(&cli)?;
    let selection = selection(&cli)?;
    let name = if is_dash(&cli.log) { "standard input".to_owned() } else { escaped(&cli.log) };
    let (run, torn) = if is_dash(&cli.log) {
        read(&name, io::stdin().lock(), selection)?
    } else {
        let file = File::open(&cli.log).map_err(|error| bad(format!("cannot read {name}: {error}")))?;
        refuse_same(&file, &output, &name)?;
        read(&name, BufReader::new(file), selection)?
    };
    warn(&run, torn, &name, &cli.moment);
    if run.shown() == 0 {
        return Err(nothing(&run, &name));
    }
    let report = PlotReport::new(&run, torn);
    let title = cli.title.clone().unwrap_or_else(|| format!("Delay and loss: {}", file_name(&cli.log)));
    let caption = Caption { title, moments: cli.moment.clone() };
    match output {
        Output::Nowhere => {}
        Output::Stdout => {
            let svg = picture(&run, &caption, &report.text());
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(svg.as_bytes()).and_then(|()| stdout.flush());
            delivered(written).map_err(outcome::unwritten)?;
        }
        Output::File(path) => store(path, &picture(&run, &caption, &report.text()))?,
    }
    match (cli.json, output) {
        (true, _) => deliver(json::line(&report)?)?,
        (false, Output::File(_)) => deliver(report.text())?,
        (false, Output::Nowhere | Output::Stdout) => {}
    }
    Ok(Exit::Ok)
}

fn output(cli: &Cli) -> Result<Output<'_>, ExitError> {
    match &cli.output {
        Some(path) if !is_dash(path) => Ok(Output::File(path)),
        Some(_) if cli.json => {
            Err(ExitError::usage("--json and the picture would both go to standard output: name a file"))
        }
        None if cli.json => Ok(Output::Nowhere),
        Some(_) | None => Ok(Output::Stdout),
    }
}

fn selection(cli: &Cli) -> Result<Selection, ExitError> {
    if let (Some(since), Some(until)) = (cli.since, cli.until)
        && since >= until
    {
        return Err(ExitError::usage("--since must be earlier than --until"));
    }
    let direction = |direction: &DirectionArg| match direction {
        DirectionArg::Up => Direction::Up,
        DirectionArg::Down => Direction::Down,
        DirectionArg::Only => Direction::Only,
    };
    Ok(Selection {
        clients: cli.client.clone(),
        directions: cli.direction.iter().map(direction).collect(),
        since: cli.since.map(nanos),
        until: cli.until.map(nanos),
    })
}

/// Reads a log to its end, and says whether that cut a line.
fn read(name: &str, from: impl BufRead, selection: Selection) -> Result<(Run, bool), ExitError> {
    let wrong = |error: LogError| match error {
        LogError::Read(error) => ExitError::new(Exit::Io, format!("cannot read {name}: {error}")),
        LogError::Empty | LogError::Line { .. } => bad(format!("{name}: {error}")),
    };
    let mut run = Run::new(selection);
    let mut log = Log::open(from).map_err(wrong)?;
    while let Some(decision) = log.next_decision().map_err(wrong)? {
        run.take(&decision);
    }
    run.finish();
    Ok((run, log.torn()))
}

/// The picture must not take the place of the log.
fn refuse_same(log: &File, output: &Output<'_>, name: &str) -> Result<(), ExitError> {
    let Output::File(path) = output else { return Ok(()) };
    let (Ok(log), Ok(output)) = (log.metadata(), fs::metadata(path)) else { return Ok(()) };
    if log.is_file() && (log.dev(), log.ino()) == (output.dev(), output.ino()) {
        return Err(ExitError::usage(format!("--output names the log itself: {name}")));
    }
    Ok(())
}

/// Says what of the log is not in the picture.
fn warn(run: &Run, torn: bool, name: &str, moments: &[(Nanos, String)]) {
    let warning = |text: String| remark(format_args!("{} {text}", Style::stderr().yellow("warning:")));
    if torn {
        warning(format!("the last line of {name} is not whole, and left out: is it still being written?"));
    }
    for (words, count) in run.unknown_words() {
        let lines = counted(*count, "line says", "lines say");
        warning(format!("{lines} `{}`, which this program does not know", Escaped(words.as_bytes())));
    }
    for (_, name) in moments.iter().filter(|(at, _)| run.shown() > 0 && !run.covers(*at)) {
        warning(format!("the moment `{}` lies outside of the picture", Escaped(name.as_bytes())));
    }
    if run.uncounted() > 0 {
        warning(format!(
            "more than {MAX_CLIENTS} clients, or sessions: of {}, only the datagrams are counted that the log has; see --client",
            counted(run.uncounted(), "decision", "decisions")
        ));
    }
}

/// Why there is nothing to draw.
fn nothing(run: &Run, name: &str) -> ExitError {
    if run.read() == 0 {
        return bad(format!("{name} has a header and no decision: nothing happened to any datagram so far"));
    }
    let (clients, count) = run.all_clients();
    let names: Vec<String> = clients.iter().map(|client| Escaped(client.as_bytes()).to_string()).collect();
    let more = if count > clients.len() { ", ..." } else { "" };
    bad(format!(
        "{name}: {}, and none of what is to be drawn; its clients: {}{more}",
        counted(run.read(), "decision", "decisions"),
        names.join(", ")
    ))
}

fn store(path: &Path, svg: &str) -> Result<(), ExitError> {
    let name = escaped(path);
    let mut file = File::create(path)
        .map_err(|error| ExitError::new(Exit::CannotCreate, format!("cannot make {name}: {error}")))?;
    file.write_all(svg.as_bytes()).map_err(|error| {
        ExitError::new(Exit::Io, format!("cannot write {name}, which is not whole now: {error}"))
    })
}

fn moment(text: &str) -> Result<(Nanos, String), String> {
    let (at, name) = text.split_once('=').ok_or("TIME=NAME is expected, such as '30s=the link breaks'")?;
    Ok((nanos(duration(at)?), name.to_owned()))
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn escaped(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "a log".to_owned(), |name| Escaped(name.as_encoded_bytes()).to_string())
}

fn bad(text: String) -> ExitError {
    ExitError::new(Exit::BadInput, text)
}
