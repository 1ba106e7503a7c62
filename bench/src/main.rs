//! What many routes cost a gateway: memory, matching, starting; and what changing one
//! of them costs the requests under way.
//!
//! `cargo xtask bench config` builds it and the gateway, and runs it. It measures a
//! gateway as a process of its own, from outside, and knows nothing of its insides.
//! Numbers are of the machine it runs on: it says how busy that was meanwhile.

#![allow(clippy::print_stdout, reason = "it prints what it has found")]

mod load;
mod measure;
mod process;
mod resources;
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: outrigger-bench --gateway PROGRAM [--routes N] [--seconds N]";

/// What to measure.
pub(crate) struct Options {
    /// The gateway's program.
    pub(crate) gateway: PathBuf,
    /// How many routes are many.
    pub(crate) routes: usize,
    /// How long each round of load takes, in seconds.
    pub(crate) seconds: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match options(&arguments) {
        Some(options) => {
            measure::all(&options);
            ExitCode::SUCCESS
        }
        None => {
            println!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Option<Options> {
    let mut options = Options {
        gateway: PathBuf::new(),
        routes: 10_000,
        seconds: 5,
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--gateway" => options.gateway = value.into(),
            "--routes" => options.routes = value.parse().ok().filter(|routes| *routes > 0)?,
            "--seconds" => options.seconds = value.parse().ok().filter(|seconds| *seconds > 0)?,
            _ => return None,
        }
    }
    options.gateway.is_file().then_some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_what_to_measure() {
        let given = |line: &str| options(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let here = std::env::current_exe().unwrap();
        let here = here.display();
        let options = given(&format!("--gateway {here} --routes 7")).unwrap();
        assert_eq!((options.routes, options.seconds), (7, 5));
        for wrong in [
            "".to_owned(),
            "--routes 7".to_owned(),
            format!("--gateway {here} --routes 0"),
            format!("--gateway {here} --routes"),
            format!("--gateway {here} --fast 1"),
        ] {
            assert!(given(&wrong).is_none(), "{wrong}");
        }
    }
}
