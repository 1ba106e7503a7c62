//! A real etcd as a process, with a folder of its own.
//!
//! What it is told goes through the same JSON gateway that users' scripts use.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::limits;
use crate::processes::Signal;
use crate::program::{Program, Running};
use crate::tls::{Authority, Certified};

/// What etcd logs when it serves.
const READY: &str = "ready to serve client requests";

/// What it logs when somebody else has its port.
const PORT_TAKEN: &str = "address already in use";

/// Set where no test may be skipped for want of a tool.
const CI: &str = "CI";

/// A running etcd of one member. Dropping it kills it.
#[derive(Debug)]
pub struct Etcd {
    address: SocketAddr,
    folder: TempDir,
    tls: Option<Tls>,
    running: RefCell<Option<Running>>,
    token: RefCell<Option<String>>,
}

#[derive(Debug)]
struct Tls {
    clients_too: bool,
}

impl Etcd {
    /// Starts one; none if the machine has no etcd, which is said, and a
    /// failure where `CI` is set.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn start() -> Option<Self> {
        is_there().then(|| Self::start_with(None))
    }

    /// One that speaks TLS with `own`, and only to clients that `clients` vouches for,
    /// if that is given; otherwise as [`Etcd::start`].
    ///
    /// # Panics
    /// As [`Etcd::start`].
    #[track_caller]
    pub fn start_tls(own: &Certified, clients: Option<&Authority>) -> Option<Self> {
        is_there().then(|| Self::start_with(Some((own, clients))))
    }

    #[track_caller]
    fn start_with(tls: Option<(&Certified, Option<&Authority>)>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        if let Some((own, clients)) = tls {
            let write = |name: &str, text: &str| {
                let written = std::fs::write(folder.path().join(name), text);
                written.expect("a temporary file can be written");
            };
            write("own.crt", &own.certificate);
            write("own.key", &own.key);
            if let Some(authority) = clients {
                write("clients.crt", &authority.certificate());
            }
        }
        let tls = tls.map(|(_, clients)| Tls {
            clients_too: clients.is_some(),
        });
        for _ in 0..limits::PORTS {
            let address = free_address();
            if let Some(running) = launch(address, folder.path(), tls.as_ref()) {
                return Self {
                    address,
                    folder,
                    tls,
                    running: RefCell::new(Some(running)),
                    token: RefCell::default(),
                };
            }
        }
        panic!("somebody else took every port");
    }

    /// Its URL for clients, with the name `localhost` where it speaks TLS.
    pub fn url(&self) -> String {
        match self.tls {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    /// Kills it, as SIGKILL does.
    pub fn kill(&self) {
        *self.running.borrow_mut() = None;
    }

    /// Has it stand still: connections stay open, and nobody answers.
    ///
    /// # Panics
    /// If it does not run.
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on.
    ///
    /// # Panics
    /// If it does not run.
    #[track_caller]
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let running = self.running.borrow();
        running.as_ref().expect("it runs").signal(signal);
    }

    /// Starts it again, with what it had, where it was.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn restart(&self) {
        self.kill();
        let launched = launch(self.address, self.folder.path(), self.tls.as_ref());
        *self.running.borrow_mut() = Some(launched.expect("its port is free"));
    }

    /// Starts it again where it was, and with nothing.
    ///
    /// # Panics
    /// As [`Etcd::restart`].
    #[track_caller]
    pub fn restart_empty(&self) {
        self.kill();
        let data = self.folder.path().join("data");
        std::fs::remove_dir_all(data).expect("its folder is there");
        self.restart();
    }

    /// Sends a request to its API and returns the answer, whatever it says. Not
    /// where it speaks TLS.
    ///
    /// # Panics
    /// If there is no answer of JSON.
    #[track_caller]
    pub fn ask(&self, path: &str, request: &Value) -> Value {
        let mut request = Client::new(self.address).post(path).json(request);
        if let Some(token) = &*self.token.borrow() {
            request = request.header("Authorization", token);
        }
        request.send().json()
    }

    /// As [`ask`](Self::ask), and the answer must not be an error.
    ///
    /// # Panics
    /// If it is.
    #[track_caller]
    pub fn call(&self, path: &str, request: &Value) -> Value {
        let answer = self.ask(path, request);
        assert!(answer.get("error").is_none(), "{path}: {answer}");
        answer
    }

    /// Writes a value as it is.
    ///
    /// # Panics
    /// If etcd refuses it.
    #[track_caller]
    pub fn put(&self, key: &str, value: &str) {
        let request = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)});
        self.call("/v3/kv/put", &request);
    }

    /// Writes values as they are, many at a time.
    ///
    /// # Panics
    /// If etcd refuses them.
    #[track_caller]
    pub fn put_all(&self, all: impl IntoIterator<Item = (String, String)>) {
        let put = |(key, value): (String, String)| {
            let (key, value) = (STANDARD.encode(key), STANDARD.encode(value));
            json!({"request_put": {"key": key, "value": value}})
        };
        let puts: Vec<_> = all.into_iter().map(put).collect();
        for some in puts.chunks(limits::ETCD_PUTS) {
            self.call("/v3/kv/txn", &json!({"success": some}));
        }
    }

    /// Deletes a key.
    ///
    /// # Panics
    /// If etcd refuses it.
    #[track_caller]
    pub fn delete(&self, key: &str) {
        self.call("/v3/kv/deleterange", &json!({"key": STANDARD.encode(key)}));
    }

    /// The value of a key as it is, if there is one.
    ///
    /// # Panics
    /// If etcd does not tell.
    #[track_caller]
    pub fn get(&self, key: &str) -> Option<String> {
        let answer = self.call("/v3/kv/range", &json!({"key": STANDARD.encode(key)}));
        let value = answer["kvs"][0]["value"].as_str()?;
        let bytes = STANDARD.decode(value).expect("base64");
        Some(String::from_utf8(bytes).expect("a text"))
    }

    /// All keys that begin so.
    ///
    /// # Panics
    /// If etcd does not tell.
    #[track_caller]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let request = json!({
            "key": STANDARD.encode(prefix),
            "range_end": STANDARD.encode(format!("{prefix}\u{7f}")),
            "keys_only": true,
        });
        let answer = self.call("/v3/kv/range", &request);
        let kvs = answer["kvs"].as_array().cloned().unwrap_or_default();
        let key = |kv: &Value| {
            let bytes = STANDARD.decode(kv["key"].as_str()?).ok()?;
            String::from_utf8(bytes).ok()
        };
        kvs.iter().filter_map(key).collect()
    }

    /// Has it forget all but what is there now.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn compact(&self) {
        let answer = self.call("/v3/kv/range", &json!({"key": STANDARD.encode("x")}));
        let revision = &answer["header"]["revision"];
        self.call(
            "/v3/kv/compaction",
            &json!({"revision": revision, "physical": true}),
        );
    }

    /// Makes the user `root` with this password, who may do everything; nobody else may
    /// do anything from then on.
    ///
    /// # Panics
    /// If etcd refuses it.
    #[track_caller]
    pub fn only_for_root(&self, password: &str) {
        let user = "root";
        self.call(
            "/v3/auth/user/add",
            &json!({"name": user, "password": password}),
        );
        self.call("/v3/auth/role/add", &json!({"name": "root"}));
        self.call(
            "/v3/auth/user/grant",
            &json!({"user": user, "role": "root"}),
        );
        self.call("/v3/auth/enable", &json!({}));
        self.log_in(user, password);
    }

    /// Speaks as this user from now on.
    ///
    /// # Panics
    /// If etcd refuses it.
    #[track_caller]
    pub fn log_in(&self, user: &str, password: &str) {
        self.token.take();
        let request = json!({"name": user, "password": password});
        let answer = self.call("/v3/auth/authenticate", &request);
        let token = answer["token"].as_str().expect("a token");
        *self.token.borrow_mut() = Some(token.to_owned());
    }
}

#[allow(
    clippy::print_stderr,
    reason = "whoever runs the tests wants to know what was not tried"
)]
fn is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join("etcd").is_file());
    assert!(
        found || std::env::var_os(CI).is_none(),
        "there is no etcd here, and {CI} is set: nothing may be skipped"
    );
    if !found {
        eprintln!("skipped: there is no etcd here (Debian's package is etcd-server)");
    }
    found
}

/// An address that nobody listens at. Somebody may until it is used.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    listener.local_addr().expect("it listens")
}

/// None if somebody else has the port.
#[track_caller]
fn launch(address: SocketAddr, folder: &Path, tls: Option<&Tls>) -> Option<Running> {
    // Nobody connects to the only member.
    const PEER: &str = "http://127.0.0.1:1";
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let mut program = Program::new("etcd")
        .arg("--data-dir")
        .arg(folder.join("data"))
        .args(["--name", "one", "--initial-cluster", &format!("one={PEER}")])
        .args([
            "--listen-client-urls",
            &url,
            "--advertise-client-urls",
            &url,
        ])
        .args(["--listen-peer-urls", "http://127.0.0.1:0"])
        .args(["--initial-advertise-peer-urls", PEER]);
    if let Some(tls) = tls {
        program = program
            .arg("--cert-file")
            .arg(folder.join("own.crt"))
            .arg("--key-file")
            .arg(folder.join("own.key"));
        if tls.clients_too {
            program = program
                .arg("--client-cert-auth")
                .arg("--trusted-ca-file")
                .arg(folder.join("clients.crt"));
        }
    }
    let running = program.start();
    let said = running.stderr().find(0, limits::WAIT, |line| {
        line.contains(READY) || line.contains(PORT_TAKEN)
    });
    match said {
        Some(line) if line.contains(PORT_TAKEN) => None,
        Some(_) => Some(running),
        None => panic!("etcd does not serve; log:\n{}", running.stderr().text()),
    }
}
