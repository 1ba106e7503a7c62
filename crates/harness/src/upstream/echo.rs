//! The echo upstream's answers.

use std::time::Duration;

use serde_json::json;

use super::{RawConnection, Received};

/// Prefix of the request headers that become headers of the answer.
const WANTED: &str = "resp-";

/// Answers request after request until the gateway closes the connection.
pub(super) fn serve(connection: &mut RawConnection) {
    while let Some(request) = connection.read_request() {
        let sent = connection.try_write(&answer(&request).encode(&request));
        if sent.is_err() || request.wants_close() {
            return;
        }
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    chunked: bool,
}

impl Answer {
    fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            chunked: false,
        }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn encode(self, request: &Received) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = bytes.into_bytes();
        for header in &request.headers {
            let name = header.name().as_bytes();
            let wanted = name.get(..WANTED.len());
            if wanted.is_some_and(|prefix| prefix.eq_ignore_ascii_case(WANTED.as_bytes())) {
                bytes.extend_from_slice(&name[WANTED.len()..]);
                bytes.extend_from_slice(b": ");
                bytes.extend_from_slice(header.bytes());
                bytes.extend_from_slice(b"\r\n");
            }
        }
        if request.wants_close() {
            bytes.extend_from_slice(b"Connection: close\r\n");
        }
        let bodiless = self.status < 200 || matches!(self.status, 204 | 304);
        if self.chunked {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        } else if !bodiless {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if request.method == "HEAD" || bodiless {
            return bytes;
        }
        if self.chunked {
            let chunk = format!("{:x}\r\n", self.body.len());
            bytes.extend_from_slice(chunk.as_bytes());
            bytes.extend_from_slice(&self.body);
            bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

fn answer(request: &Received) -> Answer {
    let path = request.uri.split('?').next().unwrap_or_default();
    let number = |prefix: &str| path.strip_prefix(prefix)?.parse::<u64>().ok();
    if let Some(status) = number("/status/").filter(|status| (200..600).contains(status)) {
        let mut answer = Answer::new("status\n");
        answer.status = status as u16;
        return answer;
    }
    if let Some(count) = number("/big/") {
        return Answer::new(vec![b'x'; count as usize]);
    }
    if let Some(millis) = number("/slow/") {
        std::thread::sleep(Duration::from_millis(millis));
        return Answer::new("slow\n");
    }
    match path {
        "/hello" => Answer::new("hello world\n").header("Content-Type", "text/plain"),
        "/chunked" => Answer {
            chunked: true,
            ..Answer::new("hello world\n")
        },
        "/echo" => Answer::new(request.body.clone()),
        "/multi" => Answer::new("multi\n")
            .header("Content-Type", "text/plain")
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("ETag", "\"v1\""),
        _ => Answer::new(described(request)),
    }
}

fn described(request: &Received) -> String {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|header| [header.name(), header.text()])
        .collect();
    let body = String::from_utf8_lossy(&request.body);
    json!({"method": request.method, "uri": request.uri, "headers": headers, "body": body})
        .to_string()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        404 => "Not Found",
        500 => "Internal Server Error",
        _ => "Status",
    }
}
