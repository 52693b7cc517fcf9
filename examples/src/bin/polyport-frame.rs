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
use polyport_tools::input::{self, MAX_DATAGRAM, MAX_LINE};
use polyport_tools::json;
use polyport_tools::key::{KeyArgs, generator};
use polyport_tools::outcome::{self, ExitError, Outcome, deliver};
use polyport_tools::text::{hex, unhex, unhex_secret};
use rand::RngExt;

/// Explains a PPT/1 datagram octet by octet, or builds one.
#[derive(Parser)]
#[command(
    name = "polyport-frame",
    version = VERSION,
    after_help = "Examples:\n  polyport-frame encode --kind request --seq 7 --payload ping\n  \
    polyport-frame encode --kind probe --pad-to 1200 --raw | nc -u -w1 127.0.0.1 7000 | xxd -p -c0 \\\n    \
    | polyport-frame decode --stdin\n  polyport-frame decode --json --hex 0e505054...\n\n\
    Exit codes: 0 every frame is ok, 64 usage, 65 a frame or its hex is malformed, or no datagram is as long"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Explain frames; the last line is the class: ok, or the malformation as SPEC.md section 6 names it
    Decode(Decode),
    /// Build a frame and print it
    Encode(Encode),
}

#[derive(Args)]
struct Decode {
    #[command(flatten)]
    input: Input,
    /// Print one JSON object a frame, also for what is no datagram; its class says which
    #[arg(long)]
    json: bool,
    /// Which direction is taken
    #[arg(long, value_enum, default_value_t = RoleArg::Any)]
    role: RoleArg,
    #[command(flatten)]
    key: Secret,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Input {
    /// The datagram in hex
    #[arg(long, value_name = "HEX")]
    hex: Option<String>,
    /// Read datagrams from stdin, one in hex a line
    #[arg(long)]
    stdin: bool,
    /// Read the datagram from a file, as it is
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Args)]
struct Secret {
    /// The key itself, in hex: for test keys only, since `ps` shows it
    #[arg(long, value_name = "HEX", conflicts_with = "key_file")]
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
    #[arg(long, value_parser = kind, default_value = "request")]
    kind: Kind,
    /// Flags by their letters in SPEC.md, such as ST; R follows from the kind, P from --pad-to
    #[arg(long, value_parser = flags, default_value = "")]
    flags: Flags,
    /// In hex [default: random, 0 in an event]
    #[arg(long, value_name = "HEX", value_parser = hex_number)]
    request_id: Option<u64>,
    /// In hex [default: random]
    #[arg(long, value_name = "HEX", value_parser = hex_number)]
    stream_id: Option<u64>,
    #[arg(long, default_value_t = 0)]
    attempt: u8,
    #[arg(long, default_value_t = 0)]
    code: u8,
    #[arg(long, default_value_t = 0)]
    seq: u64,
    #[arg(long, default_value_t = 0)]
    timestamp: u64,
    /// room=N, cookie=HEX, times=RX,TX, rstat=RSEQ,RCOUNT,WINDOW, retry-after=MS, probe-info=LEN,LIMIT,
    /// versions=N,N or 0xNN=HEX; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    option: Vec<OptionArg>,
    #[arg(long, default_value = "", value_name = "TEXT")]
    payload: String,
    /// The payload in hex
    #[arg(long, value_name = "HEX", conflicts_with = "payload")]
    payload_hex: Option<String>,
    /// Pad the datagram to this many octets, with flag P
    #[arg(long, value_name = "OCTETS", default_value_t = 0)]
    pad_to: usize,
    /// Print the octets themselves instead of hex
    #[arg(long)]
    raw: bool,
    /// Makes the random ids repeatable
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    key: Secret,
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
    let exit = show(&decoder, &datagram, None, arguments.json)?;
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
            Ok(octets) => show(decoder, &octets, Some(number), as_json)?,
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

/// Prints one frame; whether it is one.
fn show(decoder: &Decoder<'_>, datagram: &[u8], line: Option<usize>, as_json: bool) -> Outcome {
    let result = decoder.decode(datagram);
    if as_json {
        deliver(json::line(&FrameReport::new(datagram, result).at_line(line))?)?;
    } else {
        deliver(as_table(datagram, result, Style::stdout()))?;
    }
    Ok(if result.is_ok() { Exit::Ok } else { Exit::BadInput })
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
    let payload = match &arguments.payload_hex {
        Some(text) => unhex(text).map_err(|error| bad(format!("--payload-hex: {error}")))?,
        None => arguments.payload.clone().into_bytes(),
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
