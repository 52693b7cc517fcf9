//! `polyport-frame`: explains a datagram octet by octet, and builds one from words.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use polyport_protocol::{Code, Decoder, EncodeError, Flags, Header, Integrity, Key, Kind, Role};
use polyport_terminal::{Exit, Style, complain, counted, delivered};
use polyport_tools::VERSION;
use polyport_tools::frame::json::FrameReport;
use polyport_tools::frame::{NoDatagram, OptionArg, Parts, as_table, build, class};
use polyport_tools::heading;
use polyport_tools::input::{self, MAX_DATAGRAM, MAX_LINE};
use polyport_tools::json;
use polyport_tools::key::{KeyArgs, generator};
use polyport_tools::outcome::{self, ExitError, Outcome, deliver, deliver_on};
use polyport_tools::payload::PayloadArgs;
use polyport_tools::text::{hex, unhex, unhex_secret};
use rand::RngExt;

/// Explains a PPT/1 datagram octet by octet, or builds one.
#[derive(Parser)]
#[command(
    name = "polyport-frame",
    version = VERSION,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{CODES}")
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  polyport-frame encode --kind request --seq 7 --payload ping
  polyport-frame encode --kind probe --pad-to 1200 --raw | nc -u -w1 127.0.0.1 7000 | xxd -p -c0 \\
    | polyport-frame decode --stdin
  polyport-frame decode --json --hex 0e505054...";

const CODES: &str =
    "Exit codes: 0 every frame is ok, 64 usage, 65 a frame or its hex is malformed, or no datagram
is as long, 74 reading or writing failed";

#[derive(Subcommand)]
enum Command {
    /// Explain frames; the last line is the class: ok, or the malformation as SPEC.md section 6 names it
    #[command(max_term_width = 100, after_long_help = DECODING)]
    Decode(Decode),
    /// Build a frame and print it
    #[command(max_term_width = 100, after_long_help = ENCODING)]
    Encode(Encode),
}

const DECODING: &str = "Examples:
  polyport-frame decode --hex 0e505054...
  polyport-frame decode --file datagram.bin --key-file shared.key
  polyport-frame encode | polyport-frame decode --stdin --json | jq .frame

Exit codes: 0 every frame is ok, 64 usage, 65 a frame or its hex is malformed, or no datagram
is as long, 74 reading or writing failed";

const ENCODING: &str = "Examples:
  polyport-frame encode --kind request --seq 7 --payload ping
  polyport-frame encode --kind event --flags G --payload-file picture.bin --raw > frame.bin
  polyport-frame encode --kind error --code 16 --option retry-after=1500 --json | jq .frame.code

Exit codes: 0 built, 64 usage, 65 the payload or a key is wrong, or no datagram is as long,
74 reading or writing failed";

#[derive(Args)]
struct Decode {
    #[command(flatten)]
    input: Input,
    /// Which direction is taken
    #[arg(long, value_enum, default_value_t = RoleArg::Any, help_heading = heading::PROTOCOL)]
    role: RoleArg,
    #[command(flatten)]
    key: Secret,
    /// Print one JSON object a frame, also for what is no datagram; its class says which
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Input {
    /// The datagram in hex
    #[arg(long, value_name = "HEX", help_heading = heading::INPUT)]
    hex: Option<String>,
    /// Read datagrams from stdin, one in hex a line
    #[arg(long, help_heading = heading::INPUT)]
    stdin: bool,
    /// Read the datagram from a file, as it is
    #[arg(long, value_name = "FILE", help_heading = heading::INPUT)]
    file: Option<PathBuf>,
}

#[derive(Args)]
struct Secret {
    /// The key itself, in hex: for test keys only, since `ps` shows it
    #[arg(long, value_name = "HEX", conflicts_with = "key_file", help_heading = heading::PROTOCOL)]
    key: Option<String>,
    #[command(flatten)]
    by_file: KeyArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Takes frames with R set
    Client,
    /// Takes frames with R clear
    Responder,
    /// Takes both
    Any,
}

#[derive(Args)]
struct Encode {
    /// request, response, error, event, probe, probe-ack, version, or the number of a private kind
    #[arg(long, value_parser = kind, default_value = "request", help_heading = heading::HEADER)]
    kind: Kind,
    /// Flags by their letters in SPEC.md, such as ST; R follows from the kind, P from --pad-to
    #[arg(long, value_parser = flags, default_value = "", help_heading = heading::HEADER)]
    flags: Flags,
    /// In hex [default: random, 0 in an event]
    #[arg(long, value_name = "HEX", value_parser = hex_number, help_heading = heading::HEADER)]
    request_id: Option<u64>,
    /// In hex [default: random]
    #[arg(long, value_name = "HEX", value_parser = hex_number, help_heading = heading::HEADER)]
    stream_id: Option<u64>,
    /// Number of the transmission, 0 for the first
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = heading::HEADER)]
    attempt: u8,
    /// The code of an error
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = heading::HEADER)]
    code: u8,
    /// Number of the frame in its stream
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = heading::HEADER)]
    seq: u64,
    /// Nanoseconds on the sender's clock
    #[arg(long, value_name = "NS", default_value_t = 0, help_heading = heading::HEADER)]
    timestamp: u64,
    /// room=N, cookie=HEX, times=RX,TX, rstat=RSEQ,RCOUNT,WINDOW, retry-after=MS, probe-info=LEN,LIMIT,
    /// versions=N,N or 0xNN=HEX; may be repeated
    #[arg(long, value_name = "NAME=VALUE", help_heading = heading::CONTENT)]
    option: Vec<OptionArg>,
    /// The payload; - reads it from standard input
    #[arg(long, default_value = "", value_name = "TEXT", help_heading = heading::CONTENT)]
    payload: String,
    /// The payload in hex
    #[arg(long, value_name = "HEX", conflicts_with = "payload", help_heading = heading::CONTENT)]
    payload_hex: Option<String>,
    #[command(flatten)]
    payload_file: PayloadArgs,
    /// Pad the datagram to this many octets, with flag P
    #[arg(long, value_name = "OCTETS", default_value_t = 0, help_heading = heading::CONTENT)]
    pad_to: usize,
    /// Makes the random ids repeatable
    #[arg(long, help_heading = heading::PROTOCOL)]
    seed: Option<u64>,
    #[command(flatten)]
    key: Secret,
    /// Print the octets themselves instead of hex
    #[arg(long, help_heading = heading::OUTPUT)]
    raw: bool,
    /// Print what `decode --json` prints of the frame
    #[arg(long, conflicts_with = "raw", help_heading = heading::OUTPUT)]
    json: bool,
}

fn main() -> ExitCode {
    outcome::main(|cli: Cli| match cli.command {
        Command::Decode(arguments) => decode(&arguments),
        Command::Encode(arguments) => encode(&arguments),
    })
}

fn decode(arguments: &Decode) -> Outcome {
    let keys: Vec<Key> = arguments.key.load()?.into_iter().collect();
    let integrity = if keys.is_empty() { Integrity::Checksum } else { Integrity::Keys(&keys) };
    let role = match arguments.role {
        RoleArg::Client => Role::Client,
        RoleArg::Responder => Role::Responder,
        RoleArg::Any => Role::Any,
    };
    let decoder = Decoder::new(role).with_integrity(integrity);
    if arguments.input.stdin {
        return decode_lines(&decoder, arguments.json);
    }
    let (name, datagram) = match (&arguments.input.file, &arguments.input.hex) {
        (Some(path), _) => {
            let name = format!("cannot read {}", path.display());
            match input::read(path, MAX_DATAGRAM) {
                Ok((octets, _)) => (name, Ok(octets)),
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    (name, Err(NoDatagram::TooLong(None)))
                }
                Err(error) => return Err(bad(format!("{name}: {error}"))),
            }
        }
        (None, text) => ("--hex".to_owned(), octets(text.as_deref().unwrap_or_default())),
    };
    let datagram = match datagram {
        Ok(datagram) => datagram,
        Err(why) => {
            refuse(&why, None, arguments.json)?;
            return Err(bad(format!("{name}: {why}")));
        }
    };
    let exit = show(&decoder, &datagram, None, arguments.json)?.unwrap_or(Exit::Ok);
    if exit == Exit::Ok {
        return Ok(exit);
    }
    let class = class(decoder.decode(&datagram));
    Err(ExitError::new(
        exit,
        format!("the frame of {} is refused: {class}", counted(datagram.len(), "octet", "octets")),
    ))
}

/// A datagram from its hex.
fn octets(text: &str) -> Result<Vec<u8>, NoDatagram> {
    let octets = unhex(text).map_err(NoDatagram::NotHex)?;
    NoDatagram::check(&octets)?;
    Ok(octets)
}

/// Says for programs why an input is no datagram.
fn refuse(why: &NoDatagram, line: Option<usize>, as_json: bool) -> Result<(), ExitError> {
    if as_json { deliver(json::line(&FrameReport::none(why).at_line(line))?) } else { Ok(()) }
}

/// Every line is judged, whatever the lines before it were.
fn decode_lines(decoder: &Decoder<'_>, as_json: bool) -> Outcome {
    let mut worst = Exit::Ok;
    let mut stdin = io::stdin().lock();
    for number in 1_usize.. {
        let datagram = match input::line(&mut stdin, MAX_LINE) {
            Ok(Some(line)) => octets(&line),
            Ok(None) => break,
            // Such a line may have no end: nothing after it can be judged.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                refuse(&NoDatagram::TooLong(None), Some(number), as_json)?;
                return Err(bad(format!("line {number}: {error}, and so no datagram")));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(NoDatagram::NotHex("the line is no text".to_owned()))
            }
            Err(error) => return Err(ExitError::new(Exit::Io, format!("cannot read stdin: {error}"))),
        };
        let exit = match datagram {
            Ok(octets) if octets.is_empty() => continue,
            Ok(octets) => match show(decoder, &octets, Some(number), as_json)? {
                Some(exit) => exit,
                // The input may have no end.
                None => break,
            },
            Err(why) => {
                refuse(&why, Some(number), as_json)?;
                complain(format_args!("line {number}: {why}"));
                Exit::BadInput
            }
        };
        if exit != Exit::Ok {
            worst = exit;
        }
    }
    Ok(worst)
}

/// Prints one frame; whether it is one. `None` if nobody reads any more.
fn show(
    decoder: &Decoder<'_>,
    datagram: &[u8],
    line: Option<usize>,
    as_json: bool,
) -> Result<Option<Exit>, ExitError> {
    let result = decoder.decode(datagram);
    let is_read = if as_json {
        deliver_on(json::line(&FrameReport::new(datagram, result).at_line(line))?)?
    } else {
        deliver_on(as_table(datagram, result, Style::stdout()))?
    };
    let exit = if result.is_ok() { Exit::Ok } else { Exit::BadInput };
    Ok(is_read.then_some(exit))
}

fn encode(arguments: &Encode) -> Outcome {
    let mut rng = generator(arguments.seed);
    let (id, stream) = (rng.random::<u64>(), rng.random::<u32>());
    let id = if arguments.kind == Kind::Event { 0 } else { id };
    let stream = match arguments.stream_id {
        Some(given) => u32::try_from(given)
            .map_err(|_| ExitError::usage("--stream-id has four octets: at most ffffffff"))?,
        None => stream,
    };
    let id = arguments.request_id.unwrap_or(id);
    let mut header = Header::new(arguments.kind, id, stream, arguments.seq, arguments.timestamp);
    let reply = if arguments.kind.is_reply() == Some(true) { Flags::REPLY } else { Flags::NONE };
    header.flags = arguments.flags.with(reply);
    header.attempt = arguments.attempt;
    header.code = Code(arguments.code);
    let key = arguments.key.load()?;
    if arguments.payload_file.payload_file.is_some()
        && (arguments.payload_hex.is_some() || !arguments.payload.is_empty())
    {
        return Err(ExitError::usage("there is one payload: --payload, --payload-hex or --payload-file"));
    }
    let payload = match &arguments.payload_hex {
        Some(text) => unhex(text).map_err(|error| bad(format!("--payload-hex: {error}")))?,
        None => arguments.payload_file.or(&arguments.payload)?,
    };
    let (options, pad_to) = (&arguments.option[..], arguments.pad_to);
    let parts = Parts { options, key: key.as_ref(), payload: &payload, pad_to };
    let datagram = build(&header, &parts).map_err(|error| {
        bad(if let EncodeError::NoSpace { needed, .. } = error {
            NoDatagram::TooLong(Some(needed)).to_string()
        } else {
            format!("no such frame: {error}")
        })
    })?;
    if arguments.raw {
        let mut stdout = io::stdout().lock();
        delivered(stdout.write_all(&datagram).and_then(|()| stdout.flush())).map_err(outcome::unwritten)?;
    } else if arguments.json {
        let keys: Vec<Key> = key.into_iter().collect();
        let integrity = if keys.is_empty() { Integrity::Checksum } else { Integrity::Keys(&keys) };
        let verdict = Decoder::new(Role::Any).with_integrity(integrity).decode(&datagram);
        deliver(json::line(&FrameReport::new(&datagram, verdict))?)?;
    } else {
        deliver(hex(&datagram))?;
    }
    Ok(Exit::Ok)
}

impl Secret {
    fn load(&self) -> Result<Option<Key>, ExitError> {
        let Some(text) = &self.key else { return self.by_file.load() };
        let secret = unhex_secret(text).map_err(|error| bad(format!("--key: {error}")))?;
        self.by_file.make(&secret).map(Some)
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "request" => Ok(Kind::Request),
        "response" => Ok(Kind::Response),
        "error" => Ok(Kind::Error),
        "event" => Ok(Kind::Event),
        "probe" => Ok(Kind::Probe),
        "probe-ack" => Ok(Kind::ProbeAck),
        "version" => Ok(Kind::Version),
        number => {
            let octet =
                number.strip_prefix("0x").map_or_else(|| number.parse(), |d| u8::from_str_radix(d, 16));
            let octet = octet.map_err(|_| "use a name, or a number from 0x80 to 0xbf".to_owned())?;
            Kind::from_octet(octet).ok_or_else(|| format!("kind {octet:#04x} is not assigned"))
        }
    }
}

fn flags(letters: &str) -> Result<Flags, String> {
    letters.chars().try_fold(Flags::NONE, |flags, letter| {
        let bit =
            "RPGWSTIX".find(letter.to_ascii_uppercase()).ok_or_else(|| format!("no flag `{letter}`"))?;
        Ok(flags.with(Flags::from_octet(0x80 >> bit)))
    })
}

fn hex_number(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).map_err(|error| error.to_string())
}

fn bad(text: String) -> ExitError {
    ExitError::new(Exit::BadInput, text)
}
