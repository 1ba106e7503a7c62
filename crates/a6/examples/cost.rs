//! What one message costs: `cargo run --release -p outrigger-a6 --example cost`.
//!
//! Prints the median of several rounds, in nanoseconds for each operation.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use outrigger_a6::limits::HEADER_LEN;
use outrigger_a6::{
    ConfToken, Decode as _, Encoder, Entries, Entry, FrameDecoder, Method, extra_info,
    http_req_call,
};

const ROUNDS: usize = 21;
const OPERATIONS: u32 = 100_000;
/// For messages that take milliseconds.
const FEW: u32 = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let headers = [
        entry(b"host", b"shop.example.com"),
        entry(
            b"user-agent",
            b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101",
        ),
        entry(
            b"accept",
            b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ),
        entry(b"accept-encoding", b"gzip, deflate, br, zstd"),
        entry(b"accept-language", b"en-US,en;q=0.5"),
        entry(b"cookie", b"session=3f2a9c1e77b04d5c; theme=dark"),
        entry(b"x-forwarded-for", b"203.0.113.7"),
        entry(b"x-request-id", b"0b7f4c7e-6f0a-4f4e-9d0f-0d7cf0f5a1c2"),
    ];
    let args = [entry(b"page", b"2")];
    let request = http_req_call::Request {
        id: 4711,
        src_ip: &[203, 0, 113, 7],
        method: Method::Get,
        path: b"/api/v1/articles/rust",
        args: Entries::from(&args),
        headers: Entries::from(&headers),
        conf_token: ConfToken(3),
    };
    let rewrite = http_req_call::Rewrite {
        headers: Entries::from(&headers[..1]),
        ..http_req_call::Rewrite::default()
    };
    let action = Some(http_req_call::Action::Rewrite(rewrite));
    let response = http_req_call::Response { id: 4711, action };
    let body = vec![b'x'; 1 << 20];
    let large = extra_info::Response {
        result: Some(&body),
    };

    measure_request(&request)?;
    measure_answer(&response)?;
    println!("a body of 1 MiB");
    let mut encoder = Encoder::new();
    measure("  encode", FEW, || {
        black_box(encoder.encode(black_box(&large)).map(<[u8]>::len)).is_ok()
    });
    Ok(())
}

fn measure_request(request: &http_req_call::Request<'_>) -> Result<(), Box<dyn Error>> {
    let mut encoder = Encoder::new();
    let frame = encoder.encode(request)?.to_vec();
    println!(
        "request call, 8 headers, 1 argument: a frame of {} bytes",
        frame.len()
    );
    measure("  encode", OPERATIONS, || {
        black_box(encoder.encode(black_box(request)).map(<[u8]>::len)).is_ok()
    });
    measure("  decode and read every entry", OPERATIONS, || {
        read(black_box(&frame[HEADER_LEN..]))
    });
    let mut decoder = FrameDecoder::new();
    measure("  decode from a stream, likewise", OPERATIONS, || {
        decoder.feed(black_box(&frame));
        let next = decoder.next_frame();
        matches!(next, Ok(Some(frame)) if read(frame.payload))
    });
    Ok(())
}

fn measure_answer(response: &http_req_call::Response<'_>) -> Result<(), Box<dyn Error>> {
    let mut encoder = Encoder::new();
    let frame = encoder.encode(response)?.to_vec();
    println!(
        "its answer, a rewrite of one header: a frame of {} bytes",
        frame.len()
    );
    measure("  encode", OPERATIONS, || {
        black_box(encoder.encode(black_box(response)).map(<[u8]>::len)).is_ok()
    });
    measure("  decode", OPERATIONS, || {
        let payload = black_box(&frame[HEADER_LEN..]);
        black_box(http_req_call::Response::decode(payload)).is_ok()
    });
    Ok(())
}

fn entry<'a>(name: &'a [u8], value: &'a [u8]) -> Entry<'a> {
    Entry {
        name,
        value: Some(value),
    }
}

/// Decodes a request call and reads all that is in it.
fn read(payload: &[u8]) -> bool {
    let Ok(request) = http_req_call::Request::decode(payload) else {
        return false;
    };
    let entries = request.args.iter().chain(request.headers);
    let len = entries.fold(request.path.len() + request.src_ip.len(), |len, entry| {
        len + entry.name.len() + entry.value.unwrap_or_default().len()
    });
    black_box(len) > 0
}

fn measure(what: &str, operations: u32, mut operation: impl FnMut() -> bool) {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..operations {
            assert!(operation(), "{what}: failed");
        }
        rounds.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(operations));
    }
    rounds.sort_by(f64::total_cmp);
    println!("{what:<34}{:>12.0} ns", rounds[ROUNDS / 2]);
}
