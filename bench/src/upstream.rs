//! The upstream: answers everything with 12 bytes, and keeps connections open.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world\n";

/// The request header whose value is sent back, which tells what route a request took.
const ECHOED: &str = "x-version:";

/// Starts it; it ends with the program.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Until the gateway closes the connection, in whatever way.
fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut to_gateway = stream.try_clone()?;
    let mut from_gateway = BufReader::new(stream);
    let mut line = String::new();
    let mut version = String::new();
    loop {
        line.clear();
        if from_gateway.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some((ECHOED, value)) = line.split_at_checked(ECHOED.len()) {
            value.trim().clone_into(&mut version);
        }
        if line == "\r\n" {
            let echoed = format!("HTTP/1.1 200 OK\r\nX-Version: {version}\r\n");
            let rest = &ANSWER["HTTP/1.1 200 OK\r\n".len()..];
            to_gateway.write_all(&[echoed.as_bytes(), rest].concat())?;
        }
    }
}
