//! How important a line of a runner's output is.
//!
//! Runners log in whatever way their language is used to. The formats that are
//! known here: JSON, logfmt, and lines with a level among their first words, as
//! log4j, zap, Python, Node and Rust write them. Only the beginning of a line is
//! looked at: what is in its message says nothing about it.

use outrigger_config::OutputLevel::{self, Debug, Error, Info, Trace, Warn};
use outrigger_supervisor::Stream;
use serde::Deserialize;

/// How many bytes of a line are looked at for a level, unless it is JSON.
const LOOKED_AT: usize = 192;

/// Among how many words a level is looked for: a date, a time, a zone, a process,
/// a thread may come before it.
const WORDS: usize = 7;

/// The levels of the lines of one stream, one line after the other.
#[derive(Debug)]
pub(super) struct Levels {
    /// Of a line that does not say.
    usual: OutputLevel,
    last: OutputLevel,
}

impl Levels {
    /// What comes on standard error is a warning unless it says otherwise.
    pub(super) fn of(stream: Stream) -> Self {
        let usual = match stream {
            Stream::Stdout => Info,
            Stream::Stderr => Warn,
        };
        Self { usual, last: usual }
    }

    /// The level of the next line. One that is indented goes on with what the
    /// line before it said, as stack traces do.
    pub(super) fn next(&mut self, line: &str) -> OutputLevel {
        let goes_on = line.starts_with([' ', '\t']);
        self.last = match said(line) {
            Some(level) => level,
            None if goes_on => self.last,
            None => self.usual,
        };
        self.last
    }
}

/// The level that a line says it has.
fn said(line: &str) -> Option<OutputLevel> {
    if line.starts_with('{') {
        return json(line);
    }
    let beginning = plain(line);
    logfmt(&beginning)
        .or_else(|| glog(&beginning))
        .or_else(|| trouble(&beginning))
        .or_else(|| among_words(&beginning))
}

/// A level's name in any of its spellings, in lower case.
fn named(name: &str) -> Option<OutputLevel> {
    Some(match name {
        "trace" | "trc" | "finest" | "finer" => Trace,
        "debug" | "dbg" | "debg" | "fine" | "verbose" => Debug,
        "info" | "inf" | "information" | "informational" | "notice" => Info,
        "warn" | "warning" | "wrn" => Warn,
        "error" | "err" | "eror" | "fatal" | "ftl" | "critical" | "crit" | "panic" | "dpanic"
        | "severe" | "alert" | "emergency" | "emerg" => Error,
        _ => return None,
    })
}

fn named_in_any_case(name: &str) -> Option<OutputLevel> {
    named(&name.to_ascii_lowercase())
}

/// The field of a JSON object that says its level.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(
        borrow,
        alias = "severity",
        alias = "lvl",
        alias = "log.level",
        alias = "@level"
    )]
    level: Option<Level<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Level<'a> {
    Name(&'a str),
    Number(u64),
}

fn json(line: &str) -> Option<OutputLevel> {
    match serde_json::from_str::<Fields<'_>>(line).ok()?.level? {
        Level::Name(name) => named_in_any_case(name),
        // Those of bunyan and pino.
        Level::Number(number) => Some(match number {
            0..20 => Trace,
            20..30 => Debug,
            30..40 => Info,
            40..50 => Warn,
            _ => Error,
        }),
    }
}

/// `level=warn`, with or without quotation marks, at the beginning of a word.
fn logfmt(text: &str) -> Option<OutputLevel> {
    text.split_ascii_whitespace().find_map(|word| {
        let (key, value) = word.split_once('=')?;
        let is_level = matches!(key, "level" | "lvl" | "severity");
        is_level.then(|| named_in_any_case(value.trim_matches('"')))?
    })
}

/// `W0102 15:04:05.678901 …`.
fn glog(text: &str) -> Option<OutputLevel> {
    let mut characters = text.chars();
    let level = match characters.next()? {
        'I' => Info,
        'W' => Warn,
        'E' | 'F' => Error,
        _ => return None,
    };
    let date = text.get(1..5)?.bytes().all(|byte| byte.is_ascii_digit());
    (date && text.as_bytes().get(5) == Some(&b' ')).then_some(level)
}

/// How runtimes begin to tell of a failure that nobody caught.
fn trouble(text: &str) -> Option<OutputLevel> {
    const BEGINNINGS: [&str; 6] = [
        "Traceback (most recent call last)",
        "panic: ",
        "fatal error: ",
        "thread '",
        "Exception in thread ",
        "Uncaught ",
    ];
    let mut beginnings = BEGINNINGS.into_iter();
    let found = beginnings.find(|beginning| text.starts_with(beginning))?;
    // Rust says `thread 'main' panicked at …`.
    (found != "thread '" || text.contains("' panicked at ") || text.contains(") panicked at "))
        .then_some(Error)
}

/// A level as one of the first words: in capitals, or in brackets, between tabs,
/// or first with a colon after it.
fn among_words(text: &str) -> Option<OutputLevel> {
    let words = text.split_ascii_whitespace().take(WORDS);
    for (place, word) in words.enumerate() {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let in_brackets = word.starts_with(['[', '<', '(']);
        let (first, rest) = bare.split_once(':').unwrap_or((bare, ""));
        // `WARNING:root:…` is Python's way.
        let level = if rest.is_empty() { bare } else { first };
        let heads = place == 0 && word.contains(':');
        let in_capitals = level.len() > 2 && level.bytes().all(|byte| byte.is_ascii_uppercase());
        let stands_out = in_capitals || in_brackets || heads || between_tabs(text, word);
        if stands_out && let Some(level) = named_in_any_case(level) {
            return Some(level);
        }
    }
    None
}

fn between_tabs(text: &str, word: &str) -> bool {
    text.split('\t').take(WORDS).any(|field| field == word)
}

/// The beginning of a line without colours.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(LOOKED_AT);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if plain.len() >= LOOKED_AT {
            break;
        }
        if character != '\u{1b}' {
            plain.push(character);
            continue;
        }
        // `ESC [ 3 1 m`: a letter ends it.
        let end = |c: &char| c.is_ascii_alphabetic();
        let _ = characters.by_ref().find(end);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_found_in_the_formats_of_common_loggers() {
        for (line, level) in [
            // JSON: zap, pino, Google's, Elastic's.
            (r#"{"level":"warn","ts":1.5,"msg":"slow \"ERROR\""}"#, Warn),
            (r#"{"time":1,"level":50,"msg":"x"}"#, Error),
            (r#"{"severity":"NOTICE","message":"x"}"#, Info),
            (r#"{"log.level":"debug","message":{"a":[1]}}"#, Debug),
            // logfmt.
            (
                r#"time="2026-01-01T00:00:00Z" level=warning msg="level=error""#,
                Warn,
            ),
            (r#"ts=1 lvl="eror" msg=x"#, Error),
            // Go: zap to a terminal, the Go runner's; glog; logr.
            (
                "2026-01-01T00:00:00.000Z\tDEBUG\tserver/server.go:101\tERROR in text",
                Debug,
            ),
            (
                "2026-01-01T00:00:00.000Z\tinfo\tserver.go:1\tlistening",
                Info,
            ),
            ("E0102 15:04:05.678901   12 main.go:5] gone", Error),
            // Java.
            (
                "2026-01-01 12:00:00,123 [main] WARN  o.a.a.Runner - slow",
                Warn,
            ),
            (
                "2026-01-01T12:00:00.000+01:00  INFO 7 --- [main] x.Y : started",
                Info,
            ),
            ("Jan 01, 2026 12:00:00 AM x.Y main", Info),
            ("SEVERE: it broke", Error),
            // Python.
            ("WARNING:root:careful", Warn),
            ("2026-01-01 12:00:00,123 - runner - ERROR - gone", Error),
            ("[2026-01-01 12:00:00] [42] [critical] gone", Error),
            // Node.
            ("error: gone", Error),
            ("[warn] careful", Warn),
            // Rust, with and without colours.
            ("2026-01-01T00:00:00.000000Z TRACE runner: step", Trace),
            (
                "\u{1b}[2m2026-01-01T00:00:00Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m \u{1b}[2mx\u{1b}[0m: gone",
                Error,
            ),
            // Nobody caught it.
            ("Traceback (most recent call last):", Error),
            ("panic: runtime error: index out of range", Error),
            ("Exception in thread \"main\" java.lang.Error", Error),
            ("thread 'main' panicked at src/main.rs:1:1:", Error),
            ("thread 'main' (77) panicked at src/main.rs:1:1:", Error),
        ] {
            assert_eq!(Levels::of(Stream::Stdout).next(line), level, "{line}");
        }
    }

    #[test]
    fn what_does_not_say_its_level_has_that_of_its_stream() {
        for line in [
            "",
            "hello",
            "no error here",
            "information about errors",
            "one two three four five six seven ERROR",
            "{\"level\":\"loud\"}",
            "{level: error}",
            "{\"nested\":{\"level\":\"error\"}}",
            "levels=error",
            "Error handling is on",
            "I0102",
            "E10 is cheap",
            "\u{1b}",
            "\u{1b}[31",
            "ä\u{1b}[31mERRÖR",
        ] {
            assert_eq!(Levels::of(Stream::Stdout).next(line), Info, "{line}");
            assert_eq!(Levels::of(Stream::Stderr).next(line), Warn, "{line}");
        }
    }

    #[test]
    fn indented_lines_go_on_with_the_level_before() {
        let mut levels = Levels::of(Stream::Stderr);
        let lines = [
            ("Traceback (most recent call last):", Error),
            ("  File \"x.py\", line 1", Error),
            ("\tINFO: of its own", Info),
            ("    more of that", Info),
            ("ValueError", Warn),
            ("  at last", Warn),
        ];
        for (line, level) in lines {
            assert_eq!(levels.next(line), level, "{line}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_line_is_looked_at() {
        let line = format!("{} level=error", "x".repeat(LOOKED_AT));
        assert_eq!(Levels::of(Stream::Stdout).next(&line), Info);
    }
}
